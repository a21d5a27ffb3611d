import { enqueueMany } from '../events/outbox.ts'
import { postActionTarget } from '../events/targets.ts'
import type { Tx } from '../storage/database.ts'
import { rowsByNames } from '../storage/rows.ts'
import type { AccountRow, ServiceRow } from '../storage/schema.ts'
import type { AnyResource, ElapseMany } from './declare.ts'
import type { Registry } from './registry.ts'
import { type DueRow, ownersOf, sweepEach } from './sweep-each.ts'

type Due = Pick<DueRow, 'account_sid' | 'service_sid' | 'sid'>

/** The due rows of one service. */
interface Batch {
  readonly account: AccountRow
  readonly service: ServiceRow
  /** Whether the account's or the service's webhook is sent the events. */
  readonly wanted: boolean
  readonly rows: Due[]
  /** Those of them whose events a webhook may be sent. */
  readonly told: Due[]
}

/** What a row takes of a batch: its events about as much again, and one that is changed by itself several times that. */
const cost = { quiet: 1, told: 2, alone: 6 } as const

/** In one notice. */
const maxNoticed = 100

/**
 * Applies deadlines as `sweepEach`, to all rows of a service in one statement. Events cost only those that are told of something: they are
 * made by the rules of the row, and written with one look for what was told before. Returns the number of rows.
 */
export async function sweepMany(
  tx: Tx,
  registry: Registry,
  resource: AnyResource,
  many: ElapseMany<Due>,
  { now, limit }: { readonly now: number; readonly limit: number },
): Promise<number> {
  let swept = 0
  let used = 0
  // What is claimed and has no room is read for nothing, 2.5 µs each: the first rows are taken to cost as one with events, the next as these did.
  while (used < limit) {
    const each = swept === 0 ? cost.told : used / swept
    const claimed = Math.ceil((limit - used) / each)
    const found = await tx.claim(many.due, { now, limit: claimed })
    const { batches, alone, taken, room } = await divided(tx, many, found, limit - used)
    for (const batch of batches) await sweepBatch(tx, resource, many, batch, now)
    await sweepAlone(tx, registry, resource, alone, now)
    swept += taken
    used = limit - room
    // What is applied by itself may be due again, in a batch of its own.
    if (found.length < claimed || alone.length > 0) break
  }
  return swept
}

async function sweepAlone(tx: Tx, registry: Registry, resource: AnyResource, alone: readonly Due[], now: number): Promise<void> {
  if (alone.length === 0) return
  const query = rowsByNames<DueRow>(resource.table, ['service_sid', 'sid'])
  const rows = await Promise.all(alone.map(({ service_sid, sid }) => tx.one(query, { service_sid, sid })))
  await sweepEach(
    tx,
    registry,
    resource,
    rows.filter((row) => row !== undefined),
    () => now,
  )
}

/** Takes rows, the earliest first, until `room` is used up; the others are due still. */
async function divided(tx: Tx, many: ElapseMany<Due>, found: readonly Due[], room: number) {
  const { accounts, services } = await ownersOf(tx, found)
  const batches = new Map<string, Batch>()
  const alone: Due[] = []
  let left = room
  let taken = 0
  for (const row of found) {
    if (left <= 0) break
    taken++
    const batch = batches.get(row.service_sid) ?? newBatch(many, accounts.get(row.account_sid), services.get(row.service_sid))
    if (!batch || !many.takes(row)) {
      alone.push(row)
      left -= cost.alone
      continue
    }
    batches.set(row.service_sid, batch)
    batch.rows.push(row)
    const isTold = batch.wanted || many.isListened(row)
    if (isTold) batch.told.push(row)
    left -= isTold ? cost.told : cost.quiet
  }
  return { batches: [...batches.values()], alone, taken, room: left }
}

function newBatch(
  { emits }: ElapseMany<Due>,
  account: AccountRow | undefined,
  service: ServiceRow | undefined,
): Batch | undefined {
  if (!account || !service) return undefined
  const wanted = emits.some((type) => postActionTarget(account, service, type) !== null)
  return { account, service, wanted, rows: [], told: [] }
}

async function sweepBatch(
  tx: Tx,
  { table }: AnyResource,
  many: ElapseMany<Due>,
  { account, service, rows, told }: Batch,
  now: number,
): Promise<void> {
  await many.write(tx, service.sid, rows, now)
  const toldOf = told.flatMap((row) => many.events(row, now).flatMap((event) => (event.always ? [{ event, row }] : [])))
  const events = await Promise.all(
    toldOf.map(async ({ event, row }) => ({
      event,
      listeners: many.isListened(row) ? await many.listeners(tx, event, row) : [],
    })),
  )
  await enqueueMany(tx, { account, service, now }, events)
  for (let i = 0; i < rows.length; i += maxNoticed) {
    const sids = rows.slice(i, i + maxNoticed).map(({ sid }) => sid)
    tx.notify({ topic: 'elapsed', table, sids, objects: sids.map(many.object) })
  }
}
