import { createHmac } from 'node:crypto'
import { sameSecret } from '../../vault.ts'
import {
  type ChannelEvent,
  type ChannelIo,
  type InboundMedia,
  type MessageEvent,
  type RawReply,
  type RawRequest,
  RefusedError,
  UnprovenError,
  type WebhookResult,
} from '../adapter.ts'
import { contentOf, type MediaReference } from './content.ts'
import { callGraph } from './graph.ts'
import { type Change, type Fields, fields, parseNotification, text } from './notification.ts'
import { bearer, graphUrl, type WhatsAppSettings } from './settings.ts'

/** Returns what a request of Meta's meant: the verification of the URL, or messages and statuses. Throws UnprovenError. */
export async function webhook(settings: WhatsAppSettings, request: RawRequest, io: ChannelIo): Promise<WebhookResult> {
  if (request.method === 'GET') return { reply: verification(settings, request), events: [] }
  prove(settings, request)
  const changes = parseNotification(request.body)
  if (!changes) return { reply: plain(400, 'The body is not a JSON object.'), events: [] }
  const events = await Promise.all(changes.map((change) => eventsOf(settings, change, io)))
  return { reply: plain(200, ''), events: events.flat() }
}

function plain(status: number, body: string): RawReply {
  return { status, content_type: 'text/plain; charset=utf-8', body }
}

/** Returns the challenge to who knows the verify token. */
function verification({ verify_token }: WhatsAppSettings, { url }: RawRequest): RawReply {
  const query = new URL(url).searchParams
  const challenge = query.get('hub.challenge') ?? ''
  const isKnown = sameSecret(query.get('hub.verify_token') ?? '', verify_token)
  if (query.get('hub.mode') !== 'subscribe' || !isKnown || challenge.length > 1024) {
    throw new UnprovenError('hub.verify_token does not match verify_token')
  }
  return plain(200, challenge)
}

/** Checks that whoever sent the body has the app secret. */
function prove({ app_secret }: WhatsAppSettings, { method, headers, body }: RawRequest): void {
  if (method !== 'POST') throw new UnprovenError(`the method is ${method}`)
  const expected = `sha256=${createHmac('sha256', app_secret).update(body).digest('hex')}`
  if (!sameSecret(headers['x-hub-signature-256'] ?? '', expected)) {
    throw new UnprovenError('X-Hub-Signature-256 does not match: check app_secret')
  }
}

async function eventsOf(settings: WhatsAppSettings, change: Change, io: ChannelIo): Promise<ChannelEvent[]> {
  for (const code of change.errors) io.warn(`Meta reports error ${code} of the number ${change.phone_number_id}`)
  const isOwn = change.phone_number_id === settings.phone_number_id
  if (!isOwn && change.number === null) return []
  const address = isOwn ? io.channel.address : `whatsapp:+${change.number}`
  const messages = await Promise.all(change.messages.map((message) => messageEvent(settings, change, message, address, io)))
  const events = [...messages.filter((event) => event !== undefined), ...change.statuses]
  return isOwn ? events : events.map((event) => ({ ...event, address }))
}

async function messageEvent(
  settings: WhatsAppSettings,
  { names }: Change,
  message: Fields,
  address: string,
  io: ChannelIo,
): Promise<MessageEvent | undefined> {
  const externalId = text(message.id)
  // Somebody whose number Meta hides has an id instead.
  const sender = text(message.from) ?? text(message.from_user_id)
  if (externalId === null || sender === null) return undefined
  if (message.group_id !== undefined) {
    io.warn('a message to a WhatsApp group was dropped: groups are not supported')
    return undefined
  }
  const content = contentOf(message)
  if (content.text === null && content.media === null) return undefined
  const medium = content.media && (await fetchable(settings, content.media, io))
  const missing = content.media !== null && medium === null ? '[a file that is no longer available]' : null
  return {
    kind: 'message',
    external_id: externalId,
    from: `whatsapp:${/^\d+$/.test(sender) ? '+' : ''}${sender}`,
    to: [address],
    name: names.get(sender) ?? null,
    subject: null,
    text: [content.text, missing].filter((line) => line !== null).join('\n') || null,
    media: medium ? [medium] : [],
    metadata: metadataOf(message, sender, names.get(sender)),
  }
}

/** Returns where a medium is fetched: its URL lives for minutes. Null when Meta has it no longer. Throws RetryError. */
async function fetchable(settings: WhatsAppSettings, media: MediaReference, io: ChannelIo): Promise<InboundMedia | null> {
  try {
    const { json } = await callGraph(settings, io, { method: 'GET', url: graphUrl(settings, media.id) })
    const url = text(json.url)
    if (url === null || !isTrusted(url, settings)) return null
    const { filename, content_type } = media
    return { filename, content_type, content: { url, headers: { authorization: bearer(settings), 'user-agent': 'Parley' } } }
  } catch (error) {
    if (!(error instanceof RefusedError)) throw error
    io.warn(`Meta refused a medium: ${error.message}`)
    return null
  }
}

/** The access token goes nowhere unencrypted, unless the API itself is asked so. */
function isTrusted(url: string, { base_url }: WhatsAppSettings): boolean {
  const protocol = URL.canParse(url) ? new URL(url).protocol : ''
  return protocol === 'https:' || (protocol === 'http:' && new URL(base_url).protocol === 'http:')
}

/** Longer descriptions of a message are left out. */
const maxMetadata = 16 * 1024

/** Returns what else Meta says of a message, with the sender where the vendor's channels put them. */
function metadataOf(message: Fields, sender: string, name: string | undefined): Record<string, unknown> {
  const context = {
    ...(name !== undefined && { ProfileName: name }),
    WaId: sender,
    ...(fields(message.context).forwarded === true && { Forwarded: 'true' }),
    ...(fields(message.context).frequently_forwarded === true && { FrequentlyForwarded: 'true' }),
  }
  const { text: _, from: __, ...rest } = message
  return { context, ...(isShort(rest) && { message: rest }) }
}

function isShort(description: Fields): boolean {
  try {
    return JSON.stringify(description).length <= maxMetadata
  } catch {
    // It is nested too deeply to be written.
    return false
  }
}
