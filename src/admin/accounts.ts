import type { FastifyPluginAsync } from 'fastify'
import { newAccount } from '../accounts/accounts.ts'
import { callerOf, sees } from '../api/rights.ts'
import { milliseconds } from '../dates.ts'
import type { Installation } from '../installation/open.ts'
import { randomToken } from '../sids.ts'
import { accountBySid } from '../storage/lookups.ts'
import type { AccountRow, AccountStatus } from '../storage/schema.ts'
import { shape } from '../storage/shapes.ts'
import { needs, needsInAccount } from './access.ts'
import { notFound } from './replies.ts'
import {
  bodyErrors,
  errors,
  givenSecret,
  givenSid,
  instant,
  list,
  named,
  type OperationSchema,
  object,
  path,
  removed,
  response,
  shownName,
  sid,
} from './schemas.ts'

interface OfAccount {
  Params: { sid: string }
}

interface NewAccount {
  readonly friendly_name?: string
  readonly sid?: string
  readonly auth_token?: string
}

const allAccounts = shape<{ none?: null }>()((db) => db.selectFrom('accounts').selectAll().orderBy('date_created').orderBy('sid'))

const accountStatuses = ['active', 'suspended'] as const

const account = object('Account', {
  sid: sid('account', 'SID of the account'),
  friendly_name: { type: 'string' },
  status: { type: 'string', enum: accountStatuses },
  default_chat_service_sid: sid('service', 'SID of its default service'),
  date_created: instant,
  date_updated: instant,
})
const auth_token = { type: 'string', description: 'Shown only once' } as const
const ofAccount = path({ sid: 'SID of the account' })
const tags = ['Accounts'] as const

const listAccounts: OperationSchema = {
  operationId: 'listAccounts',
  summary: 'List the accounts',
  tags,
  response: { 200: response('The accounts, oldest first', list('AccountList', 'accounts', account)), ...errors() },
}
const createAccount: OperationSchema = {
  operationId: 'createAccount',
  summary: 'Create an account',
  description:
    'It has a default service and an auth token. The token is shown only once. An account that moves here keeps its SID and its token.',
  tags,
  body: {
    title: 'NewAccount',
    type: ['object', 'null'],
    properties: { ...named.properties, sid: givenSid('account'), auth_token: givenSecret },
    additionalProperties: false,
  },
  response: {
    201: response('The account and its auth token', object('AccountWithToken', { ...account.properties, auth_token })),
    ...bodyErrors(409),
  },
}
const fetchAccount: OperationSchema = {
  operationId: 'fetchAccount',
  summary: 'Fetch an account',
  tags,
  params: ofAccount,
  response: { 200: response('The account', account), ...errors(400, 404) },
}
const updateAccount: OperationSchema = {
  operationId: 'updateAccount',
  summary: 'Rename, suspend or reactivate an account',
  description: 'Every request with the auth token or an API key of a suspended account is refused with 403.',
  tags,
  params: ofAccount,
  body: {
    title: 'AccountChanges',
    type: 'object',
    properties: { friendly_name: shownName, status: { enum: accountStatuses } },
    additionalProperties: false,
    minProperties: 1,
  },
  response: { 200: response('The updated account', account), ...bodyErrors(404) },
}
const rotateToken: OperationSchema = {
  operationId: 'rotateAuthToken',
  summary: 'Replace the auth token',
  description: 'The old auth token stops working at once.',
  tags,
  params: ofAccount,
  response: {
    200: response('The new auth token', object('AuthToken', { sid: account.properties.sid, auth_token })),
    ...bodyErrors(404),
  },
}
const deleteAccount: OperationSchema = {
  operationId: 'deleteAccount',
  summary: 'Delete an account and everything in it',
  tags,
  params: ofAccount,
  response: { 204: removed, ...bodyErrors(404) },
}

/** Accounts and their auth tokens. */
export function accountRoutes({
  database,
  vault,
  clock,
}: Pick<Installation, 'database' | 'vault' | 'clock'>): FastifyPluginAsync {
  return async (routes) => {
    routes.get('/accounts', { schema: listAccounts, config: needs('read', 'own') }, async (request) => {
      const caller = callerOf(request)
      const all = await database.read.all(allAccounts, {})
      return { accounts: all.filter(({ sid }) => sees(caller, sid)).map(toJson) }
    })

    routes.post<{ Body: NewAccount | null }>(
      '/accounts',
      { schema: createAccount, config: needs('manage', 'installation') },
      async ({ body }, reply) => {
        const { friendly_name = '', sid, auth_token = randomToken() } = body ?? {}
        const created = newAccount({ sid, friendly_name, sealedToken: vault.seal(auth_token), now: clock.now() })
        if (!(await database.write('createAccount', created)))
          return reply.code(409).send({ error: `${sid} is an account already` })
        return reply.code(201).send({ ...toJson(created.account), auth_token })
      },
    )

    routes.get<OfAccount>(
      '/accounts/:sid',
      { schema: fetchAccount, config: needsInAccount('read') },
      async ({ params: { sid } }, reply) => {
        const account = await database.read.one(accountBySid, { sid })
        return account ? toJson(account) : notFound(reply)
      },
    )

    routes.post<OfAccount & { Body: { friendly_name?: string; status?: AccountStatus } }>(
      '/accounts/:sid',
      { schema: updateAccount, config: needsInAccount('manage') },
      async ({ params: { sid }, body }, reply) => {
        await database.write('updateAccount', { sid, ...body, date_updated: clock.now(sid) })
        const account = await database.read.one(accountBySid, { sid })
        return account ? toJson(account) : notFound(reply)
      },
    )

    routes.post<OfAccount>(
      '/accounts/:sid/rotate',
      { schema: rotateToken, config: needsInAccount('manage') },
      async ({ params: { sid } }, reply) => {
        const auth_token = randomToken()
        const sealed = { sid, auth_token: vault.seal(auth_token), date_updated: clock.now(sid) }
        return (await database.write('updateAccount', sealed)) ? { sid, auth_token } : notFound(reply)
      },
    )

    routes.delete<OfAccount>(
      '/accounts/:sid',
      { schema: deleteAccount, config: needs('manage', 'installation') },
      async ({ params: { sid } }, reply) => {
        return (await database.write('deleteAccount', { sid, now: clock.now() })) ? reply.code(204).send() : notFound(reply)
      },
    )
  }
}

function toJson(row: AccountRow) {
  return {
    sid: row.sid,
    friendly_name: row.friendly_name,
    status: row.status,
    default_chat_service_sid: row.default_service_sid,
    date_created: milliseconds(row.date_created),
    date_updated: milliseconds(row.date_updated),
  }
}
