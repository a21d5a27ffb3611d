import type { FastifyPluginAsync } from 'fastify'
import { milliseconds } from '../dates.ts'
import type { Installation } from '../installation/open.ts'
import { newSid, randomSid } from '../sids.ts'
import { rowsBy } from '../storage/rows.ts'
import type { ApiKeyRow } from '../storage/schema.ts'
import { notFound } from './replies.ts'

interface OfAccount {
  Params: { sid: string }
}

interface OfKey {
  Params: { sid: string; key: string }
}

const accountBySid = rowsBy('accounts', ['sid'])
const keyOfAccount = rowsBy('api_keys', ['account_sid', 'sid'])
const keysOfAccount = rowsBy('api_keys', ['account_sid'])

const text = { type: 'string', maxLength: 256 } as const
const named = { body: { type: ['object', 'null'], properties: { friendly_name: text }, additionalProperties: false } } as const

/** API keys, below their account. */
export function keyRoutes({ database, vault, clock }: Pick<Installation, 'database' | 'vault' | 'clock'>): FastifyPluginAsync {
  return async (routes) => {
    routes.get<OfAccount>('/accounts/:sid/keys', async ({ params: { sid } }, reply) => {
      if (!(await database.read.one(accountBySid, { sid }))) return notFound(reply)
      return { keys: (await database.read.all(keysOfAccount, { account_sid: sid })).map(toJson) }
    })

    routes.post<OfAccount & { Body: { friendly_name?: string } | null }>(
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
        if (!(await database.write('createKey', key))) return notFound(reply)
        return reply.code(201).send({ ...toJson(key), secret })
      },
    )

    routes.get<OfKey>('/accounts/:sid/keys/:key', async ({ params }, reply) => {
      const key = await database.read.one(keyOfAccount, { account_sid: params.sid, sid: params.key })
      return key ? toJson(key) : notFound(reply)
    })

    routes.post<OfKey>('/accounts/:sid/keys/:key/rotate', async ({ params }, reply) => {
      const secret = randomSid('')
      const sealed = { account_sid: params.sid, sid: params.key, secret: vault.seal(secret), date_updated: clock.now() }
      return (await database.write('updateKey', sealed)) ? { sid: params.key, secret } : notFound(reply)
    })

    routes.delete<OfKey>('/accounts/:sid/keys/:key', async ({ params }, reply) => {
      const removed = await database.write('deleteKey', { account_sid: params.sid, sid: params.key })
      return removed ? reply.code(204).send() : notFound(reply)
    })
  }
}

function toJson(row: ApiKeyRow) {
  return {
    sid: row.sid,
    account_sid: row.account_sid,
    friendly_name: row.friendly_name,
    date_created: milliseconds(row.date_created),
    date_updated: milliseconds(row.date_updated),
  }
}
