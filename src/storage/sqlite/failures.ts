import { codeOf } from '../../errors.ts'

/**
 * Result codes, extended ones too, that blame the file, its disk, memory or another process.
 * https://www.sqlite.org/rescode.html
 */
const unavailable = /^SQLITE_(BUSY|CANTOPEN|CORRUPT|FULL|IOERR|LOCKED|NOLFS|NOMEM|NOTADB|PERM|PROTOCOL|READONLY)(_|$)/

/** Whether what was asked may well succeed later. Anything else is a defect of this program. */
export function isUnavailable(error: unknown): boolean {
  return unavailable.test(codeOf(error) ?? '')
}
