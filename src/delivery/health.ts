import { setImmediate as turn } from 'node:timers/promises'
import { sql } from 'kysely'
import { parseStored } from '../json.ts'
import type { Reader } from '../storage/database.ts'
import type { DeliveryRow, DeliveryStatus } from '../storage/schema.ts'
import { elementsOf } from '../storage/sets.ts'
import { type Builder, shape } from '../storage/shapes.ts'
import { deliveryStatuses } from './log.ts'
import type { Attempt } from './record.ts'

/** How the latest deliveries to one target went. Instants in epoch ms. */
export interface TargetHealth {
  readonly target_sid: string
  /** Of the latest delivery among them. */
  readonly latest: LogEntry
  readonly pending: number
  readonly delivered: number
  readonly failed: number
  /** Of the last attempts of what was delivered, in ascending order. */
  readonly durations_ms: readonly number[]
  readonly last_delivered: number | null
  readonly last_failed: LogEntry | null
}

export interface Health {
  readonly targets: readonly TargetHealth[]
  /** The deliveries that are counted were created since; null when they are all that there are. */
  readonly since: number | null
}

/** The deliveries of each status that are looked at, the latest of the installation, and those read at a time. */
export const maxLooked = 2000
const sliceRows = 1000
/** Services of an account that are looked at each; of more, those of the installation are. */
const maxServices = 100
/** The deliveries of all services of an account that are looked at, in equal shares, and those of one at least. */
const maxOfServices = 3000
const minOfService = 60

/** What is counted by. Of thousands of rows these are read, of those that are shown the others. */
const counted = ['id', 'account_sid', 'service_sid', 'target_sid', 'status'] as const
const shown = [
  ...(['id', 'kind', 'account_sid', 'service_sid', 'subject_sid', 'event_type', 'url'] as const),
  ...(['attempts', 'date_created', 'date_finished'] as const),
] as const

/** `attempts`: only of what was delivered. */
type CountedRow = Pick<DeliveryRow, (typeof counted)[number]> & { readonly attempts: string | null }
type LogEntry = Pick<DeliveryRow, (typeof shown)[number]>

const ifDelivered = sql<string | null>`case when status = 'delivered' then attempts end`.as('attempts')

interface SliceArgs {
  readonly status: DeliveryStatus
  readonly before: string
  readonly limit: number
}

const slice = shape<SliceArgs>()<CountedRow>((db, a) => latestOfStatus(db, a).select([...counted, ifDelivered]))

/** Of an account: without those of its services (`services`: a JSON array) from `seen` on. */
const restOfSlice = shape<SliceArgs & { account_sid: string; services: string; seen: string }>()<CountedRow>((db, a) =>
  db
    .selectFrom(
      latestOfStatus(db, a)
        .select([...counted, 'attempts'])
        .as('slice'),
    )
    .select([...counted, ifDelivered])
    .where('account_sid', '=', a.account_sid)
    .where((when) => when.or([when('id', '<', a.seen), when('service_sid', 'not in', elementsOf(db, a.services))])),
)

function latestOfStatus(db: Builder, { status, before, limit }: SliceArgs) {
  return db.selectFrom('deliveries').where('status', '=', status).where('id', '<', before).orderBy('id', 'desc').limit(limit)
}

interface ServiceArgs {
  readonly service_sid: string
  readonly before: string
  readonly limit: number
}

const sliceOfService = shape<ServiceArgs>()<CountedRow>((db, a) =>
  db
    .selectFrom('deliveries')
    .select([...counted, ifDelivered])
    .where('service_sid', '=', a.service_sid)
    .where('id', '<', a.before)
    .orderBy('id', 'desc')
    .limit(a.limit),
)

/** `ids`: a JSON array. */
const entriesById = shape<{ ids: string }>()((db, a) =>
  db.selectFrom('deliveries').select(shown).where('status', 'in', deliveryStatuses).where('id', 'in', elementsOf(db, a.ids)),
)

const servicesOf = shape<{ account_sid: string }>()((db, a) =>
  db
    .selectFrom('services')
    .select('sid')
    .where('account_sid', '=', a.account_sid)
    .limit(sql.lit(maxServices + 1)),
)

/**
 * Reads how each target fares. No index has the target of a finished delivery, so it looks at the latest deliveries of each status,
 * and counts since the moment from which it has seen all: of more failures than successes, or the reverse, it would tell a wrong share.
 * The last failure may be older. Those of an account are looked for in its services: another account may have all of the latest.
 * `isMeant`: of which accounts.
 */
