/**
 * Runs what concerns one conversation, user or service one after the other: a write from before it is sent until its response is applied,
 * or a read until what it shows is stored. So nothing older is ever stored over something newer.
 */
export class Scopes {
  readonly #last = new Map<string, Promise<void>>()
  #running = 0
  #idle: (() => void)[] = []

  async run<T>(scope: string | null, work: () => Promise<T>): Promise<T> {
    this.#running++
    try {
      return scope === null ? await work() : await this.#inTurn(scope, work)
    } finally {
      if (--this.#running === 0) for (const resolve of this.#idle.splice(0)) resolve()
    }
  }

  /** Resolves when nothing runs. */
  async idle(): Promise<void> {
    while (this.#running > 0) await new Promise<void>((resolve) => this.#idle.push(resolve))
  }

  async #inTurn<T>(scope: string, work: () => Promise<T>): Promise<T> {
    const before = this.#last.get(scope)
    const result = before ? before.then(work) : work()
    const done = result.then(nothing, nothing)
    this.#last.set(scope, done)
    try {
      return await result
    } finally {
      if (this.#last.get(scope) === done) this.#last.delete(scope)
    }
  }
}

function nothing(): void {}
