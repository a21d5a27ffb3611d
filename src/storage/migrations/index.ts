import type { Kysely } from 'kysely'
import { type Migration, Migrator } from 'kysely/migration'
import { NewerSchemaError } from '../errors.ts'
import * as first from './0001-first.ts'
import * as kindsOfDeliveries from './0002-kinds-of-deliveries.ts'

/** Numbered steps, in order. A step that has shipped is never edited: add the next one. */
export const migrations: Readonly<Record<string, Migration>> = {
  '0001-first': first,
  '0002-kinds-of-deliveries': kindsOfDeliveries,
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
    const done = await (db as Kysely<{ kysely_migration: { name: string } }>)
      .selectFrom('kysely_migration')
      .select('name')
      .execute()
    const unknown = done.map((row) => row.name).filter((name) => !(name in migrations))
    if (unknown.length > 0) throw new NewerSchemaError(unknown)
  }
  const { error } = await migrator.migrateToLatest()
  if (error) throw error
}
