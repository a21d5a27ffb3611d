import { createSecretKey } from 'node:crypto'
import { expect, test } from 'vitest'
import type { Reader } from '../storage/database.ts'
import type { Entry } from './ledger.ts'
import { personOf, subjectHash } from './person.ts'
import { recalled } from './recall.ts'

const account_sid = `AC${'a'.repeat(32)}`
const key = createSecretKey(Buffer.alloc(32, 1))

function entry(n: number, identity: string, messages: Entry['messages']): Entry {
  const hash = subjectHash(key, personOf(account_sid, { identity }))
  return {
    id: `ER${String(n).padStart(32, '0')}`,
    account_sid,
    messages,
    subject: 'identity',
    subject_hash: hash,
    pseudonym: `p${n}`,
  }
}

test('a person who was erased more than once is found for each of these erasures', async () => {
  const rows = [
    { service_sid: 'IS1', sid: 'US1', account_sid: `AC${'b'.repeat(32)}`, identity: 'ada' },
    { service_sid: 'IS1', sid: 'US2', account_sid, identity: 'ada' },
  ]
  const left = [rows]
  const read = { all: async () => left.shift() ?? [] } as unknown as Reader
  const entries = [entry(1, 'ada', 'redact'), entry(2, 'nobody', 'redact'), entry(3, 'ada', 'delete')]
  const persons = await recalled(read, [key], entries)
  expect([...persons.keys()].sort()).toEqual([entries[0]?.id, entries[2]?.id])
  for (const person of persons.values()) expect(person).toMatchObject({ account_sid, names: ['ada'] })
})
