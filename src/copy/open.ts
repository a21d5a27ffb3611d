import { ConfigError } from '../config-error.ts'
import type { DatabaseLocation } from '../setting-values.ts'
import type { Endpoint, Source, Target } from './endpoint.ts'

/** Opens a database of either engine for inspection. Only that engine's code is loaded, here and below. */
export async function openEndpoint(location: DatabaseLocation): Promise<Endpoint> {
  if (location.engine === 'sqlite') return (await import('./sqlite.ts')).openSqliteEndpoint(location.file)
  return (await import('./postgres.ts')).openPostgresEndpoint(location.url)
}

export async function openSource(location: DatabaseLocation): Promise<Source> {
  if (location.engine === 'sqlite') return (await import('./sqlite.ts')).openSqliteSource(location.file)
  return (await import('./postgres.ts')).openPostgresSource(location.url)
}

/** Opens a database that servers may be using: what they write from now on is not seen. */
export async function openSnapshot(location: DatabaseLocation): Promise<Source> {
  if (location.engine === 'sqlite') return (await import('./sqlite.ts')).openSqliteSnapshot(location.file)
  return (await import('./postgres.ts')).openPostgresSource(location.url)
}

export async function openTarget(location: DatabaseLocation): Promise<Target> {
  if (location.engine === 'sqlite') return (await import('./sqlite.ts')).openSqliteTarget(location.file)
  return (await import('./postgres.ts')).openPostgresTarget(location.url)
}

/** Throws ConfigError for a database in memory: only its own process can open it. */
export function refuseMemory(location: DatabaseLocation, argument: string): void {
  if (location.engine !== 'sqlite' || location.file !== ':memory:') return
  throw new ConfigError(`${argument} names a database in memory, which only its own process can see`)
}
