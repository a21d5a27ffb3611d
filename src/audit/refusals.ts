/** Refused credentials: whose they claimed to be, where they were refused and how. */
export interface Refusal {
  readonly address: string
  readonly agent: string | null
  /** Where: `v1`, `admin`, `console`, `client`. */
  readonly interface: string
  readonly kind: 'account' | 'key' | 'operator' | 'client'
  /** A SID, or masked. */
  readonly name: string
  /** The status of the response. */
  readonly code: number
}

export interface CountedRefusal extends Refusal {
  readonly at: number
  readonly count: number
}

const minuteMs = 60_000

/** Kinds of refusals that are kept apart. A flood from more addresses than that is counted as a whole. */
const maxKinds = 500

/** Refused credentials that have no entry yet: one for each address, name and minute, however many there were. */
export class Refusals {
  readonly #counted = new Map<string, { readonly refusal: Refusal; readonly at: number; count: number }>()

  add(refusal: Refusal, now: number, count = 1): void {
    const minute = Math.floor(now / minuteMs)
    const { address, interface: where, kind, name, code } = refusal
    const key = JSON.stringify([minute, where, kind, name, code, address])
    const counted = this.#counted.get(key)
    if (counted) counted.count += count
    else if (this.#counted.size < maxKinds) this.#counted.set(key, { refusal, at: now, count })
    else this.#addToRest(refusal, now, count)
  }

  /** Takes what there is. */
  take(): CountedRefusal[] {
    const all = [...this.#counted.values()].map(({ refusal, at, count }) => ({ ...refusal, at, count }))
    this.#counted.clear()
    return all
  }

  #addToRest({ interface: where, kind, code }: Refusal, now: number, count: number): void {
    const key = `rest ${where} ${kind}`
    const rest = this.#counted.get(key)
    if (rest) rest.count += count
    else {
      const refusal = { address: 'others', agent: null, interface: where, kind, name: 'others', code }
      this.#counted.set(key, { refusal, at: now, count })
    }
  }
}
