import type { Clock } from '../clock.ts'
import type { WebhookClient } from '../delivery/client.ts'
import type { DeliveryHandler } from '../delivery/handler.ts'
import { TemporaryLinks } from '../media/links.ts'
import type { MediaStore } from '../media/store.ts'
import { addressType } from '../resources/conversations/address-formats.ts'
import type { Database, Reader } from '../storage/database.ts'
import type { AddressType, DeliveryRow } from '../storage/schema.ts'
import type { Vault } from '../vault.ts'
import { type Carrier, Carriers } from './carrier.ts'
import type { AnyKind } from './kinds.ts'
import { loopback } from './loopback.ts'
import { messageHandler } from './message-delivery.ts'
import { formOf } from './outbound.ts'
import type { ChannelReport } from './receipts.ts'
import type { SettingValues } from './settings.ts'

/** What carries the messages to addresses of a type that no channel carries. */
export type DefaultCarriers = Readonly<Partial<Record<AddressType, { readonly kind: AnyKind; readonly settings: SettingValues }>>>

export interface ChannelsOptions {
  readonly database: Pick<Database, 'read'>
  /** Reads accounts, cached where possible. */
  readonly read: Reader
  readonly client: WebhookClient
  readonly vault: Vault
  readonly clock: Clock
  readonly store: Pick<MediaStore, 'open'>
  readonly publicUrl: string | null
  /** In it, messages without a channel count as delivered. */
  readonly testMode: boolean
  readonly defaults: DefaultCarriers
  readonly warn: (facts: object, text: string) => void
  readonly failed: (error: unknown) => void
}

/** Messages to and from people with an address: what of it runs in a server. */
export class Channels {
  readonly carriers: Carriers
  readonly handler: DeliveryHandler<ChannelReport>
  readonly #options: ChannelsOptions
  #listeningUrl = ''

  constructor(options: ChannelsOptions) {
    this.#options = options
    const { database, vault, clock, store, failed } = options
    const publicUrl = () => options.publicUrl ?? this.#listeningUrl
    this.carriers = new Carriers({ ...options, publicUrl })
    this.handler = messageHandler({
      committed: database.read,
      store,
      clock,
      links: new TemporaryLinks(vault),
      publicUrl,
      carriers: this.carriers,
      fallback: (row) => this.#fallback(row),
      failed,
    })
  }

  /** Where the server listens: what others call when no public URL is set. */
  listensAt(url: string): void {
    this.#listeningUrl = url
  }

  #fallback(row: DeliveryRow): Carrier | undefined {
    const { defaults, testMode } = this.#options
    const type = addressType(formOf(row).To)
    const chosen = (type && defaults[type]) ?? (testMode ? { kind: loopback, settings: {} } : undefined)
    return chosen && { ...chosen, channel: { account_sid: row.account_sid, sid: '', address: formOf(row).From ?? '' } }
  }
}
