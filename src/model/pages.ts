import { createHmac, type KeyObject } from 'node:crypto'
import { refuse } from '../errors.ts'
import type { Reader } from '../storage/database.ts'
import { maxAlternatives, pageOf } from '../storage/rows.ts'
import type { Ancestors, AnyCondition, AnyOrder, AnyResource, BaseRow, Order, Slice } from './declare.ts'
import { fillPage } from './filled-page.ts'
import type { Form } from './form.ts'
import { columnsShown } from './represent.ts'

/** The page that a request asks for. The token alone determines the position; the page number is only repeated in urls. */
export interface PageRequest {
  readonly size: number
  readonly number: number
  readonly token: Token | null
}

interface Position {
  readonly direction: 'forward' | 'backward'
  /** Whether the page includes the row at the key: the token of an empty page repeats the one that led there. */
  readonly inclusive: boolean
  readonly key: number | string
  readonly sid: string
}

interface Token extends Position {
  readonly signature: string
}

/** Signs the positions of one list and order: a list accepts only tokens that it has issued. */
export interface Issuer {
  readonly sign: (position: Position) => string
  readonly accepts: (token: Token) => boolean
}

export interface Page {
  /** The JSON objects of its rows, separated by commas. */
  readonly json: string
  readonly previous: string | null
  readonly next: string | null
}

/** Parses `PageSize`, `Page`, `PageToken`. Too large a size is reduced: official clients send any limit as it is. */
export function pageRequest(query: Form, size: { default: number; max: number }): PageRequest {
  const given = query.last('PageSize')
  if (given !== undefined && !/^[1-9]\d*$/.test(given)) throw refuse('invalidPageSize')
  const number = query.last('Page') ?? ''
  const token = query.last('PageToken')
  return {
    size: given === undefined ? size.default : Math.min(Number(given), size.max),
    number: /^\d{1,9}$/.test(number) ? Number(number) : 0,
    token: token === undefined || token === '' ? null : parseToken(token),
  }
}

/**
 * Reads and renders one page, and reads one row more to know whether another follows. `write` returns the JSON object of a
 * row. Throws 21481 for a token that `issuer` has not signed.
 */
export async function readPage(
  issuer: Issuer,
  { by, direction }: Pick<Order<BaseRow>, 'direction'> & { readonly by: string },
  { size, token }: PageRequest,
  rowsOf: (slice: Slice) => Promise<readonly BaseRow[]>,
  write: (row: BaseRow) => string,
): Promise<Page> {
  if (token && !issuer.accepts(token)) throw refuse('invalidPageToken')
  const backward = token?.direction === 'backward'
  const order = (direction === 'asc') === !backward ? 'asc' : 'desc'
  const { json, first, last, more } = await fillPage(size, {
    read: (row, limit) => rowsOf({ direction: order, after: row ? positionAt(row, by) : token, limit }),
    write,
    backward,
  })
  const [top, bottom] = backward ? [last, first] : [first, last]
  // A token means that the caller came from the other side: there is a page in that direction.
  const hasPrevious = backward ? more : token !== null
  const hasNext = backward ? true : more
  return {
    json,
    previous: hasPrevious ? formatToken('backward', issuer, by, top, token) : null,
    next: hasNext ? formatToken('forward', issuer, by, bottom, token) : null,
  }
}

/** Reads the rows of a slice from the resource's table. `common`: what all of them have, by column; whoever writes them needs none of it. */
export async function storedRows(
  read: Reader,
  resource: AnyResource,
  scope: Readonly<Record<string, string>>,
  order: AnyOrder,
  { direction, after, limit }: Slice,
  common: Readonly<Record<string, string>> = {},
): Promise<readonly BaseRow[]> {
  const where: AnyCondition[] = [
    ...Object.entries(scope).map(([column, value]) => ({ column, operator: '=' as const, value })),
    ...order.where,
  ].map(padValues)
  const query = pageOf<BaseRow>({
    table: resource.table,
    columns: columnsOfPage(resource, order.by, common),
    where: where.map((condition) =>
      condition.operator === 'in' ? { ...condition, places: condition.values.length } : condition,
    ),
    division: order.division,
    by: order.by,
    goneWith: resource.goneWith?.column ?? null,
    direction,
    after: after === null ? null : after.inclusive ? 'from' : 'behind',
  })
  const args: Record<string, unknown> = { limit, after_key: after?.key, after_sid: after?.sid }
  for (const [i, condition] of where.entries()) {
    if (condition.operator !== 'in') args[`where${i}`] = condition.value
    else for (const [j, value] of condition.values.entries()) args[`where${i}_${j}`] = value
  }
  return read.all(query, args)
}

