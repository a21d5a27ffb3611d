import { refuse } from '../errors.ts'
import { isSid } from '../sids.ts'
import type { Reader } from '../storage/database.ts'
import { accountBySid, serviceOfAccount } from '../storage/lookups.ts'
import { rowsBy, rowsByNames } from '../storage/rows.ts'
import type { Ancestors, AnyResource, BaseRow, Facts, FactsUnder, Under } from './declare.ts'

/** The parsed path of a request. Plain data: it is resolved again inside the transaction. */
export interface ResourcePath {
  readonly account_sid: string
  /** Null in the default family: the account's default service at the time of the transaction. */
  readonly service_sid: string | null
  /** What the default service was when the request came: read at the same time as its account, and again where it is another one now. */
  readonly expected_service_sid?: string
  /** SIDs or names of the parents, outermost first. */
  readonly parents: readonly string[]
  /** SID or name of the instance; null for a collection or a singleton. */
  readonly key: string | null
  /** As requested, without `/v1` and query, for the message of a 404. */
  readonly text: string
}

/** The SIDs of a row's ancestors below its account. */
export interface AncestorSids {
  readonly service: { readonly sid: string } | null
  readonly parents: readonly { readonly sid: string }[]
}

const removalBySid = rowsBy('removals', ['sid'])

/** Returns the parent resources in the path, outermost first. */
export function ancestorsOf(resource: AnyResource): readonly AnyResource[] {
  const under: Under = resource.under
  return typeof under === 'string' ? [] : [...ancestorsOf(under), under]
}

/** Returns the path families of a resource: those of its outermost parent. */
export function familyOf(resource: AnyResource): 'account' | 'service' | 'only service' {
  const under: Under = resource.under
  return typeof under === 'string' ? under : familyOf(under)
}

/**
 * Reads the ancestors of the instance: account, service and outermost parent at one time. On PostgreSQL they are one round trip of a
 * transaction instead of three. Throws 404 when one is missing or belongs to another account or service.
 */
export async function locate(read: Reader, resource: AnyResource, path: ResourcePath): Promise<Ancestors> {
  const { account_sid, service_sid, expected_service_sid } = path
  const ofAccount = familyOf(resource) === 'account'
  const expected = ofAccount ? undefined : (service_sid ?? expected_service_sid)
  const ancestors = ancestorsOf(resource)
  // In this order, from the top down, they are locked.
  const [account, expectedService, expectedParent] = await Promise.all([
    read.one(accountBySid, { sid: account_sid }),
    expected === undefined ? undefined : read.hold(serviceOfAccount, { sid: expected, account_sid }, 'keep'),
    expected === undefined ? undefined : outermostIn(read, ancestors[0], { service_sid: expected, account_sid }, path),
  ])
  if (!account) throw refuse('authenticate')
  if (account.status !== 'active') throw refuse('forbidden')
  if (ofAccount) return { account, service: null, parents: [] }
  const sid = service_sid ?? account.default_service_sid
  const isExpected = sid === expected
  const service = isExpected ? expectedService : await read.hold(serviceOfAccount, { sid, account_sid }, 'keep')
  if (!service) throw refuse('notFound', { path: path.text })
  const parents: BaseRow[] = []
  for (const [i, parent] of ancestors.entries()) {
    const found = isExpected && i === 0 ? expectedParent : undefined
    parents.push(await find(read, parent, { account, service, parents }, path.parents[i] ?? null, path.text, found))
  }
  return { account, service, parents }
}

/**
 * Reads the outermost parent where its key is in the path. By its account, too: nobody has seen yet whose the service is, and no row of
 * another account may be locked, or waited for.
 */
async function outermostIn(
  read: Reader,
  parent: AnyResource | undefined,
  scope: Readonly<Record<'service_sid' | 'account_sid', string>>,
  { parents: [key] }: ResourcePath,
): Promise<BaseRow | undefined> {
  if (!parent || parent.row || parent.sid === null || key === undefined) return undefined
  return holdRow(read, parent, scope, key)
}

/** Reads the facts of a change in a service that no request has asked for; undefined when the service is gone. `now`: epoch ms. */
export async function factsInService(
  read: Reader,
  { account_sid, service_sid }: { readonly account_sid: string; readonly service_sid: string },
  now: number,
): Promise<FactsUnder<'only service'> | undefined> {
  const [account, service] = await Promise.all([
    read.one(accountBySid, { sid: account_sid }),
    read.one(serviceOfAccount, { sid: service_sid, account_sid }),
  ])
  return account && service && { account, service, parents: [], now }
}

