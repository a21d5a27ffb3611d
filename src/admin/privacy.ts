import { randomBytes } from 'node:crypto'
import { Readable } from 'node:stream'
import type { FastifyPluginAsync, FastifyRequest } from 'fastify'
import { callerOf, installationAccess } from '../api/rights.ts'
import { milliseconds } from '../dates.ts'
import type { Installation } from '../installation/open.ts'
import { parseStored } from '../json.ts'
import { packageVersion } from '../package.ts'
import { counted } from '../privacy/belongings.ts'
import { disclose, type Line } from '../privacy/disclose.ts'
import { boundsOf, erasureOfAccount, erasuresOfAccount, notBegun, startOf } from '../privacy/erasures.ts'
import { hasAddress, hashPurpose, type Person, personOf, type Subject, subjectHash } from '../privacy/person.ts'
import { mirrorOfAccount } from '../records/mirror-commands.ts'
import { addressType } from '../resources/conversations/address-formats.ts'
import { newSid } from '../sids.ts'
import { accountBySid } from '../storage/lookups.ts'
import type { ErasureRow } from '../storage/schema.ts'
import { needsInAccount } from './access.ts'
import { notFound } from './replies.ts'
import {
  bodyErrors,
  errors,
  instant,
  type OperationSchema,
  object,
  path,
  response,
  shortText,
  shownName,
  sid,
} from './schemas.ts'

interface OfAccount {
  Params: { sid: string }
}
interface OfErasure {
  Params: { sid: string; id: string }
}
interface Query {
  status?: ErasureRow['status']
  dry_run?: boolean
  before?: string
  limit?: number
}
interface Named {
  identity?: string
  address?: string
}
interface Body extends Named {
  messages?: ErasureRow['messages']
  dry_run?: boolean
  reference?: string
}

const modes = ['redact', 'delete'] as const
const statuses = ['waiting', 'running', 'failed', 'done'] as const
const tags = ['Privacy'] as const
const ofAccount = path({ sid: 'SID of the account' })
const nullableInstant = { type: ['string', 'null'], format: 'date-time' } as const

const erasure = object('Erasure', {
  id: sid('erasure', 'Id of the erasure'),
  account_sid: sid('account', 'SID of the account'),
  status: {
    type: 'string',
    enum: statuses,
    description: '`failed`: it is tried again at `date_retry`',
  },
  dry_run: { type: 'boolean', description: 'It only counts' },
  messages: { type: 'string', enum: modes },
  subject: { type: 'string', enum: ['identity', 'address'], description: 'What the person was named by' },
  subject_hash: { type: 'string', description: 'HMAC of account and person: the same for each request about the person' },
  pseudonym: { type: 'string', description: 'What stands in place of the author of redacted messages' },
  requested_by: {
    type: 'string',
    description:
      'The id of the operator, as `SignedIn` has it. With the operator token of the installation it is `operator token` or, for ' +
      'a browser that has signed in with it, `console`. `ledger`: done before, and once more after a restore',
  },
  reference: { type: ['string', 'null'] },
  step: { type: ['string', 'null'], description: 'The kind of rows that is being looked through' },
  counts: {
    ...object('ErasureCounts', Object.fromEntries(counted.map((name) => [name, { type: 'integer' }]))),
    description: 'Rows that were erased, or would be by a dry run',
  },
  storage: {
    type: ['string', 'null'],
    enum: ['overwritten', 'in use', 'not overwritten', null],
    description:
      'Whether deleted data has been overwritten in the files of the database. `in use`: not while somebody reads them. ' +
      '`not overwritten`: PostgreSQL reuses the room. Null for a dry run and until it is done',
  },
  date_created: instant,
  date_started: nullableInstant,
  failures: { type: 'integer', description: 'How often it has failed: the log of the server says why' },
  date_retry: { ...nullableInstant, description: 'When one that has failed is tried again' },
  date_finished: nullableInstant,
})

const subject = {
  identity: { type: 'string', minLength: 1, maxLength: 256, description: 'The identity of a user' },
  address: {
    type: 'string',
    minLength: 1,
    maxLength: 256,
    description:
      'A phone number, which stands for the person in every channel, a mail address or any other address of a participant',
  },
} as const

