import type { Applied } from '../records/apply.ts'
import type { Checked } from '../records/check.ts'
import { RecordError, recordOf } from '../records/format.ts'
import { type Prepared, prepare } from '../records/prepare.ts'
import { Seen } from './seen.ts'

/** Says what would become of the records of a file, without storing any. */
export class Trial implements Disposable {
  readonly #seen = new Seen()
  readonly #check: (records: readonly unknown[]) => Promise<readonly Checked[]>

  /** `check`: says it of each record alone, by what is stored. */
  constructor(check: (records: readonly unknown[]) => Promise<readonly Checked[]>) {
    this.#check = check
  }

  /** Returns what would become of records, which come after those that it was asked of before. `lines`: their numbers. */
  async of(records: readonly unknown[], lines: readonly number[]): Promise<Applied[]> {
    const results = await this.#check(records)
    return records.map((value, i) => this.#one(value, lines[i] ?? 0, results[i]))
  }

  #one(value: unknown, line: number, result: Checked | undefined): Applied {
    if (!result || 'refused' in result) return { refused: result?.refused ?? 'the server has not answered' }
    const prepared = preparedOf(value)
    if ('refused' in prepared) return prepared
    const [absent] = this.#seen.absent(prepared, result.missing)
    if (absent !== undefined) return { refused: `there is no ${absent}` }
    const conflict = this.#seen.conflict(prepared, line)
    return conflict === undefined ? { outcome: result.outcome } : { refused: conflict }
  }

  [Symbol.dispose](): void {
    this.#seen[Symbol.dispose]()
  }
}

function preparedOf(value: unknown): Prepared | { readonly refused: string } {
  try {
    return prepare(recordOf(value), (secret) => secret)
  } catch (error) {
    if (error instanceof RecordError) return { refused: error.message }
    throw error
  }
}
