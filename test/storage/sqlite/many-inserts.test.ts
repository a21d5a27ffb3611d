import fc from 'fast-check'
import { expect, onTestFinished, test } from 'vitest'
import type { Tx } from '../../../src/storage/database.ts'
import { insert, insertAll } from '../../../src/storage/rows.ts'
import type { DeliveryRow } from '../../../src/storage/schema.ts'
import { BatchRunner } from '../../../src/storage/sqlite/batch.ts'
import { folder } from '../../support/process.ts'
import { migrated } from './migrated.ts'

const plain: DeliveryRow = {
  ...{ id: '', kind: 'webhook', account_sid: 'AC1', service_sid: 'IS1', target_sid: 'IS1', subject_sid: 'CH1', slot: 0 },
  ...{
    event_type: 'onMessageAdded',
    method: 'POST',
    url: 'http://127.0.0.1/',
    form: '{}',
    idempotency_token: '',
    status: 'pending',
  },
  ...{ due: 1, message_sid: null, participant_sid: null, attempts: '[]', date_created: 1, responses: null, date_finished: null },
}

const commands = {
  async oneByOne(tx: Tx, rows: readonly DeliveryRow[]) {
    for (const row of rows) await insert(tx, 'deliveries', row)
  },
  together: (tx: Tx, rows: readonly DeliveryRow[]) => insertAll(tx, 'deliveries', rows),
}

async function withDatabase() {
  const place = folder()
  const db = await migrated(place.file('parley.db'))
  onTestFinished(() => {
    db.close()
    place[Symbol.dispose]()
  })
  const batch = new BatchRunner(db, commands)
  return {
    write: async (name: keyof typeof commands, rows: readonly DeliveryRow[]) => {
      const [outcome] = await batch.run([{ name, input: rows }])
      return outcome && 'value' in outcome
    },
    /** With the types that values are stored in. */
    stored: () => db.prepare('select *, typeof(due), typeof(responses), typeof(form) from deliveries order by rowid').all(),
    clear: () => db.exec('delete from deliveries'),
  }
}

const text = fc.oneof(
  fc.string({ unit: 'binary' }),
  fc.json(),
  fc.constantFrom('', '1', '\u0000', 'a\u0000b', '\ud800', '\\u0041', '"', '\u2028'),
)
const row = fc.record({
  subject_sid: fc.constantFrom('CH1', 'CH2'),
  slot: fc.nat(2),
  form: text,
  url: fc.oneof(fc.constant('http://127.0.0.1/'), text),
  due: fc.oneof(fc.constant(1), fc.maxSafeInteger()),
  responses: fc.option(text),
  date_finished: fc.option(fc.nat()),
})

test('rows that are inserted together are those that a statement for each leaves', async () => {
  const { write, stored, clear } = await withDatabase()
  await fc.assert(
    fc.asyncProperty(fc.array(row, { maxLength: 6 }), async (given) => {
      const rows = given.map((values, i): DeliveryRow => ({ ...plain, ...values, id: `WD${i}` }))
      clear()
      expect(await write('oneByOne', rows)).toBe(true)
      const expected = stored()
      clear()
      expect(await write('together', rows)).toBe(true)
      expect(stored()).toEqual(expected)
    }),
  )
})

test('where one of them is taken, none is inserted', async () => {
  const { write, stored } = await withDatabase()
  await write('oneByOne', [{ ...plain, id: 'WD2' }])
  const rows = ['WD1', 'WD2', 'WD3'].map((id) => ({ ...plain, id }))
  expect(await write('together', rows)).toBe(false)
  expect(stored()).toHaveLength(1)
})
