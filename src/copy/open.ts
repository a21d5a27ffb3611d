import { ConfigError, type DatabasePlace } from '../config.ts'
import type { Side, Source, Target } from './endpoint.ts'

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
