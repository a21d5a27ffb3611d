import { readdirSync } from 'node:fs'
import { parse } from 'node:path'
import { type Kysely, sql } from 'kysely'
import { type Migration, Migrator } from 'kysely/migration'
import { NewerSchemaError } from '../errors.ts'

/**
 * Numbered steps, in order: every file of this folder whose name begins with a number. A step that has shipped is never edited:
 * add the next one.
 */
export const migrations: Readonly<Record<string, Migration>> = await loadMigrations()

async function loadMigrations(): Promise<Record<string, Migration>> {
  const files = readdirSync(import.meta.dirname).filter((name) => /^\d{4}-[\w-]+\.(js|ts)$/.test(name))
  const loaded = await Promise.all(
    files
      .toSorted()
      .map(async (name): Promise<[string, Migration]> => [parse(name).name, await import(/* @vite-ignore */ `./${name}`)]),
  )
  return Object.fromEntries(loaded)
}

/**
 * Brings the database to this version's schema. Safe to run from several processes at once (the migrator takes a lock).
 * Throws NewerSchemaError.
 */
export async function migrate(db: Kysely<unknown>): Promise<void> {
  const migrator = new Migrator({
    db,
    provider: { getMigrations: async () => ({ ...migrations }) },
    allowUnorderedMigrations: true,
  })
  const tables = await db.introspection.getTables({ withInternalKyselyTables: true })
  if (tables.some((table) => table.name === 'kysely_migration')) {
    const { rows } = await sql<{ name: string }>`select name from kysely_migration`.execute(db)
    const unknown = rows.map((row) => row.name).filter((name) => !(name in migrations))
    if (unknown.length > 0) throw new NewerSchemaError(unknown)
  }
  const { error } = await migrator.migrateToLatest()
  if (error) throw error
}
