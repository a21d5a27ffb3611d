import { isDeepStrictEqual } from 'node:util'
import Sqlite from 'better-sqlite3'
import { Kysely, SqliteDialect } from 'kysely'
import pg from 'pg'
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest'
import type { Ancestors, AnyResource, Slice } from '../../src/model/declare.ts'
import type { Reader } from '../../src/storage/database.ts'
import type { AnyShape } from '../../src/storage/shapes.ts'
import { engine, newDatabase, type TestDatabase } from '../support/databases.ts'

// Other tests of this process have declared queries of their own.
vi.resetModules()
const { deliveryStatuses, readLog } = await import('../../src/delivery/log.ts')
const { ApiError } = await import('../../src/errors.ts')
const { parseForm } = await import('../../src/model/form.ts')
const { storedRows } = await import('../../src/model/pages.ts')
const { parseParams } = await import('../../src/model/params.ts')
const { ancestorsOf, familyOf, scopeColumns, scopeOf } = await import('../../src/model/scope.ts')
const { registry, resources } = await import('../../src/resources/index.ts')
const { migrate } = await import('../../src/storage/migrations/index.ts')
const { deleteNames, deleteSome, dueRows, firstDue, rowsByNames, someSids } = await import('../../src/storage/rows.ts')
const { declaredShapes, tablesOf } = await import('../../src/storage/shapes.ts')
// Declares every other query that there is.
await import('../../src/main.ts')
await import('../../src/commands.ts')

/*
 * The cost of a query depends on what it returns or changes, not on what else is stored: each is explained, and none may scan a
 * table or sort more than a page. Lists are asked with every combination of their declared filters, in both directions.
 */

/** Tables with a row for each account, node or operator, or less. */
const small_tables = ['accounts', 'installation', 'leases', 'operators', 'operator_tokens', 'search_progress']