/** Returns the scope columns of a resource with their values: service and parents, or the account. */
export function scopeOf(resource: AnyResource, ancestors: Ancestors): Readonly<Record<string, string>> {
  return scopeBelow(resource, ancestors.account.sid, ancestors)
}

function scopeBelow(resource: AnyResource, account_sid: string, ancestors: AncestorSids): Readonly<Record<string, string>> {
  if (resource.sid === null) return {}
  if (!ancestors.service) return { account_sid }
  if (typeof resource.under === 'string') return { service_sid: ancestors.service.sid }
  const columns: Record<string, string> = { service_sid: ancestors.service.sid }
  for (const [i, parent] of ancestorsOf(resource).entries()) {
    const row = ancestors.parents[i]
    if (parent.childColumn && row) columns[parent.childColumn] = row.sid
  }
  return columns
}

/** Returns the SIDs that all rows below these ancestors have, by column. */
export function commonSids(
  resource: AnyResource,
  account_sid: string,
  ancestors: AncestorSids,
): Readonly<Record<string, string>> {
  return { account_sid, ...scopeBelow(resource, account_sid, ancestors) }
}

/** Returns the names of the columns of `commonSids`. */
export function commonColumns(resource: AnyResource): readonly string[] {
  return ['account_sid', ...scopeColumns(resource)]
}

/** Returns the names of the scope columns: with the sid they are the key of a row. */
export function scopeColumns(resource: AnyResource): readonly string[] {
  if (resource.sid === null) return []
  if (familyOf(resource) === 'account') return ['account_sid']
  return ['service_sid', ...ancestorsOf(resource).flatMap((parent) => (parent.childColumn ? [parent.childColumn] : []))]
}

/** Reads the requested row, through the view if the resource has one. Throws 404. */
export async function findInstance(
  read: Reader,
  resource: AnyResource,
  facts: Facts,
  { key, text }: Pick<ResourcePath, 'key' | 'text'>,
): Promise<BaseRow> {
  if (!resource.view) return find(read, resource, facts, key, text)
  const row = key === null && resource.sid !== null ? undefined : await resource.view.find?.(read, facts, key ?? '')
  if (!row) throw refuse('notFound', { path: text })
  return row
}

/** Reads one row by SID, or by the `alsoFoundBy` column. `found`: when it has been read already. Throws 404. */
async function find(
  read: Reader,
  resource: AnyResource,
  ancestors: Ancestors,
  key: string | null,
  text: string,
  found?: BaseRow,
): Promise<BaseRow> {
  const sid = resource.row?.(ancestors) ?? key
  if (sid === null) throw refuse('notFound', { path: text })
  const columns = scopeOf(resource, ancestors)
  const stored = () => holdRow(read, resource, columns, sid)
  const row = found ?? (await stored())
  if (!row || (await isGone(read, resource, row, stored))) throw refuse('notFound', { path: text })
  return currentRow(resource, row, ancestors)
}

/** Locks parents first, so that changes within one conversation are serialised on every node. */
function holdRow(
  read: Reader,
  resource: AnyResource,
  columns: Readonly<Record<string, string>>,
  key: string,
): Promise<BaseRow | undefined> {
  const column = resource.sid !== null && resource.alsoFoundBy && !isSid(resource.sid, key) ? resource.alsoFoundBy : 'sid'
  const query = rowsByNames<BaseRow>(resource.table, [...Object.keys(columns), column])
  return read.hold(query, { ...columns, [column]: key }, 'change')
}

/** Returns what a stored row stands for. */
export function currentRow(resource: AnyResource, row: BaseRow, ancestors: Ancestors): BaseRow {
  return resource.current?.(row, ancestors) ?? row
}

/**
 * Whether a row is one of those that are still to be removed with another. Both may have been removed for good since the row was
 * read, hence `again`.
 */
async function isGone(
  read: Reader,
  { goneWith }: AnyResource,
  row: BaseRow,
  again: () => Promise<BaseRow | undefined>,
): Promise<boolean> {
  if (!goneWith?.when(row)) return false
  const values: Readonly<Record<string, unknown>> = { ...row }
  return (await read.one(removalBySid, { sid: String(values[goneWith.column]) })) !== undefined || !(await again())
}
