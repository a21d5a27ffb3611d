import { ConfigError, type DatabasePlace } from '../config.ts'
import type { Endpoint, Source, Target } from './endpoint.ts'

/** Opens a database of either engine for inspection. Only that engine's code is loaded, here and below. */
export async function openEndpoint(place: DatabasePlace): Promise<Endpoint> {
  if (place.engine === 'sqlite') return (await import('./sqlite.ts')).openSqliteEndpoint(place.file)
  return (await import('./postgres.ts')).openPostgresEndpoint(place.url)
}

export async function openSource(place: DatabasePlace): Promise<Source> {
  if (place.engine === 'sqlite') return (await import('./sqlite.ts')).openSqliteSource(place.file)
  return (await import('./postgres.ts')).openPostgresSource(place.url)
}

export async function openTarget(place: DatabasePlace): Promise<Target> {
  if (place.engine === 'sqlite') return (await import('./sqlite.ts')).openSqliteTarget(place.file)
  return (await import('./postgres.ts')).openPostgresTarget(place.url)
}

/** Throws ConfigError for a database in memory: only its own process can open it. */
export function refuseMemory(place: DatabasePlace, argument: string): void {
  if (place.engine !== 'sqlite' || place.file !== ':memory:') return
  throw new ConfigError(`${argument} names a database in memory, which only its own process can see`)
}