/** Queries that sort or check more than they return, each with what bounds it. */
const exceptions: readonly (readonly [text: RegExp, bound: string])[] = [
  [/"p"\."open" = 1/, 'memberships in open conversations: at most 1,000'],
  [/from "conversation_webhooks" where .*order by "date_created"/, 'webhooks of a conversation: at most five'],
  [/from "bindings" where .*"identity" (?:in|=) /, 'bindings of the identities that the request names'],
  [/from "participants" where "service_sid" = \S+ and "conversation_sid" = /, 'participants of a conversation: at most 1,000'],
  [/from "channels" where "account_sid" = \S+ order by/, 'channels of an account: one for each address of its own'],
  [/^select \* from "retention" order by/, 'policies: at most one of each account and service, read hourly'],
  [/from "api_keys" where "account_sid" = /, 'keys of an account'],
  [/^select \* from "\w+"$/, 'a snapshot: all rows of a database that was made for tests'],
  [/^delete from "\w+"$/, 'a reset: the same'],
  [/search_words match|select 1 from search_documents/, 'the index of words: read from its end, or counted up to a limit'],
  [/select "account_sid", min\("due"\) as "due" from "deliveries"/, 'the wait for pending deliveries: only with a test clock'],
  [
    /where "sid" = \S+ and "service_sid" in \(select "sid" from "services"/,
    'who has the SID of an imported record: a look for each service, once for each new record',
  ],
]

interface Query {
  readonly name: string
  readonly shape: AnyShape
  /** Columns of conditions that an index has to answer. */
  readonly filters: readonly string[]
}

/** A reader that finds nothing but what keeps others going, and keeps what it is asked. */
function recorder(found: AnyShape[]): Reader {
  const row = async (query: AnyShape) => {
    found.push(query)
    return { sid: 'x', id: 'x', service_sid: 'x' } as never
  }
  return {
    one: row,
    hold: row,
    all: async (query) => {
      found.push(query)
      return []
    },
  }
}

const row = (sid: string) => ({ sid, date_created: 1, date_updated: 1, revision: 1, identity: 'x' })

/** What is above a resource, made up. */
function ancestorsFor(resource: AnyResource): Ancestors {
  const parents = ancestorsOf(resource).map((_, i) => row(`parent${i}`))
  const service = familyOf(resource) === 'account' ? null : row('service')
  return { account: row('account'), service, parents } as unknown as Ancestors
}

/** Texts of which a filter takes one or the other. */
const samples = ['active', 'asc', 'apn', 'gcm', 'sms', '2026-01-01', 'x0', ...Array.from({ length: 9 }, (_, i) => `x${i + 1}`)]

/** The ways to give one filter: not at all, once, repeated, often. */
function waysToGive(resource: AnyResource, name: string): string[] {
  const params = resource.list?.params ?? {}
  const taken = samples.filter((value) => {
    try {
      parseParams({ [name]: params[name] }, 'list', parseForm(`${name}=${value}`))
      return true
    } catch {
      return false
    }
  })
  expect(taken, `a value for ${resource.name} ${name}`).not.toEqual([])
  return [
    '',
    ...[1, 2, 9].map((count) =>
      taken
        .slice(0, count)
        .map((value) => `${name}=${value}`)
        .join('&'),
    ),
  ]
}

/** Every combination of filters of a list, as queries of requests. */
function requestsOf(resource: AnyResource): string[] {
  const names = Object.keys(resource.list?.params ?? {})
  const all = names.reduce<string[][]>(
    (made, name) => made.flatMap((query) => waysToGive(resource, name).map((way) => [...query, way])),
    [[]],
  )
  return [...new Set(all.map((parts) => parts.filter((part) => part !== '').join('&')))]
}

const slices = (['asc', 'desc'] as const).flatMap((direction) =>
  [null, false, true].map(
    (inclusive): Slice => ({ direction, after: inclusive === null ? null : { key: 1, sid: 'x', inclusive }, limit: 51 }),
  ),
)

async function listQueries(): Promise<Query[]> {
  const queries = new Map<number, Query>()
  for (const resource of resources.filter(({ list }) => list)) {
    for (const request of requestsOf(resource)) {
      for (const slice of slices) {
        const found: AnyShape[] = []
        const filters = await askList(resource, request, slice, recorder(found))
        for (const shape of found)
          queries.set(shape.id, { name: `${resource.name}?${request} ${slice.direction}`, shape, filters })
      }
    }
  }
  return [...queries.values()]
}

/** Asks for a page; returns the columns that its filters compare. A combination that is refused asks nothing. */
async function askList(resource: AnyResource, request: string, slice: Slice, read: Reader): Promise<string[]> {
  const { list, view } = resource
  if (!list) return []
  const ancestors = ancestorsFor(resource)
  const params = parseParams(list.params, 'list', parseForm(request))
  const order = list.order(params)
  try {
    if (view?.page) await view.page(read, { ...ancestors, now: 1 }, params, slice)
    else await storedRows(read, resource, scopeOf(resource, ancestors), order, slice)
  } catch (error) {
    if (!(error instanceof ApiError)) throw error
  }
  return order.where.map(({ column }: { column: string }) => column)
}

async function logQueries(): Promise<Query[]> {
  const found: AnyShape[] = []
  for (const service_sid of [undefined, 'x']) {
    for (const subject_sid of [undefined, 'x']) {
      for (const status of [undefined, ...deliveryStatuses]) {
        await readLog(recorder(found), { service_sid, subject_sid, status, before: '~', limit: 50, accounts: null })
      }
    }
  }
  return found.map((shape) => ({ name: 'delivery log', shape, filters: [] }))
}

/** What the core asks of each resource: one row, names that are unique, deadlines, what a removal leaves. */
function coreQueries(): Query[] {
  return resources.flatMap((resource) => {
    const { table, elapse, name } = resource
    const scope = scopeColumns(resource)
    const names = [
      'sid',
      ...(resource.alsoFoundBy ? [resource.alsoFoundBy] : []),
      ...(resource.unique ?? []).map((u: { column: string }) => u.column),
    ]
    const dependents = registry.dependents(resource)
    const shapes = [
      ...(resource.sid === null || resource.view ? [] : names.map((column) => rowsByNames(table, [...scope, column]))),
      ...(elapse ? [dueRows(table), firstDue(table)] : []),
      ...(dependents?.resources ?? []).flatMap((child) =>
        resource.cascade === 'inline'
          ? [deleteNames(child.table, scopeColumns(child))]
          : [
              someSids(child.table, dependents?.column ?? ''),
              deleteSome(child.table, dependents?.column ?? ''),
              deleteNames(child.table, [dependents?.column ?? '', 'sid']),
            ],
      ),
    ]
    return shapes.map((shape) => ({ name, shape, filters: [] }))
  })
}

async function allQueries(): Promise<Query[]> {
  const named = [...(await listQueries()), ...(await logQueries()), ...coreQueries()]
  const ids = new Set(named.map(({ shape }) => shape.id))
  const others = declaredShapes().filter(({ id }) => !ids.has(id))
  return [...named, ...others.map((shape) => ({ name: 'declared', shape, filters: [] }))]
}

/** What is wrong with the plan of a query, if anything. */
type Explain = (query: Query) => Promise<readonly string[]>

function sqliteExplain(db: Sqlite.Database): Explain {
  return async ({ shape, filters }) => {
    const { sql, placeholders } = shape.compile('sqlite')
    const explained = (text: string) =>
      db.prepare(`explain query plan ${text}`).all(...placeholders.map(() => 1)) as {
        id: number
        parent: number
        detail: string
      }[]
    const steps = explained(sql)
    // What a plan could be made by, were the statement planned anew with the values of each execution.
    const replanned = explained(sql.replaceAll(hidden, '?'))
    const details = (plan: typeof steps) => plan.map(({ detail }) => detail)
    if (!isDeepStrictEqual(details(steps), details(replanned))) return ['planned otherwise when the values are known']
    if (!isPlannedOnce(sql)) return ['planned anew for each execution']
    const tables = new Set(sqliteTables)
    const wrong = steps.flatMap(({ detail, parent }) => {
      const scanned = /^SCAN (\w+)/.exec(detail)?.[1]
      // In the order of an index it ends with the page.
      const ends = / USING (COVERING )?INDEX /.test(detail) && / limit /.test(sql) && !/ where /.test(sql)
      if (scanned && tables.has(aliasOf(sql, scanned)) && !ends && !small_tables.includes(aliasOf(sql, scanned))) return [detail]
      if (!detail.includes('USE TEMP B-TREE FOR ORDER BY')) return []
      const first = steps.find((step) => step.parent === parent && /^(SCAN|SEARCH) /.test(step.detail))?.detail ?? ''
      const sorted = /^SCAN (\w+)/.exec(first)?.[1]
      return sorted && (!tables.has(aliasOf(sql, sorted)) || small_tables.includes(sorted)) ? [] : [`${first}: ${detail}`]
    })
    const searched = steps.map(({ detail }) => detail).filter((detail) => /^SEARCH (?!removals )/.test(detail))
    const answered = (column: string) => searched.every((detail) => new RegExp(`\\b${column}[=<>]`).test(detail))
    return [...wrong, ...filters.filter((column) => !answered(column)).map((column) => `no index for ${column}: ${searched}`)]
  }
}

/** A parameter that SQLite does not plan by. */
const hidden = 'likely(?)'

/** Whether no parameter stands where SQLite would look at its value: no plan depends on what is inserted. */
function isPlannedOnce(sql: string): boolean {
  return /^insert into "\w+" \([^)]*\) values /.test(sql) || !sql.replaceAll(hidden, '').includes('?')
}

