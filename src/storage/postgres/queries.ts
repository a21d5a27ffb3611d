import type { ClientBase, QueryResult } from 'pg'
import { errorOf } from '../../errors.ts'
import { changedNothing } from '../errors.ts'
import { boundValue } from '../shapes.ts'
import { isPlanOutdated } from './failures.ts'
import { type Group, grouped, type PendingQuery } from './grouping.ts'
import {
  type ColumnTypes,
  checkedWrites,
  isUnchanged,
  keyOf,
  many,
  manyWrites,
  nameColumn,
  ordinal,
  prepareAnew,
  type Statement,
  single,
} from './statements.ts'

type Row = Record<string, unknown>

/**
 * Sends all pending queries at once, as the statements that they are grouped into, pipelined. Resolves when every query has its result or its error; never rejects.
 * What `around` sends before and after them goes into the same packet; a query that cannot be sent has failed by then.
 */
export async function sendAll(
  client: ClientBase,
  queries: readonly PendingQuery[],
  types: ColumnTypes,
  around: { before?(): void; after?(): void } = {},
): Promise<void> {
  const asked = queries.filter((query) => {
    const canFind = query.kind === 'run' || !hasNul(query.args)
    if (!canFind) query.done([], 0)
    return canFind
  })
  const stream = streamOf(client)
  // One packet for all statements.
  stream.cork()
  around.before?.()
  const sent = grouped(asked).map((group) => {
    try {
      return group[0].kind === 'run' ? write(client, group, types) : read(client, group)
    } catch (error) {
      // A defect in what makes the statement.
      for (const query of group) query.fail(errorOf(error))
      return undefined
    }
  })
  around.after?.()
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

/** Callers that ask for the same share the rows: nobody changes a row in place. */
function read(client: ClientBase, group: Group): Promise<unknown> {
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
    return Promise.all(
      groups.map((alike) =>
        send(client, single(shape, alike[0].args, lock), alike, ({ rows }) => {
          for (const query of alike) query.done(rows, 0)
        }),
      ),
    )
  }
  return send(client, statement, group, ({ rows }) => {
    const found = groups.map((): Row[] => [])
    for (const { [ordinal]: n, ...row } of rows) found[Number(n) - 1]?.push(row)
    for (const [i, alike] of groups.entries()) for (const query of alike) query.done(found[i] ?? [], 0)
  })
}

function write(client: ClientBase, group: Group, types: ColumnTypes): Promise<unknown> {
  const [{ shape }] = group
  const plain = shape.plain?.verb === 'select' ? undefined : shape.plain
  const inputs = group.map(({ args }) => args)
  if (plain && group.every(({ must }) => must)) {
    return send(client, checkedWrites(shape, plain, inputs, types), group, () => {
      for (const query of group) query.done([], 1)
    })
  }
  const statement = plain && inputs.length > 1 ? manyWrites(shape, plain, inputs, types) : undefined
  if (!plain || !statement) {
    return Promise.all(
      group.map((query) => send(client, single(shape, query.args), [query], ({ rowCount }) => query.done([], rowCount ?? 0))),
    )
  }
  return send(client, statement, group, ({ rows }) => {
    const changed = new Set(rows.map((row) => row[ordinal]))
    const name = plain.verb === 'insert' ? nameColumn(plain.columns) : undefined
    // Of two inserts with one name the first has made the row: each name counts once.
    for (const [i, query] of group.entries()) {
      query.done([], changed.delete(name === undefined ? i + 1 : boundValue({ argument: name }, query.args)) ? 1 : 0)
    }
  })
}

/** Resolves when the queries have their results or their error. */
function send(
  client: ClientBase,
  statement: Statement,
  queries: Group,
  received: (result: QueryResult<Row>) => void,
): Promise<void> {
  const failed = (error: unknown) => {
    if (isPlanOutdated(error)) prepareAnew(statement)
    const failure = isUnchanged(error) ? changedNothing(queries[0].shape) : errorOf(error)
    for (const query of queries) query.fail(failure)
  }
  return new Promise((resolve) => {
    // Not a promise of the driver, which would tell only later of what it cannot send.
    client.query<Row>(statement, (error: Error | null, result) => {
      try {
        if (error) failed(error)
        else received(result)
      } catch (defect) {
        failed(defect)
      }
      resolve()
    })
  })
}
