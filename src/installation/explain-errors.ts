import type { Config } from '../config.ts'
import { ConfigError } from '../config-error.ts'
import { ApiError, codeOf, isDiskFull } from '../errors.ts'
import { type DatabaseLocation, databaseLabel } from '../setting-values.ts'
import { DatabaseInUseError, NewerSchemaError, PooledByTransactionError } from '../storage/errors.ts'
import { isAccessRefused, isConnectTimeout, isLost } from '../storage/postgres/failures.ts'

/** Codes of errors of a folder or file that cannot be used. */
const unusable = [
  'EACCES',
  'EPERM',
  'EROFS',
  'ENOTDIR',
  'EEXIST',
  'ENOENT',
  'EISDIR',
  'ELOOP',
  'ENAMETOOLONG',
  'SQLITE_CANTOPEN',
  'SQLITE_READONLY',
]

/** Their messages are for the operator. */
const sayWhatToDo = [DatabaseInUseError, NewerSchemaError, PooledByTransactionError]

/** Codes of errors when PostgreSQL does not respond, and when it refuses the connection. */
const unreachable = /^(ECONNREFUSED|ENOTFOUND|EAI_AGAIN|ETIMEDOUT|EHOSTUNREACH|ENETUNREACH|57P03)$/
const refused = /^(28P01|28000|3D000|42501)$/
/** Any other error code of PostgreSQL. */
const sqlstate = /^[0-9A-Z]{5}$/

/** Runs `open`. Turns errors of files and databases that the operator can remedy into a ConfigError that says how. */
export async function explainErrors<T>(config: Pick<Config, 'database'>, open: () => Promise<T>): Promise<T> {
  try {
    return await open()
  } catch (error) {
    if (error instanceof ConfigError) throw error
    const sentence = sentenceFor(config.database, rootOf(error))
    throw sentence ? new ConfigError(sentence, { cause: error }) : error
  }
}

/** A connection to a host with several addresses fails once for each. */
function rootOf(error: unknown): unknown {
  return error instanceof AggregateError ? error.errors[0] : error
}

function sentenceFor(location: DatabaseLocation, error: unknown): string | null {
  if (!(error instanceof Error)) return null
  if (sayWhatToDo.some((kind) => error instanceof kind)) return error.message
  // Storage has logged what a read or a write failed of, and why.
  if (error instanceof ApiError && error.kind === 'unavailable') {
    return `${databaseLabel(location)} cannot be read or written (see the log): restore a backup, or set PARLEY_DATABASE_URL`
  }
  return location.engine === 'sqlite' ? aboutFile(location.file, error) : aboutServer(databaseLabel(location), error)
}

function aboutFile(file: string, error: Error): string | null {
  const { message } = error
  const code = codeOf(error) ?? ''
  if (isDiskFull(error)) return `the disk of ${file} is full: free some space, and run the same command again`
  if (unusable.includes(code)) {
    return `the data folder of ${file} cannot be used (${message}): check its owner, or set PARLEY_DATABASE_URL`
  }
  if (code === 'SQLITE_NOTADB' || code === 'SQLITE_CORRUPT') {
    return `${file} is not a Parley database (${message}): restore a backup, or set PARLEY_DATABASE_URL`
  }
  return null
}

function aboutServer(server: string, error: Error): string | null {
  const { message } = error
  const code = codeOf(error) ?? ''
  if (unreachable.test(code) || isConnectTimeout(error)) {
    return `${server} cannot be reached (${message || code}): check PARLEY_DATABASE_URL, and that PostgreSQL is running`
  }
  if (refused.test(code) || isAccessRefused(error)) {
    return `${server} refuses the connection (${message}): check user, password and database in PARLEY_DATABASE_URL`
  }
  if (code === '53300') return `${server} has no free connection (${message}): raise its max_connections`
  if (isDiskFull(error)) return `the disk of ${server} is full: free some space, and run the same command again`
  if (unusable.includes(code)) return `the data folder cannot be used (${message}): check PARLEY_DATA_DIR and its owner`
  if (isLost(error)) {
    return `the connection to ${server} was lost (${message}): run the same command again`
  }
  if (sqlstate.test(code)) return `${server} cannot be used (${message}): check PARLEY_DATABASE_URL and its parameters`
  return null
}
