import type { Logger } from 'pino'
import { ApiError } from '../errors.ts'
import { isJsonObject } from '../json.ts'
import type { Json } from '../records/format.ts'
import { type HostedClient, HostedError } from '../transfer/hosted/client.ts'
import { differentKeys } from './compare.ts'
import type { Scopes } from './scopes.ts'

/** A row that a read has shown otherwise here than there. */
export interface ReadDifference {
  /** Of the read, as the official description has it. */
  readonly operation: string
  /** Empty where the read shows none. */
  readonly sid: string
  readonly is: 'missing here' | 'missing there' | 'different'
  /** Names of what is different in it. Values are not said: they may be personal. */
  readonly keys: readonly string[]
}

/** What reads have shown since this process was started. */
export interface ReadReport {
  readonly compared: number
  /** Those that could not be compared: pages but the first, failures, and what came while too many were being compared. */
  readonly skipped: number
  /** Reads that were different. */
  readonly different: number
  /** The last of what was different in them, the latest first. */
  readonly differences: readonly ReadDifference[]
}

/** A read that was answered by the hosted side. */
export interface ComparedRead {
  readonly operation: string
  /** With its query. */
  readonly path: string
  /** What it showed there; null: 404. */
  readonly there: Json | null
  /** Makes it here. Throws ApiError. */
  readonly here: () => Promise<Json>
  /** What has to wait for each other with it. */
  readonly scope: () => Promise<string | null>
}

const maxAtOnce = 16
const maxDifferences = 100

/** Makes reads of programs here, too, after they were answered, and notes what is different. */
export class ReadComparison {
  readonly #client: HostedClient
  readonly #scopes: Scopes
  readonly #log: Logger
  readonly #counts = { compared: 0, skipped: 0, different: 0 }
  #differences: readonly ReadDifference[] = []
  readonly #running = new Set<Promise<void>>()

  constructor({ client, scopes, log }: { readonly client: HostedClient; readonly scopes: Scopes; readonly log: Logger }) {
    this.#client = client
    this.#scopes = scopes
    this.#log = log
  }

  get report(): ReadReport {
    return { ...this.#counts, differences: this.#differences }
  }

  /** Nobody waits for it: the caller has the response. */
  offer(read: ComparedRead): void {
    // A token is good on the side that has made it.
    if (this.#running.size >= maxAtOnce || /[?&]PageToken=/i.test(read.path)) return void this.skip()
    const work = this.#compare(read).catch((error: unknown) => {
      this.skip()
      // Paths and refusals may have identities in them.
      const { name } = error instanceof Error ? error : { name: 'unknown' }
      this.#log.warn({ operation: read.operation, name }, 'a read could not be compared')
    })
    this.#running.add(work)
    void work.finally(() => this.#running.delete(work))
  }

  skip(): void {
    this.#counts.skipped++
  }

  /** Resolves when none is being compared. */
  async ended(): Promise<void> {
    while (this.#running.size > 0) await Promise.all(this.#running)
  }

  /** What differs is looked at once more on both sides, when nothing of it is under way. */
  async #compare(read: ComparedRead): Promise<void> {
    const { operation, path, here } = read
    let found = differencesOf(operation, await orNone(here), read.there)
    if (found.length > 0) {
      found = await this.#scopes.run(await read.scope(), async () => {
        const there = await orNone(() => this.#client.get(path))
        return differencesOf(operation, await orNone(here), there)
      })
    }
    this.#counts.compared++
    if (found.length === 0) return
    this.#counts.different++
    this.#differences = [...found, ...this.#differences].slice(0, maxDifferences)
    const [first] = found
    this.#log.warn({ rows: found.length, ...first }, 'a read is not the same on both sides')
  }
}

/** Returns what a read shows; null for 404. */
async function orNone(read: () => Promise<Json>): Promise<Json | null> {
  try {
    return await read()
  } catch (error) {
    const isNone = error instanceof ApiError ? error.entry.status === 404 : error instanceof HostedError && error.status === 404
    if (isNone) return null
    throw error
  }
}

function differencesOf(operation: string, here: Json | null, there: Json | null): ReadDifference[] {
  const [ours, theirs] = [rowsOf(here), rowsOf(there)]
  const missing = [...theirs].flatMap(([sid, row]): ReadDifference[] => {
    const own = ours.get(sid)
    if (!own) return [{ operation, sid, is: 'missing here', keys: [] }]
    const keys = differentKeys(own, row)
    return keys.length > 0 ? [{ operation, sid, is: 'different', keys }] : []
  })
  const more = [...ours.keys()].filter((sid) => !theirs.has(sid))
  return [...missing, ...more.map((sid): ReadDifference => ({ operation, sid, is: 'missing there', keys: [] }))]
}

/** Returns the rows that a response shows, by SID: those of its list, or itself. */
function rowsOf(body: Json | null): Map<string, Json> {
  if (body === null) return new Map()
  const { meta } = body
  const list = isJsonObject(meta) && typeof meta.key === 'string' ? body[meta.key] : null
  const rows = Array.isArray(list) ? list.filter(isJsonObject) : [body]
  // Settings and memberships have none: one is of one conversation.
  return new Map(rows.map((row) => [sidIn(row), row]))
}

function sidIn({ sid, conversation_sid }: Json): string {
  if (typeof sid === 'string') return sid
  return typeof conversation_sid === 'string' ? conversation_sid : ''
}
