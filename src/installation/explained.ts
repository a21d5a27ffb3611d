import { type Config, ConfigError, type DatabasePlace, shownPlace } from '../config.ts'
import { isLost } from '../storage/postgres/failures.ts'

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

/** What PostgreSQL or the way to it says when nobody answers there, and when it does not want to. */
const unreachable = /^(ECONNREFUSED|ENOTFOUND|EAI_AGAIN|ETIMEDOUT|EHOSTUNREACH|ENETUNREACH|57P03)$/
const refused = /^(28P01|28000|3D000|42501)$/
/** Any other that the server itself gives. */
const sqlstate = /^[0-9A-Z]{5}$/
/** The driver has no code for these. */
const refused_words = /SSL|SASL|password must be a string/

interface Failure {
  readonly code?: string
  readonly message: string
}

/** Runs what opens files and databases; turns what a person can mend into a sentence that says how. */
export async function explained<T>(config: Pick<Config, 'database'>, open: () => Promise<T>): Promise<T> {
  try {
    return await open()
  } catch (error) {
    if (error instanceof ConfigError) throw error
    const sentence = sentenceFor(config.database, rootOf(error))
    throw sentence ? new ConfigError(sentence) : error
  }
}

/** A name with several addresses fails once for each. */
function rootOf(error: unknown): Failure {
  return (error instanceof AggregateError ? error.errors[0] : error) as Failure
}

function sentenceFor(place: DatabasePlace, { code = '', message }: Failure): string | null {
  if (/in use by another Parley|made by a newer Parley/.test(message)) return message
  return place.engine === 'sqlite' ? aboutFile(place.file, code, message) : aboutServer(shownPlace(place), code, message)
}

function aboutFile(file: string, code: string, message: string): string | null {
  if (unusable.includes(code)) {
    return `the data folder of ${file} cannot be used (${message}): check its owner, or set PARLEY_DATABASE_URL`
  }
  if (code === 'SQLITE_NOTADB' || code === 'SQLITE_CORRUPT') {
    return `${file} is not a Parley database (${message}): restore a backup, or set PARLEY_DATABASE_URL`
  }
  return null
}

function aboutServer(server: string, code: string, message: string): string | null {
  if (unreachable.test(code) || (code === '' && /^timeout/.test(message))) {
    return `${server} cannot be reached (${message || code}): check PARLEY_DATABASE_URL, and that PostgreSQL runs`
  }
  if (refused.test(code) || (code === '' && refused_words.test(message))) {
    return `${server} does not let Parley in (${message}): check user, password and database in PARLEY_DATABASE_URL`
  }
  if (code === '53300') return `${server} has no connection left (${message}): raise its max_connections`
  if (code === '53100') return `the disk of ${server} is full: make room, and run the same command again`
  if (unusable.includes(code)) return `the data folder cannot be used (${message}): check PARLEY_DATA_DIR and its owner`
  if (isLost({ code: code || undefined, message })) {
    return `the connection to ${server} was lost (${message}): run the same command again`
  }
  if (sqlstate.test(code)) return `${server} cannot be used (${message}): check PARLEY_DATABASE_URL, its parameters too`
  return null
}
