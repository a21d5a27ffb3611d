import { sql } from 'kysely'
import { enqueueDelivery } from '../events/queue.ts'
import { parseStored } from '../json.ts'
import { long, type Tx } from '../storage/database.ts'
import { rowsBy, updateRow } from '../storage/rows.ts'
import type { DeliveryRow } from '../storage/schema.ts'
import { type Builder, shape } from '../storage/shapes.ts'
import type { Settle } from './handler.ts'
import { deliveryById } from './log.ts'

/** One attempt in the delivery log. `at` in epoch ms. */
export interface Attempt {
  readonly at: number
  readonly duration_ms: number
  /** HTTP status, or the reply code of SMTP; null without a response. */
  readonly status: number | null
  readonly error: string | null
  /** The first characters of what a channel responded. */
  readonly response?: string
  /** Set when the receiver has asked to be left alone for longer than the back-off. */
  readonly retry_after_ms?: number
}

const key = ['service_sid', 'id'] as const
const recorded = ['status', 'due', 'attempts', 'date_finished', 'responses'] as const

export type DeliveryResult<Report = unknown> = Pick<DeliveryRow, (typeof key)[number] | (typeof recorded)[number]> & {
  /** What its sender knew of earlier responses. */
  readonly responses_before: string | null
  /** The handler's report on the last attempt. */
  readonly report?: Report
}

const recordedRow = updateRow('deliveries', key, recorded)
/** As `recordedRow`, of a row that is pending still: what was dropped during the attempt does not come back. */
const recordedPending = updateRow('deliveries', [...key, 'status'], recorded)
const byKey = rowsBy('deliveries', key)

/** As `recordedRow`. Responses that were erased during the attempt do not come back with what its sender knows of them. */
const recordedOnce = shape<DeliveryResult>()((db, a) => updateOnce(db, a))
/** As both. */
const recordedPendingOnce = shape<DeliveryResult>()((db, a) => updateOnce(db, a).where('status', '=', 'pending'))

function updateOnce(db: Builder, a: DeliveryResult) {
  return db
    .updateTable('deliveries')
    .set({
      status: a.status,
      due: a.due,
      attempts: a.attempts,
      date_finished: a.date_finished,
      responses: sql<
        string | null
      >`case when responses is not distinct from ${a.responses_before} then ${a.responses} else responses end`,
    })
    .where('service_sid', '=', a.service_sid)
    .where('id', '=', a.id)
}

interface DropRequest {
  readonly slot: number
  readonly target_sid: string
  /** Null: whatever account the target is of. */
  readonly accounts: readonly string[] | null
  readonly now: number
  readonly limit: number
}

/** `pending` is a literal: a parameter would not match the partial index. */
const somePending = shape<{ slot: number; target_sid: string; limit: number }>()((db, a) =>
  db
    .selectFrom('deliveries')
    .selectAll()
    .where('status', '=', sql.lit<'pending'>('pending'))
    .where('slot', '=', a.slot)
    .where('target_sid', '=', a.target_sid)
    .orderBy('id')
    .limit(a.limit),
)

/** Commands that record deliveries. `settle` is called with each handler's report. */
export function deliveryCommands<Report>(settle: Settle<Report>, failure: Report) {
  return {
    async recordDeliveries(tx: Tx, results: readonly DeliveryResult<Report>[]): Promise<void> {
      // Several results of one delivery accumulate while the database is unavailable: the last one counts.
      const last = new Map<string, DeliveryResult<Report>>()
      for (const result of results) {
        const { responses_before } = last.get(result.id) ?? result
        last.set(result.id, { ...result, responses_before })
      }
      await Promise.all(
        [...last.values()].map((result) => {
          const isPending = result.status === 'pending'
          if (result.responses_before !== null) return tx.run(isPending ? recordedPendingOnce : recordedOnce, { ...result })
          return isPending ? tx.run(recordedPending, { ...result, was_status: 'pending' }) : tx.run(recordedRow, { ...result })
        }),
      )
      const reported = await Promise.all(
        results.flatMap(({ service_sid, id, report, date_finished }) =>
          report === undefined ? [] : [tx.one(byKey, { service_sid, id }).then((row) => row && { row, report, date_finished })],
        ),
      )
      for (const { row, report, date_finished } of bySubject(reported.filter((one) => one !== undefined))) {
        await settle(tx, row, report, date_finished ?? row.due)
      }
      tx.notify({ topic: 'recorded' })
    },

    /** Fails a batch of the pending deliveries to a target. Returns how many. */
    dropDeliveries: long(async (tx: Tx, { slot, target_sid, accounts, now, limit }: DropRequest): Promise<number> => {
      const claimed = await tx.claim(somePending, { slot, target_sid, limit })
      const rows = claimed.filter(({ account_sid }) => accounts === null || accounts.includes(account_sid))
      const dropped: Attempt = { at: now, duration_ms: 0, status: null, error: 'dropped by the operator' }
      for (const { row } of bySubject(rows.map((one) => ({ row: one })))) {
        const attempts = JSON.stringify([...parseStored<Attempt[]>(row.attempts), dropped])
        await tx.run(recordedRow, { ...row, status: 'failed', attempts, date_finished: now })
        if (row.kind !== 'webhook') await settle(tx, row, failure, now)
      }
      if (rows.length > 0) tx.notify({ topic: 'dropped', target_sid, slot })
      return rows.length
    }),

    /** Enqueues events once more, in this order, as new deliveries with the same idempotency tokens. Returns those of ids that exist. */
    redeliver: long(async (tx: Tx, { ids, now }: { ids: readonly string[]; now: number }): Promise<DeliveryRow[]> => {
      const made: DeliveryRow[] = []
      for (const id of ids) {
        const row = await tx.one(deliveryById, { id })
        if (row) made.push(await enqueueDelivery(tx, row, { now }))
      }
      return made
    }),
  }
}

/** Sorts by conversation: processes that lock several conversations in one order cannot deadlock. */
function bySubject<T extends { readonly row: DeliveryRow }>(settled: T[]): T[] {
  return settled.sort((a, b) => (a.row.subject_sid < b.row.subject_sid ? -1 : a.row.subject_sid > b.row.subject_sid ? 1 : 0))
}
