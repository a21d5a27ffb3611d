import { setImmediate as turn } from 'node:timers/promises'
import type { BaseRow } from './declare.ts'

/** Bytes of JSON after which a page ends, whatever size was requested: the next token is there in any case. */
export const maxPageBytes = 1_000_000
/** Rows read at a time: an ordinary page is one read. */
const sliceRows = 100
/** Rows rendered at a time: few, because only what has been rendered tells how large it is. */
const groupRows = 5
/** Characters of JSON after which other requests have their turn. */
const turnChars = 200_000

/** How the rows of a page are read and rendered. */
export interface PageSource {
  /** Reads at most `limit` rows behind `last`, or from the start of the page where there is none. */
  readonly read: (last: BaseRow | undefined, limit: number) => Promise<readonly BaseRow[]>
  /** Returns the JSON object of a row. */
  readonly write: (row: BaseRow) => string
  /** Whether the rows are read in the opposite of the order in which they are shown. */
  readonly backward: boolean
}

/** A page that has as many rows as were requested, or as fit. */
export interface FilledPage {
  /** The JSON objects of the rows, separated by commas. */
  readonly json: string
  /** The rows that were read first and last; undefined when there is none. */
  readonly first: BaseRow | undefined
  readonly last: BaseRow | undefined
  /** Whether others follow in the direction in which it was read. */
  readonly more: boolean
}

/**
 * Fills a page of at most `size` rows and about `maxPageBytes`. Large pages are read in slices and rendered with turns of the
 * event loop between, so that no page holds up the other requests.
 */
export async function fillPage(size: number, { read, write, backward }: PageSource): Promise<FilledPage> {
  const bytes = new ByteCount()
  let json = ''
  let first: BaseRow | undefined
  let last: BaseRow | undefined
  let [rows, turnAt, more] = [0, turnChars, true]
  while (more && rows < size && !bytes.reaches(maxPageBytes)) {
    if (rows > 0) await turn()
    const limit = Math.min(size - rows, sliceRows)
    // One row more, to know whether another follows.
    const found = await read(last, limit + 1)
    const end = Math.min(found.length, limit)
    let at = 0
    while (at < end && !bytes.reaches(maxPageBytes)) {
      if (json.length >= turnAt) {
        await turn()
        turnAt = json.length + turnChars
      }
      const group = found.slice(at, Math.min(at + groupRows, end))
      const text = joined(backward ? group.toReversed() : group, write)
      bytes.add(text)
      if (json === '') json = text
      else json = backward ? `${text},${json}` : `${json},${text}`
      first ??= group[0]
      last = group.at(-1)
      at += group.length
    }
    rows += at
    more = at < found.length
  }
  return { json, first, last, more }
}

/** As a sum of texts, which is put together when it is sent: `join` would do it here once more. */
function joined(rows: readonly BaseRow[], write: (row: BaseRow) => string): string {
  let json = ''
  for (const row of rows) json += json === '' ? write(row) : `,${write(row)}`
  return json
}

/** Counts the bytes of texts in UTF-8. */
class ByteCount {
  #counted = 0
  #others: string[] = []
  #otherChars = 0

  add(text: string): void {
    this.#others.push(text)
    this.#otherChars += text.length
  }

  /** Whether it is so many. A character has three at most: far from there, none is looked at. */
  reaches(bytes: number): boolean {
    if (this.#counted + this.#otherChars * 3 < bytes) return false
    for (const text of this.#others) this.#counted += Buffer.byteLength(text)
    this.#others = []
    this.#otherChars = 0
    return this.#counted >= bytes
  }
}
