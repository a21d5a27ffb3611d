import {
  type ChannelEvent,
  type InboundMedia,
  type MessageEvent,
  type RawRequest,
  UnprovenError,
  type WebhookResult,
} from '../adapter.ts'
import { errorCodeOf } from '../statuses.ts'
import { inboundMedia } from './media.ts'
import type { TwilioSettings } from './settings.ts'
import { isProven } from './signature.ts'
import { reportedStatus } from './status.ts'

/** A carrier's webhook has some dozens of parameters and a text of 1,600 characters, of which each takes at most twelve bytes. */
const maxBytes = 128 * 1024
const maxParams = 200

/** The most media of an MMS. */
const maxMedia = 10

/** The most other numbers of a group MMS that an inbound message has. */
const maxOthers = 8

/** Nothing is said in return: answers come from the conversation. */
const reply = { status: 200, content_type: 'text/xml', body: '<?xml version="1.0" encoding="UTF-8"?><Response/>' }

/** Of a message: what the event says in another way, or what is of no use to whoever reads ChannelMetadata. */
const told =
  /^(?:AccountSid|ApiVersion|Body|From|To|NumMedia|NumSegments|MediaUrl\d+|MediaContentType\d+|Sms\w+|MessageSid|OtherRecipients\d*|Error\w+)$/

/** Returns what a request of the carrier's meant: an inbound message or a status. Throws UnprovenError. */
export async function webhook(settings: TwilioSettings, request: RawRequest): Promise<WebhookResult> {
  const params = provenParams(settings, request)
  const status = params.get('MessageStatus') ?? params.get('SmsStatus')
  const isInbound = status === undefined || status === 'received' || status === 'receiving'
  const event = isInbound ? messageEvent(settings, params) : statusEvent(params, status)
  return { reply, events: event ? [event] : [] }
}

type WebhookParams = ReadonlyMap<string, string>

/** Returns the parameters of a request that the carrier has signed: of the query, or for POST of the form. */
function provenParams({ auth_token }: TwilioSettings, { method, url, headers, body }: RawRequest): WebhookParams {
  if (method !== 'GET' && method !== 'POST') throw new UnprovenError(`the method is ${method}`)
  const signature = headers['x-twilio-signature']
  if (signature === undefined) throw new UnprovenError('there is no X-Twilio-Signature')
  const form = method === 'POST' ? parseForm(body) : new Map<string, string[]>()
  if (!isProven(auth_token, url, signedForm(form), signature)) {
    throw new UnprovenError('X-Twilio-Signature does not match: check auth_token and PARLEY_PUBLIC_URL')
  }
  return method === 'GET'
    ? new Map(new URL(url).searchParams)
    : new Map([...form].map(([name, values]) => [name, values.at(-1) ?? '']))
}

function parseForm(body: Buffer): Map<string, string[]> {
  if (body.length > maxBytes) throw new UnprovenError('the body is too long')
  const form = new Map<string, string[]>()
  let count = 0
  for (const [name, value] of new URLSearchParams(body.toString())) {
    if (++count > maxParams) throw new UnprovenError('there are too many parameters')
    const values = form.get(name)
    if (values) values.push(value)
    else form.set(name, [value])
  }
  return form
}

/** Returns the form as it is signed. A repeated name stands before each of its different values, in order. */
function signedForm(form: ReadonlyMap<string, readonly string[]>): Record<string, string> {
  return Object.fromEntries([...form].map(([name, values]) => [name, [...new Set(values)].sort().join(name)]))
}

function statusEvent(params: WebhookParams, given: string): ChannelEvent | undefined {
  const externalId = messageSid(params)
  const status = reportedStatus(given)
  if (externalId === undefined || status === undefined) return undefined
  return { kind: 'status', external_id: externalId, status, error_code: errorCodeOf(Number(params.get('ErrorCode') ?? '')) }
}

function messageEvent(settings: TwilioSettings, params: WebhookParams): MessageEvent | undefined {
  const externalId = messageSid(params)
  const [from, to] = [params.get('From'), params.get('To')]
  if (externalId === undefined || !from || !to) return undefined
  return {
    kind: 'message',
    external_id: externalId,
    from,
    to: [to, ...otherRecipients(params)],
    name: params.get('ProfileName') || null,
    subject: null,
    text: textOf(params),
    media: mediaOf(settings, params),
    metadata: metadataOf(params),
  }
}

function messageSid(params: WebhookParams): string | undefined {
  return params.get('MessageSid') || params.get('SmsMessageSid') || params.get('SmsSid') || undefined
}

/** Returns the other numbers of a group MMS (observed: `OtherRecipients0`, `OtherRecipients1` …). */
function otherRecipients(params: WebhookParams): string[] {
  const others: string[] = []
  for (let i = 0; i <= maxOthers; i++) others.push(params.get(`OtherRecipients${i}`) ?? '')
  return others.filter((other) => other !== '')
}

/** Returns the text; that of a location, which has no Body, is made of its label, address and coordinates. */
function textOf(params: WebhookParams): string | null {
  const body = params.get('Body')
  if (body) return body
  const [latitude, longitude] = [params.get('Latitude'), params.get('Longitude')]
  if (!latitude || !longitude) return null
  return [params.get('Label'), params.get('Address'), `${latitude}, ${longitude}`].filter(Boolean).join('\n')
}

function mediaOf(settings: TwilioSettings, params: WebhookParams): InboundMedia[] {
  const count = Math.min(maxMedia, Number.parseInt(params.get('NumMedia') ?? '0', 10) || 0)
  const all: InboundMedia[] = []
  for (let i = 0; i < count; i++) {
    const url = params.get(`MediaUrl${i}`) ?? ''
    const content_type = params.get(`MediaContentType${i}`) || null
    if (/^https?:/i.test(url) && URL.canParse(url)) all.push(inboundMedia(settings, url, content_type))
  }
  return all
}

/** Returns what else the carrier says of the message, in the place where the vendor's channels put it. */
function metadataOf(params: WebhookParams): Record<string, unknown> | null {
  const context = Object.fromEntries([...params].filter(([name, value]) => value !== '' && !told.test(name)))
  return Object.keys(context).length === 0 ? null : { context }
}
