import type { FastifyRequest } from 'fastify'
import { type ApiError, refuse } from '../errors.ts'
import type { Nodes } from '../storage/database.ts'

/** On whose behalf a request is made. */
export interface Principal {
  readonly account_sid: string
  /** Names the part of the account's limits that it may use: an API key, or all apps of the account together; null: all of them. */
  readonly share: string | null
  /** The operator, who must see what is going on: no limit. */
  readonly exempt?: true
}

/** The limits that a request is held against when it is authenticated, as the metrics name them. */
export type RequestLimit = 'concurrent_requests'

export interface AdmissionOptions {
  /** Requests of an account that are in progress at one time, on all nodes together; 0: any number. */
  readonly maxConcurrent: number
  readonly nodes: Pick<Nodes, 'size'>
  readonly onRefused: (limit: RequestLimit) => void
}

/**
 * Refuses the requests of an account that has too many in progress. In memory, without a query: each node has its part of the
 * limit. A share has half of it, so that an API key that was given away, or the users of an app, cannot use up all of the account's.
 */
export class Admission {
  readonly #options: AdmissionOptions
  /** Requests in progress, by account and by share; those of which there are none are not in it. */
  readonly #counts = new Map<string, number>()

  constructor(options: AdmissionOptions) {
    this.#options = options
  }

  /** Counts a request until `leave`, unless it returns the refusal. Tells the request how many its account has in progress. */
  enter(request: Pick<FastifyRequest, 'concurrent'>, { account_sid, share }: Principal): ApiError | undefined {
    const { maxConcurrent, nodes, onRefused } = this.#options
    const all = this.#count(account_sid) + 1
    const shared = share === null ? 0 : this.#count(share) + 1
    request.concurrent = all
    const max = maxConcurrent / nodes.size
    if (maxConcurrent > 0 && (all > Math.ceil(max) || shared > Math.ceil(max / 2))) {
      onRefused('concurrent_requests')
      return refuse('tooManyRequests', { seconds: '1' })
    }
    this.#counts.set(account_sid, all)
    if (share !== null) this.#counts.set(share, shared)
    return undefined
  }

  /** The request is over. */
  leave({ account_sid, share }: Principal): void {
    this.#decrement(account_sid)
    if (share !== null) this.#decrement(share)
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
