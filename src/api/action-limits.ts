import { LRUCache } from 'lru-cache'
import type { ErrorName } from '../error-catalogue.ts'
import { refuse } from '../errors.ts'
import type { AnyResource, ChangeVerb } from '../model/declare.ts'
import type { ResourcePath } from '../model/scope.ts'
import { isSid } from '../sids.ts'
import type { Nodes } from '../storage/database.ts'

/** The limits on changes, as the metrics name them. */
export type ActionLimit = 'actions_per_second' | 'account_actions_per_second'

export interface ActionLimitsOptions {
  /** Changes per second of one service, and of one row below it, on all nodes together; 0: any number. */
  readonly maxPerSecond: number
  /** The same for all of an account. */
  readonly maxPerSecondOfAccount: number
  readonly nodes: Pick<Nodes, 'size'>
  /** In ms, from any start on. */
  readonly now: () => number
  readonly onRefused: (limit: ActionLimit) => void
}

/** So many seconds are looked at together. */
const windowS = 5
const windowMs = windowS * 1000

/** What was counted in a window and in the one before it. */
interface Counts {
  window: number
  before: number
  now: number
}

/**
 * Refuses changes of which there were too many within the last seconds; reads are free. In memory, without a query: a row is known by
 * what the path calls it, so that one that is called by its SID and by its name has a limit for each. Of the last window as much
 * counts as is not yet over: as exact as if it was used evenly.
 */
export class ActionLimits {
  readonly #options: ActionLimitsOptions
  readonly #counts = new LRUCache<string, Counts>({ max: 10_000 })

  constructor(options: ActionLimitsOptions) {
    this.#options = options
  }

  /** Counts a change. Throws `tooManyActions` or `tooManyActionsOfAccount`, and counts nothing. */
  count(resource: AnyResource, verb: ChangeVerb, path: ResourcePath): void {
    const counted = resource.countsFor?.[verb]
    if (!counted) return
    const { maxPerSecond, maxPerSecondOfAccount } = this.#options
    const key = counted === 'service' ? `${path.account_sid} ${path.service_sid ?? ''}` : rootOf(resource, path)
    const one = this.#checked(key, maxPerSecond, 'actions_per_second', 'tooManyActions')
    const all = this.#checked(path.account_sid, maxPerSecondOfAccount, 'account_actions_per_second', 'tooManyActionsOfAccount')
    if (one) one.now++
    if (all) all.now++
  }

  /** Returns the counts that have room for one more; undefined without a limit. */
  #checked(key: string, maxPerSecond: number, limit: ActionLimit, error: ErrorName): Counts | undefined {
    if (maxPerSecond === 0) return undefined
    const { now, nodes, onRefused } = this.#options
    const passed = now() / windowMs
    const window = Math.floor(passed)
    const counts = this.#countsOf(key, window)
    const max = Math.max(1, (maxPerSecond * windowS) / nodes.size)
    if (counts.before * (window + 1 - passed) + counts.now + 1 <= max) return counts
    onRefused(limit)
    throw refuse(error, { seconds: '1' })
  }

  #countsOf(key: string, window: number): Counts {
    const found = this.#counts.get(key)
    if (found?.window === window) return found
    const counts = { window, before: found?.window === window - 1 ? found.now : 0, now: 0 }
    this.#counts.set(key, counts)
    return counts
  }
}

/** Names the outermost row of a path. */
function rootOf(resource: AnyResource, { account_sid, service_sid, parents, key }: ResourcePath): string {
  const { sid } = typeof resource.under === 'string' ? resource : resource.under
  const root = parents[0] ?? key ?? ''
  return sid !== null && isSid(sid, root) ? `${account_sid} ${root}` : `${account_sid} ${service_sid ?? ''} ${root}`
}
