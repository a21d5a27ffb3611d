import fc from 'fast-check'
import { expect, test } from 'vitest'
import { insertRow, updateNames } from '../rows.ts'
import { type AnyShape, boundValue, shape } from '../shapes.ts'
import { type Group, grouped, oneByOne, type PendingQuery } from './grouping.ts'

/** Tables in memory, which a group of queries is run on as one statement: none of its queries sees what another one of it does. */
type Row = Record<string, unknown>
type State = Map<string, Row[]>

const tables = ['conversations', 'messages'] as const
const sids = ['a', 'b', 'c']

/** The sids that a read has seen, or how many rows a write has changed. */
type Told = readonly unknown[] | number

interface Run {
  readonly state: State
  readonly told: ReadonlyMap<PendingQuery, Told>
  readonly statements: number
}

/** `make` makes the queries, with what they are told put down in the map. */
function run(make: (done: (query: PendingQuery, told: Told) => void) => PendingQuery[], group: typeof grouped): Run {
  const state: State = new Map(tables.map((table) => [table, sids.map((sid) => ({ sid, revision: 0, state: 's', number: 0 }))]))
  const told = new Map<PendingQuery, Told>()
  const groups = group(make((query, value) => told.set(query, value)))
  for (const queries of groups) execute(state, queries)
  return { state, told, statements: groups.length }
}

function execute(state: State, group: Group): void {
  const before = structuredClone(state)
  const touched = new Set<Row>()
  for (const query of group) {
    const { plain } = query.shape
    if (plain?.verb === 'insert') {
      state.get(plain.table)?.push({ ...query.args })
      query.done([], 1)
    } else if (plain?.verb === 'update') {
      const rows = state.get(plain.table) ?? []
      const found = rows.filter((_, i) => {
        const row = before.get(plain.table)?.[i]
        return plain.key.every((key) => row?.[key.column] === boundValue(key, query.args))
      })
      for (const row of found) {
        // A statement changes a row once.
        if (touched.has(row)) continue
        touched.add(row)
        for (const column of plain.changed) row[column] = boundValue({ argument: column }, query.args)
      }
      query.done([], found.length)
    } else if (query.kind === 'read') {
      query.done(
        [...state.values()].flat().map(({ sid }) => sid),
        0,
      )
    } else {
      // Writes that say nothing of what they do: all numbers of a table are doubled.
      for (const rows of state.values()) for (const row of rows) row.number = Number(row.number) * 2 + 1
      query.done([], 1)
    }
  }
}

const double = shape<{ sid: string }>()((db, a) =>
  db.updateTable('conversations').set({ state: 'active' }).where('sid', '=', a.sid),
)
const readAll = shape<{ none?: null }>()((db) => db.selectFrom('conversations').selectAll())

interface Step {
  readonly do: 'revise' | 'renumber' | 'insert' | 'double' | 'read'
  readonly table: (typeof tables)[number]
  readonly sid: string
  readonly columns: readonly string[]
  readonly must: boolean
}

const step: fc.Arbitrary<Step> = fc.record({
  do: fc.oneof(
    { weight: 6, arbitrary: fc.constant('revise' as const) },
    { weight: 4, arbitrary: fc.constant('insert' as const) },
    { weight: 1, arbitrary: fc.constantFrom('renumber' as const, 'double' as const, 'read' as const) },
  ),
  table: fc.constantFrom(...tables),
  sid: fc.constantFrom(...sids),
  columns: fc.subarray(['state', 'number']),
  must: fc.oneof({ weight: 5, arbitrary: fc.constant(true) }, { weight: 1, arbitrary: fc.constant(false) }),
})
/** Commands that follow each other, each with what it does. */
const programs = fc.array(fc.array(step, { minLength: 1, maxLength: 4 }), { minLength: 1, maxLength: 12 })

