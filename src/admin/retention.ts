import type { FastifyPluginAsync, FastifyReply } from 'fastify'
import { maxCounted } from '../background/expiry.ts'
import { countAllExpired } from '../background/retention.ts'
import {
  effective,
  noPolicy,
  type Policy,
  policyOf,
  retained,
  retentionOf,
  servicesWith,
} from '../background/retention-policy.ts'
import type { Installation } from '../installation/open.ts'
import { accountBySid, serviceOfAccount } from '../storage/lookups.ts'
import { needsInAccount } from './access.ts'
import { notFound } from './replies.ts'
import { bodyErrors, errors, type OperationSchema, object, path, response, sid } from './schemas.ts'

/** A policy as it is given. A property that is left out is null. */
type GivenPolicy = Partial<Record<keyof Policy, number | 'forever' | null>>

interface Where {
  Params: { sid: string; service_sid?: string }
}

const maxDays = 36_500

const descriptions: Readonly<Record<keyof Policy, string>> = {
  closed_conversation_days: 'A conversation is deleted so many days after it was closed, with everything in it',
  message_days: 'A message is deleted so many days after its date_created, in conversations of any state',
  media_days: 'The file of a message is deleted so many days after it was uploaded; the message stays, and names it',
  delivered_days: 'A delivery that succeeded leaves the delivery log after so many days',
  failed_days: 'A delivery that failed leaves the delivery log after so many days; not before one that succeeded',
}

const days = { type: 'integer', minimum: 1, maximum: maxDays } as const

function properties(schema: object): Record<keyof Policy, object> {
  const described = retained.map((kind) => [kind, { ...schema, description: descriptions[kind] }])
  // The names are those of a policy.
  return Object.fromEntries(described) as Record<keyof Policy, object>
}

const ofAccount = { anyOf: [days, { type: 'null' }] } as const
const ofService = { anyOf: [days, { enum: ['forever'] }, { type: 'null' }] } as const

const accountPolicy = object('Retention', {
  account_sid: sid('account', 'SID of the account'),
  ...properties(ofAccount),
})
const servicePolicy = object('ServiceRetention', {
  account_sid: sid('account', 'SID of the account'),
  service_sid: sid('service', 'SID of the service'),
  ...properties(ofService),
  effective: { ...object('EffectiveRetention', properties(ofAccount)), description: 'With what the account says' },
})
const counted = object('ExpiredCounts', {
  closed_conversations: { type: 'integer' },
  messages: { type: 'integer', description: 'Those of the closed conversations, too, if they are too old themselves' },
  media: { type: 'integer' },
  delivered: { type: 'integer' },
  failed: { type: 'integer' },
  complete: { type: 'boolean', description: `False: there are more, as a service has ${maxCounted} of a kind or more` },
})

const tags = ['Retention'] as const
const inAccount = path({ sid: 'SID of the account' })
const inService = path({ sid: 'SID of the account', service_sid: 'SID of the service' })
const meaning =
  'In days; null, or left out: it is kept. What is too old is deleted within an hour, and no webhook is sent of it. Apps that are ' +
  'connected see it disappear. The delivery log keeps nothing longer than PARLEY_DELIVERY_LOG_DAYS.'
const serviceMeaning = `${meaning} Null, in a service: as the account says; \`forever\`: it is kept, whatever the account says.`

const accountBody = { title: 'RetentionPolicy', type: 'object', properties: properties(ofAccount), additionalProperties: false }
const serviceBody = { ...accountBody, title: 'ServiceRetentionPolicy', properties: properties(ofService) }
const orStored = (body: object, title: string) => ({ ...body, title, type: ['object', 'null'] })
const dryRunDescription =
  'Counts what a run would delete now, by the policy of the body; without a body, by the one that is in force.'

const fetchRetention: OperationSchema = {
  operationId: 'fetchRetention',
  summary: 'Fetch for how long an account keeps what it has',
  tags,
  params: inAccount,
  response: { 200: response('The policy', accountPolicy), ...errors(400, 404) },
}
const setRetention: OperationSchema = {
  operationId: 'setRetention',
  summary: 'Set for how long an account keeps what it has',
  description: meaning,
  tags,
  params: inAccount,
  body: accountBody,
  response: { 200: response('The policy', accountPolicy), ...bodyErrors(404) },
}
const tryRetention: OperationSchema = {
  operationId: 'tryRetention',
  summary: 'Count what of an account would be deleted',
  description: dryRunDescription,
  tags,
  params: inAccount,
  body: orStored(accountBody, 'RetentionDryRun'),
  response: { 200: response('What would be deleted', counted), ...bodyErrors(404) },
}
const fetchServiceRetention: OperationSchema = {
  operationId: 'fetchServiceRetention',
  summary: 'Fetch for how long a service keeps what it has',
  tags,
  params: inService,
  response: { 200: response('The policy', servicePolicy), ...errors(400, 404) },
}
const setServiceRetention: OperationSchema = {
  operationId: 'setServiceRetention',
  summary: 'Set for how long a service keeps what it has',
  description: serviceMeaning,
  tags,
  params: inService,
  body: serviceBody,
  response: { 200: response('The policy', servicePolicy), ...bodyErrors(404) },
}
const tryServiceRetention: OperationSchema = {
  operationId: 'tryServiceRetention',
  summary: 'Count what of a service would be deleted',
  description: dryRunDescription,
  tags,
  params: inService,
  body: orStored(serviceBody, 'ServiceRetentionDryRun'),
  response: { 200: response('What would be deleted', counted), ...bodyErrors(404) },
}

