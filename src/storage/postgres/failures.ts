import { Conflict } from '../database.ts'

/** What the driver says, without a code, when a connection is gone or does not answer in time. */
const driver_says = /^(Connection terminated|timeout|Query read timeout|Client .*not queryable)/

/** The connection is gone or the database is: nothing was wrong with what was asked. */
export function isLost(error: unknown): boolean {
  const { code, message } = error as { code?: string; message: string }
  if (code === undefined) return driver_says.test(message)
  // The network's codes; connection exceptions, shutdown and crash, too many connections, a database that is only a copy now.
  return /^(E[A-Z_]+|08...|57P..|53300|25006)$/.test(code)
}

/** The same, known at once: trying again on another connection does not make anybody wait longer. */
export function isBroken(error: unknown): boolean {
  return isLost(error) && !/timeout/i.test((error as Error).message)
}

/** A full disk, or memory. */
export function isOutOfRoom(error: unknown): boolean {
  return /^53/.test((error as { code?: string }).code ?? '')
}

/** Others were in the way: a serialization failure, a deadlock, a lock not had in time, a name taken meanwhile. */
export function isContention(error: unknown): boolean {
  return error instanceof Conflict || ['40001', '40P01', '55P03', '23505'].includes((error as { code?: string }).code ?? '')
}
