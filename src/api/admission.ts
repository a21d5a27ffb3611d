import type { FastifyRequest } from 'fastify'
import { type ApiError, refuse } from '../errors.ts'
import type { Nodes } from '../storage/database.ts'
import type { Permissions } from './key-permissions.ts'
import { TokenBuckets } from './token-buckets.ts'

/** On whose behalf a request is made. */
export interface Principal {
  readonly account_sid: string
  /** Its default service when it was read, if it was. */
  readonly default_service_sid?: string
  /** Names the part of the account's limits that it may use: an API key, or all apps of the account together; null: all of them. */
  readonly share: string | null
  /** What a restricted API key may do; absent: everything. */
  readonly permissions?: Permissions
  /** The operator, who must see what is going on: no limit. */
  readonly exempt?: true
}

/** The limits that a request is held against when it is authenticated, as the metrics name them. */
export type RequestLimit = 'concurrent_requests' | 'requests_per_second'

export interface AdmissionOptions {
  /** Requests of an account that are in progress at one time, on all nodes together; 0: any number. */
  readonly maxConcurrent: number
  /** Requests of an account per second, on all nodes together; 0: any number. */
  readonly maxPerSecond: number
  /** In ms, from any start on. */
  readonly now: () => number
  readonly nodes: Pick<Nodes, 'size'>
  readonly onRefused: (limit: RequestLimit) => void
}

/** Each begun part of this size of a response's body counts as a request. */
const requestBytes = 65_536
/** Large responses make an account wait for so long at most. */
const maxDebtS = 10

/**
 * Refuses the requests of an account that has too many in progress, or had too many within a second. In memory, without a query:
 * each node has its part of the limits. A share may have half as many in progress, so that an API key that was given away, or the
 * users of an app, cannot use up all of the account's.
 */
export class Admission {
  readonly #options: AdmissionOptions
  /** Requests in progress, by account and by share; those of which there are none are not in it. */
  readonly #counts = new Map<string, number>()
  readonly #buckets: TokenBuckets

  constructor(options: AdmissionOptions) {
    this.#options = options
    this.#buckets = new TokenBuckets(options.now)
  }

  /** Counts a request until `leave`, unless it returns the refusal. Tells the request how many its account has in progress. */
  enter(request: Pick<FastifyRequest, 'concurrent'>, { account_sid, share, exempt }: Principal): ApiError | undefined {
    const { maxConcurrent, maxPerSecond, nodes } = this.#options
    const all = this.#count(account_sid) + 1
    const shared = share === null ? 0 : this.#count(share) + 1
    request.concurrent = all
    if (exempt) return undefined
    const max = maxConcurrent / nodes.size
    if (maxConcurrent > 0 && (all > Math.ceil(max) || shared > Math.ceil(max / 2))) {
      return this.#refusal('concurrent_requests', 1000)
    }
    if (maxPerSecond > 0) {
      const waitMs = this.#buckets.waitMs(account_sid, this.#filling())
      if (waitMs > 0) return this.#refusal('requests_per_second', waitMs)
      this.#buckets.take(account_sid, this.#filling())
    }
    this.#counts.set(account_sid, all)
    if (share !== null) this.#counts.set(share, shared)
    return undefined
  }

  /** The request is over. `bytes`: the length of the response's body. */
  leave({ account_sid, share, exempt }: Principal, bytes: number): void {
    if (exempt) return
    this.#decrement(account_sid)
    if (share !== null) this.#decrement(share)
    if (this.#options.maxPerSecond === 0 || bytes <= requestBytes) return
    const filling = this.#filling()
    this.#buckets.take(account_sid, filling, Math.ceil(bytes / requestBytes) - 1, -maxDebtS * 1000 * filling.perMs)
  }

  #refusal(limit: RequestLimit, waitMs: number): ApiError {
    this.#options.onRefused(limit)
    return refuse('tooManyRequests', { seconds: String(Math.ceil(waitMs / 1000)) })
  }

  #filling() {
    const perSecond = this.#options.maxPerSecond / this.#options.nodes.size
    return { max: Math.max(1, perSecond), perMs: perSecond / 1000 }
  }

  #count(key: string): number {
    return this.#counts.get(key) ?? 0
  }

  #decrement(key: string): void {
    const left = this.#count(key) - 1
    if (left > 0) this.#counts.set(key, left)
    else this.#counts.delete(key)
  }
}
