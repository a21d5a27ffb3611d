import { hash } from 'node:crypto'
import { refuse } from '../errors.ts'
import type { Reader } from '../storage/database.ts'
import { pageOf, type Table } from '../storage/rows.ts'
import type { AnyResource, BaseRow, Condition, Order } from './declare.ts'
import type { Form } from './form.ts'

/** What of a request chooses a page. The token alone decides the position; the page number is the client's bookkeeping. */
export interface PageRequest {
  readonly size: number
  readonly number: number
  readonly token: Token | null
}

interface Token {
  readonly direction: 'forward' | 'backward'
  /** Which list and order issued it. */
  readonly list: string
  /** Whether the row it points to is wanted too: a page with no rows has none of its own to point to. */
  readonly inclusive: boolean
  readonly key: number | string
  readonly sid: string
}

export interface Page {
  readonly rows: readonly BaseRow[]
  readonly previous: string | null
  readonly next: string | null
}

/** Reads `PageSize`, `Page`, `PageToken`. Too large a size is clamped: official clients send any limit unclamped. */
export function pageRequest(query: Form, size: { default: number; max: number }): PageRequest {
  const given = query.last('PageSize')
  if (given !== undefined && !/^[1-9]\d*$/.test(given)) throw refuse('invalidPageSize')
  const number = query.last('Page') ?? ''
  const token = query.last('PageToken')
  return {
    size: given === undefined ? size.default : Math.min(Number(given), size.max),
    number: /^\d{1,9}$/.test(number) ? Number(number) : 0,
    token: token === undefined || token === '' ? null : readToken(token),
  }
}

/** Reads one page and looks one row ahead: a full last page has no next. */
export async function readPage(
  read: Reader,
  resource: AnyResource,
  within: Readonly<Record<string, string>>,
  order: Order,
  { size, token }: PageRequest,
): Promise<Page> {
  const issuer = issuerOf(resource, within, order)
  if (token && token.list !== issuer) throw refuse('invalidPageToken')
  if (resource.table === null) return { rows: [], previous: null, next: null }
  const backward = token?.direction === 'backward'
  const where: Condition[] = [
    ...Object.entries(within).map(([column, value]) => ({ column, operator: '=' as const, value })),
    ...order.where,
  ]
  const query = pageOf<BaseRow>({
    table: resource.table as Table,
    where,
    by: order.by,
    direction: (order.direction === 'asc') === !backward ? 'asc' : 'desc',
    after: token === null ? null : token.inclusive ? 'from' : 'behind',
  })
  const args: Record<string, unknown> = { limit: size + 1, after_key: token?.key, after_sid: token?.sid }
  for (const [i, condition] of where.entries()) args[`where${i}`] = condition.value
  const found = await read.all(query, args)
  const rows = found.slice(0, size)
  const more = found.length > size
  if (backward) rows.reverse()
  // Going forward there is something before as soon as there was a token; going back there is something behind.
  const hasPrevious = backward ? more : token !== null
  const hasNext = backward ? true : more
  return {
    rows,
    previous: hasPrevious ? writeToken('backward', issuer, order.by, rows[0], token) : null,
    next: hasNext ? writeToken('forward', issuer, order.by, rows.at(-1), token) : null,
  }
}

/** Letters of base64url only: twilio-go spoils dots (twilio-go#226). */
function writeToken(
  direction: Token['direction'],
  list: string,
  by: string,
  row: BaseRow | undefined,
  at: Token | null,
): string | null {
  const key = row ? (row as unknown as Record<string, number | string>)[by] : at?.key
  const sid = row?.sid ?? at?.sid
  const prefix = direction === 'forward' ? 'PT' : 'PB'
  return prefix + Buffer.from(JSON.stringify([list, key, sid, ...(row ? [] : [true])])).toString('base64url')
}

/** Short, and the same for every page of one list in one order. */
function issuerOf(resource: AnyResource, within: Readonly<Record<string, string>>, order: Order): string {
  return hash('sha256', JSON.stringify([resource.name, within, order.by]), 'base64url').slice(0, 8)
}

function readToken(text: string): Token {
  const prefix = text.slice(0, 2)
  try {
    if (!/^P[TB][A-Za-z0-9_-]+$/.test(text)) throw refuse('invalidPageToken')
    const parts: unknown = JSON.parse(Buffer.from(text.slice(2), 'base64url').toString())
    if (Array.isArray(parts) && (parts.length === 3 || (parts.length === 4 && parts[3] === true))) {
      const [list, key, sid] = parts as unknown[]
      const ordered = typeof key === 'string' || Number.isSafeInteger(key)
      if (typeof list === 'string' && ordered && typeof sid === 'string') {
        const direction = prefix === 'PT' ? 'forward' : 'backward'
        return { direction, list, key: key as number | string, sid, inclusive: parts.length === 4 }
      }
    }
  } catch {
    // Not ours: refused below like any other.
  }
  throw refuse('invalidPageToken')
}
