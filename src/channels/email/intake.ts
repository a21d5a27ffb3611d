import ipaddr from 'ipaddr.js'

export interface IntakeLimits {
  /** Connections at a time of one remote network. */
  readonly connections: number
  /** Bytes of mails that are received or taken at a time. */
  readonly bytes: number
}

/** What one remote network has open. */
interface Share {
  connections: number
  bytes: number
}

/** What a mail costs in memory besides its bytes, for each piece in which it comes: a client may send it byte by byte. */
const chunkBytes = 100

/** Counts what clients have open, so that one of them leaves room for the others. */
export class Intake {
  readonly #limits: IntakeLimits
  readonly #shares = new Map<string, Share>()
  #bytes = 0

  constructor(limits: IntakeLimits) {
    this.#limits = limits
  }

  /** Returns whether one more connection of a network is admitted; `disconnect` must follow then. `source`: null is not limited. */
  connect(source: string | null): boolean {
    if (source === null) return true
    const share = this.#shares.get(source) ?? { connections: 0, bytes: 0 }
    if (share.connections >= this.#limits.connections) return false
    share.connections++
    this.#shares.set(source, share)
    return true
  }

  disconnect(source: string | null): void {
    const share = source === null ? undefined : this.#shares.get(source)
    if (!share) return
    share.connections--
    this.#tidy(source, share)
  }

  /** Begins a mail, which nothing is counted of yet. */
  mail(source: string | null): HeldMail {
    let held = 0
    const hold = (bytes: number) => {
      const share = source === null ? undefined : (this.#shares.get(source) ?? { connections: 0, bytes: 0 })
      held += bytes
      this.#bytes += bytes
      if (!share) return
      share.bytes += bytes
      if (source !== null) this.#shares.set(source, share)
      this.#tidy(source, share)
    }
    return {
      hold: (length) => {
        const bytes = length + chunkBytes
        const own = source === null ? 0 : (this.#shares.get(source)?.bytes ?? 0)
        // Half of it, so that one network never has all.
        if (this.#bytes + bytes > this.#limits.bytes || own + bytes > this.#limits.bytes / 2) return false
        hold(bytes)
        return true
      },
      release: () => hold(-held),
    }
  }

  #tidy(source: string | null, { connections, bytes }: Share): void {
    if (source !== null && connections === 0 && bytes === 0) this.#shares.delete(source)
  }
}

export interface HeldMail {
  /** Counts a piece of it. Returns false, and counts nothing, when there is no room. */
  hold(length: number): boolean
  /** Gives back all that is counted. */
  release(): void
}

/**
 * Returns the network that a client counts to: its address, of IPv6 the /64, which is what one customer has. Null for loopback and
 * private networks: there a mail server of the operator's hands on what the world sends.
 */
export function sourceOf(address: string): string | null {
  if (!ipaddr.isValid(address)) return address
  const parsed = ipaddr.process(address)
  if (['loopback', 'private', 'uniqueLocal', 'linkLocal'].includes(parsed.range())) return null
  return parsed.kind() === 'ipv6' ? parsed.toByteArray().slice(0, 8).join('.') : parsed.toString()
}
