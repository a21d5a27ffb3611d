import { ConfigError } from '../config-error.ts'
import { copyUnderWay } from '../installation/copy-marker.ts'
import { markerIn, vaultCheck } from '../installation/secrets.ts'
import { migrations } from '../storage/migrations/index.ts'
import type { Endpoint } from './endpoint.ts'
import { allTables } from './tables.ts'

/** The migrations of this version that a database has and lacks. */
export interface Schema {
  /** Names of migrations, in order. */
  readonly applied: readonly string[]
  readonly pending: readonly string[]
}

/** Throws ConfigError when the database is not Parley's or was made by a newer version. `name` is shown in the message. */
export async function schemaOf(endpoint: Endpoint, name: string): Promise<Schema> {
  const tables = await endpoint.tables()
  const applied = tables.includes('kysely_migration') ? await appliedTo(endpoint) : []
  const unknown = applied.filter((migration) => !(migration in migrations))
  if (unknown.length > 0) {
    throw new ConfigError(`${name} was made by a newer Parley (schema ${unknown.join(', ')}): use that version instead`)
  }
  const others = allTables.filter((table) => tables.includes(table))
  if (applied.length === 0 && others.length > 0) {
    throw new ConfigError(`${name} is not a Parley database, but has tables of the same names (${others.join(', ')})`)
  }
  return { applied, pending: Object.keys(migrations).filter((migration) => !applied.includes(migration)) }
}

async function appliedTo({ db }: Endpoint): Promise<string[]> {
  const rows = await db.selectFrom('kysely_migration').select('name').orderBy('name').execute()
  return rows.map(({ name }) => String(name))
}

/** Returns the check value of the installation's secret key. Throws ConfigError when the database cannot be a source. */
export async function sourceCheck(endpoint: Endpoint, name: string): Promise<string> {
  const { applied, pending } = await schemaOf(endpoint, name)
  if (applied.length === 0) throw new ConfigError(`${name} is not a Parley database`)
  if (pending.length > 0) {
    throw new ConfigError(`${name} was made by an older Parley: bring it to this version first, with parley migrate`)
  }
  const { [vaultCheck]: check, [copyUnderWay]: marker } = await installationOf(endpoint)
  if (marker !== undefined) throw new ConfigError(`${name} is itself the target of a copy that is not finished`)
  if (check === undefined) throw new ConfigError(`${name} holds no installation yet: there is nothing to copy`)
  return check
}

export interface TargetState {
  /** Of an unfinished copy. */
  readonly marker?: string | undefined
  /** Of an installation. */
  readonly vaultCheck?: string | undefined
  readonly empty: boolean
}

/** Throws ConfigError when the database cannot be the target of any copy. */
export async function targetState(endpoint: Endpoint, name: string): Promise<TargetState> {
  const { applied } = await schemaOf(endpoint, name)
  if (applied.length === 0) return { empty: true }
  const { [vaultCheck]: check, [copyUnderWay]: marker, ...others } = await installationOf(endpoint)
  const bare = check === undefined && marker === undefined && Object.keys(others).length === 0
  return { marker, vaultCheck: check, empty: bare && !(await hasRows(endpoint)) }
}

/** Returns what names an installation where its media are. */
export async function mediaMarkerOf(endpoint: Endpoint): Promise<string> {
  return markerIn(new Map(Object.entries(await installationOf(endpoint)))) ?? ''
}

/** Returns what is known about an installation beside its rows, by name. */
export async function installationOf({ db }: Endpoint): Promise<Record<string, string>> {
  const rows = await db.selectFrom('installation').select(['name', 'value']).execute()
  return Object.fromEntries(rows.map(({ name, value }) => [name, String(value)]))
}

/** Works for older schemas too: a table that does not exist has no rows. */
async function hasRows(endpoint: Endpoint): Promise<boolean> {
  const there = await endpoint.tables()
  for (const table of allTables) {
    if (!there.includes(table)) continue
    if (await endpoint.db.selectFrom(table).selectAll().limit(1).executeTakeFirst()) return true
  }
  return false
}
