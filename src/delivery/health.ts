import { setImmediate as turn } from 'node:timers/promises'
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

/**
 * Reads how each target fares. No index has the target of a finished delivery, so it looks at the latest deliveries of each status,
 * and counts since the moment from which it has seen all: of more failures than successes, or the reverse, it would tell a wrong share.
 * The last failure may be older.
 */
export async function readHealth(read: Reader, account_sid?: string): Promise<Health> {
  const readRows: LogEntry[] = []
  let since: LogEntry | null = null
  for (const status of deliveryStatuses) {
    const rows = await latestOf(read, status)
    readRows.push(...rows)
    const oldest = rows.length === maxLooked ? rows.at(-1) : undefined
    if (oldest && (since === null || oldest.id > since.id)) since = oldest
  }
  const byTarget = Map.groupBy(
    readRows.filter((row) => row.target_sid !== '' && (account_sid === undefined || row.account_sid === account_sid)),
    ({ target_sid }) => target_sid,
  )
  const from = since?.id ?? ''
  const targets = [...byTarget].map(([target_sid, rows]) => healthOf(target_sid, rows, from))
  return { targets: targets.sort((a, b) => (a.latest.id < b.latest.id ? 1 : -1)), since: since?.date_created ?? null }
}

async function latestOf(read: Reader, status: DeliveryStatus): Promise<LogEntry[]> {
  const rows: LogEntry[] = []
  for (let before = '~'; rows.length < maxLooked; before = rows.at(-1)?.id ?? before) {
    const found = await read.all(slice, { status, before, limit: sliceRows })
    rows.push(...found)
    if (found.length < sliceRows) break
    await turn()
  }
  return rows
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
