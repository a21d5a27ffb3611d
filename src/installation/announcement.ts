import { existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import type { Config } from '../config.ts'
import { urlFile } from '../data-folders.ts'
import { endpointOf } from '../urls.ts'
import type { Endpoint } from './identity.ts'

/**
 * Writes where a server listens into a file beside its database, so that commands find it on whatever port it is. Returns what
 * removes the file. Only a SQLite file has one: nodes that share PostgreSQL are several. It is a hint that whoever reads it verifies,
 * so a server that was killed may leave it behind, and one that cannot write it runs all the same.
 */
export function announceUrl(config: Config, url: string): () => void {
  const file = urlFile(config)
  if (file === null) return () => {}
  try {
    writeFileSync(file, `${url}\n`, { mode: 0o600 })
  } catch {
    return () => {}
  }
  return () => rmSync(file, { force: true })
}

/** Returns where the server of this installation says that it listens; null when it says nothing. */
export function announcedEndpoint(config: Config): Endpoint | null {
  const file = urlFile(config)
  return file !== null && existsSync(file) ? endpointOf(readFileSync(file, 'utf8').trim()) : null
}
