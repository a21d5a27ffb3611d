import { catalogue, type ErrorEntry, type ErrorName } from './error-catalogue.ts'

/** The body of an error response, in the key order of Twilio. */
export interface ErrorBody {
  code: number
  message: string
  more_info: string
  status: number
}

/** An error that the client receives. The writer thread passes it on as its name and details. */
export class ApiError extends Error {
  override readonly name = 'ApiError'
  readonly entry: ErrorEntry
  readonly kind: ErrorName
  readonly details: Readonly<Record<string, string>>

  constructor(kind: ErrorName, details: Readonly<Record<string, string>> = {}) {
    const entry: ErrorEntry = catalogue[kind]
    super(entry.message.replace(/\{(\w+)\}/g, (_, name: string) => details[name] ?? ''))
    this.kind = kind
    this.entry = entry
    this.details = details
  }

  body(): ErrorBody {
    const { code, status } = this.entry
    return { code, message: this.message, more_info: `https://www.twilio.com/docs/errors/${code}`, status }
  }
}

/** Returns the error to throw: `throw refuse('notFound', { path })`. */
export function refuse(kind: ErrorName, details?: Readonly<Record<string, string>>): ApiError {
  return new ApiError(kind, details)
}

/** Whether an error says that the program or its database failed. Storage, which throws it, has logged the cause. */
export function isFailure(error: unknown): boolean {
  return error instanceof ApiError && error.entry.status >= 500
}

/** Codes of the system, of SQLite and of PostgreSQL. */
const fullDisk = ['ENOSPC', 'EDQUOT', 'SQLITE_FULL', '53100']

/** Whether an error, or what has crossed from the writer thread of it, says that a disk is full. */
export function isDiskFull(error: unknown): boolean {
  const code = typeof error === 'object' && error !== null && 'code' in error ? error.code : undefined
  return typeof code === 'string' && fullDisk.includes(code)
}

/** Returns what was thrown as an error: JavaScript may throw anything. */
export function errorOf(thrown: unknown): Error {
  return thrown instanceof Error ? thrown : new Error(`a ${typeof thrown} was thrown`, { cause: thrown })
}

/** Returns the `code` of an error of the system, of a driver or of Parley; undefined when it has none. */
export function codeOf(error: unknown): string | undefined {
  return error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : undefined
}
