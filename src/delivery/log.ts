import { setImmediate as turn } from 'node:timers/promises'
import { type RawBuilder, sql } from 'kysely'
import { beforeSidsOf } from '../sids.ts'
import type { Reader } from '../storage/database.ts'
import { serviceBySid } from '../storage/lookups.ts'
import type { DeliveryKind, DeliveryRow, DeliveryStatus } from '../storage/schema.ts'
import { type Builder, type Shape, shape } from '../storage/shapes.ts'
import { searchForm } from './search-form.ts'

export const deliveryKinds: readonly DeliveryKind[] = ['webhook', 'message', 'loopback', 'push']
export const deliveryStatuses = ['pending', 'delivered', 'failed'] as const satisfies readonly DeliveryStatus[]

/** What of the log is asked for: what all that is given applies to. */
export interface LogRequest {
  readonly account_sid?: string | undefined
  readonly service_sid?: string | undefined
  readonly subject_sid?: string | undefined
  readonly status?: DeliveryStatus | undefined
  readonly event_type?: string | undefined
  readonly target_sid?: string | undefined
  /** Instants in epoch ms: created at `since` or later, and before `until`. */
  readonly since?: number | undefined
  readonly until?: number | undefined
  /** A text that one of the parameters has in it, in whatever case. */
  readonly text?: string | undefined
  /** Deliveries older than this id. */
  readonly before: string
  readonly limit: number
  /** Null: of all accounts. */
  readonly accounts: ReadonlySet<string> | null
}

/** A delivery without what was responded, which a list does not show. */
export type LogRow = Omit<DeliveryRow, 'responses'>

export interface LogPage {
  readonly rows: readonly LogRow[]
  /** From where the next page goes on; null on the last one. */
  readonly next_before: string | null
  /** Whether the page ended because enough deliveries were looked at for it. */
  readonly stopped_early: boolean
}

/**
 * Deliveries whose columns are looked at at a time, 20,000 in all for one page: few where many match, then more, as each look has a cost of
 * its own.
 */
const firstWindow = 1000
const laterWindow = 3800
const laterWindows = 5

/** Deliveries read at a time. */
const sliceRows = 100
/**
 * The same where it has to be seen of each whether it is meant, and how often for one page: 4,000 in all. Their forms are read for that: 20,000,
 * of which none had the text that was sought, took 200 ms of CPU time and 110 of PostgreSQL's.
 */
const lookedRows = 400
const maxLooks = 10

/** The characters of forms after which a page ends: of those that are shown, and of those that were looked at. */
const maxPageChars = 1_000_000
const maxLookedChars = 4_000_000

interface Args {
  /** Empty for any, as are service and subject, where the source does not have them, status, event and target. */
  readonly account_sid: string
  readonly service_sid: string
  readonly subject_sid: string
  readonly status: DeliveryStatus | ''
  readonly event_type: string
  readonly target_sid: string
  /** Ids in between: both are no part of it. */
  readonly after: string
  readonly before: string
  readonly limit: number
}

/** By which index the log is read. */
type Source = 'all' | 'status' | 'service' | 'subject'

/** By the index that has both; a delivery's id alone does not tell where it is. */
export const deliveryById = shape<{ id: string }>()((db, a) =>
  db.selectFrom('deliveries').selectAll().where('status', 'in', deliveryStatuses).where('id', '=', a.id),
)

const serviceOfSubject = shape<{ subject_sid: string }>()((db, a) =>
  db.selectFrom('deliveries').select('service_sid').where('subject_sid', '=', a.subject_sid).limit(1),
)

const listed = [
  ...(['id', 'kind', 'account_sid', 'service_sid', 'target_sid', 'subject_sid', 'slot', 'event_type', 'method', 'url'] as const),
  ...(['form', 'idempotency_token', 'status', 'due', 'message_sid', 'participant_sid', 'attempts'] as const),
  ...(['date_created', 'date_finished'] as const),
] as const satisfies readonly (keyof LogRow)[]

/** What is compared before a row is read as a whole. */
const compared = ['id', 'service_sid', 'account_sid', 'status', 'event_type', 'target_sid'] as const

