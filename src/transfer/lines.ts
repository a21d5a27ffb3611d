import { createReadStream } from 'node:fs'
import { maxLineBytes, RecordError } from '../records/format.ts'

/** A line of a file: what it holds, or what is wrong with it. `end`: how many bytes of the file there are up to the next one. */
export type Line = { readonly number: number; readonly end: number } & (
  | { readonly bytes: number; readonly value: unknown }
  | { readonly fault: string }
)

/** How many lines and bytes there are before those that are read. */
export interface Before {
  readonly line: number
  readonly offset: number
}

const newline = 0x0a
const decoder = new TextDecoder('utf-8', { fatal: true })

/** Reads JSON lines, however large the file: no more than a line is held. Empty lines are left out. Throws what reading throws. */
export async function* linesIn(
  source: string | AsyncIterable<Uint8Array>,
  before: Before = { line: 0, offset: 0 },
): AsyncGenerator<Line> {
  let number = before.line
  let read = before.offset
  let parts: Uint8Array[] = []
  let bytes = 0
  const take = (end: number): Line | undefined => {
    number++
    const length = bytes
    const line = length > maxLineBytes ? undefined : Buffer.concat(parts)
    parts = []
    bytes = 0
    return line ? parsedLine(number, end, line) : { number, end, fault: `it is longer than ${maxLineBytes} bytes` }
  }
  const chunks: AsyncIterable<Uint8Array> = typeof source === 'string' ? createReadStream(source) : source
  for await (const chunk of chunks) {
    let start = 0
    for (let end = chunk.indexOf(newline); end !== -1; end = chunk.indexOf(newline, start)) {
      if (bytes <= maxLineBytes) parts.push(chunk.subarray(start, end))
      bytes += end - start
      const line = take(read + end + 1)
      if (line) yield line
      start = end + 1
    }
    // What is too long is counted, not kept.
    bytes += chunk.length - start
    if (bytes <= maxLineBytes) parts.push(chunk.subarray(start))
    else parts = []
    read += chunk.length
  }
  if (bytes === 0) return
  const line = take(read)
  if (line) yield line
}

function parsedLine(number: number, end: number, bytes: Buffer): Line | undefined {
  let text: string
  try {
    text = decoder.decode(bytes)
  } catch {
    return { number, end, fault: 'it is not UTF-8' }
  }
  if (text.trim() === '') return undefined
  try {
    const value: unknown = JSON.parse(text)
    const fault = faultIn(value)
    return fault === undefined ? { number, end, bytes: bytes.length, value } : { number, end, fault }
  } catch {
    // The message of the parser would quote the line.
    return { number, end, fault: 'it is not JSON' }
  }
}

/** Levels of objects and lists; records have five. */
const maxDepth = 20

/** Returns what no server takes in JSON, if there is any: a batch of other records would be refused with it. */
function faultIn(value: unknown, depth = 0): string | undefined {
  if (typeof value !== 'object' || value === null) return undefined
  if (depth > maxDepth) return `it has more than ${maxDepth} levels`
  if (Object.hasOwn(value, '__proto__') || Object.hasOwn(value, 'constructor')) {
    return 'it has a key __proto__ or constructor, which no record has'
  }
  for (const inner of Object.values(value)) {
    const fault = faultIn(inner, depth + 1)
    if (fault !== undefined) return fault
  }
  return undefined
}

/** Returns what is wrong with a line by `check`; undefined when nothing is. */
export function faultOf(check: () => void): string | undefined {
  try {
    check()
    return undefined
  } catch (error) {
    if (error instanceof RecordError) return error.message
    throw error
  }
}
