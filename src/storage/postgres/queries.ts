import type { ClientBase, QueryResult } from 'pg'
import { errorOf } from '../../errors.ts'
import { type AnyShape, boundValue } from '../shapes.ts'
import { isPlanOutdated } from './failures.ts'
import {
  type ColumnTypes,
  type Lock,
  many,
  manyWrites,
  nameColumn,
  ordinal,
  prepareAnew,
  type Statement,
  single,
} from './statements.ts'

type Row = Record<string, unknown>

/** A query whose caller waits for its result. */
export interface PendingQuery {
  readonly kind: 'read' | 'run'
  readonly shape: AnyShape
  readonly args: object
  readonly lock: Lock
  /** Not to be merged with others. */
  readonly alone?: boolean
  /** Queries that have to be executed before this one. */
  readonly after?: readonly PendingQuery[]
  /** Called with the rows of a read, or with how many rows a run changed. A method, so that callers may name the type of rows. */
  done(rows: readonly unknown[], changed: number): void
  readonly fail: (error: Error) => void
}

/** Queries that become one statement. */
type Group = [PendingQuery, ...PendingQuery[]]

/** The most queries in one statement. */
const maxMerged = 500

/**
 * Sends all pending queries at once: those of one shape are merged into one statement, and statements are pipelined, in the order of
 * the first query of each. Resolves when every query has its result or its error; never rejects.
 */
export async function sendAll(client: ClientBase, queries: readonly PendingQuery[], types: ColumnTypes): Promise<void> {
  const groups: Group[] = []
  const open = new Map<string, { readonly group: Group; readonly at: number }>()
  const places = new Map<PendingQuery, number>()
  for (const query of queries) {
    if (query.kind === 'read' && hasNul(query.args)) {
      query.done([], 0)
      continue
    }
    const key = `${query.shape.id}${query.kind}${query.lock}`
    const found = open.get(key)
    // Of those sent earlier there is no place: they have been executed.
    let behind = -1
    for (const earlier of query.after ?? []) behind = Math.max(behind, places.get(earlier) ?? -1)
    if (found && found.at > behind && found.group.length < maxMerged && !query.alone) {
      found.group.push(query)
      places.set(query, found.at)
      continue
    }
    const group: Group = [query]
    const at = groups.push(group) - 1
    places.set(query, at)
    if (!query.alone) open.set(key, { group, at })
  }
  const stream = streamOf(client)
  // One packet for all statements.
  stream.cork()
  const sent = groups.map(async (group) => {
    try {
      await (group[0].kind === 'run' ? write(client, group, types) : read(client, group))
    } catch (error) {
      // A defect in what makes the statement.
      for (const query of group) query.fail(errorOf(error))
    }
  })
  stream.uncork()
  await Promise.all(sent)
}

/** PostgreSQL stores no text with a NUL, and refuses one as an argument: such a read finds nothing. */
function hasNul(args: object): boolean {
  return Object.values(args).some((value) => typeof value === 'string' && value.includes('\0'))
}

function streamOf(client: ClientBase): { cork(): void; uncork(): void } {
  // The declarations of the driver leave the connection out.
  return (client as ClientBase & { readonly connection: { readonly stream: { cork(): void; uncork(): void } } }).connection.stream
}

/** Returns what is the same for queries of one shape that ask for the same. */
function keyOf(shape: AnyShape, args: object): string {
  return JSON.stringify(shape.compile('postgres').placeholders.map((each) => boundValue(each, args)))
}

/** Callers that ask for the same share the rows: nobody changes a row in place. */
async function read(client: ClientBase, group: Group): Promise<void> {
  const [{ shape, lock }] = group
  const distinct = new Map<string, Group>()
  for (const query of group) {
    const key = keyOf(shape, query.args)
    const alike = distinct.get(key)
    if (alike) alike.push(query)
    else distinct.set(key, [query])
  }
  // One order on all nodes: two that lock the same rows cannot deadlock.
  const groups = [...distinct].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, alike]) => alike)
  const inputs = groups.map(([{ args }]) => args)
  const statement = inputs.length > 1 ? many(shape, inputs, lock) : undefined
  if (!statement) {
    await Promise.all(
      groups.map((alike) =>
        send(client, single(shape, alike[0].args, lock), alike, ({ rows }) => {
          for (const query of alike) query.done(rows, 0)
        }),
      ),
    )
    return
  }
  await send(client, statement, group, ({ rows }) => {
    const found = groups.map((): Row[] => [])
    for (const { [ordinal]: n, ...row } of rows) found[Number(n) - 1]?.push(row)
    for (const [i, alike] of groups.entries()) for (const query of alike) query.done(found[i] ?? [], 0)
  })
}

async function write(client: ClientBase, group: Group, types: ColumnTypes): Promise<void> {
  const [{ shape }] = group
  const plain = shape.plain?.verb === 'select' ? undefined : shape.plain
  const inputs = group.map(({ args }) => args)
  const statement = plain && inputs.length > 1 ? manyWrites(shape, plain, inputs, types) : undefined
  if (!plain || !statement) {
    await Promise.all(
      group.map((query) => send(client, single(shape, query.args), [query], ({ rowCount }) => query.done([], rowCount ?? 0))),
    )
    return
  }
  await send(client, statement, group, ({ rows }) => {
    const changed = new Set(rows.map((row) => row[ordinal]))
    const name = plain.verb === 'insert' ? nameColumn(plain.columns) : undefined
    // Of two inserts with one name the first has made the row: each name counts once.
    for (const [i, query] of group.entries()) {
      query.done([], changed.delete(name === undefined ? i + 1 : boundValue({ argument: name }, query.args)) ? 1 : 0)
    }
  })
}

async function send(
  client: ClientBase,
  statement: Statement,
  queries: readonly PendingQuery[],
  received: (result: QueryResult<Row>) => void,
): Promise<void> {
  try {
    received(await client.query<Row>(statement))
  } catch (error) {
    if (isPlanOutdated(error)) prepareAnew(statement)
    for (const query of queries) query.fail(errorOf(error))
  }
}