const createErasure: OperationSchema = {
  operationId: 'createErasure',
  summary: 'Erase a person',
  description:
    'Give either `identity` or `address`. The work is done in the background, in batches. No webhook is sent what is erased; client ' +
    'SDKs are told. It cannot be undone.',
  tags,
  params: ofAccount,
  body: {
    title: 'NewErasure',
    type: 'object',
    properties: {
      ...subject,
      messages: { enum: modes, description: 'By default `redact`: messages stay, without author and content' },
      dry_run: { type: 'boolean', description: 'Only counts what would be erased' },
      reference: { ...shownName, description: 'Your name for the request, such as the number of a ticket' },
    },
    additionalProperties: false,
  },
  response: { 202: response('The erasure, which is waiting', erasure), ...bodyErrors(404, 409) },
}
const disclosePerson: OperationSchema = {
  operationId: 'disclosePerson',
  summary: 'Disclose a person',
  description:
    'Give either `identity` or `address`. The response is lines of JSON: a header, the rows that belong to the person, each as the API shows it ' +
    '(`kind`, `account_sid`, `chat_service_sid`, …, `resource`), and an end with how many there are of each kind. A response without the end is not complete.',
  tags,
  params: ofAccount,
  body: { title: 'NewDisclosure', type: 'object', properties: subject, additionalProperties: false },
  response: { 200: response('The lines', { type: 'string' }), ...bodyErrors(404) },
}
const listErasures: OperationSchema = {
  operationId: 'listErasures',
  summary: 'List the erasures of an account',
  tags,
  params: ofAccount,
  querystring: {
    type: 'object',
    properties: {
      status: { enum: statuses, description: 'Only those of this status' },
      dry_run: { type: 'boolean', description: 'Only those that count, or only those that erase' },
      before: { ...shortText, description: 'Only those before this id' },
      limit: { type: 'integer', minimum: 1, maximum: 1000, default: 50 },
    },
    additionalProperties: false,
  },
  response: {
    200: response(
      'The erasures, newest first',
      object('ErasureList', {
        erasures: { type: 'array', items: erasure },
        next_before: { type: ['string', 'null'], description: 'Null on the last page' },
      }),
    ),
    ...errors(400, 404),
  },
}
const fetchErasure: OperationSchema = {
  operationId: 'fetchErasure',
  summary: 'Fetch an erasure: how far it is, and the proof of it',
  tags,
  params: path({ sid: 'SID of the account', id: 'Id of the erasure' }),
  response: { 200: response('The erasure', erasure), ...errors(400, 404) },
}

/** Erasing and disclosing persons. */
export function privacyRoutes({
  database,
  vault,
  clock,
}: Pick<Installation, 'database' | 'vault' | 'clock'>): FastifyPluginAsync {
  const key = vault.derive(hashPurpose)

  return async (routes) => {
    routes.post<OfAccount & { Body: Body }>(
      '/accounts/:sid/erasures',
      { schema: createErasure, config: needsInAccount('manage') },
      async (request, reply) => {
        const { sid: account_sid } = request.params
        const { body } = request
        const named = subjectOf(body)
        if ('wrong' in named) return reply.code(400).send({ error: named.wrong })
        const person = personOf(account_sid, named)
        const { reference = null } = body
        if (reference !== null && isAbout(person, reference)) {
          return reply.code(400).send({ error: 'reference must not name the person: it is kept' })
        }
        if (!(await database.read.one(accountBySid, { sid: account_sid }))) return notFound(reply)
        // What it follows would be read again, with the person.
        const mirror = await database.read.one(mirrorOfAccount, { account_sid })
        if (mirror && mirror.state !== 'switched' && !body.dry_run) {
          return reply
            .code(409)
            .send({ error: 'the account follows a hosted one, where the person has to be erased: or switch first' })
        }
        const now = clock.now(account_sid)
        const row: ErasureRow = {
          id: newSid('erasure', now),
          account_sid,
          status: 'waiting',
          dry_run: body.dry_run ? 1 : 0,
          messages: body.messages ?? 'redact',
          subject: person.by_address ? 'address' : 'identity',
          subject_hash: subjectHash(key, person),
          pseudonym: `erased-${randomBytes(4).toString('hex')}`,
          requested_by: requesterOf(request),
          reference,
          sealed: vault.seal(JSON.stringify(startOf(person))),
          ...notBegun,
          date_created: now,
          date_finished: null,
        }
        await database.write('createErasure', row)
        return reply.code(202).send(toJson(row))
      },
    )

    routes.post<OfAccount & { Body: Named }>(
      '/accounts/:sid/disclosures',
      { schema: disclosePerson, config: needsInAccount('manage') },
      async (request, reply) => {
        const { sid: account_sid } = request.params
        const named = subjectOf(request.body)
        if ('wrong' in named) return reply.code(400).send({ error: named.wrong })
        if (!(await database.read.one(accountBySid, { sid: account_sid }))) return notFound(reply)
        const records = disclose(database.read, personOf(account_sid, named))
        // There may be long stretches in which nothing of the person is found: they are no client that does not read.
        const lines = linesOf(records, clock.now(account_sid), () => reply.raw.setTimeout(0))
        return reply.type('application/x-ndjson').send(Readable.from(lines))
      },
    )

    routes.get<OfAccount & { Querystring: Query }>(
      '/accounts/:sid/erasures',
      { schema: listErasures, config: needsInAccount('manage') },
      async (request, reply) => {
        const { sid: account_sid } = request.params
        const { status, dry_run, before = '~', limit = 50 } = request.query
        if (!(await database.read.one(accountBySid, { sid: account_sid }))) return notFound(reply)
        const only = { ...boundsOf(status, dry_run), account_sid, before }
        const rows = await database.read.all(erasuresOfAccount, { ...only, limit: limit + 1 })
        const page = rows.slice(0, limit)
        return { erasures: page.map(toJson), next_before: rows.length > limit ? (page.at(-1)?.id ?? null) : null }
      },
    )

    routes.get<OfErasure>(
      '/accounts/:sid/erasures/:id',
      { schema: fetchErasure, config: needsInAccount('manage') },
      async ({ params }, reply) => {
        const row = await database.read.one(erasureOfAccount, { account_sid: params.sid, id: params.id })
        return row ? toJson(row) : notFound(reply)
      },
    )
  }
}

