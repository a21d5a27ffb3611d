/** Numbers that follow from a seed and the number of a request: request n can be made again without those before it. */
export class Random {
  #state: number

  constructor(seed: number, index: number) {
    this.#state = mix(mix(seed >>> 0) ^ mix(Math.floor(index / 2 ** 32)) ^ (index >>> 0))
  }

  /** From 0 up to, but not including, 1 (mulberry32). */
  next(): number {
    this.#state = (this.#state + 0x6d2b79f5) | 0
    let bits = Math.imul(this.#state ^ (this.#state >>> 15), 1 | this.#state)
    bits = (bits + Math.imul(bits ^ (bits >>> 7), 61 | bits)) ^ bits
    return ((bits ^ (bits >>> 14)) >>> 0) / 2 ** 32
  }

  /** A whole number below `limit`. */
  below(limit: number): number {
    return Math.floor(this.next() * limit)
  }

  chance(probability: number): boolean {
    return this.next() < probability
  }

  pick<T>(values: readonly T[]): T {
    if (values.length === 0) throw new Error('there is nothing to pick from')
    return values[this.below(values.length)] as T
  }

  hex(digits: number): string {
    return Array.from({ length: digits }, () => this.below(16).toString(16)).join('')
  }

  bytes(length: number): Buffer {
    return Buffer.from(Array.from({ length }, () => this.below(256)))
  }
}

/** Scatters the bits of a number (the finalizer of MurmurHash3). */
function mix(number: number): number {
  let bits = number ^ (number >>> 16)
  bits = Math.imul(bits, 0x85ebca6b)
  bits ^= bits >>> 13
  bits = Math.imul(bits, 0xc2b2ae35)
  return (bits ^ (bits >>> 16)) >>> 0
}

/** One of several, each as often as its weight says. */
export class Weighted<T> {
  readonly #entries: readonly { readonly value: T; readonly upTo: number }[]
  readonly #total: number

  constructor(weights: readonly (readonly [T, number])[]) {
    let total = 0
    this.#entries = weights.map(([value, weight]) => {
      total += weight
      return { value, upTo: total }
    })
    this.#total = total
  }

  pick(random: Random): T {
    const at = random.next() * this.#total
    const found = this.#entries.find(({ upTo }) => at < upTo) ?? this.#entries.at(-1)
    if (!found) throw new Error('there is nothing to pick from')
    return found.value
  }
}
