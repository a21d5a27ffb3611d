import type { Duplex } from 'node:stream'

/**
 * Collects what is written to a socket in one turn of the event loop, so that it is one call of the system: what a client is sent at one
 * time are several small frames.
 */
export class Outlet {
  readonly #held = new Set<Duplex>()

  /** Holds back what is written to the socket from now on, until the end of this turn. */
  hold(socket: Duplex): void {
    if (this.#held.has(socket)) return
    if (this.#held.size === 0) setImmediate(() => this.#release())
    this.#held.add(socket)
    socket.cork()
  }

  #release(): void {
    for (const socket of this.#held) socket.uncork()
    this.#held.clear()
  }
}