/** How long accounts and services keep what they have. */
export function retentionRoutes({
  database,
  clock,
  config,
}: Pick<Installation, 'database' | 'clock' | 'config'>): FastifyPluginAsync {
  const policies = policiesOf(database)

  const isThere = async ({ sid, service_sid }: Where['Params']) =>
    service_sid === undefined
      ? (await database.read.one(accountBySid, { sid })) !== undefined
      : (await database.read.one(serviceOfAccount, { sid: service_sid, account_sid: sid })) !== undefined

  const fetch = async (params: Where['Params'], reply: FastifyReply) => {
    if (!(await isThere(params))) return notFound(reply)
    return policies.shown(params)
  }

  const set = async (params: Where['Params'], body: GivenPolicy, reply: FastifyReply) => {
    const policy = parsed(body)
    if (!(await isThere(params))) return notFound(reply)
    const problem = problemOf(await policies.inForce(params, policy), config.deliveryLogDays)
    if (problem) return reply.code(400).send({ error: problem })
    const row = { account_sid: params.sid, service_sid: params.service_sid ?? '', ...policy, date_updated: clock.now(params.sid) }
    if (!(await database.write('setRetention', row))) return notFound(reply)
    return policies.shown(params)
  }

  const count = async (params: Where['Params'], body: GivenPolicy | null, reply: FastifyReply) => {
    const { sid: account_sid, service_sid = '' } = params
    if (!(await isThere(params))) return notFound(reply)
    const policy = body ? parsed(body) : await policies.stored(account_sid, service_sid)
    const problem = body && problemOf(await policies.inForce(params, policy), config.deliveryLogDays)
    if (problem) return reply.code(400).send({ error: problem })
    const services = await servicesWith(database.read, { account_sid, service_sid, ...policy })
    const { counts, isComplete } = await countAllExpired(database.read, services, clock.now(account_sid))
    const { conversations, ...others } = counts
    return { closed_conversations: conversations, ...others, complete: isComplete }
  }

  return async (routes) => {
    const account = '/accounts/:sid/retention'
    const service = '/accounts/:sid/services/:service_sid/retention'
    routes.get<Where>(account, { schema: fetchRetention, config: needsInAccount('read') }, ({ params }, reply) =>
      fetch(params, reply),
    )
    routes.get<Where>(service, { schema: fetchServiceRetention, config: needsInAccount('read') }, ({ params }, reply) =>
      fetch(params, reply),
    )
    routes.put<Where & { Body: GivenPolicy }>(
      account,
      { schema: setRetention, config: needsInAccount('manage') },
      ({ params, body }, reply) => set(params, body, reply),
    )
    routes.put<Where & { Body: GivenPolicy }>(
      service,
      { schema: setServiceRetention, config: needsInAccount('manage') },
      ({ params, body }, reply) => set(params, body, reply),
    )
    routes.post<Where & { Body: GivenPolicy | null }>(
      `${account}/dry-run`,
      { schema: tryRetention, config: needsInAccount('manage') },
      ({ params, body }, reply) => count(params, body, reply),
    )
    routes.post<Where & { Body: GivenPolicy | null }>(
      `${service}/dry-run`,
      { schema: tryServiceRetention, config: needsInAccount('manage') },
      ({ params, body }, reply) => count(params, body, reply),
    )
  }
}

function policiesOf({ read }: Pick<Installation['database'], 'read'>) {
  const stored = async (account_sid: string, service_sid: string): Promise<Policy> =>
    policyOf((await read.one(retentionOf, { account_sid, service_sid })) ?? noPolicy)
  /** What is in force in an account or a service with that policy of its own. */
  const inForce = async ({ sid, service_sid }: Where['Params'], own: Policy): Promise<Policy> =>
    service_sid === undefined ? own : effective(await stored(sid, ''), own)
  const shown = async (params: Where['Params']) => {
    const { sid: account_sid, service_sid } = params
    const own = await stored(account_sid, service_sid ?? '')
    if (service_sid === undefined) return { account_sid, ...own }
    const words = Object.fromEntries(retained.map((kind) => [kind, own[kind] === 0 ? 'forever' : own[kind]]))
    return { account_sid, service_sid, ...words, effective: await inForce(params, own) }
  }
  return { stored, inForce, shown }
}

function parsed(given: GivenPolicy): Policy {
  return policyOf(Object.fromEntries(retained.map((kind) => [kind, given[kind] === 'forever' ? 0 : (given[kind] ?? null)])))
}

/** Returns what is wrong with a policy, as a sentence. `logDays`: for how long the installation keeps finished deliveries. */
function problemOf({ delivered_days: delivered, failed_days: failed }: Policy, logDays: number): string | null {
  for (const [name, days] of Object.entries({ delivered_days: delivered, failed_days: failed })) {
    if (days !== null && days > logDays) {
      return `${name} must be at most ${logDays}: the installation keeps no delivery longer (PARLEY_DELIVERY_LOG_DAYS)`
    }
  }
  const deliveredDays = delivered ?? logDays
  if ((failed ?? logDays) >= deliveredDays) return null
  return `failed_days must be at least delivered_days (${deliveredDays}): what has failed is looked into later`
}
