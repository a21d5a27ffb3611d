import { Client } from 'pg'
import { afterAll, expect, test } from 'vitest'
import { migrations } from '../../src/storage/migrations/index.ts'
import { openDatabase } from '../../src/storage/open.ts'
import { migratePostgres } from '../../src/storage/postgres/migrate.ts'
import { rowsBy } from '../../src/storage/rows.ts'
import type { CrossingCommands } from '../support/crossing-commands.ts'
import { newDatabase } from '../support/databases.ts'
// Adds a migration of four tables that are in use.
import '../support/next-version.ts'
import { newService } from '../support/rows.ts'

// Other files that this process runs are of this version.
afterAll(() => void Reflect.deleteProperty(migrations, '9001-colours-additive'))

const commands = new URL('../support/crossing-commands.ts', import.meta.url)
const serviceBySid = rowsBy('services', ['sid'])

/** A database of this version, and connections to it of somebody else. */
async function scene() {
  const place = await newDatabase()
  const { database: location } = place.config
  if (location.engine !== 'postgres') throw new Error('only a server has locks to wait for')
  const { url } = location
  const clients: Client[] = []
  const connect = async () => {
    const client = new Client({ connectionString: url })
    clients.push(client)
    await client.connect()
    return client
  }
  const watch = await connect()
  return {
    url,
    connect,
    /** Locks on tables that others wait for. */
    async waits() {
      const { rows } = await watch.query<{ by: string; table: string; mode: string; since: string }>(`
        select application_name as by, relation::regclass as table, mode, concat(pid, ' ', waitstart) as since
        from pg_locks join pg_stat_activity using (pid) where not granted and relation is not null and waitstart is not null`)
      return rows
    },
    /** Ends the connection of a migration that waits for its next attempt: the last query of one gives back Kysely's lock. Returns how many there were. */
    async endPaused() {
      const { rows } = await watch.query(`select pg_terminate_backend(pid) from pg_stat_activity
        where datname = current_database() and application_name = 'parley migrations' and state = 'idle' and query like '%advisory_unlock%'`)
      return rows.length
    },
    async applied() {
      const { rows } = await watch.query<{ name: string }>("select name from kysely_migration where name like '9%' order by name")
      return rows.map(({ name }) => name)
    },
    async [Symbol.asyncDispose]() {
      await Promise.all(clients.map((client) => client.end()))
      await place.dispose()
    },
  }
}

test('a read and a write of a table that is locked for longer than they wait for a lock are made again', async () => {
  await using on = await scene()
  const failures: Error[] = []
  const failed = (error: Error) => void failures.push(error)
  const database = await openDatabase<CrossingCommands>({ engine: 'postgres', url: on.url }, { commands, failed })
  await using _ = { [Symbol.asyncDispose]: () => database.close() }
  await database.write('make', newService('IS1'))
  const holder = await on.connect()
  await holder.query('begin; lock table services in access exclusive mode')
  const served = Promise.all([database.read.one(serviceBySid, { sid: 'IS1' }), database.write('countUp', ['IS1'])])
  const seen = new Set<string>()
  const times = (mode: string) => [...seen].filter((wait) => wait.startsWith(mode)).length
  const bothAgain = async () => {
    while (times('AccessShareLock') < 2 || times('RowShareLock') < 2) {
      for (const { mode, since } of await on.waits()) seen.add(`${mode} ${since}`)
    }
  }
  await Promise.race([served, bothAgain()])
  await holder.query('commit')
  expect((await served)[0]?.sid).toBe('IS1')
  expect((await database.read.one(serviceBySid, { sid: 'IS1' }))?.revision).toBe(1)
  expect(failures).toEqual([])
})

test('a migration that waits for what waits for it gives way', async () => {
  await using on = await scene()
  const node = await on.connect()
  await node.query('begin; update deliveries set due = due')
  const migrated = migratePostgres(on.url)
  await expect.poll(on.waits).toContainEqual(expect.objectContaining({ by: 'parley migrations', table: 'deliveries' }))
  // Which it has locked by now.
  await node.query('select * from conversations for no key update')
  await node.query('commit')
  await migrated
  expect(await on.applied()).toEqual(['9001-colours-additive'])
})

test('nobody queues behind a migration that waits for a long transaction, and the log says which one that is', async () => {
  await using on = await scene()
  const holder = await on.connect()
  await holder.query('begin; select from conversations')
  const { rows } = await holder.query<{ pid: number }>('select pg_backend_pid() as pid')
  const said: string[] = []
  const warned = Promise.withResolvers<void>()
  const migrated = migratePostgres(on.url, (why) => {
    said.push(why)
    warned.resolve()
  })
  await expect.poll(on.waits).toContainEqual(expect.objectContaining({ by: 'parley migrations', table: 'conversations' }))
  const node = await on.connect()
  await node.query('select from conversations')
  await warned.promise
  expect(said).toEqual([
    expect.stringMatching(`the new schema waits for locks .*: process ${rows[0]?.pid} .* has had a transaction for`),
  ])
  await holder.query('commit')
  await migrated
  expect(await on.applied()).toEqual(['9001-colours-additive'])
})

test('a migration whose connection was lost between two attempts gives way on the next one, too', async () => {
  await using on = await scene()
  const holder = await on.connect()
  await holder.query('begin; select from conversations')
  const migrated = migratePostgres(on.url)
  await expect.poll(on.endPaused).toBe(1)
  await expect.poll(on.waits).toContainEqual(expect.objectContaining({ by: 'parley migrations', table: 'conversations' }))
  const node = await on.connect()
  await node.query('select from conversations')
  await holder.query('commit')
  await migrated
  expect(await on.applied()).toEqual(['9001-colours-additive'])
})

test('of several migrations that only add, each is a transaction of its own', async () => {
  await using on = await scene()
  const name = '9002-fails-additive'
  Object.assign(migrations, {
    [name]: { up: () => Promise.reject(new Error('a defect')) },
  })
  await expect(migratePostgres(on.url)).rejects.toThrow('a defect')
  Reflect.deleteProperty(migrations, name)
  expect(await on.applied()).toEqual(['9001-colours-additive'])
})
