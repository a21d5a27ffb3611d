import type { KeyObject } from 'node:crypto'
import type { DNSResolver } from 'mailauth'
import type { Clock } from '../../clock.ts'
import { isFailure } from '../../errors.ts'
import type { Worker } from '../../loop.ts'
import type { Database } from '../../storage/database.ts'
import type { Vault } from '../../vault.ts'
import type { DefaultCarriers } from '../channels.ts'
import type { channelCommands } from '../commands.ts'
import type { Incoming, Received } from '../incoming.ts'
import type { mailBlockCommands } from './blocks.ts'
import { mailKind } from './kind.ts'
import type { MailListener } from './listener.ts'
import { routeOf } from './mailboxes.ts'
import { Outbox } from './outbox.ts'
import { MailReader } from './reader.ts'
import { type Relay, smtpRelay } from './relay.ts'
import { SenderCap } from './sender-cap.ts'
import { type RawMail, type Taken, type TakeOptions, take } from './take.ts'

export interface EmailOptions {
  readonly database: Database<typeof channelCommands & typeof mailBlockCommands>
  readonly vault: Vault
  readonly clock: Clock
  readonly testMode: boolean
  /** URL of the mail server that sends; null: none. */
  readonly relay: string | null
  /** Where mail is received by SMTP; null: nowhere. */
  readonly listen: { readonly host: string; readonly port: number; readonly anyPort: boolean } | null
  readonly tls: { readonly cert: string; readonly key: string } | null
  /** URL of a mailbox that is emptied by IMAP; null: none. */
  readonly imap: string | null
  readonly maxBytes: number
  readonly auth: TakeOptions['auth']
  readonly trust: string | null
  readonly resolver?: DNSResolver
  readonly warn: (facts: object, text: string) => void
  readonly failed: (error: unknown) => void
}

/** Mails of one sender in an hour. */
const maxOfSender = 100

/** Mail: what of it runs in a server. */
export class Email {
  /** Null outside test mode. */
  readonly outbox: Outbox | null
  readonly #options: EmailOptions
  /** By which return paths are accepted; the first makes them. */
  readonly #keys: readonly [KeyObject, ...KeyObject[]]
  readonly #relay: Relay | null
  readonly #reader = new MailReader()
  readonly #cap = new SenderCap(maxOfSender)
  #receive: TakeOptions['receive'] | undefined
  #listener: MailListener | undefined
  #fetcher: Worker | undefined

  constructor(options: EmailOptions) {
    this.#options = options
    this.#keys = options.vault.deriveAll('mail')
    this.outbox = options.testMode ? new Outbox() : null
    this.#relay = options.relay === null ? null : smtpRelay(options.relay)
  }

  /** What carries mails; nothing without a relay, except in test mode. */
  carriers(): DefaultCarriers {
    if (!this.#relay && !this.outbox) return {}
    const { database } = this.#options
    const kind = mailKind({
      committed: database.read,
      key: this.#keys[0],
      relay: this.#relay,
      outbox: this.outbox,
      block: (row) => database.write('blockMail', row),
    })
    return { email: { kind, settings: {} } }
  }

  /** Begins to receive mail. `receive`: takes a message into its conversation. Throws when it cannot listen. */
  async open(receive: (incoming: Incoming) => Promise<Received>): Promise<void> {
    this.#receive = receive
    const { listen, tls, imap, maxBytes, failed, warn, database } = this.#options
    const knows = async (address: string) => (await routeOf(database.read, address, this.#keys)) !== null
    if (imap !== null) {
      const { ImapFetcher, imapBox } = await import('./imap.ts')
      this.#fetcher = new ImapFetcher({
        ...{ box: imapBox(imap), database, maxBytes, knows, failed, warn },
        take: (mail) => this.take(mail),
      })
      this.#fetcher.start()
    }
    if (!listen) return
    const { MailListener } = await import('./listener.ts')
    this.#listener = await MailListener.open({
      ...{ ...listen, tls, maxBytes },
      knows,
      take: (mail, connection) => this.take({ ...mail, connection }),
      failed: (error) => {
        if (!isFailure(error)) failed(error)
      },
    })
  }

  get maxBytes(): number {
    return this.#options.maxBytes
  }

  /** The port on which mail is received by SMTP; null when it is not. */
  get port(): number | null {
    return this.#listener?.port ?? null
  }

  /** Takes a mail in, whichever way it came. Throws MailError when it is not taken. */
  async take(mail: RawMail): Promise<readonly Taken[]> {
    const { warn } = this.#options
    const receive = this.#receive
    if (!receive) throw new Error('mail is not received yet')
    const taken = await take({ ...this.#options, keys: this.#keys, reader: this.#reader, cap: this.#cap, receive }, mail)
    for (const one of taken) if (one.outcome === 'dropped') warn({ why: one.why }, 'a mail was dropped')
    return taken
  }

  /** Receives no more mail. */
  async stop(): Promise<void> {
    await Promise.all([this.#listener?.close(), this.#fetcher?.stop()])
  }

  async close(): Promise<void> {
    this.#relay?.close()
    await this.#reader.close()
  }
}
