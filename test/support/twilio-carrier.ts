import { randomBytes } from 'node:crypto'
import twilio from 'twilio'
import { type Answered, type Asked, standIn } from './http-stand-in.ts'

/** A message that the carrier has accepted. */
export interface CarrierMessage {
  readonly sid: string
  /** The idempotency token. */
  readonly key: string | undefined
  /** Of the request; names may be repeated. */
  readonly params: readonly (readonly [string, string])[]
}

const newSid = (prefix: string) => prefix + randomBytes(16).toString('hex')

const refusal = (status: number, code: number, message: string): Answered => ({
  status,
  body: { code, message, more_info: `https://www.twilio.com/docs/errors/${code}`, status },
})

/**
 * A carrier with the vendor's Messages API: it accepts messages, reports what becomes of them, and receives messages and media from
 * people. Its webhooks are signed by the official package.
 */
export async function startCarrier({ account_sid, auth_token }: { account_sid: string; auth_token: string }) {
  const messages: CarrierMessage[] = []
  const attempts: Asked[] = []
  const media = new Map<string, { bytes: Uint8Array; type: string }>()
  let next: ((asked: Asked) => Answered | undefined) | undefined
  let before: ((message: CarrierMessage) => Promise<void>) | undefined
  const authorization = `Basic ${Buffer.from(`${account_sid}:${auth_token}`).toString('base64')}`

  // As the vendor's: its URLs are enough, and it refuses a request that has credentials besides.
  const store = await standIn(({ path, headers, method }) => {
    const found = media.get(path.slice(1))
    if (headers.authorization !== undefined || !found) return { status: headers.authorization === undefined ? 404 : 400 }
    return { status: 200, headers: { 'content-type': found.type }, ...(method !== 'HEAD' && { body: found.bytes }) }
  })

  const server = await standIn((asked) => {
    const { method, path, headers } = asked
    if (headers.authorization !== authorization) return refusal(401, 20003, 'Authenticate')
    const root = `/2010-04-01/Accounts/${account_sid}`
    if (method === 'GET' && path === `${root}.json`) return { status: 200, body: { sid: account_sid, status: 'active' } }
    if (method === 'POST' && path === `${root}/Messages.json`) return create(asked)
    const file = path.startsWith(`${root}/Messages/`) ? path.split('/').at(-1) : undefined
    if (file && media.has(file)) return { status: 307, headers: { location: `${store.url}/${file}` } }
    return refusal(404, 20404, `The requested resource ${path} was not found`)
  })

  async function create(asked: Asked): Promise<Answered> {
    attempts.push(asked)
    const scripted = next?.(asked)
    if (scripted && scripted.status >= 300) return scripted
    const form = new URLSearchParams(asked.body.toString())
    const to = form.get('To') ?? ''
    if (to === '') return refusal(400, 21604, "A 'To' phone number is required.")
    if (!/^(?:whatsapp:|messenger:|rcs:)?\+?\w+$/.test(to)) {
      return refusal(400, 21211, `Invalid 'To' Phone Number: ${to}`)
    }
    if (!form.has('From') && !form.has('MessagingServiceSid')) return refusal(400, 21603, "A 'From' phone number is required.")
    if (!form.get('Body') && !form.has('MediaUrl') && !form.has('ContentSid')) {
      return refusal(400, 21619, 'At least one of body, media or content sid must be specified.')
    }
    if ((form.get('Body') ?? '').length > 1600)
      return refusal(400, 21617, 'The concatenated message body exceeds the 1600 character limit')
    const sid = newSid(form.has('MediaUrl') ? 'MM' : 'SM')
    const message = { sid, key: headerOf(asked, 'i-twilio-idempotency-token'), params: [...form] }
    messages.push(message)
    await before?.(message)
    if (scripted) return scripted
    return { status: 201, body: { sid, account_sid, status: 'queued', error_code: null, body: form.get('Body'), to } }
  }

  /** Calls a webhook as the vendor does; returns the response. `via`: where a proxy leads that URL to. */
  async function call(
    url: string,
    params: Record<string, string>,
    { method = 'POST', token = auth_token, via = url } = {},
  ): Promise<Response> {
    const isPost = method === 'POST'
    const form = new URLSearchParams(params).toString()
    const query = isPost ? '' : `?${form}`
    const signature = twilio.getExpectedTwilioSignature(token, url + query, isPost ? params : {})
    return fetch(via + query, {
      method,
      headers: {
        'x-twilio-signature': signature,
        ...(isPost && { 'content-type': 'application/x-www-form-urlencoded; charset=utf-8' }),
      },
      ...(isPost && { body: form }),
    })
  }

  return {
    url: server.url,
    /** What it has accepted, in order; a repeated request is a message of its own, as at the vendor. */
    messages,
    /** All requests for a message. */
    attempts,
    /** Answers requests for a message in place of the carrier; undefined leaves it to the carrier. */
    script(fn: typeof next) {
      next = fn
    },
    /** The response to a message that is accepted waits for this. */
    delay(fn: typeof before) {
      before = fn
    },
    /** Reports a status to the callback of a message. */
    report({ sid, params }: CarrierMessage, status: string, more: Record<string, string> = {}): Promise<Response> {
      const form = Object.fromEntries(params)
      const told = {
        MessageSid: sid,
        MessageStatus: status,
        SmsSid: sid,
        SmsStatus: status,
        AccountSid: account_sid,
        To: form.To ?? '',
      }
      return call(form.StatusCallback ?? '', { ...told, From: form.From ?? '', ApiVersion: '2010-04-01', ...more })
    },
    /** The parameters of an inbound message. */
    inbound(from: string, to: string, more: Record<string, string> = {}): Record<string, string> & { MessageSid: string } {
      const sid = newSid('SM')
      const same = { MessageSid: sid, SmsSid: sid, SmsMessageSid: sid, SmsStatus: 'received' }
      return {
        ...same,
        AccountSid: account_sid,
        ApiVersion: '2010-04-01',
        NumMedia: '0',
        NumSegments: '1',
        Body: '',
        ...more,
        From: from,
        To: to,
      }
    },
    call,
    /** Keeps a file; returns its URL. */
    keep(bytes: Uint8Array, type: string): string {
      const sid = newSid('ME')
      media.set(sid, { bytes, type })
      return `${server.url}/2010-04-01/Accounts/${account_sid}/Messages/${newSid('MM')}/Media/${sid}`
    },
    async [Symbol.asyncDispose]() {
      await server[Symbol.asyncDispose]()
      await store[Symbol.asyncDispose]()
    },
  }
}

export type Carrier = Awaited<ReturnType<typeof startCarrier>>

function headerOf({ headers }: Asked, name: string): string | undefined {
  const value = headers[name]
  return typeof value === 'string' ? value : undefined
}
