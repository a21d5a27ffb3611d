import type { Db, Engine } from './tables.ts'

/** One end of a copy: a database of either engine. */
export interface Endpoint {
  readonly engine: Engine
  readonly db: Db
  /** Names of all tables. */
  tables(): Promise<string[]>
  close(): Promise<void>
}

/** A database that is copied. `db` is a snapshot: a transaction that sees one state. */
export interface Source extends Endpoint {
  /** Returns the names of the nodes that have it open now. */
  liveNodes(): Promise<string[]>
}

/** A database that is copied into. */
export interface Target extends Endpoint {
  /** The most parameters of a statement. */
  readonly maxParameters: number
  /** Migrates it to this version's schema. */
  prepare(): Promise<void>
  /**
   * Makes commits durable. Until then they do not wait for the disk: a crash of the machine may lose the last batches, and a copy
   * that is continued copies them again.
   */
  settle(): Promise<void>
}
