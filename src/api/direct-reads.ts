/*
 * How a fetch finds its row where rows are read on this thread (SQLite): without a promise, with the account and the service from
 * memory, and only the columns that are shown.
 *
 * Measured against the way with promises (a conversation by its SID, random ones of 100,000, CPU time of the whole request, in turn):
 * 0.84 of it; where the row is never in the cache of responses, 0.90.
 *
 * The slow twin is `locate` and `findInstance` of `model/scope.ts`, which also says what is wrong: whatever is not the usual case
 * is undefined here. `direct-reads.test.ts` compares the two.
 */
import type { Ancestors, AnyResource, BaseRow } from '../model/declare.ts'
import { columnsShown } from '../model/represent.ts'
import { ancestorsOf, commonColumns, currentRow, familyOf, type ResourcePath, scopeColumns, scopeOf } from '../model/scope.ts'
import { isSid } from '../sids.ts'
import type { Database, Reader } from '../storage/database.ts'
import { accountBySid, serviceOfAccount } from '../storage/lookups.ts'
import { rowsByNames } from '../storage/rows.ts'
import type { Shape } from '../storage/shapes.ts'
import { LeasedCache } from './leased-cache.ts'

export interface Found {
  readonly ancestors: Ancestors
  /** With the columns that are shown. */
  readonly row: BaseRow
}

type RowQuery = Shape<Record<string, unknown>, BaseRow>

/** The queries for the rows of a resource by their SID, and by the column that is also found by. */
interface Queries {
  readonly bySid: RowQuery
  readonly byName: RowQuery
}

/** What is known of a resource once and for all. */
interface Plan {
  readonly ofAccount: boolean
  readonly parents: readonly AnyResource[]
  /** Null: its rows are not found by their key alone. */
  readonly shown: Queries | null
  /** For a row that has others below it. */
  readonly whole: Queries
}

export class DirectReads {
  readonly #one: NonNullable<Reader['oneNow']>
  /** Accounts and services, with a path that leads through them. */
  readonly #tops: LeasedCache<Ancestors>
  readonly #plans = new Map<AnyResource, Plan>()

  private constructor(database: Database, one: NonNullable<Reader['oneNow']>) {
    this.#one = one
    this.#tops = new LeasedCache(database, ['accounts', 'services'])
  }

  /** Returns null for an engine that reads elsewhere. */
  static of(database: Database): DirectReads | null {
    const { read } = database
    return read.oneNow ? new DirectReads(database, (query, args) => read.oneNow?.(query, args)) : null
  }

  /** Returns the requested row; undefined where it is not to be had this way. Throws ApiError: `unavailable`. */
  find(resource: AnyResource, path: ResourcePath): Found | undefined {
    const { ofAccount, parents, shown } = this.#planOf(resource)
    let ancestors = shown ? this.#topOf(ofAccount, path) : undefined
    for (let i = 0; ancestors && i < parents.length; i++) {
      const parent = parents[i] as AnyResource
      const row = this.#row(parent, this.#planOf(parent).whole, ancestors, path.parents[i])
      ancestors = row && { ...ancestors, parents: [...ancestors.parents, row] }
    }
    const row = ancestors && shown ? this.#row(resource, shown, ancestors, path.key) : undefined
    return ancestors && row && { ancestors, row }
  }

  #topOf(ofAccount: boolean, { account_sid, service_sid }: ResourcePath): Ancestors | undefined {
    const key = ofAccount ? account_sid : `${account_sid} ${service_sid ?? ''}`
    const known = this.#tops.get(key)
    if (known) return known
    const keep = this.#tops.begin()
    const account = this.#one(accountBySid, { sid: account_sid })
    if (account?.status !== 'active') return undefined
    const sid = service_sid ?? account.default_service_sid
    const service = ofAccount ? null : this.#one(serviceOfAccount, { sid, account_sid })
    if (service === undefined) return undefined
    const found = { account, service, parents: [] }
    keep(key, found)
    return found
  }

  #row(resource: AnyResource, queries: Queries, ancestors: Ancestors, key: string | null | undefined): BaseRow | undefined {
    const { sid, alsoFoundBy, goneWith } = resource
    if (sid === null || key === null || key === undefined) return undefined
    const column = alsoFoundBy && !isSid(sid, key) ? alsoFoundBy : 'sid'
    const args = { ...scopeOf(resource, ancestors), [column]: key }
    const row = this.#one(column === 'sid' ? queries.bySid : queries.byName, args)
    return row === undefined || goneWith?.when(row) ? undefined : currentRow(resource, row, ancestors)
  }

  #planOf(resource: AnyResource): Plan {
    const known = this.#plans.get(resource)
    if (known) return known
    const isFoundByKey = resource.sid !== null && !resource.view && !resource.row
    const plan = {
      ofAccount: familyOf(resource) === 'account',
      parents: ancestorsOf(resource),
      shown: isFoundByKey
        ? queriesOf(resource, resource.goneWith ? null : columnsShown(resource, commonColumns(resource)))
        : null,
      whole: queriesOf(resource, null),
    }
    this.#plans.set(resource, plan)
    return plan
  }
}

function queriesOf(resource: AnyResource, columns: readonly string[] | null): Queries {
  const by = (column: string) => rowsByNames<BaseRow>(resource.table, [...scopeColumns(resource), column], columns)
  return { bySid: by('sid'), byName: by(resource.alsoFoundBy ?? 'sid') }
}
