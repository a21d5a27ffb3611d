import { setImmediate as turn } from 'node:timers/promises'
import { parseJsonObject } from '../json.ts'
import { Loop, type Worker } from '../loop.ts'
import { type Database, long, type Tx } from '../storage/database.ts'
import { type Fact, factByName, type factCommands } from '../storage/facts.ts'
import { type Column, rowsAfter, type Table, updateNames } from '../storage/rows.ts'
import { hasSealedCredentials, sealCredentials } from '../urls.ts'
import type { Vault } from '../vault.ts'

/** Rows per transaction. */
const batch = 500

const dayMs = 86_400_000

/** Set once all URLs of a database have been sealed. The name is stored in databases. */
const doneFact = 'webhook_urls_sealed'

/** The columns that hold URLs, or JSON with one, by table. */
const places = [
  place('accounts', ['sid'], ['pre_webhook_url', 'post_webhook_url']),
  place('services', ['sid'], ['pre_webhook_url', 'post_webhook_url']),
  place('addresses', ['account_sid', 'sid'], ['auto_creation']),
  place('channels', ['account_sid', 'proxy_address'], ['settings']),
  place('conversation_webhooks', ['conversation_sid', 'sid', 'service_sid'], ['url']),
  place('deliveries', ['service_sid', 'id'], ['url']),
]

interface Place {
  readonly table: Table
  readonly key: readonly string[]
  readonly columns: readonly string[]
  readonly query: ReturnType<typeof rowsAfter>
}

/** `key`: the primary key. */
function place<T extends Table>(table: T, key: readonly Column<T>[], columns: readonly Column<T>[]): Place {
  return { table, key, columns, query: rowsAfter(table, key, columns) }
}

type Row = Readonly<Record<string, unknown>>

/** A column of a row, and what it is to hold in place of what was read. */
interface Sealing {
  readonly table: Table
  readonly row: Row
  readonly key: readonly string[]
  readonly column: string
  readonly sealed: string
}

/** Stores sealed URLs, except where a request has changed the column since it was read. */
export const sealUrls = long(async (tx: Tx, sealings: readonly Sealing[]): Promise<void> => {
  for (const { table, row, key, column, sealed } of sealings) {
    const query = updateNames(table, [...key, column], [column])
    await tx.run(query, { ...row, [column]: sealed, [`was_${column}`]: row[column] })
    // Rows without a SID are in no cache.
    if (typeof row.sid === 'string') tx.notify({ topic: 'changed', table, sid: row.sid, revision: 0 })
  }
})

export interface UrlSealingOptions {
  readonly database: Database<typeof factCommands & { readonly sealUrls: typeof sealUrls }>
  readonly vault: Vault
  readonly onError: (error: unknown) => void
}

/** Seals, once, the credentials in URLs that a version before sealing has stored in the clear. They are usable meanwhile. */
export class UrlSealing implements Worker {
  readonly #loop: Loop

  constructor({ database, vault, onError }: UrlSealingOptions) {
    this.#loop = new Loop(async (signal) => {
      if (await database.read.one(factByName, { name: doneFact })) return dayMs
      for (const place of places) {
        for await (const sealings of unsealed(database, place, vault)) {
          if (signal.aborted) return dayMs
          if (sealings.length > 0) await database.write('sealUrls', sealings)
          await turn()
        }
      }
      const done: Fact = { name: doneFact, value: 'true' }
      await database.write('setFact', done)
      return dayMs
    }, onError)
  }

  start(): void {
    this.#loop.start()
  }

  stop(): Promise<void> {
    return this.#loop.stop()
  }
}

/** Reads a table in batches. Yields for each what is to be sealed in it. */
async function* unsealed(
  { read }: Pick<Database, 'read'>,
  { table, key, columns, query }: Place,
  vault: Vault,
): AsyncGenerator<readonly Sealing[]> {
  let rows: readonly Row[]
  let after: Row | undefined
  do {
    const start = key.map((column) => [`after_${column}`, after?.[column] ?? ''])
    rows = await read.all(query, { ...Object.fromEntries(start), limit: batch })
    after = rows.at(-1)
    yield rows.flatMap((row) =>
      columns.flatMap((column): Sealing[] => {
        const stored = row[column]
        const sealed = typeof stored === 'string' ? sealStored(stored, vault) : stored
        return typeof sealed === 'string' && sealed !== stored ? [{ table, row, key, column, sealed }] : []
      }),
    )
  } while (rows.length === batch)
}

/** Returns the value of a column with its URL sealed; as it is when there is nothing to seal. */
function sealStored(stored: string, vault: Vault): string {
  const auto = parseJsonObject(stored)
  if (!auto) return sealUrl(stored, vault)
  const name = ['webhook_url', 'url'].find((key) => typeof auto[key] === 'string')
  if (name === undefined) return stored
  return JSON.stringify({ ...auto, [name]: sealUrl(String(auto[name]), vault) })
}

function sealUrl(url: string, vault: Vault): string {
  if (!URL.canParse(url) || hasSealedCredentials(url)) return url
  return sealCredentials(url, (secret) => vault.seal(secret))
}
