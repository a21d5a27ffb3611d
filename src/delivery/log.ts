import { setImmediate as turn } from 'node:timers/promises'
import { type RawBuilder, sql } from 'kysely'
import type { Reader } from '../storage/database.ts'
import { serviceBySid } from '../storage/lookups.ts'
import type { DeliveryKind, DeliveryRow, DeliveryStatus } from '../storage/schema.ts'
import { type Builder, type Shape, shape } from '../storage/shapes.ts'

export const deliveryKinds: readonly DeliveryKind[] = ['webhook', 'message', 'loopback', 'push']
export const deliveryStatuses = ['pending', 'delivered', 'failed'] as const satisfies readonly DeliveryStatus[]

/** What of the log is asked for. */
export interface LogRequest {
  readonly service_sid?: string | undefined
  readonly subject_sid?: string | undefined
  readonly status?: DeliveryStatus | undefined
  /** Both only together with a service or a subject. */
  readonly event_type?: string | undefined
  readonly target_sid?: string | undefined
  /** Deliveries older than this id. */
  readonly before: string
  readonly limit: number
  /** Null: of all accounts. */
  readonly accounts: ReadonlySet<string> | null
}

export interface LogPage {
  readonly rows: readonly DeliveryRow[]
  /** From where the next page goes on; null on the last one. */
  readonly next_before: string | null
}

/** Deliveries of a service or a conversation that are looked at for their status at a time, and in all for one page. */
const window = 1000
const maxWindows = 20

/** Deliveries read at a time, and the characters of their forms after which a page ends. */
const sliceRows = 100
const maxPageChars = 1_000_000

/** Deliveries that are looked at for one page of an operator who has not all accounts. */
const maxLooked = 20_000

interface Args {
  readonly service_sid: string
  readonly subject_sid: string
  /** Empty for any, as are event and target. */
  readonly status: DeliveryStatus | ''
  readonly event_type: string
  readonly target_sid: string
  readonly before: string
  readonly limit: number
}

type Scope = 'service' | 'subject'

/** By the index that has both; a delivery's id alone does not tell where it is. */
export const deliveryById = shape<{ id: string }>()((db, a) =>
  db.selectFrom('deliveries').selectAll().where('status', 'in', deliveryStatuses).where('id', '=', a.id),
)

const ofStatus = (db: Builder, a: Args, status: DeliveryStatus) =>
  db
    .selectFrom('deliveries')
    .selectAll()
    .where('status', '=', status)
    .where('id', '<', a.before)
    .orderBy('id', 'desc')
    .limit(a.limit)

const byStatus = shape<Args & { readonly status: DeliveryStatus }>()((db, a) => ofStatus(db, a, a.status))

const everything = shape<Args>()((db, a) => {
  const part = (status: (typeof deliveryStatuses)[number]) => db.selectFrom(ofStatus(db, a, status).as(status)).selectAll()
  return part('pending').unionAll(part('delivered')).unionAll(part('failed')).orderBy('id', 'desc').limit(a.limit)
})

const serviceOfSubject = shape<{ subject_sid: string }>()((db, a) =>
  db.selectFrom('deliveries').select('service_sid').where('subject_sid', '=', a.subject_sid).limit(1),
)

function within(db: Builder, a: Args, scope: Scope) {
  const ofService = db.selectFrom('deliveries').where('service_sid', '=', a.service_sid)
  const scoped = scope === 'service' ? ofService : ofService.where('subject_sid', '=', a.subject_sid)
  return scoped.where('id', '<', a.before).orderBy('id', 'desc')
}

function isOrAny(column: RawBuilder<unknown>, value: string) {
  return sql<boolean>`(${value} = '' or ${column} = ${value})`
}

