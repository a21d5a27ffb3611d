/** How many items of a source are read before they are wanted. */
const ahead = 2

/**
 * Runs several sources at the same time, and yields their items source by source, in the order of the sources. Each is at most a
 * few items ahead, so that memory is bounded. Throws what a source throws, when its turn comes.
 */
export async function* inOrder<T>(sources: AsyncIterable<() => AsyncIterable<T>>, atOnce: number): AsyncGenerator<T> {
  const running: Buffered<T>[] = []
  const upcoming = sources[Symbol.asyncIterator]()
  let isOver = false
  try {
    for (;;) {
      while (!isOver && running.length < atOnce) {
        const { done, value } = await upcoming.next()
        if (done) isOver = true
        else running.push(new Buffered(value()))
      }
      const [first] = running
      if (!first) return
      yield* first.items()
      running.shift()
    }
  } finally {
    for (const each of running) each.stop()
    await Promise.all(running.map((each) => each.ended))
    await upcoming.return?.()
  }
}

/** Reads a source ahead. */
class Buffered<T> {
  readonly ended: Promise<void>
  readonly #items: T[] = []
  #error: { readonly thrown: unknown } | null = null
  #isOver = false
  #isStopped = false
  #wake = () => {}

  constructor(source: AsyncIterable<T>) {
    this.ended = this.#read(source)
  }

  async *items(): AsyncGenerator<T> {
    for (;;) {
      const item = this.#items.shift()
      this.#wake()
      if (item !== undefined) yield item
      else if (this.#error) throw this.#error.thrown
      else if (this.#isOver) return
      else await this.#change()
    }
  }

  stop(): void {
    this.#isStopped = true
    this.#wake()
  }

  async #read(source: AsyncIterable<T>): Promise<void> {
    try {
      for await (const item of source) {
        this.#items.push(item)
        this.#wake()
        while (this.#items.length >= ahead && !this.#isStopped) await this.#change()
        if (this.#isStopped) return
      }
    } catch (error) {
      this.#error = { thrown: error }
    } finally {
      this.#isOver = true
      this.#wake()
    }
  }

  /** Resolves when the other side has done something. Only one side ever waits: the buffer is not empty and full at once. */
  #change(): Promise<void> {
    return new Promise((resolve) => {
      this.#wake = resolve
    })
  }
}
