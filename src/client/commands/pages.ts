import { refuse } from '../../errors.ts'
import type { Form } from '../../model/form.ts'

const defaultSize = 50
const maxSize = 100

/** Parses `PageSize`. */
export function pageSize(query: Form): number {
  const given = query.last('PageSize')
  if (given !== undefined && !/^[1-9]\d{0,8}$/.test(given)) throw refuse('invalidPageSize')
  return given === undefined ? defaultSize : Math.min(Number(given), maxSize)
}

/** Returns a page of rows that are few enough to be read at once. A token is the number of rows before its page. */
export function pageOf<T>(query: Form, rows: readonly T[]) {
  const size = pageSize(query)
  const token = query.last('PageToken') || '0'
  if (!/^\d{1,9}$/.test(token)) throw refuse('invalidPageToken')
  const start = Number(token)
  const meta = {
    previous_token: start > 0 ? String(Math.max(0, start - size)) : null,
    next_token: start + size < rows.length ? String(start + size) : null,
  }
  return { items: rows.slice(start, start + size), meta }
}
