import type { Checked } from '../records/check.ts'
import type { RecordLine } from '../records/format.ts'

/** Conversations that are compared. */
const conversations = 10
/** Records of each that are compared: one may have a million. */
const recordsEach = 500

interface Chosen {
  readonly sid: string
  readonly records: unknown[]
}

/** How a few conversations are stored, compared field by field with what was read. */
export interface Compared {
  readonly conversations: readonly string[]
  readonly rows: number
  /** Rows that are not as they were read, and the fields in which they differ. */
  readonly differing: readonly { readonly kind: string; readonly sid: string; readonly fields: readonly string[] }[]
}

/** Conversations of a file, each with the same chance, and what is in them. */
export class Sample {
  readonly #random: () => number
  readonly #chosen: Chosen[] = []
  #current: Chosen | undefined
  #count = 0

  /** `random`: from 0 up to 1. */
  constructor(random: () => number) {
    this.#random = random
  }

  /** Is told of every record that is stored, in the order of the file. `value`: what is sent of it. */
  offer(record: RecordLine, value: unknown): void {
    if (record.kind === 'conversation') this.#choose(String(record.resource.sid))
    const sid = record.kind === 'conversation' ? record.resource.sid : record.conversation_sid
    const current = this.#current
    if (current && current.sid === sid && current.records.length < recordsEach) current.records.push(value)
  }

  #choose(sid: string): void {
    const place = this.#count < conversations ? this.#count : Math.floor(this.#random() * (this.#count + 1))
    this.#count++
    this.#current = place < conversations ? { sid, records: [] } : undefined
    if (this.#current) this.#chosen[place] = this.#current
  }

  /** Compares them with what is stored. What has been changed here since is left out. */
  async compare(check: (records: readonly unknown[]) => Promise<readonly Checked[]>): Promise<Compared> {
    const differing: { kind: string; sid: string; fields: readonly string[] }[] = []
    let rows = 0
    for (const { records } of this.#chosen) {
      const results = await check(records)
      for (const [i, result] of results.entries()) {
        rows++
        if ('outcome' in result && (result.outcome === 'unchanged' || result.outcome === 'kept')) continue
        // As it was sent.
        const { kind, resource } = records[i] as RecordLine
        const fields =
          'refused' in result ? [result.refused] : result.outcome === 'created' ? ['it is not there'] : result.different
        differing.push({ kind, sid: String(resource.sid), fields })
      }
    }
    return { conversations: this.#chosen.map(({ sid }) => sid), rows, differing }
  }
}
