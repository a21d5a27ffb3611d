import fc from 'fast-check'
import { expect, test } from 'vitest'
import { GreatestValues } from './greatest-values.ts'

const table = 'deliveries'
const greatest = { column: 'id', of: ['subject_sid'] }
const subject_sid = fc.constantFrom('a', 'b')
const id = fc.integer({ min: 10, max: 99 }).map(String)

const step = fc.oneof(
  fc.record({ do: fc.constant('read' as const), subject_sid }),
  // By this transaction; by another one, after whose commit a row has been locked.
  fc.record({ do: fc.constantFrom('insert' as const, 'insert elsewhere' as const), subject_sid, id }),
  // While it is asked for, and found by that or not.
  fc.record({ do: fc.constant('insert meanwhile' as const), subject_sid, of: subject_sid, id, found: fc.boolean() }),
  fc.record({ do: fc.constantFrom('forget' as const, 'clear' as const) }),
)

test('what is known of greatest values is what the database would return', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 30 }), async (steps) => {
      const values = new GreatestValues()
      const rows: { readonly subject_sid: string; readonly id: string }[] = []
      let round = 0
      let locked = 0
      const stored = (subject: string) => {
        const ids = rows.filter((row) => row.subject_sid === subject).map((row) => row.id)
        return ids
          .sort()
          .slice(-1)
          .map((id) => ({ id }))
      }
      const read = (subject: string, ask: () => Promise<object[]>) => {
        const question = { table, greatest, args: { subject_sid: subject }, after: locked, round: round + 1 }
        return values.read(1, question, () => {
          round++
          return ask()
        })
      }
      for (const step of steps) {
        if (step.do === 'read')
          expect(await read(step.subject_sid, async () => stored(step.subject_sid))).toEqual(stored(step.subject_sid))
        if (step.do === 'insert' || step.do === 'insert elsewhere') rows.push(step)
        if (step.do === 'insert') values.learn(table, step)
        if (step.do === 'insert elsewhere') locked = ++round
        if (step.do === 'insert meanwhile') {
          const before = stored(step.of)
          const { promise: sent, resolve } = Promise.withResolvers<void>()
          const reading = read(step.of, () => sent.then(() => (step.found ? stored(step.of) : before)))
          rows.push(step)
          values.learn(table, step)
          resolve()
          await reading
        }
        if (step.do === 'forget') values.forget(table)
        if (step.do === 'clear') values.clear()
      }
      for (const subject of ['a', 'b']) expect(await read(subject, async () => stored(subject))).toEqual(stored(subject))
    }),
  )
})

test('what is known is not asked for again, nor forgotten with another table', async () => {
  const values = new GreatestValues()
  const read = (ask: () => Promise<object[]>) =>
    values.read(1, { table, greatest, args: { subject_sid: 'a' }, after: 1, round: 2 }, ask)
  const never = () => Promise.reject(new Error('asked again'))
  await expect(read(async () => [])).resolves.toEqual([])
  values.learn('messages', { subject_sid: 'a', id: '99' })
  values.forget('messages')
  await expect(read(never)).resolves.toEqual([])
  values.learn(table, { subject_sid: 'a', id: '2' })
  await expect(read(never)).resolves.toEqual([{ id: '2' }])
  values.forget(table)
  await expect(read(never)).rejects.toThrow('asked again')
})
