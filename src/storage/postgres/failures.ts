import { DatabaseError } from 'pg'
import { codeOf } from '../../errors.ts'
import { ConflictError } from '../errors.ts'

/** No connection or no turn became free in time. */
export class OverdueError extends Error {
  override readonly name = 'OverdueError'
  readonly code = 'PARLEY_OVERDUE'
}

/** No connection could be made, for a reason that has no code of its own. */
export class ConnectError extends Error {
  override readonly name = 'ConnectError'
  readonly code = 'PARLEY_CONNECT'
}

/**
 * The driver gives no code when a connection is gone, when it does not answer in time, and when the server's terms of access
 * cannot be met. Its words are matched here and nowhere else.
 */
const driverSays = {
  lost: /^(Connection terminated|timeout|Query read timeout|Client .*not queryable)/,
  overdue: /timeout/i,
  unanswered: /^timeout/,
  refused: /SSL|SASL|password must be a string/,
}

function says(error: unknown, words: RegExp): boolean {
  return error instanceof Error && codeOf(error) === undefined && words.test(error.message)
}

/** Codes of the network; Node's own `ERR_…` tell of a wrong call. */
const network = /^E(?!RR_)[A-Z_]+$/
/** Connection exceptions, shutdown and crash, too many connections, a database that is only a copy now. */
const gone = /^(08...|57P..|53300|25006)$/

/** Whether a transaction cannot be begun because the database is only a copy now. Other settings of it are not refused in this way. */
function isCopy(error: unknown): boolean {
  return error instanceof DatabaseError && error.code === '0A000' && error.routine === 'call_bool_check_hook'
}

/** The connection is gone or the database is: nothing was wrong with what was asked. */
export function isLost(error: unknown): boolean {
  const code = codeOf(error)
  if (code === undefined) return says(error, driverSays.lost)
  return error instanceof OverdueError || network.test(code) || gone.test(code) || isCopy(error)
}

/** The same, known at once: trying again on another connection does not make anybody wait longer. */
export function isBroken(error: unknown): boolean {
  return isLost(error) && !isOverdue(error)
}

function isOverdue(error: unknown): boolean {
  return error instanceof OverdueError || says(error, driverSays.overdue)
}

/** A full disk, or memory. */
export function isOutOfRoom(error: unknown): boolean {
  return codeOf(error)?.startsWith('53') ?? false
}

/**
 * Whether a statement was prepared before its table got another column. Its message is in the language of the server; the name of the
 * function that refuses is not.
 */
export function isPlanOutdated(error: unknown): boolean {
  return error instanceof DatabaseError && error.code === '0A000' && error.routine === 'RevalidateCachedQuery'
}

/** A lock was not had in time, or not without a deadlock: whoever lets go of what they have, and comes again, will have it. */
export function isLocked(error: unknown): boolean {
  return ['40P01', '55P03'].includes(codeOf(error) ?? '')
}

/** Others were in the way: a serialization failure, a deadlock, a lock not had in time, a name taken meanwhile, a changed table. */
export function isContention(error: unknown): boolean {
  if (isPlanOutdated(error) || isLocked(error)) return true
  return error instanceof ConflictError || ['40001', '23505'].includes(codeOf(error) ?? '')
}

/** The database ends its connections: after a commit was sent, that is no answer to it. */
export function isGoingDown(error: unknown): boolean {
  return /^(57P|08)/.test(codeOf(error) ?? '')
}

/**
 * Classes of SQLSTATE that blame the database, others in it, or the way to it: connection, access, missing database, contention,
 * resources, object state, operator's intervention, system, PostgreSQL's own errors (a damaged page among them).
 */
const unavailable = /^(08|28|3D|40|53|55|57|58|XX)...$|^(25006|25P03|25P04)$/

/** Whether what was asked may well succeed later. Anything else is a defect of this program. */
export function isUnavailable(error: unknown): boolean {
  return isLost(error) || error instanceof ConnectError || unavailable.test(codeOf(error) ?? '')
}

/** Whether a server does not let Parley in, for a reason that only the driver knows. */
export function isAccessRefused(error: unknown): boolean {
  return says(error, driverSays.refused)
}

/** Whether nobody answered in time when a connection was to be made. */
export function isConnectTimeout(error: unknown): boolean {
  return error instanceof OverdueError || says(error, driverSays.unanswered)
}
