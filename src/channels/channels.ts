import type { FastifyPluginAsync } from 'fastify'
import type { HttpLimits } from '../api/limits.ts'
import type { Pipeline } from '../api/requests.ts'
import type { Clock } from '../clock.ts'
import type { WebhookClient } from '../delivery/client.ts'
import type { DeliveryHandler } from '../delivery/handler.ts'
import type { Worker } from '../loop.ts'
import type { mediaCommands } from '../media/commands.ts'
import { TemporaryLinks } from '../media/links.ts'
import type { MediaStore } from '../media/store.ts'
import { addressType } from '../resources/conversations/address-formats.ts'
import type { Database, Reader } from '../storage/database.ts'
import type { AddressType, DeliveryRow } from '../storage/schema.ts'
import type { Vault } from '../vault.ts'
import type { ChannelEvent, ChannelIo } from './adapter.ts'
import { type Carrier, Carriers } from './carrier.ts'
import type { channelCommands } from './commands.ts'
import { applyEvent, type EventsOptions } from './events.ts'
import { receive } from './inbound.ts'
import { storeMedia } from './inbound-media.ts'
import type { Incoming, Received } from './incoming.ts'
import type { AnyKind } from './kinds.ts'
import { Listeners } from './listeners.ts'
import { loopback } from './loopback.ts'
import { messageHandler } from './message-delivery.ts'
import { formOf } from './outbound.ts'
import { Presence } from './presence.ts'
import { providerWebhooks } from './provider-webhooks.ts'
import type { ChannelReport } from './receipts.ts'
import type { SettingValues } from './settings.ts'

/** What carries the messages to addresses of a type that no channel carries. */
export type DefaultCarriers = Readonly<Partial<Record<AddressType, { readonly kind: AnyKind; readonly settings: SettingValues }>>>

export interface ChannelsOptions {
  readonly database: Database<typeof channelCommands & typeof mediaCommands>
  readonly pipeline: Pipeline
  /** Reads accounts, cached where possible. */
  readonly read: Reader
  readonly client: WebhookClient
  readonly vault: Vault
  readonly clock: Clock
  readonly store: MediaStore
  /** Of one file. */
  readonly mediaMaxBytes: number
  /** Of all files of an account; null: none. */
  readonly mediaQuotaBytes: number | null
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
  readonly listeners: Worker
  readonly #options: ChannelsOptions
  readonly #events: EventsOptions
  #listeningUrl = ''

  constructor(options: ChannelsOptions) {
    this.#options = options
    const { database, pipeline, vault, clock, store, client, failed, warn } = options
    const publicUrl = () => options.publicUrl ?? this.#listeningUrl
    this.carriers = new Carriers({ ...options, publicUrl })
    this.#events = {
      database,
      clock,
      media: { store, database, client, clock, maxBytes: options.mediaMaxBytes, quotaBytes: options.mediaQuotaBytes },
      receiver: { pipeline, write: (plan) => database.write('receive', plan) },
      warn,
    }
    this.listeners = new Listeners({ database, clock, carriers: this.carriers, apply: this.#apply, warn, failed })
    new Presence({ database, carriers: this.carriers })
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

  #apply = (channel: ChannelIo['channel'], event: ChannelEvent) => applyEvent(this.#events, channel, event)

  /** Receives a message that the operator hands in. */
  receive(incoming: Incoming): Promise<Received> {
    return receive({ ...this.#events.receiver, store: (owner, media) => storeMedia(this.#events.media, owner, media) }, incoming)
  }

  /** The routes that providers call. */
  webhooks(limits: HttpLimits): FastifyPluginAsync {
    const { database, publicUrl, warn, failed } = this.#options
    return providerWebhooks({
      committed: database.read,
      carriers: this.carriers,
      apply: this.#apply,
      publicUrl,
      limits,
      warn,
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
    const chosen = (type && defaults[type]) ?? (testMode ? { kind: loopback, settings: { status: 'delivered' } } : undefined)
    return chosen && { ...chosen, channel: { account_sid: row.account_sid, sid: '', address: formOf(row).From ?? '' } }
  }
}