const between = (db: Builder, a: Args) =>
  db.selectFrom('deliveries').where('id', '<', a.before).where('id', '>', a.after).orderBy('id', 'desc')

const ofStatus = (db: Builder, a: Args, status: DeliveryStatus) => between(db, a).where('status', '=', status)

function within(db: Builder, a: Args, source: Exclude<Source, 'all'>) {
  if (source === 'status') return between(db, a).where(sql<boolean>`status = ${a.status}`)
  const ofService = between(db, a).where('service_sid', '=', a.service_sid)
  return source === 'service' ? ofService : ofService.where('subject_sid', '=', a.subject_sid)
}

function isOrAny(column: RawBuilder<unknown>, value: string) {
  return sql<boolean>`(${value} = '' or ${column} = ${value})`
}

/** The columns that are compared, of a window. All statuses together are read as three lists by the index that has the status first. */
function windowOf(db: Builder, a: Args, source: Source, window: number) {
  if (source !== 'all') return within(db, a, source).select(compared).limit(sql.lit(window))
  const part = (status: DeliveryStatus) =>
    db.selectFrom(ofStatus(db, a, status).select(compared).limit(sql.lit(window)).as(status)).selectAll()
  const parts = part('pending').unionAll(part('delivered')).unionAll(part('failed'))
  return db.selectFrom(parts.as('parts')).selectAll().orderBy('id', 'desc').limit(sql.lit(window))
}

const pageOf = (source: Source) =>
  shape<Args>()((db, a) => {
    if (source !== 'all') return within(db, a, source).select(listed).limit(a.limit)
    const part = (status: DeliveryStatus) =>
      db.selectFrom(ofStatus(db, a, status).select(listed).limit(a.limit).as(status)).selectAll()
    return part('pending').unionAll(part('delivered')).unionAll(part('failed')).orderBy('id', 'desc').limit(a.limit)
  })

const windowQueries = (source: Source, window: number) => ({
  /** The oldest id of a window. */
  end: shape<Args>()((db, a) =>
    db
      .selectFrom(windowOf(db, a, source, window).as('window'))
      .select('id')
      .orderBy('id', 'desc')
      .limit(1)
      .offset(window - 1),
  ),
  matching: shape<Args>()((db, a) =>
    db
      .selectFrom(windowOf(db, a, source, window).as('window'))
      .innerJoin('deliveries as d', (join) =>
        join.onRef('d.id', '=', 'window.id').onRef('d.service_sid', '=', 'window.service_sid'),
      )
      .select(listed.map((column) => `d.${column}` as const))
      .where(isOrAny(sql.ref('window.account_sid'), a.account_sid))
      .where(isOrAny(sql.ref('window.status'), a.status))
      .where(isOrAny(sql.ref('window.event_type'), a.event_type))
      .where(isOrAny(sql.ref('window.target_sid'), a.target_sid))
      .orderBy('window.id', 'desc')
      .limit(a.limit),
  ),
})

const queries = (source: Source) => {
  const later = windowQueries(source, laterWindow)
  return {
    page: pageOf(source),
    windows: [windowQueries(source, firstWindow), ...Array.from({ length: laterWindows }, () => later)],
  }
}
const bySource = { all: queries('all'), status: queries('status'), service: queries('service'), subject: queries('subject') }

/** A page as it is filled. */
class Page {
  readonly rows: LogRow[] = []
  readonly #limit: number
  /** Whether a row is one of those that are asked for; null: each is. */
  readonly #isMeant: ((row: LogRow) => boolean) | null
  #chars = 0
  #lookedChars = 0
  #looks = 0

  constructor(limit: number, isMeant: ((row: LogRow) => boolean) | null) {
    this.#limit = limit
    this.#isMeant = isMeant
  }

