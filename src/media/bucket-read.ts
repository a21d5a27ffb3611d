import { createHash } from 'node:crypto'
import { Readable } from 'node:stream'
import { type ByteRange, MediaDamagedError } from './contents.ts'
import { waitBefore } from './retries.ts'

interface Reading {
  /** The bytes of the range, which may break off. */
  readonly first: Readable
  readonly range: ByteRange
  /** Reads what is left. Null if the content is not there any more. */
  readonly again: (rest: ByteRange) => Promise<Readable | null>
  /** What the bytes must have; null for a part, of which it is not known. */
  readonly sha256: string | null
  /** How often in a row reading may fail without a further byte. */
  readonly attempts: number
}

/**
 * Returns the bytes of a range, whole or with an error at their end: what breaks off is read on from there, and the last bytes are
 * given once all are known to be right.
 */
export function verifiedBytes(reading: Reading): Readable {
  const bytes = new Bytes(reading)
  return Readable.from(bytes.chunks(), { objectMode: false }).once('close', () => bytes.close())
}

class Bytes {
  readonly #reading: Reading
  #body: Readable
  #closed = false

  constructor(reading: Reading) {
    this.#reading = reading
    this.#body = reading.first
  }

  /** A store that sends nothing is not waited for when nobody reads any more. */
  close(): void {
    this.#closed = true
    this.#body.destroy()
  }

  async *chunks(): AsyncGenerator<Buffer> {
    const { range, sha256, again, attempts } = this.#reading
    const hash = sha256 === null ? null : createHash('sha256')
    let { start } = range
    let failures = 0
    let last: Buffer | undefined
    while (start <= range.end) {
      try {
        const body: AsyncIterable<Buffer> = this.#body
        for await (const chunk of body) {
          failures = 0
          start += chunk.length
          hash?.update(chunk)
          if (last) yield last
          last = chunk
        }
        if (start <= range.end) throw new Error('the store has sent a part only')
      } catch (error) {
        if (this.#closed || ++failures >= attempts) throw error
        await waitBefore(failures)
        const rest = await again({ start, end: range.end })
        if (!rest) throw error
        this.#body = rest
        if (this.#closed) rest.destroy()
      }
    }
    if (start !== range.end + 1) throw new MediaDamagedError(`the store has sent ${start - range.end - 1} bytes too many`)
    if (hash && hash.digest('hex') !== sha256) throw new MediaDamagedError(`the bytes of ${sha256} in the store have changed`)
    if (last) yield last
  }
}
