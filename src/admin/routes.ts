import type { FastifyPluginAsync, FastifyReply } from 'fastify'
import { newAccount } from '../accounts/accounts.ts'
import { sameSecret } from '../api/auth.ts'
import type { Pipeline } from '../api/requests.ts'
import type { Timers } from '../background/timers.ts'
import { TestClock } from '../clock.ts'
import { milliseconds } from '../dates.ts'
import { ApiError } from '../errors.ts'
import type { Installation } from '../installation/open.ts'
import { newSid, randomSid } from '../sids.ts'
import { rowsBy } from '../storage/rows.ts'
import type { AccountRow, ApiKeyRow } from '../storage/schema.ts'
import { shape } from '../storage/shapes.ts'
import { channelRoutes } from './channels.ts'
import { clockRoutes } from './clock.ts'
import { deliveryRoutes } from './deliveries.ts'

export interface AdminOptions {
  readonly installation: Installation
  /** Null where no server runs (the command line): the clock cannot be moved then. */
  readonly timers: Pick<Timers, 'catchUp'> | null
  /** Null there too: nobody sends what a message from outside would have to tell. */
  readonly pipeline: Pipeline | null
}

const accountBySid = rowsBy('accounts', ['sid'])
const keyOfAccount = rowsBy('api_keys', ['account_sid', 'sid'])
const keysOfAccount = rowsBy('api_keys', ['account_sid'])
const allAccounts = shape<{ none?: null }>()((db) => db.selectFrom('accounts').selectAll().orderBy('date_created').orderBy('sid'))

const text = { type: 'string', maxLength: 256 } as const
const named = { body: { type: ['object', 'null'], properties: { friendly_name: text }, additionalProperties: false } } as const

