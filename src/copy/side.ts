import { explained } from '../cli/explained.ts'
import { ConfigError, type DatabasePlace } from '../config.ts'
import { isLost } from '../storage/postgres/failures.ts'
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

/** For people. Without password, and without parameters, which may hold one. */
export function nameOf(place: DatabasePlace): string {
  if (place.engine === 'sqlite') return `sqlite:${place.file}`
  const { protocol, username, host, pathname } = new URL(place.url)
  return `${protocol}//${username && `${username}@`}${host}${pathname}`
}

/** What stands for a file that cannot be copied, because it is gone with its process. */
export function refuseMemory(place: DatabasePlace, argument: string): void {
  if (place.engine !== 'sqlite' || place.file !== ':memory:') return
  throw new ConfigError(`${argument} names a database in memory, which only its own process can see`)
}

const unreachable = /^(ECONNREFUSED|ENOTFOUND|EAI_AGAIN|ETIMEDOUT|EHOSTUNREACH|ENETUNREACH|57P03)$/
const refused = /^(28P01|28000|3D000|42501|53300)$/

/** Runs what uses a database; turns what a person can mend into a sentence that says how. */
export async function mendable<T>(place: DatabasePlace, work: () => Promise<T>): Promise<T> {
  try {
    return await explained({ database: place }, work)
  } catch (error) {
    if (place.engine === 'sqlite' || error instanceof ConfigError) throw error
    const sentence = sentenceFor(nameOf(place), rootOf(error))
    throw sentence ? new ConfigError(sentence) : error
  }
}

function sentenceFor(server: string, error: { code?: string; message: string }): string | null {
  const { code = '', message } = error
  if (unreachable.test(code) || /^timeout/.test(message)) {
    return `${server} cannot be reached (${message || code}): check host and port, and that PostgreSQL runs`
  }
  if (refused.test(code)) return `${server} does not let Parley in (${message}): check user, password and database`
  if (code === '53100') return `the disk of ${server} is full: make room, and run the same command again`
  return isLost(error) ? `the connection to ${server} was lost (${message}): run the same command again` : null
}

/** A name with several addresses fails once for each. */
function rootOf(error: unknown): { code?: string; message: string } {
  const first = error instanceof AggregateError ? error.errors[0] : error
  return first as { code?: string; message: string }
}