/** Returns the columns that a page is made of; null where a function of the declaration may look at any. */
function columnsOfPage(resource: AnyResource, by: string, common: object): readonly string[] | null {
  if (resource.list?.shown && !resource.currentBy) return null
  const columns = columnsShown(resource, Object.keys(common))
  return columns && [...new Set([...columns, by])]
}

/**
 * Leaves each value once. Many are padded to a power of two by repeating the last, so that a dozen compiled queries serve any
 * number of values.
 */
function padValues(condition: AnyCondition): AnyCondition {
  if (condition.operator !== 'in') return condition
  const values = [...new Set(condition.values)]
  const last = values.at(-1)
  if (last === undefined) throw new Error('a condition with no value')
  if (values.length <= maxAlternatives) return { ...condition, values }
  const missing = 2 ** Math.ceil(Math.log2(values.length)) - values.length
  return { ...condition, values: [...values, ...Array.from({ length: missing }, () => last)] }
}

/** Returns the token of the page that begins at a place of a list, whatever is at the place included. */
export function tokenFrom(issuer: Issuer, { key, sid }: Pick<Position, 'key' | 'sid'>): string {
  return formatToken('forward', issuer, '', undefined, { direction: 'forward', inclusive: true, key, sid, signature: '' })
}

/** Returns a token in base64url: twilio-go corrupts dots (twilio-go#226). */
function formatToken(
  direction: Position['direction'],
  issuer: Issuer,
  by: string,
  row: BaseRow | undefined,
  at: Token | null,
): string {
  const position = row ? positionAt(row, by) : at
  if (!position) throw new Error('an empty page that no token asked for')
  const { key, sid } = position
  const inclusive = row === undefined
  const signature = issuer.sign({ direction, inclusive, key, sid })
  const prefix = direction === 'forward' ? 'PT' : 'PB'
  return prefix + Buffer.from(JSON.stringify([signature, key, sid, ...(inclusive ? [true] : [])])).toString('base64url')
}

/** Returns the position behind a row of a list ordered by this column. */
function positionAt(row: BaseRow, by: string) {
  const key: unknown = Reflect.get(row, by)
  if (!isKey(key)) throw new Error(`a page of rows without ${by}`)
  return { key, sid: row.sid, inclusive: false }
}

/** Keys that page tokens are accepted of; the first signs. */
export type PageSecrets = readonly [KeyObject, ...KeyObject[]]

/** Returns the issuer of all pages of one list in one order, in either path family. `secrets`: the same on every node. */
export function issuerOf(secrets: PageSecrets, resource: AnyResource, ancestors: Ancestors, order: AnyOrder): Issuer {
  const scope = [ancestors.account.sid, ancestors.service?.sid, ...ancestors.parents.map((parent) => parent.sid)]
  const list = [resource.name, scope, order.by]
  const signedBy = (secret: KeyObject, { direction, inclusive, key, sid }: Position) => {
    const signed = JSON.stringify([list, direction, inclusive, key, sid])
    return createHmac('sha256', secret).update(signed).digest('base64url').slice(0, 16)
  }
  return {
    sign: (position) => signedBy(secrets[0], position),
    accepts: (token) => secrets.some((secret) => token.signature === signedBy(secret, token)),
  }
}

function parseToken(text: string): Token {
  const prefix = text.slice(0, 2)
  try {
    if (!/^P[TB][A-Za-z0-9_-]+$/.test(text)) throw refuse('invalidPageToken')
    const bytes = Buffer.from(text.slice(2), 'base64url')
    // Several texts decode to the same bytes: only the one that was issued is accepted.
    if (bytes.toString('base64url') !== text.slice(2)) throw refuse('invalidPageToken')
    const parts: unknown = JSON.parse(bytes.toString())
    if (Array.isArray(parts) && (parts.length === 3 || (parts.length === 4 && parts[3] === true))) {
      const [signature, key, sid]: unknown[] = parts
      if (typeof signature === 'string' && isKey(key) && typeof sid === 'string') {
        const direction = prefix === 'PT' ? 'forward' : 'backward'
        return { direction, signature, key, sid, inclusive: parts.length === 4 }
      }
    }
  } catch {
    // Not a token of Parley: refused below.
  }
  throw refuse('invalidPageToken')
}

function isKey(key: unknown): key is number | string {
  return typeof key === 'string' || Number.isSafeInteger(key)
}
