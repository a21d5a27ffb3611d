import type { ErrorName } from '../error-catalogue.ts'
import { type ApiError, codeOf, isDiskFull, refuse } from '../errors.ts'

/** What a caller is told: a defect of the program, or a database that cannot take the request now. */
export type FailureKind = Extract<ErrorName, 'serverError' | 'unavailable'>

/** What went wrong, as plain data: it crosses from the writer thread. */
export interface Failure {
  readonly kind: FailureKind
  readonly name: string
  readonly message: string
  readonly code: string | undefined
  /** The stack below its first line. */
  readonly frames: string
}

export function failureOf(error: unknown, isUnavailable: (error: unknown) => boolean): Failure {
  const kind = isUnavailable(error) ? 'unavailable' : 'serverError'
  if (!(error instanceof Error))
    return { kind, name: 'Error', message: `a ${typeof error} was thrown`, code: undefined, frames: '' }
  const stack = error.stack ?? ''
  const first = stack.indexOf('\n    at ')
  return { kind, name: error.name, message: messageOf(error), code: codeOf(error), frames: first < 0 ? '' : stack.slice(first) }
}

/** Parsers, and data exceptions of PostgreSQL (class 22), quote what they were given, which may be anybody's text. */
function messageOf(error: Error): string {
  if (error instanceof SyntaxError) return 'a text could not be parsed'
  const code = codeOf(error)
  return code && /^22...$/.test(code) ? 'data exception' : error.message
}

/** A failure as it is logged: what happened and where. What a driver attaches to its errors quotes rows, and is left out. */
export class StorageError extends Error {
  readonly kind: FailureKind
  readonly code: string | undefined

  /** `what` failed: the name of a command, or a read. */
  constructor(what: string, { kind, name, message, code, frames }: Failure) {
    super(`${what}: ${message}`)
    this.name = name
    this.kind = kind
    this.code = code
    this.stack = `${name}: ${this.message}${frames}`
  }
}

/** Logs a failure by way of `failed`; returns the refusal for its caller, who does not learn the cause. */
export function reported(what: string, failure: Failure, failed: (error: Error) => void): ApiError {
  failed(new StorageError(what, failure))
  return refusalOf(failure)
}

/** Callers of `/v1` do not learn of a full disk; the operator, who can make room, does. */
export function refusalOf(failure: Failure): ApiError {
  return refuse(failure.kind, isDiskFull(failure) ? { full: 'the disk of the database is full' } : {})
}
