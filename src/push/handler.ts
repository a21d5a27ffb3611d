import { type SendResult, webhookTimeoutMs } from '../delivery/client.ts'
import { type DeliveryHandler, unsent } from '../delivery/handler.ts'
import { parseStored } from '../json.ts'
import type { Reader } from '../storage/database.ts'
import { credentialOfAccount, serviceOfAccount } from '../storage/lookups.ts'
import { rowsBy } from '../storage/rows.ts'
import type { BindingRow, CredentialRow } from '../storage/schema.ts'
import type { Vault } from '../vault.ts'
import { type ApnsSender, isGoneFromApns, reasonOf } from './apns.ts'
import { unreadConversations } from './badge.ts'
import { type FcmSender, isGoneFromFcm } from './fcm.ts'
import { apnsPayload, messageTypes, type PushData } from './payload.ts'
import { settingsOf } from './settings.ts'

/** What a push service has said about a device at last. */
export interface PushReport {
  /** It will never get a push again. */
  readonly gone: true
}

export interface PushHandlerOptions {
  /** Rows as they are now. */
  readonly committed: Reader
  readonly vault: Vault
  readonly fcm: FcmSender
  readonly apns: ApnsSender
}

/** As of messages for a channel: over five minutes in all. */
const maxRetries = 5

const bindingBySid = rowsBy('bindings', ['service_sid', 'sid'])

/** Returns the handler of pushes. */
export function pushHandler({ committed, vault, fcm, apns }: PushHandlerOptions): DeliveryHandler<PushReport> {
  return {
    // Both services are given so long.
    maxSendMs: webhookTimeoutMs,
    async send(row, _tries, signal) {
      const { account_sid, service_sid, subject_sid, form } = row
      const binding = await committed.one(bindingBySid, { service_sid, sid: subject_sid })
      if (!binding) return unsent('the device is not registered any more')
      const credential = await committed.one(credentialOfAccount, { account_sid, sid: binding.credential_sid })
      if (!credential) return unsent('the credential does not exist any more')
      if (credential.type !== binding.binding_type) return unsent('the credential is of another type')
      const data = parseStored<PushData>(form)
      // Changed secrets are another connection, and another token.
      const common = { name: `${credential.sid} ${credential.revision}`, token: binding.endpoint }
      const secrets = secretsOf(credential, vault)
      if (binding.binding_type === 'fcm') return fcm.send({ ...common, account: secrets('Secret'), data }, signal)
      return apns.send(
        {
          ...common,
          certificate: secrets('Certificate'),
          private_key: secrets('PrivateKey'),
          secret: secrets('Secret'),
          sandbox: credential.sandbox === 'True',
          id: row.idempotency_token,
          payload: apnsPayload(data, await badgeOf(committed, data, binding)),
          alert: data.twi_body !== undefined,
        },
        signal,
      )
    },
    mayRetry(_row, result, tries) {
      const { kind, status } = result
      if (kind === 'unsent' || kind === 'refused_address') return false
      // The token has been dropped: the next attempt has a new one.
      if (status === 401 || reasonOf(result) === 'ExpiredProviderToken') return tries === 0
      return tries < maxRetries && (status === null || status === 429 || status >= 500)
    },
    report: (result) => (isGone(result) ? { gone: true } : undefined),
  }
}

function isGone(result: SendResult): boolean {
  return result.kind === 'answered' && (isGoneFromFcm(result) || isGoneFromApns(result))
}

function secretsOf({ secrets }: CredentialRow, vault: Vault): (name: string) => string {
  const sealed = parseStored<Partial<Record<string, string>>>(secrets)
  return (name) => {
    const secret = sealed[name]
    return secret === undefined ? '' : vault.open(secret)
  }
}

/** The badge as it is when the push is sent: one that was made earlier may be sent later. Only messages have one. */
async function badgeOf(
  read: Reader,
  { twi_message_type }: PushData,
  { account_sid, service_sid, identity }: BindingRow,
): Promise<number | null> {
  if (twi_message_type !== messageTypes.new_message) return null
  const service = await read.one(serviceOfAccount, { sid: service_sid, account_sid })
  if (!service || !settingsOf(service)?.new_message.badge_count_enabled) return null
  return unreadConversations(read, service_sid, identity)
}
