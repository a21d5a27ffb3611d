import type { Kind, RecordLine } from '../records/format.ts'

/** What of a file is stored. */
export interface Choice {
  /** Only these kinds; null for all. */
  readonly only: readonly Kind[] | null
  /** Receipts of all messages, of those in conversations that are not closed, or none. */
  readonly receipts: 'all' | 'open' | 'none'
}

/** The last one that has come. */
export interface Conversation {
  readonly sid: string
  readonly isClosed: boolean
}

/** Decides line by line: a conversation comes before what is in it. */
export class Chooser {
  readonly #choice: Choice
  #conversation: Conversation

  constructor(choice: Choice, conversation: Conversation = { sid: '', isClosed: false }) {
    this.#choice = choice
    this.#conversation = conversation
  }

  /** What the next line may be in. */
  get conversation(): Conversation {
    return this.#conversation
  }

  takes({ kind, conversation_sid, resource }: RecordLine): boolean {
    const { only, receipts } = this.#choice
    if (kind === 'conversation') this.#conversation = { sid: String(resource.sid), isClosed: resource.state === 'closed' }
    if (only && !only.includes(kind)) return false
    if (kind !== 'receipt' || receipts === 'all') return true
    const { sid, isClosed } = this.#conversation
    return receipts === 'open' && !(isClosed && sid === conversation_sid)
  }
}
