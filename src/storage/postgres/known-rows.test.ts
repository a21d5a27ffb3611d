import fc from 'fast-check'
import { expect, test } from 'vitest'
import { insertRow } from '../rows.ts'
import { type PlainRead, type Shape, shape, tablesOf } from '../shapes.ts'
import { KnownRows } from './known-rows.ts'

const tables = ['bindings', 'users', 'participants'] as const
type Table = (typeof tables)[number]

const plains: readonly PlainRead[] = [
  { verb: 'select', table: 'bindings', columns: null },
  { verb: 'select', table: 'bindings', joined: ['users'], columns: null },
  { verb: 'select', table: 'users', joined: ['participants', 'bindings'], columns: null },
]
const queries = plains.map((plain) => ({ plain, shape: shape<object>()((db) => db.selectFrom('bindings').selectAll(), plain) }))
const inserts: Readonly<Record<Table, Shape<Record<string, unknown>, unknown>>> = {
  bindings: insertRow('bindings', ['sid']),
  users: insertRow('users', ['sid']),
  participants: insertRow('participants', ['sid']),
}

const query = fc.constantFrom(...queries)
const table = fc.constantFrom(...tables)
const step = fc.oneof(
  fc.record({ do: fc.constant('read' as const), query }),
  fc.record({ do: fc.constantFrom('write' as const, 'write elsewhere' as const), table }),
  // While it is asked for, and found by that or not.
  fc.record({ do: fc.constant('write meanwhile' as const), query, table, found: fc.boolean() }),
  fc.record({ do: fc.constant('forget' as const) }),
)

test('what is known of queries that join tables is what the database would return', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 30 }), async (steps) => {
      const known = new KnownRows()
      const written = { bindings: 0, users: 0, participants: 0 }
      let round = 0
      let locked = 0
      /** What a query finds: how often each of its tables has been written to. */
      const stored = ({ plain }: (typeof queries)[number]) => tables.map((of) => (tablesOf(plain).includes(of) ? written[of] : 0))
      const read = (of: (typeof queries)[number], ask: () => Promise<readonly number[]>) =>
        known.read({ ...of, args: {}, after: locked, round: round + 1 }, () => {
          round++
          return ask()
        })
      const write = (of: Table) => {
        written[of]++
        known.learn(inserts[of], { sid: 'a' })
      }
      for (const step of steps) {
        if (step.do === 'read') expect(await read(step.query, async () => stored(step.query))).toEqual(stored(step.query))
        if (step.do === 'write') write(step.table)
        if (step.do === 'write elsewhere') {
          written[step.table]++
          locked = ++round
        }
        if (step.do === 'write meanwhile') {
          const before = stored(step.query)
          const { promise: sent, resolve } = Promise.withResolvers<void>()
          const reading = read(step.query, () => sent.then(() => (step.found ? stored(step.query) : before)))
          write(step.table)
          resolve()
          await reading
        }
        if (step.do === 'forget') known.forget()
      }
      for (const each of queries) expect(await read(each, async () => stored(each))).toEqual(stored(each))
    }),
  )
})

test('what is known is not asked for again, until one of its tables is written to', async () => {
  const known = new KnownRows()
  const [, devices] = queries
  const read = (ask: () => Promise<readonly number[]>) =>
    known.read({ ...(devices ?? expect.unreachable()), args: {}, after: 1, round: 2 }, ask)
  const never = () => Promise.reject(new Error('asked again'))
  await expect(read(async () => [1])).resolves.toEqual([1])
  known.learn(inserts.participants, { sid: 'a' })
  await expect(read(never)).resolves.toEqual([1])
  known.learn(inserts.users, { sid: 'a' })
  await expect(read(never)).rejects.toThrow('asked again')
})
