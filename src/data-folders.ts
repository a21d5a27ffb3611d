import { tmpdir } from 'node:os'
import { dirname, join, parse } from 'node:path'
import type { Config } from './config.ts'

/** Returns the file of a secret that is generated at first start; null for a database in memory. */
export function secretFile(
  config: Pick<Config, 'database' | 'dataDir'>,
  kind: 'key' | 'key-previous' | 'admin-token',
): string | null {
  return dataPath(config, kind)
}

/** Returns the folder of uploaded files; null for a database in memory. */
export function mediaFolder(config: Pick<Config, 'database' | 'dataDir'>): string | null {
  return dataPath(config, 'media')
}

/** Returns the folder into which `parley mirror` fetches files; null for a database in memory. */
export function mirrorFolder(config: Pick<Config, 'database' | 'dataDir'>): string | null {
  return dataPath(config, 'mirror')
}

/** Returns the file that lists erasures; null for a database in memory. */
export function ledgerFile(config: Pick<Config, 'database' | 'dataDir'>): string | null {
  return dataPath(config, 'erasures')
}

/** Returns the folder in which data are stored, which need not be there yet; that of temporary files for a database in memory. */
export function dataFolder(config: Pick<Config, 'database' | 'dataDir'>): string {
  const folder = mediaFolder(config)
  return folder === null ? tmpdir() : dirname(folder)
}

/** Returns the folder of the gateway's certificate authority; null for a database in memory. */
export function gatewayFolder(config: Pick<Config, 'database' | 'dataDir'>): string | null {
  return dataPath(config, 'gateway')
}

/** Returns the file that says where the server listens; null unless the database is a SQLite file. */
export function urlFile(config: Pick<Config, 'database' | 'dataDir'>): string | null {
  return config.database.engine === 'sqlite' ? dataPath(config, 'url') : null
}

/** Files are named after the database and lie in its folder unless PARLEY_DATA_DIR names another one. */
function dataPath({ database, dataDir }: Pick<Config, 'database' | 'dataDir'>, kind: string): string | null {
  if (database.engine === 'postgres') return join(dataDir ?? 'data', `parley.${kind}`)
  if (database.file === ':memory:') return null
  return join(dataDir ?? dirname(database.file), `${parse(database.file).name}.${kind}`)
}
