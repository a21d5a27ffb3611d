import type { Hash } from 'node:crypto'
import { createReadStream, statSync } from 'node:fs'

/** A file, and how much of it has been read. */
export interface SourceFile {
  /** Of the whole file. */
  readonly bytes: number
  /** From where the reading begins. */
  readonly chunks: AsyncIterable<Uint8Array>
  /** How many bytes of the file have been read, with those before the beginning. */
  read(): number
  /** Returns the SHA-256 of its first bytes, in hex: as many as are in front of, or in the chunk that was read last, and no fewer than the time before. */
  hashTo(offset: number): string
}

/** Returns the bytes of a file from `start` on, which count and hash themselves. `hash`: has what comes before. Throws what `stat` throws. */
export function sourceFile(path: string, start: number, hash: Hash): SourceFile {
  let [read, hashed] = [start, start]
  let last: Buffer = Buffer.alloc(0)
  const hashTo = (offset: number) => {
    const lastStart = read - last.length
    hash.update(last.subarray(hashed - lastStart, offset - lastStart))
    hashed = offset
  }
  async function* chunks(): AsyncGenerator<Uint8Array> {
    // From a place a pipe cannot be read, not even from the first.
    for await (const chunk of createReadStream(path, start === 0 ? {} : { start }) as AsyncIterable<Buffer>) {
      hashTo(read)
      last = chunk
      read += chunk.length
      yield chunk
    }
  }
  return {
    bytes: statSync(path).size,
    chunks: chunks(),
    read: () => read,
    hashTo: (offset) => {
      hashTo(offset)
      return hash.copy().digest('hex')
    },
  }
}
