import type { Random } from './random.ts'

/** A row that a server holds: the keys in its path, from the outermost, and the service below which it lies ('' for none). */
export interface LiveRow {
  readonly service: string
  readonly keys: readonly string[]
}

/** Enough to be picked from at random; most rows of a long run are forgotten. */
const max_rows = 64
const max_services = 8
const max_tokens = 16

/** What an account is known to hold: learned from the answers, so that most requests reach a row. */
export class LiveRows {
  default_service = ''
  readonly #rows = new Map<string, LiveRow[]>()
  readonly #tokens = new Map<string, string[]>()
  readonly #deleted: string[] = []

  add(collection: string, row: LiveRow, random: Random): void {
    const rows = this.#of(collection, row.service)
    const max = collection === 'Services' ? max_services : max_rows
    if (rows.some(({ keys }) => keys.join('/') === row.keys.join('/'))) return
    if (rows.length < max) rows.push(row)
    else rows[random.below(max)] = row
  }

  /** A row of the account's own resources, or of the given service. */
  pick(collection: string, service: string, random: Random): LiveRow | undefined {
    const rows = this.#of(collection, service)
    const at = random.below(1_000_000)
    return rows[at % Math.max(1, rows.length)]
  }

  service(random: Random): string {
    return this.pick('Services', '', random)?.keys[0] ?? this.default_service
  }

  remove(collection: string, row: LiveRow): void {
    this.#deleted.push(row.keys.at(-1) ?? '')
    if (this.#deleted.length > max_rows) this.#deleted.shift()
    this.forget(collection, row)
  }

  /** The row, and everything below it. */
  forget(collection: string, { service, keys }: LiveRow): void {
    for (const [name, rows] of this.#rows) {
      const [, below = ''] = name.split('|')
      if (!below.startsWith(collection) || name !== nameOf(below, service)) continue
      const left = rows.filter((row) => keys.some((key, i) => row.keys[i] !== key))
      rows.splice(0, rows.length, ...left)
    }
    if (collection === 'Services')
      for (const name of this.#rows.keys()) if (name.startsWith(`${keys[0]}|`)) this.#rows.delete(name)
  }

  deleted(random: Random): string | undefined {
    const at = random.below(1_000_000)
    return this.#deleted[at % Math.max(1, this.#deleted.length)]
  }

  addToken(collection: string, token: string): void {
    const tokens = this.#tokens.get(collection) ?? []
    this.#tokens.set(collection, [...tokens, token].slice(-max_tokens))
  }

  token(collection: string, random: Random): string | undefined {
    const tokens = this.#tokens.get(collection) ?? []
    const at = random.below(1_000_000)
    return tokens[at % Math.max(1, tokens.length)]
  }

  #of(collection: string, service: string): LiveRow[] {
    const name = nameOf(collection, service)
    const rows = this.#rows.get(name) ?? []
    this.#rows.set(name, rows)
    return rows
  }
}

function nameOf(collection: string, service: string): string {
  return `${service}|${collection}`
}
