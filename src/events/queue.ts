import { parseStored } from '../json.ts'
import { lowestSid, orderedSid } from '../sids.ts'
import type { Notice, Tx } from '../storage/database.ts'
import { insert, insertAll } from '../storage/rows.ts'
import type { DeliveryRow } from '../storage/schema.ts'
import { elementsOf } from '../storage/sets.ts'
import { shape } from '../storage/shapes.ts'

/** The columns of a delivery that its creator sets; `enqueueDelivery` sets the others. */
export type NewDelivery = Pick<
  DeliveryRow,
  | 'kind'
  | 'account_sid'
  | 'service_sid'
  | 'target_sid'
  | 'subject_sid'
  | 'event_type'
  | 'method'
  | 'url'
  | 'form'
  | 'idempotency_token'
  | 'message_sid'
  | 'participant_sid'
>

const lastOf = shape<{ service_sid: string; subject_sid: string }>()(
  (db, a) =>
    db
      .selectFrom('deliveries')
      .select('id')
      .where('service_sid', '=', a.service_sid)
      .where('subject_sid', '=', a.subject_sid)
      .orderBy('id', 'desc')
      .limit(1),
  { verb: 'select', table: 'deliveries', columns: null, greatest: { column: 'id', of: ['service_sid', 'subject_sid'] } },
)

/**
 * Adds a delivery after all others with its subject, in the caller's transaction. Ids give the order: the new one is above those
 * that exist, whichever process wrote them and whatever its clock shows. `trace`: the trace context that its attempts continue.
 */
export async function enqueueDelivery(
  tx: Tx,
  delivery: NewDelivery,
  { now, trace }: { readonly now: number; readonly trace?: string },
): Promise<DeliveryRow> {
  const { service_sid, subject_sid } = delivery
  const last = await tx.one(lastOf, { service_sid, subject_sid })
  const row = rowAfter(tx, delivery, last?.id, { now, trace })
  await insert(tx, 'deliveries', row)
  tx.notify({ topic: 'deliveries', target_sid: row.target_sid, slot: row.slot, row })
  return row
}

const lastOfEach = shape<{ service_sid: string; subjects: string }>()((db, a) =>
  db
    .selectFrom('deliveries')
    .select((eb) => ['subject_sid', eb.fn.max('id').as('id')])
    .where('service_sid', '=', a.service_sid)
    .where('subject_sid', 'in', elementsOf(db, a.subjects))
    .groupBy('subject_sid'),
)

const newestOf = shape<{ service_sid: string }>()((db, a) =>
  db.selectFrom('deliveries').select('id').where('service_sid', '=', a.service_sid).orderBy('id', 'desc').limit(1),
)

/** Adds many deliveries of one service in this order, each as `enqueueDelivery` adds one. */
export async function enqueueDeliveries(
  tx: Tx,
  service_sid: string,
  deliveries: readonly NewDelivery[],
  { now }: { readonly now: number },
): Promise<void> {
  if (deliveries.length === 0) return
  const last = await lastIds(tx, service_sid, deliveries, now)
  const woken = new Map<string, Notice>()
  const rows = deliveries.map((delivery) => {
    const { subject_sid, target_sid } = delivery
    const row = rowAfter(tx, delivery, last.get(subject_sid), { now })
    last.set(subject_sid, row.id)
    const part = `${row.slot} ${target_sid}`
    if (!woken.has(part)) woken.set(part, { topic: 'deliveries', target_sid, slot: row.slot })
    return row
  })
  await insertAll(tx, 'deliveries', rows)
  for (const notice of woken.values()) tx.notify(notice)
}

/**
 * Returns the last id of each subject, of those at least that have one above what is made `now`. Nearly always the newest of the service is from
 * before, and none of them has to be looked for: an estimated 1.5 µs each.
 */
async function lastIds(
  tx: Tx,
  service_sid: string,
  deliveries: readonly NewDelivery[],
  now: number,
): Promise<Map<string, string>> {
  const newest = await tx.one(newestOf, { service_sid })
  if (!newest || newest.id < lowestSid('delivery', now)) return new Map()
  const subjects = [...new Set(deliveries.map(({ subject_sid }) => subject_sid))]
  const found = await tx.all(lastOfEach, { service_sid, subjects: JSON.stringify(subjects) })
  return new Map(found.map(({ subject_sid, id }) => [subject_sid, id]))
}

/** Returns the row of a new delivery, with an id above that of the last one of its subject. */
function rowAfter(
  tx: Tx,
  delivery: NewDelivery,
  last: string | undefined,
  { now, trace }: { readonly now: number; readonly trace?: string | undefined },
): DeliveryRow {
  return {
    ...delivery,
    form: withTrace(delivery.form, trace),
    id: orderedSid('delivery', now, last),
    slot: slotOf(delivery.subject_sid, tx.slots),
    status: 'pending',
    due: now,
    attempts: '[]',
    date_created: now,
    date_finished: null,
    responses: null,
  }
}

/** Returns the slot of a subject. All its deliveries are in one slot, so that one process sends them in order. */
export function slotOf(subject_sid: string, slots: number): number {
  const random = Number.parseInt(subject_sid.slice(-6), 16)
  return Number.isNaN(random) ? 0 : random % slots
}

/** No parameter of a delivery has this name: theirs begin with a capital, or with `twi_`. */
const traceKey = 'traceparent'

function withTrace(form: string, trace: string | undefined): string {
  return trace === undefined ? form : JSON.stringify({ ...parseStored<object>(form), [traceKey]: trace })
}

/** Returns the delivery as it is sent and shown, without the trace context that its row may carry. */
export function untraced<R extends Pick<DeliveryRow, 'form'>>(row: R): { readonly row: R; readonly trace: string | undefined } {
  // Most rows have none: their JSON need not be parsed.
  if (!row.form.includes(`"${traceKey}":`)) return { row, trace: undefined }
  const { [traceKey]: trace, ...form } = parseStored<Record<string, unknown>>(row.form)
  return { row: { ...row, form: JSON.stringify(form) }, trace: typeof trace === 'string' ? trace : undefined }
}
