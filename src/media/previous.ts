import type { Readable } from 'node:stream'
import type { ByteRange, Content, Contents, Kept, Link } from './contents.ts'

/**
 * Contents of which some are still where they were kept before. They are read and deleted there too; `parley media move` moves them
 * meanwhile.
 */
export class WithPrevious implements Contents {
  readonly label: string
  readonly incoming: string
  readonly #current: Contents
  readonly #previous: readonly Contents[]

  constructor(current: Contents, previous: readonly Contents[]) {
    this.label = current.label
    this.incoming = current.incoming
    this.#current = current
    this.#previous = previous
  }

  put(file: string, content: Content): Promise<void> {
    return this.#current.put(file, content)
  }

  async has(sha256: string): Promise<boolean> {
    // What is in none of them may have been moved between two looks.
    for (const contents of [this.#current, ...this.#previous, this.#current]) if (await contents.has(sha256)) return true
    return false
  }

  async isLeft(sha256: string): Promise<boolean> {
    for (const contents of this.#all) if (await contents.isLeft(sha256)) return true
    return false
  }

  async open(content: Content, range?: ByteRange): Promise<Readable | null> {
    // What is in none of them may have been moved between two looks.
    for (const contents of [this.#current, ...this.#previous, this.#current]) {
      const opened = await contents.open(content, range)
      if (opened) return opened
    }
    return null
  }

  async remove(sha256: string, isUsed: () => Promise<boolean>): Promise<void> {
    for (const contents of this.#all) await contents.remove(sha256, isUsed)
  }

  async *list(): AsyncIterable<Kept> {
    for (const contents of this.#all) yield* contents.list()
  }

  async link(sha256: string, link: Link): Promise<string | null> {
    return (await this.#current.has(sha256)) ? this.#current.link(sha256, link) : null
  }

  async removeIncomplete(before: number, isUsed: (sha256: string) => Promise<boolean>): Promise<void> {
    for (const contents of this.#all) await contents.removeIncomplete(before, isUsed)
  }

  async close(): Promise<void> {
    for (const contents of this.#all) await contents.close()
  }

  get #all(): readonly Contents[] {
    return [this.#current, ...this.#previous]
  }
}
