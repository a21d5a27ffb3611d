import type { AnyShape } from './shapes.ts'

/** Something else changed what a command had read: it is undone and tried again by the engine, never seen by a caller. */
export class ConflictError extends Error {
  override readonly name = 'ConflictError'
  readonly code = 'PARLEY_CONFLICT'
}

/** Returns the error of a write that has to change a row and changes none: an insert met an equal key, an update another revision. */
export function changedNothing({ plain }: AnyShape): ConflictError {
  if (!plain) return new ConflictError('nothing changed')
  return new ConflictError(`${plain.verb} ${plain.table}: ${plain.verb === 'insert' ? 'taken' : 'changed'} meanwhile`)
}

/** Another process has the database file. The message says what to do. */
export class DatabaseInUseError extends Error {
  override readonly name = 'DatabaseInUseError'
  readonly code = 'PARLEY_DATABASE_IN_USE'

  constructor(file: string, options?: ErrorOptions) {
    super(`${file} is in use by another Parley process: stop it, or give this one its own PARLEY_DATABASE_URL`, options)
  }
}

/** A newer Parley has changed the schema: an old program must not write to one that it does not know. */
export class NewerSchemaError extends Error {
  override readonly name = 'NewerSchemaError'
  readonly code = 'PARLEY_NEWER_SCHEMA'

  /** `migrations`: names of those that this version does not have. */
  constructor(migrations: readonly string[]) {
    super(`the database was made by a newer Parley (schema ${migrations.join(', ')}): start that version instead`)
  }
}

/** A pooler gives every transaction another connection, which loses prepared statements, settings and notices. */
export class PooledByTransactionError extends Error {
  override readonly name = 'PooledByTransactionError'
  readonly code = 'PARLEY_POOLED'

  constructor() {
    super('a pooler in transaction mode is in between: name PostgreSQL itself in PARLEY_DATABASE_URL, or set pool_mode = session')
  }
}
