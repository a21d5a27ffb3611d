import { createHmac, randomBytes } from 'node:crypto'
import { type Answered, type Asked, standIn } from './http-stand-in.ts'

/** A request that the API has accepted: a message, or a mark on one. */
// Tests look into messages of every kind.
// biome-ignore lint/suspicious/noExplicitAny: see above
export type CloudMessage = Record<string, any> & { readonly id: string; readonly phone_number_id: string }

export interface CloudOptions {
  readonly access_token: string
  readonly app_secret: string
  /** The numbers of the app, by their ids, as they are displayed. */
  readonly numbers: Readonly<Record<string, string>>
}

const newId = () => `wamid.${randomBytes(24).toString('base64')}`

const graphError = (status: number, code: number, message: string, details?: string): Answered => ({
  status,
  body: {
    error: {
      message: `(#${code}) ${message}`,
      type: 'OAuthException',
      code,
      ...(details !== undefined && { error_data: { messaging_product: 'whatsapp', details } }),
      fbtrace_id: 'AbCdEfGhIjKl',
    },
  },
})

/** Meta's Cloud API: messages out, webhooks in, files by their ids. Its webhooks are signed with the app secret. */
export async function startWhatsAppCloud({ access_token, app_secret, numbers }: CloudOptions) {
  const messages: CloudMessage[] = []
  const marks: CloudMessage[] = []
  const attempts: Asked[] = []
  const media = new Map<string, { bytes: Uint8Array; type: string }>()
  let next: ((asked: Asked) => Answered | undefined) | undefined

  const isKnown = ({ headers }: Asked) => headers.authorization === `Bearer ${access_token}`

  // Another host, as at Meta: the URL of a file is not enough.
  const lookaside = await standIn((asked) => {
    const found = media.get(asked.query.get('mid') ?? '')
    if (!isKnown(asked)) return { status: 401 }
    return found ? { status: 200, headers: { 'content-type': found.type }, body: found.bytes } : { status: 404 }
  })

  const server = await standIn(async (asked) => {
    if (!isKnown(asked)) return graphError(401, 190, 'Invalid OAuth access token - Cannot parse access token')
    const [version, id = '', edge] = asked.path.slice(1).split('/').map(decodeURIComponent)
    if (!/^v\d+\.\d$/.test(version ?? '')) return graphError(400, 2500, 'Unknown path components')
    if (asked.method === 'POST' && edge === 'messages' && numbers[id]) return post(asked, id)
    if (asked.method === 'POST' && edge === 'media' && numbers[id]) return upload(asked)
    if (asked.method === 'GET' && numbers[id] && edge === undefined) {
      return { status: 200, body: { id, display_phone_number: numbers[id] } }
    }
    const found = media.get(id)
    if (asked.method !== 'GET' || !found)
      return graphError(400, 100, `Unsupported request; object with ID '${id}' does not exist`)
    const told = { id, mime_type: found.type, file_size: found.bytes.length, messaging_product: 'whatsapp' }
    return { status: 200, body: { ...told, url: `${lookaside.url}/whatsapp_business/attachments/?mid=${id}` } }
  })

  function post(asked: Asked, phone_number_id: string): Answered {
    attempts.push(asked)
    const scripted = next?.(asked)
    if (scripted) return scripted
    const given = JSON.parse(asked.body.toString())
    if (given.messaging_product !== 'whatsapp') return graphError(400, 100, 'The parameter messaging_product is required.')
    if (given.status === 'read') {
      marks.push({ ...given, phone_number_id })
      return { status: 200, body: { success: true } }
    }
    const to = given.to ?? given.recipient
    if (!to) return graphError(400, 100, 'The parameter to is required.')
    if (!given[given.type]) return graphError(400, 131009, 'Parameter value is not valid', `${given.type} is missing`)
    const file = given[given.type].id
    if (file !== undefined && !media.has(file)) return graphError(400, 131053, 'Media upload error', 'no such media')
    const id = newId()
    messages.push({ ...given, id, phone_number_id })
    const contacts = [{ input: to, wa_id: String(to).replace(/\D/g, '') }]
    return { status: 200, body: { messaging_product: 'whatsapp', contacts, messages: [{ id }] } }
  }

  async function upload({ headers, body }: Asked): Promise<Answered> {
    const form = await new Response(new Uint8Array(body), {
      headers: { 'content-type': headers['content-type'] ?? '' },
    }).formData()
    const file = form.get('file')
    if (form.get('messaging_product') !== 'whatsapp' || !(file instanceof Blob)) return graphError(400, 100, 'Invalid parameter')
    const id = String(media.size + 1_000_000_000)
    media.set(id, { bytes: await file.bytes(), type: file.type })
    return { status: 200, body: { id } }
  }

  /** Posts a body as Meta does. */
  function postRaw(url: string, body: string, secret = app_secret): Promise<Response> {
    const signature = `sha256=${createHmac('sha256', secret).update(body).digest('hex')}`
    return fetch(url, { method: 'POST', headers: { 'content-type': 'application/json', 'x-hub-signature-256': signature }, body })
  }

  return {
    url: server.url,
    /** What it has accepted, in order; a repeated request is a message of its own, as at Meta. */
    messages,
    /** Read marks and typing indicators. */
    marks,
    attempts,
    media,
    /** Answers requests for a message in place of the API; undefined leaves it to the API. */
    script(fn: typeof next) {
      next = fn
    },
    postRaw,
    /** Posts what happened at one number; several values are batched. */
    notify(url: string, phone_number_id: string, ...values: object[]): Promise<Response> {
      const display_phone_number = (numbers[phone_number_id] ?? '').replace(/\D/g, '')
      const changes = values.map((value) => ({
        field: 'messages',
        value: { messaging_product: 'whatsapp', metadata: { display_phone_number, phone_number_id }, ...value },
      }))
      return postRaw(url, JSON.stringify({ object: 'whatsapp_business_account', entry: [{ id: '102290129340398', changes }] }))
    },
    /** Keeps a file; returns its id. */
    keep(bytes: Uint8Array, type: string): string {
      const id = String(media.size + 2_000_000_000)
      media.set(id, { bytes, type })
      return id
    },
    async [Symbol.asyncDispose]() {
      await server[Symbol.asyncDispose]()
      await lookaside[Symbol.asyncDispose]()
    },
  }
}

export type WhatsAppCloud = Awaited<ReturnType<typeof startWhatsAppCloud>>

/** A message as Meta tells of it. */
export function said(
  from: string,
  type: string,
  content: object | null,
  more: object = {},
): { id: string } & Record<string, unknown> {
  return { from, id: newId(), timestamp: '1739321024', type, ...(content && { [type]: content }), ...more }
}

/** A status as Meta tells of it. */
export function became(id: string, status: string, error?: { code: number; title: string }): object {
  return { id, status, timestamp: '1739321024', recipient_id: '15551234567', ...(error && { errors: [error] }) }
}
