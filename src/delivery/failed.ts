import { setImmediate as turn } from 'node:timers/promises'
import { beforeSidsOf } from '../sids.ts'
import type { Reader } from '../storage/database.ts'
import type { DeliveryKind, DeliveryRow } from '../storage/schema.ts'
import { shape } from '../storage/shapes.ts'
import { searchForm } from './search-form.ts'

/** Which failed deliveries are meant. Instants in epoch ms, of their creation. */
export interface FailedRequest {
  readonly since: number
  /** Those that were created at this instant or later are not meant. */
  readonly until: number
  /** Deliveries after this id; by default from the first one on. */
  readonly after?: string | undefined
  readonly kind?: DeliveryKind | undefined
  /** Null: of all accounts. */
  readonly accounts: ReadonlySet<string> | null
  readonly account_sid?: string | undefined
  readonly service_sid?: string | undefined
  readonly subject_sid?: string | undefined
  readonly event_type?: string | undefined
  readonly target_sid?: string | undefined
  /** A text that one of the parameters has in it, in whatever case. */
  readonly text?: string | undefined
  readonly limit: number
}

export interface FailedPage {
  /** In the order in which they were created: what is about one conversation is sent again in its order. */
  readonly ids: readonly string[]
  /** From where the next page goes on; null on the last one. */
  readonly next_after: string | null
}

/** Failed deliveries that are looked at at a time, and in all for one page. */
const window = 500
const maxWindows = 10

/** Later deliveries about the same conversation among which one is looked for that was sent in its place. */
const maxLater = 1000

const filters = ['kind', 'account_sid', 'service_sid', 'subject_sid', 'event_type', 'target_sid'] as const
const columns = [...filters, 'id', 'idempotency_token', 'date_created'] as const

type FailedRow = Pick<DeliveryRow, (typeof columns)[number]> & { readonly form?: string }

const failedAfter = (form: readonly 'form'[]) =>
  shape<{ after: string; limit: number }>()<FailedRow>((db, a) =>
    db
      .selectFrom('deliveries')
      .select([...columns, ...form])
      .where('status', '=', 'failed')
      .where('id', '>', a.after)
      .orderBy('id')
      .limit(a.limit),
  )
const withoutForm = { query: failedAfter([]), window }
/** Forms can be large. */
const withForm = { query: failedAfter(['form']), window: 100 }

const laterOf = shape<{ service_sid: string; subject_sid: string; after: string; limit: number }>()((db, a) =>
  db
    .selectFrom('deliveries')
    .select(['id', 'idempotency_token'])
    .where('service_sid', '=', a.service_sid)
    .where('subject_sid', '=', a.subject_sid)
    .where('id', '>', a.after)
    .orderBy('id')
    .limit(a.limit),
)

/** Reads one page of failed deliveries, the first ones first, without those that were sent again already. */
export async function readFailed(read: Reader, request: FailedRequest): Promise<FailedPage> {
  const { limit, text } = request
  const hasText = text === undefined ? null : searchForm(text)
  const { query, window } = hasText ? withForm : withoutForm
  const found: FailedRow[] = []
  let after = request.after ?? beforeSidsOf('delivery', request.since)
  for (let i = 0; i < maxWindows; i++) {
    if (i > 0) await turn()
    const rows = await read.all(query, { after, limit: window })
    for (const row of rows) {
      if (isMeant(row, request) && (!hasText || hasText({ form: row.form ?? '' }))) found.push(row)
      after = row.id
      if (found.length === limit) return { ids: await withoutRepeated(read, found), next_after: after }
    }
    if (rows.length < window) return { ids: await withoutRepeated(read, found), next_after: null }
  }
  return { ids: await withoutRepeated(read, found), next_after: after }
}

function isMeant(row: FailedRow, request: FailedRequest): boolean {
  const created = Number(row.date_created)
  if (created < request.since || created >= request.until) return false
  if (request.accounts !== null && !request.accounts.has(row.account_sid)) return false
  return filters.every((column) => request[column] === undefined || request[column] === row[column])
}

/** Leaves out what was sent again already, which has the same token: if that has failed as well, it is there itself. */
async function withoutRepeated(read: Reader, rows: readonly FailedRow[]): Promise<string[]> {
  const last = new Map<string, string>()
  const ofSubjects = Map.groupBy(rows, ({ service_sid, subject_sid }) => `${service_sid} ${subject_sid}`)
  for (const [first] of ofSubjects.values()) {
    if (!first) continue
    const { service_sid, subject_sid, id: after } = first
    const later = await read.all(laterOf, { service_sid, subject_sid, after, limit: maxLater })
    for (const { id, idempotency_token } of later) last.set(idempotency_token, id)
  }
  return rows.filter(({ id, idempotency_token }) => (last.get(idempotency_token) ?? id) <= id).map(({ id }) => id)
}