  /** Counts one more read for it, where that is limited. Returns how many rows to read. */
  nextSlice(): number {
    if (!this.#isMeant) return Math.min(this.#limit - this.rows.length, sliceRows)
    this.#looks++
    return lookedRows
  }

  get isFull(): boolean {
    return this.rows.length === this.#limit || this.#chars >= maxPageChars
  }

  get isOver(): boolean {
    return this.isFull || this.#looks >= maxLooks || this.#lookedChars >= maxLookedChars
  }

  look(row: LogRow): void {
    const chars = row.form.length + row.attempts.length
    this.#lookedChars += chars
    if (this.#isMeant && !this.#isMeant(row)) return
    this.rows.push(row)
    this.#chars += chars
  }
}

/** Where reading has come to, and whether there is nothing behind it. */
interface Reached {
  readonly before: string
  readonly ended: boolean
}

/** Reads one page of the log, newest first. */
export async function readLog(read: Reader, request: LogRequest): Promise<LogPage> {
  const { service_sid, subject_sid, accounts, before, limit, since, until, text } = request
  const { account_sid = '', status = '', event_type = '', target_sid = '' } = request
  const none: LogPage = { rows: [], next_before: null, stopped_early: false }
  // How soon a page ends, and where the next one begins, would tell of another's deliveries.
  if (accounts && account_sid !== '' && !accounts.has(account_sid)) return none
  let service = service_sid
  if (subject_sid !== undefined) service ??= (await read.one(serviceOfSubject, { subject_sid }))?.service_sid
  if (subject_sid !== undefined && service === undefined) return none
  if (service !== undefined && accounts && !accounts.has((await read.one(serviceBySid, { sid: service }))?.account_sid ?? '')) {
    return none
  }
  const source = service === undefined ? (status === '' ? 'all' : 'status') : subject_sid === undefined ? 'service' : 'subject'
  const last = until === undefined ? '~' : beforeSidsOf('delivery', until)
  const args: Args = {
    ...{ account_sid, service_sid: service ?? '', subject_sid: subject_sid ?? '', status, event_type, target_sid },
    after: since === undefined ? '' : beforeSidsOf('delivery', since),
    before: [before, last].sort()[0] ?? before,
    limit,
  }
  const hasText = text === undefined ? null : searchForm(text)
  const isPlain = hasText === null && since === undefined && until === undefined && (accounts === null || service !== undefined)
  const page = new Page(
    limit,
    isPlain
      ? null
      : (row) => {
          // An id can be of a later time than its delivery: it is above those of the same subject.
          const created = Number(row.date_created)
          if (created < (since ?? created) || created >= (until ?? Number.POSITIVE_INFINITY)) return false
          return (accounts === null || accounts.has(row.account_sid)) && (hasText === null || hasText(row))
        },
  )
  const isCompared = [account_sid, event_type, target_sid, source === 'status' ? '' : status].some((value) => value !== '')
  const reached = isCompared
    ? await readWindows(read, source, args, page)
    : await readSlices(read, bySource[source].page, args, page)
  return {
    rows: page.rows,
    next_before: reached.ended ? null : reached.before,
    stopped_early: !reached.ended && !page.isFull,
  }
}

/** Fills the page in slices, with turns of the event loop between. */
async function readSlices(read: Reader, query: Shape<Args, LogRow>, args: Args, page: Page): Promise<Reached> {
  let { before } = args
  while (!page.isOver) {
    const limit = page.nextSlice()
    const found = await read.all(query, { ...args, before, limit: limit + 1 })
    for (const row of found.slice(0, limit)) {
      if (page.isOver) return { before, ended: false }
      before = row.id
      page.look(row)
    }
    if (found.length <= limit) return { before, ended: true }
    await turn()
  }
  return { before, ended: false }
}

/**
 * Deliveries of one account, event or target, and of one status within a service, have no index: most are delivered, and one more would have
 * to be changed with each. The page ends, with what was found, after a number of deliveries that were looked at.
 */
async function readWindows(read: Reader, source: Source, args: Args, page: Page): Promise<Reached> {
  let { before } = args
  for (const { end, matching } of bySource[source].windows) {
    if (before !== args.before) await turn()
    const last = await read.one(end, { ...args, before })
    const slices = await readSlices(read, matching, { ...args, before }, page)
    if (!slices.ended || !last) return slices
    // The window's last row is part of it; its later slices may have gone further.
    before = last.id
    if (slices.before < before) before = slices.before
    if (page.isOver) break
  }
  return { before, ended: false }
}
