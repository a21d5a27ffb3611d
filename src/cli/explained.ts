import { type Config, ConfigError, withoutPassword } from '../config.ts'

/** What a folder or file says that cannot be used. */
const unusable = [
  'EACCES',
  'EPERM',
  'EROFS',
  'ENOTDIR',
  'EEXIST',
  'ENOENT',
  'EISDIR',
  'ENOSPC',
  'SQLITE_CANTOPEN',
  'SQLITE_READONLY',
  'SQLITE_FULL',
]

/** What PostgreSQL or the way to it says when a database cannot be had. */
const unreachable = /^(ECONN|ENOTFOUND|EAI_|ETIMEDOUT|EHOSTUNREACH|ENETUNREACH|08|28|3D000|42501|53300|57P|25006)/
/** The driver has no code for these. */
const driver_says = /timeout|terminated|SSL|SASL|password must be a string/

/** Runs what opens files and databases; turns what a person can mend into a sentence that says how. */
export async function explained<T>(config: Pick<Config, 'database'>, open: () => Promise<T>): Promise<T> {
  try {
    return await open()
  } catch (error) {
    const { code = '', message } = error as { code?: string; message: string }
    if (/in use by another Parley|made by a newer Parley/.test(message)) throw new ConfigError(message)
    throw (
      (config.database.engine === 'sqlite'
        ? explainedFile(config.database.file, code, message)
        : explainedServer(config.database.url, code, message)) ?? error
    )
  }
}

function explainedFile(file: string, code: string, message: string): ConfigError | undefined {
  if (unusable.includes(code))
    return new ConfigError(`the data folder of ${file} cannot be used (${message}): check its owner, or set PARLEY_DATABASE_URL`)
  if (code === 'SQLITE_NOTADB' || code === 'SQLITE_CORRUPT')
    return new ConfigError(`${file} is not a Parley database (${message}): restore a backup, or set PARLEY_DATABASE_URL`)
  return undefined
}

function explainedServer(url: string, code: string, message: string): ConfigError | undefined {
  const shown = withoutPassword(url)
  if (code === '3D000') return new ConfigError(`${shown} is not there (${message}): create it, or set PARLEY_DATABASE_URL`)
  if (unreachable.test(code) || (code === '' && driver_says.test(message)))
    return new ConfigError(
      `${shown} cannot be used (${message || code}): check PARLEY_DATABASE_URL and that the server takes connections`,
    )
  if (unusable.includes(code))
    return new ConfigError(`the data folder cannot be used (${message}): check PARLEY_DATA_DIR and its owner`)
  return undefined
}