const scopedQueries = (scope: Scope) => ({
  page: shape<Args>()((db, a) => within(db, a, scope).selectAll().limit(a.limit)),
  /** The oldest id of a window. */
  end: shape<Args>()((db, a) =>
    within(db, a, scope)
      .select('id')
      .limit(1)
      .offset(window - 1),
  ),
  matching: shape<Args>()((db, a) =>
    db
      .selectFrom(within(db, a, scope).select(['id', 'status', 'event_type', 'target_sid']).limit(sql.lit(window)).as('window'))
      .innerJoin('deliveries as d', 'd.id', 'window.id')
      .selectAll('d')
      .where('d.service_sid', '=', a.service_sid)
      .where(isOrAny(sql.ref('window.status'), a.status))
      .where(isOrAny(sql.ref('window.event_type'), a.event_type))
      .where(isOrAny(sql.ref('window.target_sid'), a.target_sid))
      .orderBy('window.id', 'desc')
      .limit(a.limit),
  ),
})
const scoped = { service: scopedQueries('service'), subject: scopedQueries('subject') } as const

/** Reads one page of the log, newest first. */
export async function readLog(read: Reader, request: LogRequest): Promise<LogPage> {
  const { service_sid, subject_sid, status, before, limit, accounts } = request
  const { event_type = '', target_sid = '' } = request
  const args = { service_sid: '', subject_sid: subject_sid ?? '', event_type, target_sid, before, limit }
  if (service_sid === undefined && subject_sid === undefined) {
    return status
      ? readSlices(read, byStatus, { ...args, status }, accounts)
      : readSlices(read, everything, { ...args, status: '' }, accounts)
  }
  const service = service_sid ?? (await read.one(serviceOfSubject, { subject_sid: args.subject_sid }))?.service_sid
  if (service === undefined) return { rows: [], next_before: null }
  const account_sid = accounts && (await read.one(serviceBySid, { sid: service }))?.account_sid
  if (accounts && !accounts.has(account_sid ?? '')) return { rows: [], next_before: null }
  const scope = subject_sid === undefined ? 'service' : 'subject'
  const scopedArgs: Args = { ...args, service_sid: service, status: status ?? '' }
  return status || event_type || target_sid
    ? readMatching(read, scope, scopedArgs)
    : readSlices(read, scoped[scope].page, scopedArgs)
}

/** Reads a page in slices, with turns of the event loop between, until it has as many rows as asked for or as fit. */
async function readSlices<A extends Args>(
  read: Reader,
  query: Shape<A, DeliveryRow>,
  args: A,
  accounts: LogRequest['accounts'] = null,
): Promise<LogPage> {
  const rows: DeliveryRow[] = []
  let before = args.before
  let chars = 0
  for (let looked = 0; ; looked += sliceRows) {
    const limit = accounts ? sliceRows : Math.min(args.limit - rows.length, sliceRows)
    const found = await read.all(query, { ...args, before, limit: limit + 1 })
    for (const row of found.slice(0, limit)) {
      if (chars >= maxPageChars || rows.length === args.limit) return { rows, next_before: before }
      before = row.id
      if (accounts && !accounts.has(row.account_sid)) continue
      rows.push(row)
      chars += row.form.length + row.attempts.length
    }
    if (found.length <= limit) return { rows, next_before: null }
    if (rows.length === args.limit || chars >= maxPageChars || looked >= maxLooked) return { rows, next_before: before }
    await turn()
  }
}

/**
 * Deliveries of one status, event or target within a scope have no index: most are delivered, and one more would have to be changed with each.
 * The page ends, with what was found, after a number of deliveries that were looked at.
 */
async function readMatching(read: Reader, scope: Scope, args: Args): Promise<LogPage> {
  const { end, matching } = scoped[scope]
  const found: DeliveryRow[] = []
  let before = args.before
  for (let i = 0; i < maxWindows; i++) {
    if (i > 0) await turn()
    const last = await read.one(end, { ...args, before })
    const page = await readSlices(read, matching, { ...args, before, limit: args.limit - found.length })
    found.push(...page.rows)
    if (!last && page.next_before === null) return { rows: found, next_before: null }
    const reached = page.rows.at(-1)?.id
    if (page.next_before !== null || found.length === args.limit) return { rows: found, next_before: reached ?? null }
    // The window's last row is part of it; its later slices may have gone further.
    before = [last?.id, reached].filter((id) => id !== undefined).sort()[0] ?? before
  }
  return { rows: found, next_before: before }
}
