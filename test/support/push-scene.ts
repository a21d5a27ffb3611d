import { generateKeyPairSync } from 'node:crypto'
import { expect, onTestFinished } from 'vitest'
import type { Config } from '../../src/config.ts'
import { RawClient } from './client.ts'
import { type FileServer, startFileServer } from './file-server.ts'
import { type ApnsStandIn, type FcmStandIn, startApns, startFcm } from './push-services.ts'

const apple = generateKeyPairSync('ec', { namedCurve: 'P-256' })
export const team = { key_id: 'ABC1234567', team_id: 'DEF7654321' }

/** A server with both push services, and its default service with what is enabled. */
export async function scene(settings: Record<string, string> = {}, config: Partial<Config> = {}) {
  const fcm = await startFcm()
  const apns = await startApns({ tokens: { key: apple.publicKey, ...team } })
  const server = await startFileServer({ fcmUrl: fcm.url, apnsUrl: apns.url, ...config })
  onTestFinished(server.stop)
  const { v1 } = server.sdk.conversations
  const { defaultChatServiceSid } = await v1.configuration().fetch()
  const service = v1.services(defaultChatServiceSid)
  const path = `/v1/Services/${defaultChatServiceSid}`
  expect((await server.call('POST', `${path}/Configuration/Notifications`, settings)).status).toBe(200)
  const credentials = {
    fcm: (await v1.credentials.create({ type: 'fcm', secret: fcm.account() })).sid,
    apn: (
      await v1.credentials.create({
        type: 'apn',
        privateKey: apple.privateKey.export({ type: 'pkcs8', format: 'pem' }) as string,
        secret: JSON.stringify({ ...team, topic: 'com.example.chat' }),
      })
    ).sid,
  }
  const { sid } = await v1.conversations.create({ friendlyName: 'Order 7' })
  const rest = v1.conversations(sid)
  const register = (identity: string, token: string, type: 'fcm' | 'apn' = 'fcm', message_types = all) =>
    registerDevice(server, identity, { token, type, credential: credentials[type], message_types })
  const deliveries = async () => (await server.admin('GET', '/deliveries?limit=1000')).deliveries as Delivery[]
  return { server, fcm, apns, service, path, credentials, sid, rest, v1, register, deliveries }
}

export interface Delivery {
  readonly kind: string
  readonly event_type: string
  readonly status: string
  readonly subject_sid: string
  readonly target_sid: string
  readonly url: null
  readonly participant_sid: string
  readonly message_sid: string | null
  readonly params: Record<string, string>
  readonly attempts: readonly { readonly status: number | null; readonly error: string | null }[]
}

const all = ['new_message', 'added_to_conversation', 'removed_from_conversation']

interface Registered {
  readonly token: string
  readonly type: 'fcm' | 'apn'
  readonly credential: string
  readonly message_types: readonly string[]
}

/** Registers a device and goes offline. Returns the SID of its binding. */
async function registerDevice(server: FileServer, identity: string, device: Registered): Promise<string> {
  const raw = await RawClient.admitted(server, identity, { push_credential_sid: device.credential })
  const message_types = device.message_types.map((type) => `twilio.conversations.${type}`)
  const body = { channel_type: device.type, version: '4', message_types, data: { registration_id: device.token } }
  const { body: registered } = await raw.request('POST', '/v1/registrations', { body })
  raw.send('close')
  await raw.closed
  return registered.id
}

export const message = { 'NewMessage.Enabled': 'true' }
export const pushed = (service: FcmStandIn | ApnsStandIn, count: number) => expect.poll(() => service.pushes).toHaveLength(count)
