import type { FastifyPluginAsync } from 'fastify'
import type { Pipeline } from '../api/requests.ts'
import { type Incoming, receive } from '../channels/inbound.ts'
import type { Installation } from '../installation/open.ts'
import { bodyErrors, type OperationSchema, object, response, shortText, sid } from './schemas.ts'

interface InboundBody {
  account_sid?: string
  from: string
  to: string | string[]
  body?: string | null
  media?: string[]
  attributes?: string
  profile_name?: string
}

const receiveMessage: OperationSchema = {
  operationId: 'receiveMessage',
  summary: 'Receive a message from a channel',
  description:
    'It is added to the open conversation of its two addresses or of its group, or to a new one if the address configuration of a ' +
    '`to` creates conversations. The rules and webhooks of `/v1` apply; an error has the code of `/v1`.',
  tags: ['Channels'],
  body: {
    title: 'InboundMessage',
    type: 'object',
    properties: {
      account_sid: { ...shortText, description: 'By default the first account' },
      from: { ...shortText, description: 'Address of the sender' },
      to: {
        // The sender and nine others are the most that a group has.
        anyOf: [shortText, { type: 'array', items: shortText, minItems: 1, maxItems: 9 }],
        description: 'Proxy address that received the message; several numbers for a group MMS',
      },
      body: { type: ['string', 'null'] },
      // A message of `/v1` has at most one as well.
      media: { type: 'array', items: shortText, maxItems: 1, description: 'SIDs of uploaded media' },
      attributes: { type: 'string', description: 'JSON text' },
      profile_name: { ...shortText, description: 'Name of the sender in the channel' },
    },
    required: ['from', 'to'],
    additionalProperties: false,
  },
  response: {
    201: response(
      'The message and its conversation',
      object('ReceivedMessage', {
        account_sid: sid('account', 'SID of the account'),
        service_sid: sid('service', 'SID of the service'),
        conversation_sid: sid('conversation', 'SID of the conversation'),
        participant_sid: sid('participant', 'SID of the participant who sent it'),
        message_sid: sid('message', 'SID of the message'),
        created: { type: 'boolean', description: 'Whether a conversation was created for the message' },
      }),
    ),
    ...bodyErrors(403, 404, 409),
  },
}

/** Messages from a channel. */
export function inboundRoutes(
  { database, account }: Pick<Installation, 'database' | 'account'>,
  pipeline: Pipeline,
): FastifyPluginAsync {
  return async (routes) => {
    routes.post<{ Body: InboundBody }>('/inbound', { schema: receiveMessage }, async ({ body }, reply) => {
      const received = await receive(pipeline, (plan) => database.write('receive', plan), incoming(body, account.sid))
      return reply.code(201).send(received)
    })
  }
}

function incoming(body: InboundBody, defaultAccountSid: string): Incoming {
  return {
    account_sid: body.account_sid ?? defaultAccountSid,
    from: body.from,
    to: [body.to].flat(),
    body: body.body ?? null,
    media_sid: body.media?.[0] ?? null,
    attributes: body.attributes ?? null,
    profile_name: body.profile_name ?? null,
  }
}