const sqliteTables: string[] = []

/** The table that a name in a query stands for, or the name. */
function aliasOf(sql: string, name: string): string {
  return new RegExp(`"(\\w+)" as "${name}"`).exec(sql)?.[1] ?? name
}

interface Node {
  readonly 'Node Type': string
  readonly 'Relation Name'?: string
  readonly Filter?: string
  readonly Plans?: readonly Node[]
}

function postgresExplain(client: pg.Client): Explain {
  return async ({ shape, filters }) => {
    const { sql } = shape.compile('postgres')
    const { rows } = await client.query<{ 'QUERY PLAN': [{ Plan: Node }] }>(`explain (format json, generic_plan) ${sql}`)
    const plan = rows[0]?.['QUERY PLAN'][0].Plan
    return plan ? faults(plan, filters) : ['no plan']
  }
}

function faults(node: Node, filters: readonly string[]): string[] {
  const { 'Node Type': type, 'Relation Name': table, Filter: filter = '', Plans: plans = [] } = node
  const below = plans.flatMap((plan) => faults(plan, filters))
  if (type === 'Seq Scan' && table && !small_tables.includes(table)) return [`Seq Scan on ${table}`, ...below]
  if (/Sort/.test(type) && !plans.every(isLimited)) return [`${type} of ${JSON.stringify(plans[0]?.['Relation Name'])}`, ...below]
  const unanswered = filters.filter((column) => new RegExp(`\\b${column}\\b`).test(filter))
  return [...unanswered.map((column) => `no index for ${column}: ${filter}`), ...below]
}