export async function readHealth(
  read: Reader,
  account_sid: string | undefined,
  isMeant: (account_sid: string) => boolean,
): Promise<Health> {
  const services = account_sid === undefined ? [] : await read.all(servicesOf, { account_sid })
  const parts: Part[] = []
  if (account_sid !== undefined && services.length > 0 && services.length <= maxServices) {
    const share = Math.max(minOfService, Math.floor(maxOfServices / services.length))
    /** From which id on the deliveries of a service have been read. */
    const seen = new Map<string, string>()
    for (const { sid } of services) {
      const part = await latestOf((before, limit) => read.all(sliceOfService, { service_sid: sid, before, limit }), share)
      seen.set(sid, part.seen)
      parts.push(part)
    }
    const all = { account_sid, services: JSON.stringify([...seen.keys()]), seen: latestSeen(parts) }
    for (const status of deliveryStatuses) {
      const rows = await read.all(restOfSlice, { ...all, status, before: '~', limit: maxLooked })
      // These are only for what is older than the others, and for services that are gone.
      parts.push({ rows: rows.filter(({ service_sid, id }) => id < (seen.get(service_sid) ?? '~')), seen: '' })
      await turn()
    }
  } else {
    for (const status of deliveryStatuses) {
      parts.push(await latestOf((before, limit) => read.all(slice, { status, before, limit }), maxLooked))
    }
  }
  return healthOf(read, parts, isMeant)
}

interface Part {
  /** The latest first. */
  readonly rows: readonly CountedRow[]
  /** The id from which on there are all; empty: there are no others. */
  readonly seen: string
}

/** Reads the latest, in slices with turns of the event loop between. */
async function latestOf(read: (before: string, limit: number) => Promise<CountedRow[]>, most: number): Promise<Part> {
  const rows: CountedRow[] = []
  for (let before = '~'; rows.length < most; before = rows.at(-1)?.id ?? before) {
    const limit = Math.min(sliceRows, most - rows.length)
    const found = await read(before, limit)
    rows.push(...found)
    if (found.length < limit) return { rows, seen: '' }
    await turn()
  }
  return { rows, seen: rows.at(-1)?.id ?? '' }
}

/** From there on all deliveries of all parts have been read. */
function latestSeen(parts: readonly Part[]): string {
  return (
    parts
      .map(({ seen }) => seen)
      .sort()
      .at(-1) ?? ''
  )
}

/** What is known of a target, while one delivery after the other is looked at. The latest of each status by their ids. */
interface Tally {
  readonly durations_ms: number[]
  pending: number
  delivered: number
  failed: number
  latest: string
  last_delivered: string
  last_failed: string
}

async function healthOf(read: Reader, parts: readonly Part[], isMeant: (account_sid: string) => boolean): Promise<Health> {
  const from = latestSeen(parts)
  const tallies = new Map<string, Tally>()
  for (const { rows } of parts) {
    for (const row of rows) {
      if (row.target_sid === '' || !isMeant(row.account_sid)) continue
      let tally = tallies.get(row.target_sid)
      if (!tally) {
        tally = { durations_ms: [], pending: 0, delivered: 0, failed: 0, latest: '', last_delivered: '', last_failed: '' }
        tallies.set(row.target_sid, tally)
      }
      add(tally, row, from)
    }
  }
  const named = [...tallies.values()].flatMap(({ latest, last_delivered, last_failed }) => [latest, last_delivered, last_failed])
  const entries = await entriesOf(read, new Set([from, ...named]))
  const targets = [...tallies].flatMap(([target_sid, { durations_ms, ...tally }]): TargetHealth[] => {
    const latest = entries.get(tally.latest)
    // It was removed since.
    if (!latest) return []
    durations_ms.sort((a, b) => a - b)
    const lastDelivered = entries.get(tally.last_delivered)?.date_finished ?? null
    const lastFailed = entries.get(tally.last_failed) ?? null
    return [{ ...tally, target_sid, durations_ms, latest, last_delivered: lastDelivered, last_failed: lastFailed }]
  })
  return {
    targets: targets.sort((a, b) => (a.latest.id < b.latest.id ? 1 : -1)),
    since: entries.get(from)?.date_created ?? null,
  }
}

function add(to: Tally, { id, status, attempts }: CountedRow, from: string): void {
  if (id > to.latest) to.latest = id
  if (status === 'pending') to.pending++
  else if (status === 'failed') {
    if (id >= from) to.failed++
    if (id > to.last_failed) to.last_failed = id
  } else {
    if (id > to.last_delivered) to.last_delivered = id
    if (id < from) return
    to.delivered++
    const last = parseStored<Attempt[]>(attempts ?? '[]').at(-1)
    if (last) to.durations_ms.push(last.duration_ms)
  }
}

async function entriesOf(read: Reader, ids: ReadonlySet<string>): Promise<ReadonlyMap<string, LogEntry>> {
  const wanted = [...ids].filter((id) => id !== '')
  const entries = new Map<string, LogEntry>()
  for (let i = 0; i < wanted.length; i += sliceRows) {
    const found = await read.all(entriesById, { ids: JSON.stringify(wanted.slice(i, i + sliceRows)) })
    for (const entry of found) entries.set(entry.id, entry)
    await turn()
  }
  return entries
}
