import { setImmediate as turn } from 'node:timers/promises'
import type { BaseRow } from './declare.ts'

/** Bytes of JSON after which a page ends, whatever size was requested: the next token is there in any case. */
export const maxPageBytes = 1_000_000
/** Rows read at a time: an ordinary page is one read. */
const sliceRows = 100
/** Characters of stored text that are rendered at a time; as JSON they may be six times as many. */
const pieceChars = 64_000

/** How the rows of a page are read and rendered. */
export interface PageSource {
  /** Reads at most `limit` rows behind `last`, or from the start of the page where there is none. */
  readonly read: (last: BaseRow | undefined, limit: number) => Promise<readonly BaseRow[]>
  /** Returns a JSON array. */
  readonly render: (rows: readonly BaseRow[]) => string
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
 * Fills a page of at most `size` rows and about `maxPageBytes`. Large pages are read in slices and rendered in pieces, with
 * turns of the event loop between, so that no page holds up the other requests.
 */
export async function fillPage(size: number, { read, render, backward }: PageSource): Promise<FilledPage> {
  const pieces: string[] = []
  let first: BaseRow | undefined
  let last: BaseRow | undefined
  let [rows, bytes, more] = [0, 0, true]
  while (more && rows < size && bytes < maxPageBytes) {
    if (rows > 0) await turn()
    const limit = Math.min(size - rows, sliceRows)
    // One row more, to know whether another follows.
    const found = await read(last, limit + 1)
    more = found.length > limit
    for (const piece of piecesOf(found.slice(0, limit))) {
      if (bytes >= maxPageBytes) {
        more = true
        break
      }
      if (piece[0] !== found[0]) await turn()
      const json = render(backward ? piece.toReversed() : piece).slice(1, -1)
      pieces.push(json)
      bytes += Buffer.byteLength(json)
      rows += piece.length
      first ??= piece[0]
      last = piece.at(-1)
    }
  }
  return { json: (backward ? pieces.reverse() : pieces).join(','), first, last, more }
}

/** Returns the rows in groups that are rendered together. Those of an ordinary page are one. */
function piecesOf(rows: readonly BaseRow[]): readonly (readonly BaseRow[])[] {
  const pieces: BaseRow[][] = []
  let chars = pieceChars
  for (const row of rows) {
    if (chars >= pieceChars) {
      pieces.push([])
      chars = 0
    }
    pieces.at(-1)?.push(row)
    chars += textLength(row)
  }
  return pieces
}

function textLength(row: BaseRow): number {
  let chars = 0
  for (const value of Object.values(row)) if (typeof value === 'string') chars += value.length
  return chars
}
