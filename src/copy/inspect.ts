import { ConfigError } from '../config.ts'
import { copyUnderWay } from '../installation/copy-marker.ts'
import { migrations } from '../storage/migrations/index.ts'
import type { Side } from './endpoint.ts'
import { all_tables } from './tables.ts'

/** What a database has of this version's schema. */
export interface Schema {
  /** Names of migrations, in order. */
  readonly applied: readonly string[]
  readonly pending: readonly string[]
}

/** Throws ConfigError when it belongs to something else, or to a newer Parley. `name`: of the database, for people. */
export async function schemaOf(side: Side, name: string): Promise<Schema> {
  const tables = await side.tables()
  const applied = tables.includes('kysely_migration') ? await appliedTo(side) : []
  const unknown = applied.filter((migration) => !(migration in migrations))
  if (unknown.length > 0) {
    throw new ConfigError(`${name} was made by a newer Parley (schema ${unknown.join(', ')}): use that version instead`)
  }
  const others = all_tables.filter((table) => tables.includes(table))
  if (applied.length === 0 && others.length > 0) {
    throw new ConfigError(`${name} is not a Parley database, but has tables of the same names (${others.join(', ')})`)
  }
  return { applied, pending: Object.keys(migrations).filter((migration) => !applied.includes(migration)) }
}

async function appliedTo({ db }: Side): Promise<string[]> {
  const rows = await db.selectFrom('kysely_migration').select('name').orderBy('name').execute()
  return rows.map(({ name }) => name as string)
}

/** The check value of the installation's secret key. Throws ConfigError when the database cannot be a source. */
export async function sourceCheck(side: Side, name: string): Promise<string> {
  const { applied, pending } = await schemaOf(side, name)
  if (applied.length === 0) throw new ConfigError(`${name} is not a Parley database`)
  if (pending.length > 0) {
    throw new ConfigError(`${name} was made by an older Parley: bring it to this version first, with parley migrate`)
  }
  const { vault_check, [copyUnderWay]: mark } = await installationOf(side)
  if (mark !== undefined) throw new ConfigError(`${name} is itself the target of a copy that is not finished`)
  if (vault_check === undefined) throw new ConfigError(`${name} holds no installation yet: there is nothing to copy`)
  return vault_check
}

export interface TargetState {
  /** Of the copy that is under way there. */
  readonly mark?: string | undefined
  /** Of the installation that is there. */
  readonly vault_check?: string | undefined
  readonly empty: boolean
}

/** Throws ConfigError when the database cannot be a target, whatever is to be copied. */
export async function targetState(side: Side, name: string): Promise<TargetState> {
  const { applied } = await schemaOf(side, name)
  if (applied.length === 0) return { empty: true }
  const { vault_check, [copyUnderWay]: mark, ...others } = await installationOf(side)
  const bare = vault_check === undefined && mark === undefined && Object.keys(others).length === 0
  return { mark, vault_check, empty: bare && !(await hasRows(side)) }
}

async function installationOf({ db }: Side): Promise<Record<string, string>> {
  const rows = await db.selectFrom('installation').select(['name', 'value']).execute()
  return Object.fromEntries(rows.map(({ name, value }) => [name, value as string]))
}

/** Of an older schema too: a table that is not there has none. */
async function hasRows(side: Side): Promise<boolean> {
  const there = await side.tables()
  for (const table of all_tables) {
    if (!there.includes(table)) continue
    if (await side.db.selectFrom(table).selectAll().limit(1).executeTakeFirst()) return true
  }
  return false
}
