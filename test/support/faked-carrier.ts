import { once } from 'node:events'
import { createServer, type IncomingHttpHeaders, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { text } from 'node:stream/consumers'
import {
  type ChannelEvent,
  type ChannelKind,
  type Outbound,
  RefusedError,
  RetryError,
  UnprovenError,
} from '../../src/channels/adapter.ts'
import { addKind, kindByName } from '../../src/channels/kinds.ts'
import {
  flagSetting,
  numberSetting,
  optional,
  secretSetting,
  textSetting,
  type ValuesOf,
  wordSetting,
} from '../../src/channels/settings.ts'

const settings = {
  base_url: textSetting({ description: 'Where the carrier is' }),
  token: secretSetting({ description: 'What proves requests in both directions', max: 64 }),
  region: optional(wordSetting({ description: 'Its region', words: ['eu', 'us'] }), 'eu'),
  ttl: optional(numberSetting({ description: 'Minutes', min: 1, max: 60 })),
  urgent: optional(flagSetting({ description: 'Whether it hurries' }), false),
}

/** A kind of channel as one would be written for a carrier, with a protocol of its own: JSON over HTTP. */
export const faked: ChannelKind<ValuesOf<typeof settings>> = {
  name: 'faked',
  description: 'A carrier of the tests',
  serves: ['sms', 'whatsapp'],
  settings,
  problem: ({ region, urgent }) => (region === 'us' && urgent ? 'settings.urgent is not possible in us' : undefined),
  can: { text_length: 20, media: { types: ['image/*'], bytes: 1000, count: 2 }, template: true },
  async send({ base_url, token }, out, io) {
    const media = out.media.map((one) => ({ type: one.content_type, url: one.url() }))
    const { status, body } = await io.request({
      method: 'POST',
      url: `${base_url}/messages`,
      headers: { 'content-type': 'application/json', 'x-token': token },
      body: JSON.stringify({ ...out, media, callback: io.webhook_url }),
    })
    const answer = { response_status: status, response: body.toString() }
    if (status === 429 || status >= 500) throw new RetryError(`the carrier said ${status}`, answer)
    const given = JSON.parse(answer.response)
    if (status >= 400) throw new RefusedError(given.code, 'the carrier refused the message', { ...answer, status: 'undelivered' })
    return { external_id: given.id, status: 'sent', ...answer }
  },
  async webhook({ token }, request) {
    if (request.headers['x-token'] !== token) throw new UnprovenError('the token is wrong')
    if (request.method === 'GET') return { reply: { status: 200, content_type: 'text/plain', body: request.path }, events: [] }
    const events: ChannelEvent[] = JSON.parse(request.body.toString())
    return { reply: { status: 202, content_type: 'text/plain', body: request.url }, events }
  },
  async listen({ base_url, token, urgent }, io, emit) {
    // Only those that hurry keep a socket.
    if (!urgent) return { failed: new Promise(() => {}), [Symbol.asyncDispose]: async () => {} }
    const response = await fetch(`${base_url}/stream`, { headers: { 'x-token': token }, signal: io.signal })
    if (!response.body) throw new Error('there is no stream')
    const { body } = response
    const failed = (async () => {
      for await (const chunk of body) {
        for (const line of Buffer.from(chunk).toString().trim().split('\n')) await emit(JSON.parse(line))
      }
    })().catch((error: unknown) => error)
    return { failed, [Symbol.asyncDispose]: async () => void (await failed) }
  },
  async typing({ base_url, token }, to, io) {
    await io.request({ method: 'POST', url: `${base_url}/typing`, headers: { 'x-token': token }, body: JSON.stringify(to) })
  },
  async seen({ base_url, token }, external_id, io) {
    await io.request({ method: 'POST', url: `${base_url}/seen`, headers: { 'x-token': token }, body: external_id })
  },
  async check({ base_url }, io) {
    const { status } = await io.request({ method: 'GET', url: `${base_url}/account` })
    return { ok: status === 200, says: `the carrier said ${status}` }
  },
}

/** What the carrier was handed. */
export type Handed = Omit<Outbound, 'media'> & {
  readonly media: readonly { readonly type: string; readonly url: string }[]
  readonly callback: string
}

export interface CarrierReply {
  readonly status?: number
  readonly body?: unknown
  /** The reply waits for this. */
  readonly delayUntil?: Promise<unknown>
}

export interface FakedCarrier {
  readonly url: string
  readonly handed: Handed[]
  readonly headers: IncomingHttpHeaders[]
  /** What it was told besides messages: `path body`. */
  readonly told: string[]
  /** The streams that are open, with the token of each. */
  readonly streams: Map<ServerResponse, string>
  /** By default each message is accepted, under the id `<key>`. */
  reply: (message: Handed) => CarrierReply | Promise<CarrierReply>
  [Symbol.asyncDispose](): Promise<void>
}

/** Starts a carrier that listens on a port, and makes its kind known. */
export async function startCarrier(): Promise<FakedCarrier> {
  if (!kindByName('faked')) addKind(faked)
  const handed: Handed[] = []
  const headers: IncomingHttpHeaders[] = []
  const told: string[] = []
  const streams = new Map<ServerResponse, string>()
  const accept = (message: Handed): CarrierReply => ({ body: { id: `wamid.${message.key}=` } })
  const server = createServer(async (request, response) => {
    if (request.url === '/stream') {
      streams.set(response, String(request.headers['x-token']))
      response
        .on('close', () => streams.delete(response))
        .writeHead(200)
        .flushHeaders()
      return
    }
    if (request.method === 'GET') return void response.writeHead(200).end()
    const body_text = await text(request)
    if (request.url !== '/messages') {
      told.push(`${request.url} ${body_text}`)
      return void response.writeHead(204).end()
    }
    const message: Handed = JSON.parse(body_text)
    headers.push(request.headers)
    handed.push(message)
    const { status = 200, body = {}, delayUntil } = await carrier.reply(message)
    await delayUntil
    response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body))
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  const carrier: FakedCarrier = {
    url: `http://127.0.0.1:${port}`,
    handed,
    headers,
    told,
    streams,
    reply: accept,
    [Symbol.asyncDispose]: async () => {
      server.closeAllConnections()
      server.close()
    },
  }
  return carrier
}