/** `/admin/v1`: the operator's own JSON API. Errors are `{ "error": "what is wrong" }`. */
export function adminRoutes({ installation, timers, pipeline }: AdminOptions): FastifyPluginAsync {
  const { database, vault, clock, admin_token } = installation
  return async (admin) => {
    admin.addHook('onRequest', async (request, reply) => {
      const given = /^Bearer +(\S+) *$/i.exec(request.headers.authorization ?? '')?.[1]
      if (given === undefined || !sameSecret(given, admin_token)) {
        return reply.code(401).header('www-authenticate', 'Bearer').send({ error: 'the operator token is missing or wrong' })
      }
    })
    admin.setErrorHandler((error: { statusCode?: number; message: string }, _request, reply) => {
      const status = error instanceof ApiError ? error.entry.status : (error.statusCode ?? 500)
      if (status >= 500) installation.log.error({ err: error }, 'admin request failed')
      // The code under which a caller of the API would find the refusal.
      const code = error instanceof ApiError && { code: error.entry.code }
      return reply.code(status).send({ error: status >= 500 ? 'internal error' : error.message, ...code })
    })
    // A request without a body may say that it is JSON all the same.
    const parse = admin.getDefaultJsonParser('error', 'error')
    admin.removeContentTypeParser('application/json')
    admin.addContentTypeParser('application/json', { parseAs: 'string' }, (request, body, done) =>
      body === '' ? done(null, null) : parse(request, body as string, done),
    )
    admin.setNotFoundHandler((_request, reply) => missing(reply))

    admin.get('/accounts', async () => ({ accounts: (await database.read.all(allAccounts, {})).map(shownAccount) }))

    admin.post<{ Body: { friendly_name?: string } | null }>('/accounts', { schema: named }, async (request, reply) => {
      const auth_token = randomSid('')
      const friendly_name = request.body?.friendly_name ?? ''
      const made = newAccount({ sid: undefined, friendly_name, sealed_token: vault.seal(auth_token), now: clock.now() })
      await database.write('createAccount', made)
      // Shown this once.
      return reply.code(201).send({ ...shownAccount(made.account), auth_token })
    })

    admin.get<{ Params: { sid: string } }>('/accounts/:sid', async ({ params }, reply) => {
      const account = await database.read.one(accountBySid, { sid: params.sid })
      return account ? shownAccount(account) : missing(reply)
    })

    const changes = {
      body: {
        type: 'object',
        properties: { friendly_name: text, status: { enum: ['active', 'suspended'] } },
        additionalProperties: false,
        minProperties: 1,
      },
    } as const
    admin.post<{ Params: { sid: string }; Body: { friendly_name?: string; status?: string } }>(
      '/accounts/:sid',
      { schema: changes },
      async ({ params, body }, reply) => {
        const { sid } = params
        if (!(await database.write('updateAccount', { sid, ...body, date_updated: clock.now() }))) return missing(reply)
        return shownAccount((await database.read.one(accountBySid, { sid })) as AccountRow)
      },
    )

    admin.post<{ Params: { sid: string } }>('/accounts/:sid/rotate', async ({ params: { sid } }, reply) => {
      const auth_token = randomSid('')
      const sealed = { sid, auth_token: vault.seal(auth_token), date_updated: clock.now() }
      return (await database.write('updateAccount', sealed)) ? { sid, auth_token } : missing(reply)
    })

    admin.delete<{ Params: { sid: string } }>('/accounts/:sid', async ({ params: { sid } }, reply) => {
      return (await database.write('deleteAccount', { sid, now: clock.now() })) ? reply.code(204).send() : missing(reply)
    })

    admin.get<{ Params: { sid: string } }>('/accounts/:sid/keys', async ({ params: { sid } }, reply) => {
      if (!(await database.read.one(accountBySid, { sid }))) return missing(reply)
      return { keys: (await database.read.all(keysOfAccount, { account_sid: sid })).map(shownKey) }
    })

    admin.post<{ Params: { sid: string }; Body: { friendly_name?: string } | null }>(
      '/accounts/:sid/keys',
      { schema: named },
      async ({ params, body }, reply) => {
        const now = clock.now()
        const secret = randomSid('')
        const key: ApiKeyRow = {
          sid: newSid('SK', now),
          account_sid: params.sid,
          friendly_name: body?.friendly_name ?? '',
          secret: vault.seal(secret),
          date_created: now,
          date_updated: now,
        }
        if (!(await database.write('createKey', key))) return missing(reply)
        return reply.code(201).send({ ...shownKey(key), secret })
      },
    )

    admin.post<{ Params: { sid: string; key: string } }>('/accounts/:sid/keys/:key/rotate', async ({ params }, reply) => {
      const secret = randomSid('')
      const sealed = { account_sid: params.sid, sid: params.key, secret: vault.seal(secret), date_updated: clock.now() }
      return (await database.write('updateKey', sealed)) ? { sid: params.key, secret } : missing(reply)
    })

    admin.get<{ Params: { sid: string; key: string } }>('/accounts/:sid/keys/:key', async ({ params }, reply) => {
      const key = await database.read.one(keyOfAccount, { account_sid: params.sid, sid: params.key })
      return key ? shownKey(key) : missing(reply)
    })

    admin.delete<{ Params: { sid: string; key: string } }>('/accounts/:sid/keys/:key', async ({ params }, reply) => {
      const removed = await database.write('deleteKey', { account_sid: params.sid, sid: params.key })
      return removed ? reply.code(204).send() : missing(reply)
    })

    await admin.register(channelRoutes(installation, pipeline))
    await admin.register(deliveryRoutes(installation), { prefix: '/deliveries' })
    if (clock instanceof TestClock && timers) await admin.register(clockRoutes(clock, database, timers), { prefix: '/clock' })
  }
}

function missing(reply: FastifyReply): FastifyReply {
  return reply.code(404).send({ error: 'not found' })
}

function shownAccount(row: AccountRow) {
  return {
    sid: row.sid,
    friendly_name: row.friendly_name,
    status: row.status,
    default_chat_service_sid: row.default_service_sid,
    date_created: milliseconds(row.date_created),
    date_updated: milliseconds(row.date_updated),
  }
}

function shownKey(row: ApiKeyRow) {
  return {
    sid: row.sid,
    account_sid: row.account_sid,
    friendly_name: row.friendly_name,
    date_created: milliseconds(row.date_created),
    date_updated: milliseconds(row.date_updated),
  }
}
