import type { Db, Engine } from './tables.ts'

/** A database of either engine. */
export interface Side {
  readonly engine: Engine
  readonly db: Db
  /** Names of all tables. */
  tables(): Promise<string[]>
  close(): Promise<void>
}

/** `db` is a transaction: it shows one moment. */
export interface Source extends Side {
  /** Servers that have it open now. */
  liveNodes(): Promise<string[]>
}

export interface Target extends Side {
  /** Of one statement. */
  readonly most_parameters: number
  /** Brings it to this version's schema. */
  prepare(): Promise<void>
  /**
   * Before, commits do not wait for the disk: a crash of the machine may take the last ones along, and a copy goes on behind those
   * that are left. The first commit afterwards waits, for all.
   */
  settle(): Promise<void>
}
