import { setImmediate as turn } from 'node:timers/promises'
import { parseJsonObject } from '../json.ts'
import { Loop, type Worker } from '../loop.ts'
import type { Database } from '../storage/database.ts'
import { type Fact, factByName, type factCommands } from '../storage/facts.ts'
import { type SealedPlace, type SealedRow, type Sealing, type sealColumns, sealedPlaces } from '../storage/sealed.ts'
import { hasSealedCredentials, sealCredentials } from '../urls.ts'
import type { Vault } from '../vault.ts'

/** Rows per transaction. */
const batch = 500

const dayMs = 86_400_000

/** Set once all URLs of a database have been sealed. The name is stored in databases. */
const doneFact = 'webhook_urls_sealed'

/** The tables with columns that hold URLs, or JSON with one. */
const tables: ReadonlySet<string> = new Set([
  'accounts',
  'services',
  'addresses',
  'channels',
  'conversation_webhooks',
  'deliveries',
])

const places = sealedPlaces.filter(({ table }) => tables.has(table))

export interface UrlSealingOptions {
  readonly database: Database<typeof factCommands & { readonly sealColumns: typeof sealColumns }>
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
          if (sealings.length > 0) await database.write('sealColumns', sealings)
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
  { table, key, columns, query }: SealedPlace,
  vault: Vault,
): AsyncGenerator<readonly Sealing[]> {
  let rows: readonly SealedRow[]
  let after: SealedRow | undefined
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
