/** A mail that has left, or would have. */
export interface SentMail {
  readonly id: string
  readonly account_sid: string
  readonly conversation_sid: string
  readonly message_sid: string
  /** Epoch ms. */
  readonly date: number
  /** Envelope: the return path, and the one recipient of this copy. */
  readonly from: string
  readonly to: string
  readonly subject: string | null
  readonly source: Buffer
}

const maxMails = 1000
const maxBytes = 64 * 1024 * 1024

/** The latest mails of a server in test mode. They are in memory: the oldest give way. */
export class Outbox {
  readonly #mails = new Map<string, SentMail>()
  #bytes = 0

  add(mail: SentMail): void {
    const before = this.#mails.get(mail.id)
    if (before) this.#remove(before)
    this.#mails.set(mail.id, mail)
    this.#bytes += mail.source.length
    for (const one of this.#mails.values()) {
      if (this.#mails.size <= maxMails && this.#bytes <= maxBytes) break
      this.#remove(one)
    }
  }

  /** Removes the mails for which `isOf` holds. */
  forget(isOf: (mail: SentMail) => boolean): void {
    for (const mail of this.#mails.values()) if (isOf(mail)) this.#remove(mail)
  }

  /** The newest first. */
  list(): readonly SentMail[] {
    return [...this.#mails.values()].reverse()
  }

  get(id: string): SentMail | undefined {
    return this.#mails.get(id)
  }

  clear(): void {
    this.#mails.clear()
    this.#bytes = 0
  }

  #remove({ id, source }: SentMail): void {
    this.#mails.delete(id)
    this.#bytes -= source.length
  }
}
