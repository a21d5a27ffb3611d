import { messageTypes } from '../../push/payload.ts'
import { newSid, randomSid } from '../../sids.ts'
import { credentialOfAccount } from '../../storage/lookups.ts'
import type { CredentialRow } from '../../storage/schema.ts'
import type { ClientCall } from '../call.ts'
import { jsonOf, type Route, type TunnelResponse } from '../tunnel.ts'

/** What a device can be notified of: as clients call it, and as bindings do. */
const occasions = new Map<unknown, string>(Object.entries(messageTypes).map(([occasion, type]) => [type, occasion]))

/** Far above the tokens of either service. No blanks, no control characters. */
const deviceTokens = /^[\x21-\x7e]{1,1024}$/

type Channel = 'fcm' | 'apn'

interface Device {
  readonly binding_type: Channel
  readonly endpoint: string
}

function deviceOf(channel: unknown, token: unknown): Device | null {
  if (channel !== 'fcm' && channel !== 'apn') return null
  return typeof token === 'string' && deviceTokens.test(token) ? { binding_type: channel, endpoint: token } : null
}

/**
 * Registers a device for push. A refusal would be repeated for ever (observed: clients retry it without a limit), so one that cannot
 * be notified is accepted, too, and the log says why.
 */
async function register(call: ClientCall): Promise<TunnelResponse> {
  const { session, pipeline, devices, log, request } = call
  const { account_sid, service_sid, identity, user_sid, push_credential_sid } = session
  const { channel_type, message_types, data } = jsonOf(request)
  const device = deviceOf(channel_type, Object(data).registration_id)
  const credential =
    push_credential_sid === null
      ? undefined
      : await pipeline.read.one(credentialOfAccount, { account_sid, sid: push_credential_sid })
  const why = reasonAgainst(device, credential, push_credential_sid)
  if (!device || !credential || why !== null) {
    log.warn({ account: account_sid, user: user_sid, reason: why }, 'a device was not registered for push')
    return { status: 201, body: { id: randomSid('binding') } }
  }
  const now = pipeline.clock.now(account_sid)
  const given = { account_sid, service_sid, identity, user_sid, ...device, credential_sid: credential.sid, now }
  const types = (Array.isArray(message_types) ? message_types : []).flatMap((type) => occasions.get(type) ?? [])
  const sid = newSid('binding', now)
  const id = await devices.write('registerDevice', { ...given, sid, message_types: JSON.stringify([...new Set(types)].sort()) })
  return { status: 201, body: { id: id ?? sid } }
}

function reasonAgainst(device: Device | null, credential: CredentialRow | undefined, sid: string | null): string | null {
  if (!device) return 'neither an FCM nor an APNs token'
  if (sid === null) return 'the access token names no push credential'
  if (!credential) return 'the push credential does not exist'
  return credential.type === device.binding_type ? null : 'the push credential is of another type'
}

/** Ends the registration of the path, or the one of the device in the body. What is not registered is not there already. */
async function unregister({ session, pipeline, devices, request }: ClientCall, sid: string | undefined): Promise<TunnelResponse> {
  const { account_sid, service_sid, identity } = session
  const common = { account_sid, service_sid, now: pipeline.clock.now(account_sid) }
  if (sid !== undefined) await devices.write('unregisterDevice', { ...common, sid, identity })
  else {
    const { binding_type, address } = jsonOf(request)
    const device = deviceOf(binding_type, address)
    if (device) await devices.write('unregisterDevice', { ...common, ...device })
  }
  return { status: 204, body: null }
}

export const registrationRoutes: readonly Route<ClientCall>[] = [
  { method: 'POST', path: '/v1/registrations', run: register },
  { method: 'DELETE', path: '/v1/registrations', run: (call) => unregister(call, undefined) },
  { method: 'DELETE', path: '/v1/registrations/:id', run: (call, { id }) => unregister(call, id) },
]