/** Whether no more rows come from here than a limit or a small table lets through. */
function isLimited(node: Node): boolean {
  if (node['Node Type'] === 'Limit') return true
  if (node['Relation Name']) return small_tables.includes(node['Relation Name'])
  return (
    (node.Plans ?? []).length > 0 && (node.Plans ?? []).slice(0, node['Node Type'] === 'Append' ? undefined : 1).every(isLimited)
  )
}

describe(`plans on ${engine}`, () => {
  let explain: Explain
  let close: () => Promise<void>
  let queries: readonly Query[]

  beforeAll(async () => {
    ;[explain, close] = engine === 'sqlite' ? await openSqlite() : await openPostgres(await newDatabase())
    // A file that ran before in this worker may have declared a query with a column that does not exist.
    queries = (await allQueries()).filter(({ shape }) => /^(select|update|delete)(?!.*nmae)/.test(shape.compile(engine).sql))
  }, 120_000)
  afterAll(() => close())

  test('every query is answered by an index, whatever the combination of filters', async () => {
    expect(queries.length).toBeGreaterThan(250)
    const unbounded: string[] = []
    const used = new Set<string>()
    for (const query of queries) {
      const { sql } = query.shape.compile(engine)
      const wrong = await explain(query)
      if (wrong.length === 0) continue
      const bound = exceptions.find(([text]) => text.test(sql))?.[1]
      if (bound) used.add(bound)
      else unbounded.push([query.name, sql, ...wrong].join('\n  '))
    }
    // As one text: the whole of each is worth reading.
    expect(unbounded.join('\n')).toBe('')
  })

  test('a query whose result is kept until its tables are written to says which they are', () => {
    const kept = queries.flatMap(({ shape }) => (shape.plain?.verb === 'select' ? [{ shape, plain: shape.plain }] : []))
    expect(kept.some(({ plain }) => plain.joined)).toBe(true)
    for (const { shape, plain } of kept) {
      const { sql } = shape.compile(engine)
      const read = [...sql.matchAll(/ (?:from|join) "(\w+)"/g)].map(([, table]) => table)
      expect(read.sort(), sql).toEqual([...tablesOf(plain)].sort())
    }
  })
})

async function openSqlite(): Promise<[Explain, () => Promise<void>]> {
  const db = new Sqlite(':memory:')
  await migrate(new Kysely<unknown>({ dialect: new SqliteDialect({ database: db }) }))
  const tables = db.prepare("select name from sqlite_master where type = 'table'").all() as { name: string }[]
  sqliteTables.push(...tables.map(({ name }) => name))
  return [sqliteExplain(db), async () => void db.close()]
}

/** As the planner plans for large tables: without scans and sorts where there is another way. */
async function openPostgres(database: TestDatabase): Promise<[Explain, () => Promise<void>]> {
  const client = new pg.Client({ connectionString: database.env.PARLEY_DATABASE_URL })
  await client.connect()
  await client.query('set enable_seqscan = off; set enable_sort = off; set enable_bitmapscan = off')
  return [
    postgresExplain(client),
    async () => {
      await client.end()
      await database.dispose()
    },
  ]
}