/** As a transaction issues them: what a command does comes after what it has done, and after the one that it has a row from. */
function queriesOf(commands: readonly (readonly Step[])[], done: (query: PendingQuery, told: Told) => void): PendingQuery[] {
  const revisions = new Map<string, number>()
  const queries: PendingQuery[] = []
  let after: readonly PendingQuery[] = []
  let inserted = 0
  for (const steps of commands) {
    for (const { do: act, table, sid, columns, must } of steps) {
      const row = `${table} ${sid}`
      const revision = revisions.get(row) ?? 0
      const values = { sid, number: queries.length, state: `${queries.length}` }
      const base = { lock: '', after, fail: () => {} } as const
      const issued = (kind: PendingQuery['kind'], of: AnyShape, args: object, extra: object = {}): PendingQuery => {
        const query: PendingQuery = {
          ...base,
          ...extra,
          kind,
          shape: of,
          args,
          done: (rows, changed) => done(query, kind === 'read' ? rows : changed),
        }
        queries.push(query)
        return query
      }
      if (act === 'read') {
        issued('read', readAll, {})
        continue
      }
      if (act === 'revise') {
        revisions.set(row, revision + 1)
        const key = updateNames(table, ['sid', 'revision'], [...columns, 'revision'])
        after = [issued('run', key, { ...values, revision: revision + 1, was_revision: revision }, must ? { must } : {})]
      }
      if (act === 'renumber') after = [issued('run', updateNames(table, ['sid'], ['number']), values, { must })]
      if (act === 'insert') {
        after = [issued('run', insertRow(table, ['sid', 'number']), { sid: `n${inserted++}`, number: queries.length }, { must })]
      }
      if (act === 'double') after = [issued('run', double, { sid }, { must })]
    }
  }
  return queries
}

test('queries in groups leave what they leave one by one, and each is told the same', () => {
  fc.assert(
    fc.property(programs, (commands) => {
      const runs = [oneByOne, grouped].map((group) => {
        const queries: PendingQuery[] = []
        const made = run((done) => {
          queries.push(...queriesOf(commands, done))
          return queries
        }, group)
        return { ...made, told: queries.map((query) => made.told.get(query)) }
      })
      const [slow, fast] = runs
      expect(fast?.state).toEqual(slow?.state)
      for (const [i, told] of (slow?.told ?? []).entries()) {
        // A read sees what it comes after; it may see more.
        if (typeof told === 'object') expect(fast?.told[i]).toEqual(expect.arrayContaining([...told]))
        else expect(fast?.told[i]).toBe(told)
      }
      expect(fast?.statements).toBeLessThanOrEqual(slow?.statements ?? 0)
    }),
    { numRuns: 300 },
  )
})

test('messages into one conversation are a statement for each table, whatever changes with their conversation', () => {
  const commands = Array.from({ length: 13 }, (_, i): Step[] => [
    { do: 'insert', table: 'messages', sid: 'a', columns: [], must: true },
    { do: 'revise', table: 'conversations', sid: 'a', columns: i % 3 === 0 ? ['number'] : ['number', 'state'], must: true },
  ])
  const groups = grouped(queriesOf(commands, () => {}))
  expect(groups.map((group) => group.length)).toEqual([13, 1])
})

test('an update that has to come after a write of unknown rows is not moved before it', () => {
  const commands: Step[][] = [
    [{ do: 'revise', table: 'conversations', sid: 'a', columns: ['number'], must: true }],
    [{ do: 'double', table: 'conversations', sid: 'a', columns: [], must: true }],
    [{ do: 'revise', table: 'conversations', sid: 'a', columns: ['number'], must: true }],
  ]
  expect(grouped(queriesOf(commands, () => {}))).toHaveLength(3)
})

test('the order in which columns of a row are changed makes no statement of its own', () => {
  const change = (columns: readonly string[]): Step[] => [{ do: 'revise', table: 'conversations', sid: 'a', columns, must: true }]
  const statementOf = (...changes: Step[][]) =>
    grouped(queriesOf(changes, () => {})).map(
      ([
        {
          shape: { id },
        },
      ]) => id,
    )
  const one = statementOf(change(['state']), change(['number']), change(['unique_name']))
  expect(one).toHaveLength(1)
  expect(statementOf(change(['unique_name']), change(['number']), change(['state']))).toEqual(one)
  expect(statementOf(change(['number', 'state']), change(['unique_name']))).toEqual(one)
})
