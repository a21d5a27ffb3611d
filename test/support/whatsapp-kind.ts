import { afterAll, beforeAll, beforeEach, expect } from 'vitest'
import type { ChannelEvent, MessageEvent, RawRequest } from '../../src/channels/adapter.ts'
import { whatsapp } from '../../src/channels/whatsapp/kind.ts'
import { settings as declared, type WhatsAppSettings } from '../../src/channels/whatsapp/settings.ts'
import { channelIo, settingsFrom } from './channel-io.ts'
import { standIn } from './http-stand-in.ts'
import { outbound } from './outbound.ts'
import { startWhatsAppCloud, type WhatsAppCloud } from './whatsapp-cloud.ts'

/*
 * The kind `whatsapp` by itself, with Meta's stand-in.
 */

export const [access_token, appSecret, verify_token] = ['EAAJB-token', 'app-secret-of-tests', 'verify-me']
export const [phoneNumberId, anotherId] = ['106540352242922', '106540352242923']
export const [ours, theirs] = ['whatsapp:+15550783881', 'whatsapp:+16505551234']
export const hook = 'https://parley.example/channels/CN0'
export const template_sid = `HX${'1'.repeat(32)}`

export let cloud: WhatsAppCloud
export let settings: WhatsAppSettings
export let io: ReturnType<typeof channelIo>

/** Starts Meta for the tests of a file, and empties it before each of them. */
export function useMeta(): void {
  beforeAll(startMeta)
  beforeEach(() => {
    io = channelIo(ours, hook)
    for (const list of [cloud.messages, cloud.marks, cloud.attempts]) list.length = 0
    cloud.script(undefined)
  })
  afterAll(() => cloud[Symbol.asyncDispose]())
}

async function startMeta(): Promise<void> {
  const numbers = { [phoneNumberId]: '+1 555-078-3881', [anotherId]: '+1 555-078-3882' }
  cloud = await startWhatsAppCloud({ access_token, app_secret: appSecret, numbers })
  settings = settingsFrom(declared, {
    phone_number_id: phoneNumberId,
    access_token,
    app_secret: appSecret,
    verify_token,
    base_url: cloud.url,
  })
}

export const send = (more: Parameters<typeof outbound>[0] = {}, given = settings) =>
  whatsapp.send(given, outbound({ from: ours, to: theirs, ...more }), io)
export const caught = (promise: Promise<unknown>) =>
  promise.then(
    () => undefined,
    (error: unknown) => error,
  )

/** What a webhook of Meta's means: the stand-in posts it to a server that hands it to the kind, as the core does. */
export async function receive(post: (url: string) => Promise<Response>, given = settings): Promise<readonly ChannelEvent[]> {
  const { raw, reply } = await posted(post)
  const result = await whatsapp.webhook?.(given, raw, io)
  expect(reply.status).toBe(200)
  expect(result?.reply.status).toBe(200)
  return result?.events ?? expect.fail('no webhook')
}

export async function posted(post: (url: string) => Promise<Response>): Promise<{ raw: RawRequest; reply: Response }> {
  let raw: RawRequest | undefined
  await using server = await standIn(({ method, path, headers, body }) => {
    const texts = Object.entries(headers).map(([name, value]) => [name, String(value)])
    raw = { method, url: `${hook}${path}`, path: '/', headers: Object.fromEntries(texts), body }
    return { status: 200 }
  })
  const reply = await post(server.url)
  return { raw: raw ?? expect.fail('nothing came'), reply }
}

export const contacts = [{ profile: { name: 'Sheena Nelson' }, wa_id: '16505551234' }]
export const told = (message: object, id = phoneNumberId) =>
  receive((url) => cloud.notify(url, id, { contacts, messages: [message] }))
export async function message(given: object): Promise<MessageEvent> {
  const [event, ...more] = await told(given)
  expect(more).toEqual([])
  return event?.kind === 'message' ? event : expect.fail('no message')
}
export const from = '16505551234'
