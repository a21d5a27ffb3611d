import { isDeepStrictEqual } from 'node:util'
import { linesIn } from '../../src/transfer/lines.ts'

type Json = Readonly<Record<string, unknown>>

/** How many lines two files have in common, in the same order, and the first that they have not. */
export interface Compared {
  readonly equal: number
  readonly different: number
  readonly first: string | null
}

/** Compares two files, or lines and a file, one by one and without headers. `comparable`: what is to be the same; null where nothing is. */
export async function compare(
  one: string | Iterable<Json>,
  other: string,
  comparable: (line: Json) => Json | null = (line) => line,
): Promise<Compared> {
  const [lines, others] = [comparables(one, comparable), comparables(other, comparable)]
  let [equal, different] = [0, 0]
  let first: string | null = null
  for (;;) {
    const [left, right] = await Promise.all([lines.next(), others.next()])
    if (left.done && right.done) return { equal, different, first }
    if (isDeepStrictEqual(left.value, right.value)) equal++
    else {
      different++
      first ??= `${JSON.stringify(left.value)}\n${JSON.stringify(right.value)}`
    }
  }
}

async function* comparables(file: string | Iterable<Json>, comparable: (line: Json) => Json | null): AsyncGenerator<Json, void> {
  if (typeof file !== 'string') {
    for (const line of file) {
      const compared = line.kind === 'header' ? null : comparable(line)
      if (compared) yield compared
    }
    return
  }
  for await (const line of linesIn(file)) {
    if ('fault' in line) throw new Error(`line ${line.number} of ${file}: ${line.fault}`)
    // Written by an export, or by the population.
    const compared = line.number === 1 ? null : comparable(line.value as Json)
    if (compared) yield compared
  }
}
