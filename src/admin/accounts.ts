import type { FastifyPluginAsync } from 'fastify'
import { newAccount } from '../accounts/accounts.ts'
import { milliseconds } from '../dates.ts'
import type { Installation } from '../installation/open.ts'
import { randomSid } from '../sids.ts'
import { rowsBy } from '../storage/rows.ts'
import type { AccountRow } from '../storage/schema.ts'
import { shape } from '../storage/shapes.ts'
import { notFound } from './replies.ts'

interface OfAccount {
  Params: { sid: string }
}

const accountBySid = rowsBy('accounts', ['sid'])
const allAccounts = shape<{ none?: null }>()((db) => db.selectFrom('accounts').selectAll().orderBy('date_created').orderBy('sid'))

const text = { type: 'string', maxLength: 256 } as const
const named = { body: { type: ['object', 'null'], properties: { friendly_name: text }, additionalProperties: false } } as const
const changes = {
  body: {
    type: 'object',
    properties: { friendly_name: text, status: { enum: ['active', 'suspended'] } },
    additionalProperties: false,
    minProperties: 1,
  },
} as const

/** Accounts and their auth tokens. */
export function accountRoutes({
  database,
  vault,
  clock,
}: Pick<Installation, 'database' | 'vault' | 'clock'>): FastifyPluginAsync {
  return async (routes) => {
    routes.get('/accounts', async () => ({ accounts: (await database.read.all(allAccounts, {})).map(toJson) }))

    routes.post<{ Body: { friendly_name?: string } | null }>('/accounts', { schema: named }, async ({ body }, reply) => {
      const auth_token = randomSid('')
      const friendly_name = body?.friendly_name ?? ''
      const made = newAccount({ sid: undefined, friendly_name, sealed_token: vault.seal(auth_token), now: clock.now() })
      await database.write('createAccount', made)
      return reply.code(201).send({ ...toJson(made.account), auth_token })
    })

    routes.get<OfAccount>('/accounts/:sid', async ({ params: { sid } }, reply) => {
      const account = await database.read.one(accountBySid, { sid })
      return account ? toJson(account) : notFound(reply)
    })

    routes.post<OfAccount & { Body: { friendly_name?: string; status?: string } }>(
      '/accounts/:sid',
      { schema: changes },
      async ({ params: { sid }, body }, reply) => {
        await database.write('updateAccount', { sid, ...body, date_updated: clock.now() })
        const account = await database.read.one(accountBySid, { sid })
        return account ? toJson(account) : notFound(reply)
      },
    )

    routes.post<OfAccount>('/accounts/:sid/rotate', async ({ params: { sid } }, reply) => {
      const auth_token = randomSid('')
      const sealed = { sid, auth_token: vault.seal(auth_token), date_updated: clock.now() }
      return (await database.write('updateAccount', sealed)) ? { sid, auth_token } : notFound(reply)
    })

    routes.delete<OfAccount>('/accounts/:sid', async ({ params: { sid } }, reply) => {
      return (await database.write('deleteAccount', { sid, now: clock.now() })) ? reply.code(204).send() : notFound(reply)
    })
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
