import { expect, test } from 'vitest'
import type { Facts } from '../../model/declare.ts'
import { findInstance } from '../../model/scope.ts'
import type { Reader } from '../../storage/database.ts'
import type { BindingRow } from '../../storage/schema.ts'
import { bindings } from './binding.ts'

const row = { sid: `BS${'0'.repeat(32)}`, credential_sid: `CR${'0'.repeat(32)}` } as BindingRow
// A binding is found by the SIDs of the account and the service alone.
const facts = { account: { sid: 'AC' }, service: { sid: 'IS' }, parents: [], now: 0 } as unknown as Facts

/** Finds the binding where each read of it returns the next of these, and no removal is under way. */
function find(...reads: readonly (BindingRow | undefined)[]) {
  const left = [...reads]
  const read = { one: async () => undefined, hold: async () => left.shift() } as unknown as Reader
  return findInstance(read, bindings, facts, { key: row.sid, text: `/Bindings/${row.sid}` })
}

test('a binding is found that stays, though nothing locks it', async () => {
  expect(await find(row, row)).toBe(row)
})

test('a binding is gone that was removed with its credential between the two reads', async () => {
  await expect(find(row, undefined)).rejects.toMatchObject({ kind: 'notFound' })
})
