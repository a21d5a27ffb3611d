import type { FastifyPluginAsync } from 'fastify'
import type { Channels } from '../channels/channels.ts'
import { InboundMediaError } from '../channels/inbound-media.ts'
import { InboundError, type Incoming, type IncomingMedia } from '../channels/incoming.ts'
import { maxExternalId } from '../channels/statuses.ts'
import type { Installation } from '../installation/open.ts'
import { canonicalAddress } from '../resources/conversations/address-formats.ts'
import { needsInGivenAccount } from './access.ts'
import { bodyErrors, type OperationSchema, object, response, shortText, sid } from './schemas.ts'

interface InboundBody {
  account_sid?: string
  from: string
  to: string | string[]
  external_id?: string
  subject?: string | null
  body?: string | null
  media?: (string | MediaBody)[]
  attributes?: string
  profile_name?: string
}

interface MediaBody {
  url?: string
  content?: string
  content_type?: string
  filename?: string
}

/** Media by value take a third more as base64; larger ones have a URL. */
const maxBodyBytes = 32 * 1024 * 1024

/** As many as a message of a carrier has. */
const maxMedia = 10

const mediaItem = {
  title: 'InboundMedia',
  type: 'object',
  properties: {
    url: { type: 'string', maxLength: 2048, description: 'Where it is fetched, like webhooks from public addresses only' },
    content: { type: 'string', description: 'Its bytes in base64, in place of `url`' },
    content_type: { ...shortText, description: 'By default what the URL returns' },
    filename: shortText,
  },
  additionalProperties: false,
} as const

const received = {
  account_sid: sid('account', 'SID of the account'),
  service_sid: sid('service', 'SID of the service'),
  conversation_sid: sid('conversation', 'SID of the conversation'),
  participant_sid: sid('participant', 'SID of the participant who sent it'),
  message_sid: sid('message', 'SID of the message'),
  created: { type: 'boolean', description: 'Whether a conversation was created for the message' },
  duplicate: { type: 'boolean', description: 'Whether it had been received before' },
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
      external_id: {
        type: 'string',
        minLength: 1,
        maxLength: maxExternalId,
        pattern: '^[^\\u0000-\\u001f\\u007f-\\u009f]*$',
        description: 'How the carrier calls the message: one that was received under it already is not received again',
      },
      subject: { type: ['string', 'null'], maxLength: 256 },
      body: { type: ['string', 'null'] },
      media: {
        type: 'array',
        items: { anyOf: [shortText, mediaItem] },
        maxItems: maxMedia,
        description: 'SIDs of uploaded media, or media that are stored with the message',
      },
      attributes: { type: 'string', description: 'JSON text' },
      profile_name: { ...shortText, description: 'Name of the sender in the channel' },
    },
    required: ['from', 'to'],
    additionalProperties: false,
  },
  response: {
    200: response('The message had been received before', object('ReceivedMessage', received)),
    201: response('The message and its conversation', object('ReceivedMessage', received)),
    ...bodyErrors(403, 404, 409),
  },
}

/** Messages from a channel. */
export function inboundRoutes(
  { account }: Pick<Installation, 'account'>,
  channels: Pick<Channels, 'receive'>,
): FastifyPluginAsync {
  return async (routes) => {
    routes.post<{ Body: InboundBody }>(
      '/inbound',
      { schema: receiveMessage, config: needsInGivenAccount('act', account.sid), bodyLimit: maxBodyBytes },
      async ({ body }, reply) => {
        const received = await channels.receive(incoming(body, account.sid)).catch((error: unknown) => {
          throw error instanceof InboundMediaError ? new InboundError(400, `media could not be stored: ${error.message}`) : error
        })
        return reply.code(received.duplicate ? 200 : 201).send(received)
      },
    )
  }
}

/** Returns media as they are received. Throws InboundError. */
function mediaOf(given: string | MediaBody, at: number): IncomingMedia {
  if (typeof given === 'string') return { sid: given }
  const { url, content, content_type = null, filename = null } = given
  if ((url === undefined) === (content === undefined)) throw new InboundError(400, `media.${at} needs either url or content`)
  if (url !== undefined) return { filename, content_type, content: { url } }
  const base64 = content?.replace(/\s/g, '') ?? ''
  if (!/^[A-Za-z0-9+/_-]*={0,2}$/.test(base64)) throw new InboundError(400, `media.${at}.content is not base64`)
  return { filename, content_type, content: Buffer.from(base64, 'base64') }
}

function incoming(body: InboundBody, defaultAccountSid: string): Incoming {
  const to = [body.to].flat()
  const externalId = body.external_id ?? null
  return {
    account_sid: body.account_sid ?? defaultAccountSid,
    from: body.from,
    to,
    subject: body.subject || null,
    body: body.body ?? null,
    media: (body.media ?? []).map(mediaOf),
    attributes: body.attributes ?? null,
    profile_name: body.profile_name ?? null,
    metadata: null,
    external: externalId === null ? null : { channel: canonicalAddress(to[0] ?? ''), external_id: externalId },
  }
}
