import type { ClientBase, QueryResult } from 'pg'
import { errorOf } from '../../errors.ts'
import type { AnyShape } from '../shapes.ts'
import { type ColumnTypes, type Lock, many, manyWrites, nameColumn, ordinal, type Statement, single } from './statements.ts'

type Args = Readonly<Record<string, unknown>>
type Row = Record<string, unknown>

/** One query of somebody who waits for its answer. */
export interface Ask {
  readonly kind: 'read' | 'run'
  readonly shape: AnyShape
  readonly args: Args
  readonly lock: Lock
  /** Not in one statement with others. */
  readonly alone?: boolean
  /** Of a read: its rows. Of a run: how many rows it touched. */
  readonly answer: (rows: readonly Row[], touched: number) => void
  readonly fail: (error: Error) => void
}

/** Largest number of asks in one statement. */
const most = 500

/**
 * Sends everything that is asked for at one time: asks of the same kind become one statement, statements go out together
 * without waiting for each other. Resolves when all are answered.
 */
export async function answerAll(client: ClientBase, asks: readonly Ask[], types: ColumnTypes): Promise<void> {
  const groups: Ask[][] = []
  const open = new Map<string, Ask[]>()
  for (const ask of asks) {
    // No text here can hold one, so nothing is equal to a text that does: a path may ask for anything.
    if (ask.kind === 'read' && Object.values(ask.args).some((value) => typeof value === 'string' && value.includes('\0'))) {
      ask.answer([], 0)
      continue
    }
    const key = `${ask.shape.id}${ask.kind}${ask.lock}`
    const group = open.get(key)
    if (group && group.length < most && !ask.alone) {
      group.push(ask)
      continue
    }
    const another = [ask]
    groups.push(another)
    if (!ask.alone) open.set(key, another)
  }
  // One packet for all of them.
  const { stream } = (client as unknown as { connection: { stream: { cork(): void; uncork(): void } } }).connection
  stream.cork()
  const sent = groups.map((group) => (group[0]?.kind === 'run' ? write(client, group, types) : read(client, group)))
  stream.uncork()
  await Promise.all(sent)
}

/** Whoever asks the same gets the same rows; nobody changes a row in place. */
async function read(client: ClientBase, group: readonly Ask[]): Promise<void> {
  const { shape, lock } = group[0] as Ask
  const distinct = new Map<string, Ask[]>()
  for (const ask of group) {
    const key = JSON.stringify(single(shape, ask.args).values)
    const alike = distinct.get(key)
    if (alike) alike.push(ask)
    else distinct.set(key, [ask])
  }
  // In one order everywhere, so that two nodes that lock the same rows do not wait for each other crosswise.
  const askers = [...distinct].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, alike]) => alike)
  const inputs = askers.map((alike) => (alike[0] as Ask).args)
  const statement = inputs.length > 1 ? many(shape, inputs, lock) : undefined
  if (!statement) {
    await Promise.all(
      askers.map((alike) =>
        send(client, single(shape, (alike[0] as Ask).args, lock), alike, ({ rows }) => {
          for (const ask of alike) ask.answer(rows, 0)
        }),
      ),
    )
    return
  }
  await send(client, statement, group, ({ rows }) => {
    const found = askers.map((): Row[] => [])
    for (const { [ordinal]: n, ...row } of rows as Row[]) found[(n as number) - 1]?.push(row)
    for (const [i, alike] of askers.entries()) for (const ask of alike) ask.answer(found[i] as Row[], 0)
  })
}

async function write(client: ClientBase, group: readonly Ask[], types: ColumnTypes): Promise<void> {
  const { shape } = group[0] as Ask
  if (!shape.plain || group.length === 1) {
    await Promise.all(
      group.map((ask) => send(client, single(shape, ask.args), [ask], ({ rowCount }) => ask.answer([], rowCount ?? 0))),
    )
    return
  }
  const { plain } = shape
  const inputs = group.map((ask) => ask.args)
  await send(client, manyWrites(shape, plain, inputs, types), group, ({ rows }) => {
    const done = new Set((rows as Row[]).map((row) => (plain.verb === 'insert' ? row.name : row[ordinal])))
    const column = plain.verb === 'insert' ? nameColumn(plain.columns) : null
    // Each row is somebody's: of two inserts of one name the first has made it.
    for (const [i, ask] of group.entries()) ask.answer([], done.delete(column === null ? i + 1 : ask.args[column]) ? 1 : 0)
  })
}

async function send(
  client: ClientBase,
  statement: Statement,
  askers: readonly Ask[],
  answered: (result: QueryResult) => void,
): Promise<void> {
  try {
    answered(await client.query(statement))
  } catch (error) {
    for (const ask of askers) ask.fail(errorOf(error))
  }
}
