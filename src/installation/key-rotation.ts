import { setImmediate as turn } from 'node:timers/promises'
import { parseJsonObject } from '../json.ts'
import type { Database } from '../storage/database.ts'
import { factByName, type factCommands, factsOf } from '../storage/facts.ts'
import { mapSealed, type SealedPlace, type SealedRow, type Sealing, type sealColumns, sealedPlaces } from '../storage/sealed.ts'
import type { Vault } from '../vault.ts'
import { markerIn, mediaMarker, previousVaultCheck, retiredKeys, vaultCheck } from './secrets.ts'

/*
 * Replaces the secret key of an installation whose servers run. They have the new key, which encrypts, and the previous one, which only opens:
 *
 *   begin     the previous key is remembered by a check, so that no server starts without it from now on
 *   pass      every encrypted column, batch by batch: what the previous key opens is encrypted with the new one
 *   finish    once nothing is left, the check is forgotten: the previous key is not needed any more
 *
 * No position is stored. What is encrypted with the new key already is left alone, so that a pass can be repeated after any interruption.
 */

export interface RotationOptions {
  readonly database: Database<typeof factCommands & { readonly sealColumns: typeof sealColumns }>
  readonly vault: Vault
}

/** Where a pass goes on: behind a row of a place. */
interface Cursor {
  readonly place: number
  readonly after: SealedRow | null
}

/** What a batch has done. */
export interface Batch {
  readonly table: string
  readonly rows: number
  /** Columns that were encrypted anew. */
  readonly resealed: number
  /** Where to go on; null at the end of the pass. */
  readonly next: string | null
}

/** What is encrypted, by the key that opens it. */
export interface SealedCounts {
  readonly current: number
  readonly previous: number
  /** The columns that still need the previous key, such as `accounts.auth_token`, with how many values. */
  readonly columns: Readonly<Record<string, number>>
}

/** Rows that are read at a time: what is done with them must not hold up other requests. */
const batchRows = 200
/** Columns for each transaction: other writes come in between. */
const transactionColumns = 50

/** The time of the first `begin`; the name is stored in databases. */
const begunFact = 'key_rotation_begun'

/** For so long what has been signed with the previous key may be used: links that carriers have. Sessions of the console end before. */
const grantedMs = 24 * 3_600_000

/** Keeps what a database must not lose with the previous key. To be called before each pass; repeating it changes nothing. */
export async function beginRotation({ database, vault }: RotationOptions, now: number): Promise<void> {
  const names = [vaultCheck, mediaMarker, previousVaultCheck, begunFact]
  const rows = await Promise.all(names.map((name) => database.read.one(factByName, { name })))
  const facts = factsOf(rows.filter((row) => row !== undefined))
  await database.write('setFacts', {
    // The marker follows from the check, which is about to be encrypted anew.
    [mediaMarker]: markerIn(facts) ?? null,
    [retiredKeys]: vault.retire(),
    [previousVaultCheck]: vault.createPreviousCheck(),
    [begunFact]: facts.get(begunFact) ?? String(now),
  })
}

/** Encrypts a batch anew. `cursor`: null at the beginning of a pass. Returns null for a cursor that is none. */
export async function rotateBatch({ database, vault }: RotationOptions, cursor: string | null): Promise<Batch | null> {
  const from = cursor === null ? { place: 0, after: null } : parseCursor(cursor)
  const place = from && sealedPlaces[from.place]
  if (!from || !place) return null
  const rows = await rowsOf(database, place, from.after)
  const sealings = rows.filter(isRotated).flatMap((row) =>
    place.columns.flatMap((column): Sealing[] => {
      const stored = row[column]
      const sealed = typeof stored === 'string' ? reseal(stored, vault) : stored
      return typeof sealed === 'string' && sealed !== stored ? [{ table: place.table, row, key: place.key, column, sealed }] : []
    }),
  )
  let resealed = 0
  for (let i = 0; i < sealings.length; i += transactionColumns) {
    resealed += await database.write('sealColumns', sealings.slice(i, i + transactionColumns))
  }
  return { table: place.table, rows: rows.length, resealed, next: nextOf(from, place, rows) }
}

/** Counts what each key opens. */
export async function countSealed({ database, vault }: RotationOptions): Promise<SealedCounts> {
  const counts = { current: 0, previous: 0 }
  const columns: Record<string, number> = {}
  for (const place of sealedPlaces) {
    let after: SealedRow | null = null
    let rows: readonly SealedRow[]
    do {
      // A reader that has the rows at once would leave no turn to anybody else.
      await turn()
      rows = await rowsOf(database, place, after)
      after = rows.at(-1) ?? null
      for (const row of rows.filter(isRotated)) {
        for (const column of place.columns) {
          const name = `${place.table}.${column}`
          for (const by of openers(row[column], vault)) {
            counts[by]++
            if (by === 'previous') columns[name] = (columns[name] ?? 0) + 1
          }
        }
      }
    } while (rows.length === batchRows)
  }
  return { ...counts, columns }
}

/** Forgets the previous key when nothing needs it any more. Returns the counts, and when what it has signed is over, epoch ms. */
export async function finishRotation(options: RotationOptions, now: number): Promise<SealedCounts & { readonly over: number }> {
  const counts = await countSealed(options)
  const begun = (await options.database.read.one(factByName, { name: begunFact }))?.value
  if (counts.previous === 0) await options.database.write('setFacts', { [previousVaultCheck]: null, [begunFact]: null })
  return { ...counts, over: Number(begun ?? now) + grantedMs }
}

function rowsOf({ read }: RotationOptions['database'], { key, query }: SealedPlace, after: SealedRow | null) {
  const start = key.map((column) => [`after_${column}`, after?.[column] ?? ''])
  return read.all(query, { ...Object.fromEntries(start), limit: batchRows })
}

/** The check of the previous key goes when that key goes. */
function isRotated({ name }: SealedRow): boolean {
  return name !== previousVaultCheck
}

function reseal(stored: string, vault: Vault): string {
  return mapSealed(stored, (sealed) => (vault.openedBy(sealed) === 'previous' ? vault.seal(vault.open(sealed)) : sealed))
}

function openers(stored: unknown, vault: Vault): ('current' | 'previous')[] {
  if (typeof stored !== 'string') return []
  const found: ('current' | 'previous')[] = []
  mapSealed(stored, (sealed) => {
    const by = vault.openedBy(sealed)
    if (by) found.push(by)
    return sealed
  })
  return found
}

function nextOf({ place: index }: Cursor, { key }: SealedPlace, rows: readonly SealedRow[]): string | null {
  const last = rows.at(-1)
  const next: Cursor =
    last && rows.length === batchRows
      ? { place: index, after: Object.fromEntries(key.map((column) => [column, last[column]])) }
      : { place: index + 1, after: null }
  if (next.place === sealedPlaces.length) return null
  return Buffer.from(JSON.stringify(next)).toString('base64url')
}

function parseCursor(text: string): Cursor | null {
  const { place, after } = parseJsonObject(Buffer.from(text, 'base64url').toString()) ?? {}
  if (typeof place !== 'number') return null
  if (after === null) return { place, after }
  const key = sealedPlaces[place]?.key
  const row: SealedRow | null = typeof after === 'object' ? { ...after } : null
  if (!key || !row || !key.every((column) => isText(row[column]))) return null
  return { place, after: row }
}

/** Whether a value can be in a column: PostgreSQL refuses some texts. */
function isText(value: unknown): boolean {
  return typeof value === 'string' && value.isWellFormed() && !value.includes('\0')
}
