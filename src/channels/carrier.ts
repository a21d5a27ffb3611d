import type { IncomingHttpHeaders } from 'node:http'
import { setTimeout as delay } from 'node:timers/promises'
import type { Clock } from '../clock.ts'
import { type ClientRequest, type WebhookClient, webhookTimeoutMs } from '../delivery/client.ts'
import { deliverableUrl, prepare } from '../delivery/signature.ts'
import type { Reader } from '../storage/database.ts'
import { accountBySid } from '../storage/lookups.ts'
import type { ChannelRow } from '../storage/schema.ts'
import type { Vault } from '../vault.ts'
import { type ChannelIo, type HttpRequest, type HttpResponse, RefusedError, RetryError, type SignedForm } from './adapter.ts'
import { type AnyKind, kindByName } from './kinds.ts'
import { openSettings, type SettingValues } from './settings.ts'
import { unknownError } from './statuses.ts'

/** For a provider's response: one that is given up may have been about to come, and the message goes out twice. */
const requestTimeoutMs = 15_000

/** The slowest upload that is waited for, besides. */
const bytesPerSecond = 500_000

export interface CarriersOptions {
  /** Reads accounts, cached where possible. */
  readonly read: Reader
  readonly client: WebhookClient
  readonly vault: Vault
  readonly clock: Clock
  /** The base of URLs that others call, known once the server listens. */
  readonly publicUrl: () => string
  readonly warn: (facts: object, text: string) => void
}

/** A channel, ready for use. */
export interface Carrier {
  readonly kind: AnyKind
  readonly settings: SettingValues
  readonly channel: ChannelIo['channel']
}

/** Makes of a stored channel what its kind can work with. */
export class Carriers {
  readonly #options: CarriersOptions

  constructor(options: CarriersOptions) {
    this.#options = options
  }

  /** Returns a stored channel; undefined when this version has no such kind. Throws when its secrets cannot be decrypted. */
  of(row: ChannelRow): Carrier | undefined {
    const kind = kindByName(row.kind)
    if (!kind) return undefined
    const settings = openSettings(kind.settings, row.settings, (sealed) => this.#options.vault.open(sealed))
    const { account_sid, sid, proxy_address: address } = row
    return { kind, settings, channel: { account_sid, sid, address } }
  }

  /** Returns what a kind may use of the outside, until `signal` is aborted. */
  io(channel: ChannelIo['channel'], signal: AbortSignal): ChannelIo {
    const { clock, publicUrl, warn } = this.#options
    return {
      channel,
      signal,
      now: () => clock.now(channel.account_sid),
      webhook_url: `${publicUrl()}/channels/${channel.sid}`,
      request: (options) => this.#request(options, signal),
      signed: (options) => this.#signed(channel.account_sid, options, signal),
      warn: (text) => warn({ channel: channel.sid }, text),
    }
  }

  async #request({ method, url, headers = {}, body }: HttpRequest, signal: AbortSignal): Promise<HttpResponse> {
    const timeoutMs = requestTimeoutMs + ((body?.length ?? 0) / bytesPerSecond) * 1000
    return this.#exchange({ method, headers, body: body ?? null, ...deliverableUrl(url) }, timeoutMs, signal)
  }

  async #signed(account_sid: string, { url, form, key }: SignedForm, signal: AbortSignal): Promise<HttpResponse> {
    const { read, vault } = this.#options
    const account = await read.one(accountBySid, { sid: account_sid })
    if (!account) throw new RefusedError(unknownError, 'the account does not exist')
    const auth_token = vault.open(account.auth_token)
    return this.#exchange(prepare({ method: 'POST', url, form, auth_token, idempotency_token: key }), webhookTimeoutMs, signal)
  }

  async #exchange(request: ClientRequest, timeoutMs: number, signal: AbortSignal): Promise<HttpResponse> {
    const { kind, status, headers, bytes, error } = await this.#options.client.request(request, timeoutMs, signal)
    if (kind === 'answered' && status !== null) return { status, headers: joined(headers), body: bytes }
    if (kind === 'refused_address') throw new RefusedError(unknownError, error ?? 'the address may not be called')
    throw new RetryError(error ?? 'no response')
  }
}

/** Returns headers as kinds get them: those that came several times are joined by a comma. */
export function joined(headers: IncomingHttpHeaders): Record<string, string> {
  const entries = Object.entries(headers).flatMap(([name, value]) =>
    value === undefined ? [] : [[name, [value].flat().join(', ')]],
  )
  return Object.fromEntries(entries)
}

/** How long an operator waits for a check. */
const checkTimeoutMs = 15_000

/** Asks a channel whether its settings work. Returns null when its kind cannot tell. */
export async function checkCarrier(
  carriers: Carriers,
  { kind, settings, channel }: Carrier,
): Promise<{ ok: boolean; says: string } | null> {
  if (!kind.check) return null
  const over = new AbortController()
  const late = delay(checkTimeoutMs, { ok: false, says: 'there was no answer in time' }, { signal: over.signal })
  try {
    return await Promise.race([kind.check(settings, carriers.io(channel, over.signal)), late])
  } catch (error) {
    return { ok: false, says: error instanceof Error ? error.message : 'the check failed' }
  } finally {
    over.abort()
    late.catch(() => {})
  }
}