async function* linesOf(records: AsyncIterable<Line>, now: number, begun: () => void): AsyncGenerator<string> {
  begun()
  const line = (value: object) => `${JSON.stringify(value)}\n`
  const counts: Record<string, number> = {}
  yield line({ kind: 'header', format: 1, parley: packageVersion(), exported_at: milliseconds(now) })
  for await (const record of records) {
    const kind = String(record.kind)
    counts[kind] = (counts[kind] ?? 0) + 1
    yield line(record)
  }
  yield line({ kind: 'end', counts })
}

/** Returns who is meant, or what is wrong with it. */
function subjectOf({ identity, address }: Named): Subject | { readonly wrong: string } {
  if (identity !== undefined && address !== undefined) return { wrong: 'give either identity or address, not both' }
  if (identity !== undefined) {
    return identity === 'system' ? { wrong: 'identity must be that of a person: system is nobody' } : { identity }
  }
  if (address === undefined) return { wrong: 'identity or address is missing' }
  if (addressType(address) === undefined) {
    return { wrong: 'address must be a phone number such as +15551234567, a mail address, or have the prefix of its channel' }
  }
  return { address }
}

function isAbout(person: Person, text: string): boolean {
  return hasAddress(person, text) || person.names.some((name) => text.includes(name))
}

/** Returns who asks for an erasure. The token of the installation is nobody's own: how it came is said then. */
function requesterOf(request: FastifyRequest): string {
  const { id } = callerOf(request)
  if (id !== installationAccess.id) return id
  return request.headers.authorization === undefined ? 'console' : 'operator token'
}

function toJson(row: ErasureRow) {
  const found = parseStored<Record<string, number>>(row.counts)
  return {
    id: row.id,
    account_sid: row.account_sid,
    status: row.status,
    dry_run: row.dry_run === 1,
    messages: row.messages,
    subject: row.subject,
    subject_hash: row.subject_hash,
    pseudonym: row.pseudonym,
    requested_by: row.requested_by,
    reference: row.reference,
    step: row.step,
    counts: Object.fromEntries(counted.map((name) => [name, found[name] ?? 0])),
    storage: row.storage,
    date_created: milliseconds(row.date_created),
    date_started: row.date_started === null ? null : milliseconds(row.date_started),
    failures: row.failures,
    date_retry: row.date_retry === null ? null : milliseconds(row.date_retry),
    date_finished: row.date_finished === null ? null : milliseconds(row.date_finished),
  }
}
