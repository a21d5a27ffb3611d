import { type Kysely, sql } from 'kysely'
import type { Migration } from 'kysely/migration'
import { NewerSchemaError } from '../errors.ts'

/**
 * Numbered steps, in order: every file of this folder whose name begins with a number. A step that has shipped is never edited:
 * add the next one. Each is loaded when it is applied. One whose name ends with `-additive` leaves a schema that the version before it can
 * work with: that is all an older program knows of it (docs/upgrades.md).
 */
export const migrations: Readonly<Record<string, Migration>> = {
  '0001-first': step(() => import('./0001-first.ts')),
  '0002-kinds-of-deliveries': step(() => import('./0002-kinds-of-deliveries.ts')),
  '0003-bounds': step(() => import('./0003-bounds.ts')),
  '0004-initial-state': step(() => import('./0004-initial-state.ts')),
  '0005-email-participants': step(() => import('./0005-email-participants.ts')),
  '0006-channel-metadata': step(() => import('./0006-channel-metadata.ts')),
  '0007-contents': step(() => import('./0007-contents.ts')),
  '0008-expired-media': step(() => import('./0008-expired-media.ts')),
  '0009-messaging-services': step(() => import('./0009-messaging-services.ts')),
  '0010-client-events': step(() => import('./0010-client-events.ts')),
  '0011-presence': step(() => import('./0011-presence.ts')),
  '0012-push': step(() => import('./0012-push.ts')),
  '0013-channel-kinds': step(() => import('./0013-channel-kinds.ts')),
  '0014-last-updated-by': step(() => import('./0014-last-updated-by.ts')),
  '0015-mail': step(() => import('./0015-mail.ts')),
  '0016-state-changed': step(() => import('./0016-state-changed.ts')),
  '0017-mailbox-since': step(() => import('./0017-mailbox-since.ts')),
  '0018-search': step(() => import('./0018-search.ts')),
  '0019-erasures': step(() => import('./0019-erasures.ts')),
  '0020-retention': step(() => import('./0020-retention.ts')),
  '0021-audit': step(() => import('./0021-audit.ts')),
  '0022-operators': step(() => import('./0022-operators.ts')),
  '0023-restricted-keys': step(() => import('./0023-restricted-keys.ts')),
  '0024-mirror': step(() => import('./0024-mirror.ts')),
  '0025-erasure-files': step(() => import('./0025-erasure-files.ts')),
  '0026-search-by-words': step(() => import('./0026-search-by-words.ts')),
  '0027-delivery-responses-additive': step(() => import('./0027-delivery-responses-additive.ts')),
  '0028-search-by-segment-additive': step(() => import('./0028-search-by-segment-additive.ts')),
  '0029-lists-by-state-additive': step(() => import('./0029-lists-by-state-additive.ts')),
  '0030-messages-by-sid-additive': step(() => import('./0030-messages-by-sid-additive.ts')),
}

function step(load: () => Promise<Migration>): Migration {
  return { up: async (db) => (await load()).up(db) }
}

/**
 * Brings the database to this version's schema. Safe to run from several processes at once (the migrator takes a lock).
 * Leaves a schema to which a newer version has only added as it is. Throws NewerSchemaError.
 */
export async function migrate(db: Kysely<unknown>): Promise<void> {
  const applied = await appliedTo(db)
  if (isCurrent(applied)) return
  const unknown = applied.filter((name) => !(name in migrations))
  if (unknown.length > 0) {
    const hasAllOfOurs = Object.keys(migrations).every((name) => applied.includes(name))
    if (hasAllOfOurs && unknown.every(isAdditive)) return
    throw new NewerSchemaError(unknown)
  }
  // Loaded here because most starts do not need it.
  const { Migrator } = await import('kysely/migration')
  const migrator = new Migrator({
    db,
    provider: { getMigrations: async () => ({ ...migrations }) },
    allowUnorderedMigrations: true,
  })
  const pending = Object.keys(migrations).filter((name) => !applied.includes(name))
  // Nodes of the version before may be at work: each migration is a transaction, which holds no lock longer than it needs itself.
  const oneByOne = pending.every(isAdditive)
  for (let left = oneByOne ? pending.length : 1; left > 0; left--) {
    const { error } = await (oneByOne ? migrator.migrateUp() : migrator.migrateToLatest())
    if (error) throw error
  }
}

/** Whether a migration, of this version or of a later one, adds to the schema only what a program that does not know it can ignore. */
export function isAdditive(name: string): boolean {
  return name.endsWith('-additive')
}

/** Whether a database that has these migrations has all there are, and no other. */
export function isCurrent(applied: readonly string[]): boolean {
  return applied.length === Object.keys(migrations).length && applied.every((name) => name in migrations)
}

/** Returns the names of the migrations that the database has. */
async function appliedTo(db: Kysely<unknown>): Promise<string[]> {
  const tables = await db.introspection.getTables({ withInternalKyselyTables: true })
  if (!tables.some((table) => table.name === 'kysely_migration')) return []
  const { rows } = await sql<{ name: string }>`select name from kysely_migration`.execute(db)
  return rows.map((row) => row.name)
}
