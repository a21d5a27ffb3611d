import { refuse } from '../errors.ts'
import { isSid } from '../sids.ts'
import type { Reader } from '../storage/database.ts'
import { rowsBy } from '../storage/rows.ts'
import type { AnyResource, BaseRow, Facts } from './declare.ts'

/** Where a request points: plain data, so that it can be resolved again inside the transaction. */
export interface Address {
  readonly account_sid: string
  /** Null in the default family: the account's default service, whichever that is when the transaction runs. */
  readonly service_sid: string | null
  /** Sids or names from the path, one for each resource above, outermost first. */
  readonly parents: readonly string[]
  /** Sid or name of the instance; null for a collection or a singleton. */
  readonly key: string | null
  /** As requested, without `/v1` and query: what a 404 names. */
  readonly path: string
}

const accountBySid = rowsBy('accounts', ['sid'])
const serviceBySid = rowsBy('services', ['sid', 'account_sid'])

/** The resources above this one in its path, outermost first. */
export function chainAbove(resource: AnyResource): readonly AnyResource[] {
  return typeof resource.under === 'string' ? [] : [...chainAbove(resource.under), resource.under]
}

/** Which services see a resource: that of its outermost parent. */
export function familyOf(resource: AnyResource): 'account' | 'service' | 'only service' {
  return typeof resource.under === 'string' ? resource.under : familyOf(resource.under)
}

/**
 * Reads everything above the instance. Throws 404: a missing parent and one of another account or service look the same.
 */
export async function locate(read: Reader, resource: AnyResource, address: Address): Promise<Omit<Facts, 'now'>> {
  const account = await read.one(accountBySid, { sid: address.account_sid })
  if (!account) throw refuse('authenticate')
  if (account.status !== 'active') throw refuse('forbidden')
  if (familyOf(resource) === 'account') return { account, service: null, parents: [] }
  const wanted = { sid: address.service_sid ?? account.default_service_sid, account_sid: account.sid }
  const service = await read.hold(serviceBySid, wanted, 'keep')
  if (!service) throw refuse('notFound', { path: address.path })
  const parents: BaseRow[] = []
  for (const [i, parent] of chainAbove(resource).entries()) {
    parents.push(await find(read, parent, { account, service, parents }, address.parents[i] ?? null, address.path))
  }
  return { account, service, parents }
}

/** The columns that keep a resource's rows inside their scope, with their values. */
export function within(resource: AnyResource, above: Omit<Facts, 'now'>): Readonly<Record<string, string>> {
  if (resource.sid === null) return {}
  if (!above.service) return { account_sid: above.account.sid }
  const columns: Record<string, string> = { service_sid: above.service.sid }
  for (const [i, parent] of chainAbove(resource).entries()) {
    const row = above.parents[i]
    if (parent.asParent && row) columns[parent.asParent] = row.sid
  }
  return columns
}

/** Names of those columns: with the sid they are the key of a row. */
export function scopeColumns(resource: AnyResource): readonly string[] {
  if (resource.sid === null) return []
  if (familyOf(resource) === 'account') return ['account_sid']
  return ['service_sid', ...chainAbove(resource).flatMap((parent) => (parent.asParent ? [parent.asParent] : []))]
}

/** The row a request is about, as its resource finds it. Throws 404. */
export async function findInstance(
  read: Reader,
  resource: AnyResource,
  facts: Facts,
  { key, path }: Pick<Address, 'key' | 'path'>,
): Promise<BaseRow> {
  if (!resource.view) return find(read, resource, facts, key, path)
  const row = key === null ? undefined : await resource.view.find?.(read, facts, key)
  if (!row) throw refuse('notFound', { path })
  return row
}

/** One row by sid, or by the name that serves in its place. Throws 404. */
async function find(
  read: Reader,
  resource: AnyResource,
  above: Omit<Facts, 'now'>,
  key: string | null,
  path: string,
): Promise<BaseRow> {
  const sid = resource.row?.(above) ?? key
  if (sid === null) throw refuse('notFound', { path })
  const columns = within(resource, above)
  const byName = resource.sid !== null && resource.alsoFoundBy && !isSid(resource.sid, sid)
  const column = byName ? (resource.alsoFoundBy as string) : 'sid'
  // Held from the top down: changes of one conversation and of what lies in it come one after the other on every node.
  const row = await read.hold(rowsBy(resource.table, [...Object.keys(columns), column]), { ...columns, [column]: sid }, 'change')
  if (!row) throw refuse('notFound', { path })
  return row as unknown as BaseRow
}
