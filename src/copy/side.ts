import { ConfigError, type DatabasePlace } from '../config.ts'
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

/** Of either engine; only that engine's code is loaded, here and below. */
export async function lookAt(place: DatabasePlace): Promise<Side> {
  if (place.engine === 'sqlite') return (await import('./sqlite.ts')).lookAtSqlite(place.file)
  return (await import('./postgres.ts')).lookAtPostgres(place.url)
}

export async function openSource(place: DatabasePlace): Promise<Source> {
  if (place.engine === 'sqlite') return (await import('./sqlite.ts')).openSqliteSource(place.file)
  return (await import('./postgres.ts')).openPostgresSource(place.url)
}

export async function openTarget(place: DatabasePlace): Promise<Target> {
  if (place.engine === 'sqlite') return (await import('./sqlite.ts')).openSqliteTarget(place.file)
  return (await import('./postgres.ts')).openPostgresTarget(place.url)
}

/** What stands for a file that cannot be copied, because it is gone with its process. */
export function refuseMemory(place: DatabasePlace, argument: string): void {
  if (place.engine !== 'sqlite' || place.file !== ':memory:') return
  throw new ConfigError(`${argument} names a database in memory, which only its own process can see`)
}
