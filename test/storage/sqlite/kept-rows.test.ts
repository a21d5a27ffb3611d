import Sqlite from 'better-sqlite3'
import { expect, onTestFinished, test } from 'vitest'
import { newAccount } from '../../../src/accounts/accounts.ts'
import type { Commands, Tx } from '../../../src/storage/database.ts'
import { accountBySid, serviceOfAccount } from '../../../src/storage/lookups.ts'
import { deleteRow, insert, insertRow, updateRow } from '../../../src/storage/rows.ts'
import type { AccountRow, ServiceRow } from '../../../src/storage/schema.ts'
import { shape } from '../../../src/storage/shapes.ts'
import { BatchRunner, type Outcome } from '../../../src/storage/sqlite/batch.ts'
import { Statements } from '../../../src/storage/sqlite/connection.ts'
import { folder } from '../../support/process.ts'
import { migrated } from './migrated.ts'

const sid = `AC${'1'.repeat(32)}`
const rename = updateRow('accounts', ['sid'], ['friendly_name'])
const renameAll = shape<{ friendly_name: string }>()((db, a) =>
  db.updateTable('accounts').set({ friendly_name: a.friendly_name }),
)
const remove = deleteRow('accounts', ['sid'])

/** What both ways to read return at each step of a command. */
interface Seen {
  readonly kept: AccountRow | undefined
  readonly read: AccountRow | undefined
}

/** A runner on a file with one account, and what its commands see of it: as they read it, and by the slow twin. */
async function withAccount() {
  const place = folder()
  const db = await migrated(place.file('parley.db'))
  onTestFinished(() => {
    db.close()
    place[Symbol.dispose]()
  })
  const slow = new Statements(db)
  const seen: Seen[] = []
  const look = async (tx: Tx): Promise<void> => {
    seen.push({ kept: await tx.one(accountBySid, { sid }), read: slow.one(accountBySid, { sid }) })
  }
  const { account, service } = newAccount({ sid, friendly_name: 'first', sealedToken: 'sealed', now: 1 })
  const commands: Commands = {
    async fill(tx) {
      await insert(tx, 'accounts', account)
      await insert(tx, 'services', service)
    },
    look,
    async rename(tx, friendly_name: string) {
      await look(tx)
      await tx.run(rename, { sid, friendly_name })
      await look(tx)
    },
    async renameAll(tx, friendly_name: string) {
      await tx.run(renameAll, { friendly_name })
      await look(tx)
    },
    async renameAndFail(tx, friendly_name: string) {
      await tx.run(rename, { sid, friendly_name })
      await look(tx)
      throw new Error('renamed for nothing')
    },
    async remove(tx) {
      await tx.run(remove, { sid })
      await look(tx)
    },
    async note(tx, name: string) {
      await tx.run(insertRow('installation', ['name', 'value']), { name, value: 'x' })
      await look(tx)
    },
    service: (tx): Promise<ServiceRow | undefined> => tx.hold(serviceOfAccount, { sid: service.sid, account_sid: sid }, 'keep'),
    otherService: (tx): Promise<ServiceRow | undefined> =>
      tx.hold(serviceOfAccount, { sid: service.sid, account_sid: 'AC2' }, 'keep'),
  }
  const batch = new BatchRunner(db, commands)
  const run = (...jobs: (string | [string, unknown])[]): Promise<Outcome[]> =>
    batch.run(jobs.map((job) => (typeof job === 'string' ? { name: job, input: null } : { name: job[0], input: job[1] })))
  await run('fill')
  return { run, seen, service, file: place.file('parley.db') }
}

const names = (seen: readonly Seen[]) => seen.map(({ kept }) => kept?.friendly_name)

test('a command sees what was written to an account before it, whatever wrote it', async () => {
  const { run, seen } = await withAccount()
  await run('look', ['rename', 'second'], 'look', ['note', 'a'], ['renameAll', 'third'], 'look', 'remove', 'look')
  await run('look')
  expect(seen.map(({ kept }) => kept)).toEqual(seen.map(({ read }) => read))
  expect(names(seen)).toEqual([
    ...['first', 'first', 'second', 'second', 'second', 'third', 'third'],
    ...[undefined, undefined, undefined],
  ])
})

test('what was undone is not seen, by the commands of that batch and by later ones', async () => {
  const { run, seen } = await withAccount()
  const outcomes = await run('look', ['renameAndFail', 'second'], 'look')
  expect(outcomes.map((outcome) => 'failed' in outcome)).toEqual([false, true, false])
  await run('look')
  await run(['renameAndFail', 'third'])
  await run('look')
  expect(seen.map(({ kept }) => kept)).toEqual(seen.map(({ read }) => read))
  // The batch was run twice: the second time with a savepoint for each command.
  expect(names(seen)).toEqual(['first', 'second', 'first', 'second', 'first', 'first', 'third', 'first'])
})

test('a row that another connection has changed is read again', async () => {
  const { run, seen, file } = await withAccount()
  await run('look')
  const other = new Sqlite(file)
  other.prepare('update accounts set friendly_name = ?').run('from outside')
  other.close()
  await run('look')
  expect(names(seen)).toEqual(['first', 'from outside'])
})

test('a row is read once, and nobody can change it for others', async () => {
  const { run, seen } = await withAccount()
  await run('look', ['note', 'a'])
  await run('look')
  const [first, ...others] = seen.map(({ kept }) => kept)
  expect(others.every((row) => row === first)).toBe(true)
  expect(Object.isFrozen(first)).toBe(true)
})

test('a row is found by all that it is asked for by', async () => {
  const { run, service } = await withAccount()
  const outcomes = await run('service', 'otherService', 'service')
  expect(outcomes.map((outcome) => ('value' in outcome ? outcome.value : outcome))).toEqual([service, undefined, service])
})
