import type { Reader } from '../../storage/database.ts'
import type { MailBlockRow } from '../../storage/schema.ts'
import type { Vault } from '../../vault.ts'
import type { DefaultCarriers } from '../channels.ts'
import { mailKind } from './kind.ts'
import { Outbox } from './outbox.ts'
import { type Relay, smtpRelay } from './relay.ts'

export interface EmailOptions {
  /** Rows as they are now. */
  readonly committed: Reader
  readonly vault: Vault
  /** URL of the mail server that sends; null: none. */
  readonly relay: string | null
  readonly testMode: boolean
  readonly block: (row: MailBlockRow) => Promise<void>
}

/** Mail: what of it runs in a server. */
export class Email {
  /** Null outside test mode. */
  readonly outbox: Outbox | null
  readonly #relay: Relay | null
  readonly #options: EmailOptions

  constructor(options: EmailOptions) {
    this.#options = options
    this.outbox = options.testMode ? new Outbox() : null
    this.#relay = options.relay === null ? null : smtpRelay(options.relay)
  }

  /** What carries mails; nothing without a relay, except in test mode. */
  carriers(): DefaultCarriers {
    if (!this.#relay && !this.outbox) return {}
    const { committed, vault, block } = this.#options
    const kind = mailKind({ committed, key: vault.derive('mail'), relay: this.#relay, outbox: this.outbox, block })
    return { email: { kind, settings: {} } }
  }

  async close(): Promise<void> {
    this.#relay?.close()
  }
}
