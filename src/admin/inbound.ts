import type { FastifyPluginAsync } from 'fastify'
import type { Pipeline } from '../api/requests.ts'
import { type Incoming, receive } from '../channels/inbound.ts'
import type { Installation } from '../installation/open.ts'

interface InboundBody {
  account_sid?: string
  from: string
  to: string
  body?: string | null
  media?: string[]
  attributes?: string
  profile_name?: string
}

const text = { type: 'string', maxLength: 256 } as const
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

/** Messages that come in from a channel. */
export function inboundRoutes(
  { database, account }: Pick<Installation, 'database' | 'account'>,
  pipeline: Pipeline,
): FastifyPluginAsync {
  return async (routes) => {
    routes.post<{ Body: InboundBody }>('/inbound', { schema: inbound }, async ({ body }, reply) => {
      const received = await receive(pipeline, (plan) => database.write('receive', plan), incoming(body, account.sid))
      return reply.code(201).send(received)
    })
  }
}

function incoming(body: InboundBody, default_account_sid: string): Incoming {
  return {
    account_sid: body.account_sid ?? default_account_sid,
    from: body.from,
    to: body.to,
    body: body.body ?? null,
    media_sid: body.media?.[0] ?? null,
    attributes: body.attributes ?? null,
    profile_name: body.profile_name ?? null,
  }
}
