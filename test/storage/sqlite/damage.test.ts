import { closeSync, copyFileSync, openSync, readFileSync, renameSync, statSync, writeFileSync, writeSync } from 'node:fs'
import Sqlite from 'better-sqlite3'
import { expect, onTestFinished, test } from 'vitest'
import { ApiError } from '../../../src/errors.ts'
import { rowsBy } from '../../../src/storage/rows.ts'
import { openConnection } from '../../../src/storage/sqlite/connection.ts'
import { openSqlite } from '../../../src/storage/sqlite/open.ts'
import { SqliteReader } from '../../../src/storage/sqlite/reader.ts'
import { everything, type TestCommands } from '../../support/batch-commands.ts'
import { folder, parley, serve } from '../../support/process.ts'
import { startServer } from '../../support/server.ts'

const commands = new URL('../../support/batch-commands.ts', import.meta.url)
const byName = rowsBy('installation', ['name'])
const roleBySid = rowsBy('roles', ['service_sid', 'sid'])

function kindOf(error: unknown): unknown {
  return error instanceof ApiError ? error.kind : error
}

/** A closed database file of this version with one row, of whose tables and indexes `damage` overwrites the first pages. */
async function damaged(names: readonly string[]): Promise<string> {
  const place = folder()
  onTestFinished(() => place[Symbol.dispose]())
  const file = place.file('parley.db')
  const database = await openSqlite<TestCommands>({ file, commands, failed: () => {} })
  await database.write('put', { name: 'a', value: 'x' })
  await database.close()
  const db = new Sqlite(file)
  const pageSize = Number(db.pragma('page_size', { simple: true }))
  const pages = db
    .prepare(`select rootpage from sqlite_master where tbl_name in (${names.map(() => '?')})`)
    .pluck()
    .all(...names)
  db.close()
  const opened = openSync(file, 'r+')
  for (const page of pages) writeSync(opened, Buffer.alloc(pageSize, 0xff), 0, pageSize, (Number(page) - 1) * pageSize)
  closeSync(opened)
  expect(statSync(file).size % pageSize).toBe(0)
  return file
}

test('a read that meets a damaged page is `unavailable`, its cause is in the log, and all other reads go on', async () => {
  const file = await damaged(['roles'])
  const failures: Error[] = []
  const database = await openSqlite<TestCommands>({ file, commands, failed: (error) => void failures.push(error) })
  onTestFinished(() => database.close())
  const results = await Promise.allSettled([
    database.read.one(byName, { name: 'a' }),
    database.read.one(roleBySid, { service_sid: 'IS1', sid: 'RL1' }),
    database.read.all(everything, {}),
  ])
  expect(results[0]).toMatchObject({ status: 'fulfilled', value: { name: 'a' } })
  expect(results[1]).toMatchObject({ status: 'rejected', reason: { kind: 'unavailable' } })
  expect(results[2]).toMatchObject({ status: 'fulfilled' })
  expect(failures).toMatchObject([{ kind: 'unavailable', code: expect.stringMatching(/^SQLITE_CORRUPT/) }])
  await database.write('put', { name: 'b', value: 'y' })
  expect(await database.read.one(byName, { name: 'b' })).toMatchObject({ name: 'b' })
})

test('what ends the transaction of reads throws into nowhere, and the next read starts another', async () => {
  const place = folder()
  const file = place.file('parley.db')
  const database = await openSqlite<TestCommands>({ file, commands, failed: () => {} })
  await database.write('put', { name: 'a', value: 'x' })
  await database.close()
  const db = openConnection(file, { readonly: true, durable: true })
  const failures: Error[] = []
  const reader = new SqliteReader(db, (error) => void failures.push(error))
  onTestFinished(() => {
    reader.close()
    place[Symbol.dispose]()
  })
  expect(await reader.all(everything, {})).toHaveLength(1)
  // As SQLite itself does when a read runs out of memory.
  db.exec('ROLLBACK')
  reader.refresh()
  expect(await reader.all(everything, {})).toHaveLength(1)
  // A statement that is still being stepped through keeps the transaction from its end.
  const other = db.prepare('select 1 union select 2').iterate()
  other.next()
  expect(() => reader.refresh()).not.toThrow()
  other.return?.()
  expect(await reader.all(everything, {}).catch(kindOf)).toHaveLength(1)
})

test('a server whose writer thread has ended says so and ends itself, so that a supervisor starts another', async () => {
  using place = folder()
  const preload = new URL('../../support/end-writer.ts', import.meta.url)
  const env = {
    PARLEY_DATABASE_URL: `sqlite:${place.file('parley.db')}`,
    NODE_OPTIONS: `--import ${preload.href}`,
  }
  await using server = await serve({ env })
  const { code, stdout } = await server.end('SIGUSR2')
  expect(code).toBe(1)
  const fatal = stdout.split('\n').filter((line) => line.includes('"level":60'))
  expect(fatal).toHaveLength(1)
  expect(fatal[0]).toContain('the thread that writes is gone')
  await using again = await serve({ env: { PARLEY_DATABASE_URL: env.PARLEY_DATABASE_URL } })
  expect((await fetch(`${again.url}/readyz`)).status).toBe(200)
})

test('a server whose database file is deleted or replaced is not ready any more', async () => {
  using place = folder()
  const file = place.file('parley.db')
  await using server = await startServer({ database: { engine: 'sqlite', file } })
  const readiness = async () => (await fetch(`${server.url}/readyz`)).status
  expect(await readiness()).toBe(200)
  renameSync(file, place.file('elsewhere.db'))
  expect(await readiness()).toBe(503)
  copyFileSync(place.file('elsewhere.db'), file)
  expect(await readiness()).toBe(503)
})

test('readiness writes a value that was not there before', async () => {
  using place = folder()
  const file = place.file('parley.db')
  await using server = await startServer({ database: { engine: 'sqlite', file } })
  expect((await fetch(`${server.url}/readyz`)).status).toBe(200)
  const db = new Sqlite(file, { readonly: true })
  const probed = () => db.prepare("select value from installation where name = 'probed'").pluck().get()
  const first = probed()
  expect(first).toMatch(/^[0-9a-f-]{36}$/)
  // The probe is used again for a second at most.
  await expect.poll(async () => ((await fetch(`${server.url}/readyz`)).status === 200 ? probed() : first)).not.toBe(first)
  db.close()
})

test('a start that is refused because the database is damaged ends with a sentence', async () => {
  using place = folder()
  const file = place.file('parley.db')
  const server = await startServer({ database: { engine: 'sqlite', file } })
  await server.stop()
  const bytes = readFileSync(file)
  const page_bytes = 4096
  // The second page is the first table's: what every start reads.
  bytes.fill(0xff, page_bytes, page_bytes + 64)
  for (let page = 1; page < 8; page++) bytes.fill(0xff, page * page_bytes, page * page_bytes + 64)
  writeFileSync(file, bytes)
  const env = { PARLEY_DATABASE_URL: `sqlite:${file}`, PORT: '0' }
  const ended = await parley(['serve'], { env })
  expect(ended.code).toBe(1)
  expect(ended.stderr.trim().split('\n').at(-1)).toMatch(
    /^parley: .*(is not a Parley database|cannot be read or written).*restore a backup/,
  )
  expect(ended.stderr).not.toContain('Node.js')
})
