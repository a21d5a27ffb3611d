import type { FastifyPluginAsync } from 'fastify'
import type { Pipeline } from '../api/requests.ts'
import { type Incoming, receive } from '../channels/inbound.ts'
import { channel_message_sids, type ReceiptStatus, receipt_statuses } from '../channels/receipts.ts'
import { milliseconds } from '../dates.ts'
import type { Installation } from '../installation/open.ts'
import { proxyType } from '../resources/conversations/address-formats.ts'
import { newSid } from '../sids.ts'
import { rowsBy } from '../storage/rows.ts'
import type { ChannelRow } from '../storage/schema.ts'
import { shape } from '../storage/shapes.ts'
import { withoutPassword } from './deliveries.ts'

interface ReceiptBody {
  account_sid?: string
  channel_message_sid: string
  status: ReceiptStatus
  error_code?: number
}

interface InboundBody {
  account_sid?: string
  from: string
  to: string
  body?: string | null
  media?: string[]
  attributes?: string
  profile_name?: string
}

const accountBySid = rowsBy('accounts', ['sid'])
const channelsOf = shape<{ account_sid: string }>()((db, a) =>
  db.selectFrom('channels').selectAll().where('account_sid', '=', a.account_sid).orderBy('proxy_address'),
)

const text = { type: 'string', maxLength: 256 } as const
const endpoint = {
  body: {
    type: 'object',
    properties: { url: { type: 'string', maxLength: 2048 } },
    required: ['url'],
    additionalProperties: false,
  },
} as const
const receipt = {
  body: {
    type: 'object',
    properties: {
      account_sid: text,
      channel_message_sid: { type: 'string', pattern: channel_message_sids.source },
      status: { enum: receipt_statuses },
      error_code: { type: 'integer', minimum: 0 },
    },
    required: ['channel_message_sid', 'status'],
    additionalProperties: false,
  },
} as const
const inbound = {
  body: {
    type: 'object',
    properties: {
      account_sid: text,
      from: text,
      to: text,
      body: { type: ['string', 'null'] },
      // The API too takes one for each message.
      media: { type: 'array', items: text, maxItems: 1 },
      attributes: { type: 'string' },
      profile_name: text,
    },
    required: ['from', 'to'],
    additionalProperties: false,
  },
} as const

/**
 * Messaging channels: where the messages of a proxy address are handed to, how they fare there, and what comes in. A channel may
 * report on a message as soon as its answer with the sid has been read; a report that comes too early gets 404 and may be repeated.
 */
export function channelRoutes({ database, clock, account }: Installation, pipeline: Pipeline | null): FastifyPluginAsync {
  return async (routes) => {
    routes.get<{ Params: { sid: string } }>('/accounts/:sid/channels', async ({ params: { sid } }, reply) => {
      if (!(await database.read.one(accountBySid, { sid }))) return reply.code(404).send({ error: 'not found' })
      return { channels: (await database.read.all(channelsOf, { account_sid: sid })).map(shown) }
    })

    routes.put<{ Params: { sid: string; address: string }; Body: { url: string } }>(
      '/accounts/:sid/channels/:address',
      { schema: endpoint },
      async ({ params, body: { url } }, reply) => {
        const wrong = wrongChannel(params.address, url)
        if (wrong) return reply.code(400).send({ error: wrong })
        const now = clock.now()
        const given: ChannelRow = {
          account_sid: params.sid,
          sid: newSid('CN', now),
          proxy_address: params.address,
          url,
          date_created: now,
          date_updated: now,
        }
        const row = await database.write('setChannel', given)
        return row ? shown(row) : reply.code(404).send({ error: 'not found' })
      },
    )

    routes.delete<{ Params: { sid: string; address: string } }>('/accounts/:sid/channels/:address', async ({ params }, reply) => {
      const removed = await database.write('removeChannel', { account_sid: params.sid, proxy_address: params.address })
      return removed ? reply.code(204).send() : reply.code(404).send({ error: 'not found' })
    })

    routes.post<{ Body: ReceiptBody }>('/receipts', { schema: receipt }, async ({ body }, reply) => {
      const { account_sid = account.sid, ...reported } = body
      const answer = { ...reported, error_code: reported.error_code || null }
      const row = await database.write('reportStatus', { account_sid, answer, now: clock.now() })
      if (!row) return reply.code(404).send({ error: `no message was handed over as ${body.channel_message_sid}` })
      return { channel_message_sid: row.channel_message_sid, status: row.status, error_code: row.error_code }
    })

    if (!pipeline) return
    routes.post<{ Body: InboundBody }>('/inbound', { schema: inbound }, async ({ body }, reply) => {
      const received = await receive(pipeline, (plan) => database.write('receive', plan), incoming(body, account.sid))
      return reply.code(201).send(received)
    })
  }
}

function incoming(body: InboundBody, first_account: string): Incoming {
  return {
    account_sid: body.account_sid ?? first_account,
    from: body.from,
    to: body.to,
    body: body.body ?? null,
    media_sid: body.media?.[0] ?? null,
    attributes: body.attributes ?? null,
    profile_name: body.profile_name ?? null,
  }
}

/** What is wrong with an endpoint; whether its address may be called is decided whenever it is. */
function wrongChannel(address: string, url: string): string | undefined {
  if (!proxyType(address)) return `${address} has no known form of address`
  const parsed = URL.canParse(url) ? new URL(url) : undefined
  return parsed && /^https?:$/.test(parsed.protocol) ? undefined : 'url must be an http or https address'
}

function shown(row: ChannelRow) {
  return {
    sid: row.sid,
    account_sid: row.account_sid,
    proxy_address: row.proxy_address,
    url: withoutPassword(row.url),
    date_created: milliseconds(row.date_created),
    date_updated: milliseconds(row.date_updated),
  }
}
