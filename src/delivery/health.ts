import { setImmediate as turn } from 'node:timers/promises'
import { sql } from 'kysely'
import { parseStored } from '../json.ts'
import type { Reader } from '../storage/database.ts'
import type { DeliveryRow, DeliveryStatus } from '../storage/schema.ts'
import { shape } from '../storage/shapes.ts'
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
const sliceRows = 500
/** Services of an account that are looked at each; of more, those of the installation are. And deliveries of one, at least. */
const maxServices = 100
const minOfService = 60

const columns = [
  'id',
  'kind',
  'account_sid',
  'service_sid',
  'target_sid',
  'subject_sid',
  'event_type',
  'url',
  'status',
  'attempts',
  'date_created',
  'date_finished',
] as const

type LogEntry = Pick<DeliveryRow, (typeof columns)[number]>

interface SliceArgs {
  readonly status: DeliveryStatus
  readonly before: string
  readonly limit: number
}

const slice = shape<SliceArgs>()((db, a) =>
  db
    .selectFrom('deliveries')
    .select(columns)
    .where('status', '=', a.status)
    .where('id', '<', a.before)
    .orderBy('id', 'desc')
    .limit(a.limit),
)

interface ServiceArgs {
  readonly service_sid: string
  readonly before: string
  readonly limit: number
}

const sliceOfService = shape<ServiceArgs>()((db, a) =>
  db
    .selectFrom('deliveries')
    .select(columns)
    .where('service_sid', '=', a.service_sid)
    .where('id', '<', a.before)
    .orderBy('id', 'desc')
    .limit(a.limit),
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
  const few = services.length > 0 && services.length <= maxServices
  const parts: Part[] = []
  for (const status of deliveryStatuses) {
    const of = (before: string, limit: number) => read.all(slice, { status, before, limit })
    const part = await latestOf(of, maxLooked)
    // Then these are only for what is older than the others.
    parts.push(few ? { rows: part.rows, seen: '' } : part)
  }
  const share = Math.max(minOfService, Math.floor((maxLooked * deliveryStatuses.length) / Math.max(1, services.length)))
  for (const { sid } of few ? services : []) {
    const of = (before: string, limit: number) => read.all(sliceOfService, { service_sid: sid, before, limit })
    parts.push(await latestOf(of, share))
  }
  const byId = new Map(parts.flatMap(({ rows }) => rows).map((row) => [row.id, row]))
  const wanted = [...byId.values()].filter((row) => row.target_sid !== '' && isMeant(row.account_sid))
  const from =
    parts
      .map(({ seen }) => seen)
      .sort()
      .at(-1) ?? ''
  const targets = [...Map.groupBy(wanted, ({ target_sid }) => target_sid)].map(([target_sid, rows]) =>
    healthOf(target_sid, rows, from),
  )
  return {
    targets: targets.sort((a, b) => (a.latest.id < b.latest.id ? 1 : -1)),
    since: byId.get(from)?.date_created ?? null,
  }
}

interface Part {
  readonly rows: readonly LogEntry[]
  /** The id from which on there are all; empty: there are no others. */
  readonly seen: string
}

/** Reads the latest, in slices with turns of the event loop between. */
async function latestOf(read: (before: string, limit: number) => Promise<LogEntry[]>, most: number): Promise<Part> {
  const rows: LogEntry[] = []
  for (let before = '~'; rows.length < most; before = rows.at(-1)?.id ?? before) {
    const limit = Math.min(sliceRows, most - rows.length)
    const found = await read(before, limit)
    rows.push(...found)
    if (found.length < limit) return { rows, seen: '' }
    await turn()
  }
  return { rows, seen: rows.at(-1)?.id ?? '' }
}

function healthOf(target_sid: string, rows: readonly LogEntry[], from: string): TargetHealth {
  const newest = rows.toSorted((a, b) => (a.id < b.id ? 1 : -1))
  const counted = (status: DeliveryStatus) => newest.filter((row) => row.status === status && row.id >= from)
  const delivered = counted('delivered')
  const [latest] = newest
  if (!latest) throw new Error('a group without rows')
  return {
    target_sid,
    latest,
    pending: newest.filter(({ status }) => status === 'pending').length,
    delivered: delivered.length,
    failed: counted('failed').length,
    durations_ms: delivered
      .flatMap(({ attempts }) => parseStored<Attempt[]>(attempts).at(-1)?.duration_ms ?? [])
      .sort((a, b) => a - b),
    last_delivered: newest.find(({ status }) => status === 'delivered')?.date_finished ?? null,
    last_failed: newest.find(({ status }) => status === 'failed') ?? null,
  }
}
