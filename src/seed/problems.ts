/** The most problems of a seed that are listed: one mistake may have many followers. */
const maxListed = 20

/** Everything that is wrong with a seed, each with where it is. */
export class Problems {
  readonly #all: string[] = []

  /** `place`: such as `accounts[0].users[1]`; empty for the whole seed. */
  add(place: string, sentence: string): void {
    this.#all.push(place === '' ? `the seed ${sentence}` : `${place} ${sentence}`)
  }

  get some(): boolean {
    return this.#all.length > 0
  }

  /** One sentence for each. */
  get list(): readonly string[] {
    const more = this.#all.length - maxListed
    return [...this.#all.slice(0, maxListed), ...(more > 0 ? [`and ${more} more`] : [])]
  }
}
