import type { Clock } from '../clock.ts'
import { isFailure } from '../errors.ts'
import { Loop, type Worker } from '../loop.ts'
import type { Database, Reader } from '../storage/database.ts'
import { countExpired, type ExpiryCommands, maxCounted, oldDeliveries } from './expiry.ts'
import { type ExpiringService, expiringServices } from './retention-policy.ts'

const hourMs = 3_600_000
const dayMs = 24 * hourMs

/** Rows of each transaction: requests wait at most for one batch. A conversation has members, each of whom is told. */
const batches = { conversations: 20, messages: 200, media: 100 } as const

/** Deliveries that are read at a time. */
const window = 1000

/** How much has expired, or would. */
export interface Expired {
  readonly conversations: number
  readonly messages: number
  readonly media: number
  readonly delivered: number
  readonly failed: number
}

type Kind = keyof Expired

export const kinds: readonly Kind[] = ['conversations', 'messages', 'media', 'delivered', 'failed']

export interface RetentionOptions {
  readonly clock: Clock
  readonly database: Database<ExpiryCommands>
  /** Called when a run has removed something of a service. */
  readonly removed: (service: ExpiringService, counts: Expired) => void
  readonly onError: (error: unknown) => void
}

/** Deletes hourly what accounts and services do not want to keep any longer, in batches; also when a policy has changed. */
export class Retention implements Worker {
  readonly #loop: Loop

  constructor({ clock, database, removed, onError }: RetentionOptions) {
    this.#loop = new Loop(async (signal) => {
      for (const service of await expiringServices(database.read)) {
        try {
          const counts = await expire(database, service, clock.now(service.account_sid), signal)
          if (kinds.some((kind) => counts[kind] > 0)) removed(service, counts)
        } catch (error) {
          // What cannot be removed of one keeps nothing of the others.
          if (isFailure(error)) throw error
          onError(error)
        }
        if (signal.aborted) break
      }
      return hourMs
    }, onError)
    database.subscribe((notices) => {
      const changed = notices.some((notice) =>
        notice.topic === 'changed' ? notice.table === 'retention' : notice.topic === 'clock',
      )
      if (changed) this.#loop.nudge()
    })
  }

  start(): void {
    this.#loop.start()
  }

  stop(): Promise<void> {
    return this.#loop.stop()
  }
}

/** The instants before which things of a service are too old; null for what is kept. */
function boundsOf({ policy }: ExpiringService, now: number): Readonly<Record<Kind, number | null>> {
  const before = (days: number | null) => (days === null ? null : now - days * dayMs)
  return {
    conversations: before(policy.closed_conversation_days),
    messages: before(policy.message_days),
    media: before(policy.media_days),
    delivered: before(policy.delivered_days),
    failed: before(policy.failed_days),
  }
}

/** Deletes what is too old in one service. */
async function expire(
  database: Database<ExpiryCommands>,
  service: ExpiringService,
  now: number,
  signal: AbortSignal,
): Promise<Expired> {
  const counts = { ...nothing }
  const bounds = boundsOf(service, now)
  const { account_sid, service_sid } = service
  for (const kind of ['conversations', 'messages', 'media'] as const) {
    const before = bounds[kind]
    if (before === null) continue
    const expiry = { account_sid, service_sid, before, now, limit: batches[kind] }
    // One that removes nothing has found what is being removed otherwise.
    for (let removed = -1; removed !== 0 && !signal.aborted; counts[kind] += removed) {
      removed = await database.write(commandOf[kind], expiry)
    }
  }
  for await (const old of oldDeliveriesOf(database.read, service, bounds)) {
    if (signal.aborted) break
    if (old.length > 0) await database.write('expireDeliveries', { service_sid, ids: old.map(({ id }) => id) })
    for (const { status } of old) if (status !== 'pending') counts[status]++
  }
  return counts
}

const commandOf = { conversations: 'expireConversations', messages: 'expireMessages', media: 'expireMedia' } as const

const nothing: Expired = { conversations: 0, messages: 0, media: 0, delivered: 0, failed: 0 }

function oldDeliveriesOf(read: Reader, { service_sid }: ExpiringService, bounds: Readonly<Record<Kind, number | null>>) {
  const { delivered: deliveredBefore, failed: failedBefore } = bounds
  return oldDeliveries(read, { service_sid, deliveredBefore, failedBefore }, window)
}

/** Counts what a run would delete of services. `isComplete`: not, where more than `maxCounted` of a kind are in one of them. */
export async function countAllExpired(
  read: Reader,
  services: readonly ExpiringService[],
  now: number,
): Promise<{ readonly counts: Expired; readonly isComplete: boolean }> {
  const counts = { ...nothing }
  let isComplete = true
  for (const service of services) {
    const bounds = boundsOf(service, now)
    for (const kind of ['conversations', 'messages', 'media'] as const) {
      const before = bounds[kind]
      const count = before === null ? 0 : await countExpired(read, kind, { service_sid: service.service_sid, before })
      counts[kind] += count
      isComplete &&= count < maxCounted
    }
    let looked = 0
    for await (const old of oldDeliveriesOf(read, service, bounds)) {
      for (const { status } of old) if (status !== 'pending') counts[status]++
      looked += old.length
      if (looked < maxCounted) continue
      isComplete = false
      break
    }
  }
  return { counts, isComplete }
}
