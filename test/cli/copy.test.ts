import { spawn } from 'node:child_process'
import { createHash, randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import Sqlite from 'better-sqlite3'
import { Kysely, SqliteDialect } from 'kysely'
import pg from 'pg'
import { describe, expect, test } from 'vitest'
import { allTables, keys, type Row, slots } from '../../src/copy/tables.ts'
import { slotOf } from '../../src/events/queue.ts'
import { copyUnderWay } from '../../src/installation/copy-marker.ts'
import { indexOrder } from '../../src/storage/sets.ts'
import { Vault } from '../../src/vault.ts'
import { createDatabase, dropDatabase } from '../support/postgres.ts'
import { type Ended, folder, parley, serve } from '../support/process.ts'

const postgres = process.env.PARLEY_TEST_POSTGRES_URL
const program = new URL('../../src/cli/parley.ts', import.meta.url).pathname
const secretKey = 'ab'.repeat(32)
const contents = ['a picture', 'another one', Buffer.from([0, 255, 0, 10]).toString('latin1')]

type Dump = Record<string, Row[]>

/** An empty PostgreSQL database that is gone at the end of the block. */
async function database() {
  const url = await createDatabase(postgres as string, `parley_copy_${randomBytes(4).toString('hex')}`)
  const client = new pg.Client({ connectionString: url, types: { getTypeParser: (oid) => (oid === 20 ? Number : String) } })
  await client.connect()
  return {
    url,
    query: async (text: string, values: unknown[] = []) => (await client.query(text, values)).rows as Row[],
    async dump(): Promise<Dump> {
      const dump: Dump = {}
      for (const table of allTables) dump[table] = (await client.query(`select * from ${table} order by ${keys[table]}`)).rows
      return dump
    },
    async [Symbol.asyncDispose]() {
      await client.end()
      await dropDatabase(postgres as string, url)
    },
  }
}

/** A stopped installation on a file, with awkward values in every column of every table. */
async function installation(file: string, rows = 60): Promise<void> {
  expect(await parley(['migrate'], { env: { PARLEY_DATABASE_URL: `sqlite:${file}` } })).toMatchObject({ code: 0 })
  using db = opened(file)
  db.raw.transaction(() => {
    for (const table of allTables) if (table !== 'installation' && table !== 'media') fill(db.raw, table, rows)
    fill(db.raw, 'media', 6)
    const set = db.raw.prepare('INSERT INTO installation VALUES (?, ?)')
    set.run('vault_check', new Vault(secretKey).seal('parley'))
    set.run('first_account', `AC${'0'.repeat(32)}`)
    set.run('a name that sorts before all others', 'ünï 🦜')
  })()
  const home = file.replace(/\.db$/, '')
  writeFileSync(`${home}.key`, `${secretKey}\n`, { mode: 0o600 })
  writeFileSync(`${home}.admin-token`, `${'cd'.repeat(32)}\n`, { mode: 0o600 })
  for (const content of contents) {
    mkdirSync(dirname(mediaFile(home, content)), { recursive: true })
    writeFileSync(mediaFile(home, content), content, 'latin1')
  }
}

function hashOf(content: string): string {
  return createHash('sha256').update(content, 'latin1').digest('hex')
}

function mediaFile(home: string, content: string): string {
  const hash = hashOf(content)
  return join(`${home}.media`, hash.slice(0, 2), hash.slice(2, 4), hash)
}

function opened(file: string) {
  const raw = new Sqlite(file)
  return { raw, [Symbol.dispose]: () => void raw.close() }
}

interface Column {
  readonly name: string
  readonly type: string
  readonly notnull: number
  readonly pk: number
}

// No language sorts them as their bytes do.
const awkward_keys = ['a', 'B', '_', 'é', 'Z', '-', '🦜', '\u{e000}', '9']
const awkward_texts = [
  '',
  ' ',
  'null',
  'it\'s "quoted" \\ \t\r\n',
  'ünï©ødé 🦜\u{10ffff}\ufeff',
  'x'.repeat(20_000),
  '{"a":[1,null]}',
  '0',
]
const awkward_numbers = [0, 1, -1, Number.MAX_SAFE_INTEGER, Number.MIN_SAFE_INTEGER, 1_790_000_000_000, 4_294_967_296]

function fill(db: Sqlite.Database, table: string, rows: number): void {
  const columns = db.pragma(`table_info(${table})`) as Column[]
  const unique = uniqueColumns(db, table)
  const insert = db.prepare(`INSERT INTO ${table} VALUES (${columns.map(() => '?')})`)
  for (let i = 0; i < rows; i++)
    insert.run(columns.map((column, j) => given(table, column.name, i) ?? value(column, unique, i, j)))
}

function uniqueColumns(db: Sqlite.Database, table: string): Set<string> {
  const indexes = db.pragma(`index_list(${table})`) as { name: string; unique: number }[]
  const found = indexes.filter(({ unique }) => unique).flatMap(({ name }) => db.pragma(`index_info(${name})`) as Column[])
  return new Set(found.map(({ name }) => name))
}

/** Values that mean something to the copy. */
function given(table: string, column: string, i: number): string | number | undefined {
  if (column === 'slot') return 0
  if (column === 'subject_sid') return `CH${hashOf(String(i)).slice(0, 32)}`
  if (table !== 'media') return undefined
  const content = contents[i % contents.length] as string
  return { sha256: hashOf(content), size: content.length }[column]
}

function value({ name, type, notnull }: Column, unique: ReadonlySet<string>, i: number, j: number): string | number | null {
  const n = i + j
  if (unique.has(name)) return /int/.test(type) ? i : `${awkward_keys[i % awkward_keys.length]}${i}`
  if (!notnull && n % 4 === 0) return null
  const values = /int/.test(type) ? awkward_numbers : awkward_texts
  // Long ones are rare, so that large tables stay small.
  return i > 100 && values === awkward_texts ? 'short' : (values[n % values.length] as string | number)
}

function dumpOf(file: string): Dump {
  using db = opened(file)
  const dump: Dump = {}
  for (const table of allTables) dump[table] = db.raw.prepare(`SELECT * FROM ${table} ORDER BY ${keys[table]}`).all() as Row[]
  return dump
}

function copy(from: string, to: string, ...more: string[]): Promise<Ended> {
  return parley(['copy', '--from', from, '--to', to, ...more], { cwd: tmpdir() })
}

/** One sentence that says what to do, and no stack. */
function expectSentence({ code, stderr }: Ended, sentence: RegExp): void {
  expect(stderr).toMatch(sentence)
  expect(stderr).toMatch(/^parley: [^\n]+\n$/)
  expect(code).toBe(1)
}

/** Starts a copy that a test ends. */
function starting(args: readonly string[]) {
  const child = spawn(process.execPath, [program, 'copy', ...args], {
    env: { PATH: process.env.PATH },
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  const gone = once(child, 'exit')
  child.stdout.setEncoding('utf8')
  return {
    said: (line: RegExp) =>
      new Promise<void>((resolve, reject) => {
        let said = ''
        child.stdout.on('data', (text: string) => {
          said += text
          if (line.test(said)) resolve()
        })
        gone.then(() => reject(new Error(`it ended: ${said}`)))
      }),
    async kill() {
      child.kill('SIGKILL')
      await gone
    },
  }
}

test('every table of the schema is copied by its primary key, all but the leases', async () => {
  using place = folder()
  await parley(['migrate'], { env: { PARLEY_DATABASE_URL: `sqlite:${place.file('parley.db')}` } })
  using db = opened(place.file('parley.db'))
  const tables = db.raw.prepare("SELECT name FROM sqlite_master WHERE type = 'table'").pluck().all() as string[]
  const found = tables
    .filter((name) => !name.startsWith('kysely_') && name !== 'leases' && !name.startsWith('search_'))
    .map((name) => [name, primaryKey(db.raw, name)])
  const builder = new Kysely({ dialect: new SqliteDialect({ database: db.raw }) })
  const ordered = Object.entries(keys).map(([table, key]) => [table, indexOrder(builder, table, key)])
  expect(Object.fromEntries(ordered)).toEqual(Object.fromEntries(found))
})

function primaryKey(db: Sqlite.Database, table: string): string[] {
  const columns = (db.pragma(`table_info(${table})`) as Column[]).filter(({ pk }) => pk > 0)
  return columns.sort((a, b) => a.pk - b.pk).map(({ name }) => name)
}

describe.runIf(postgres)('copy', () => {
  test('everything arrives in PostgreSQL, and back in SQLite, row by row, with media and secrets', async () => {
    using place = folder()
    await using target = await database()
    const file = place.file('parley.db')
    await installation(file)
    const there = await copy(`sqlite:${file}`, target.url, '--to-data-dir', place.file('shared'))
    expect(there).toMatchObject({ code: 0, stderr: '' })
    expect(there.stdout).toContain('messages: 60 rows\n')
    expect(there.stdout).toMatch(/^messages +60 +60$/m)
    expect(there.stdout).not.toContain(new URL(target.url).password)

    const original = dumpOf(file)
    const arrived = await target.dump()
    expect(arrived.deliveries?.map(({ slot }) => slot)).toEqual(
      original.deliveries?.map(({ subject_sid }) => slotOf(subject_sid as string, slots.postgres)),
    )
    expect({ ...arrived, deliveries: arrived.deliveries?.map((row) => ({ ...row, slot: 0 })) }).toEqual(original)

    const back = await copy(target.url, `sqlite:${place.file('back/again.db')}`, '--from-data-dir', place.file('shared'))
    expect(back).toMatchObject({ code: 0, stderr: '' })
    expect(dumpOf(place.file('back/again.db'))).toEqual(original)
    for (const home of [place.file('shared/parley'), place.file('back/again')]) {
      for (const content of contents) expect(readFileSync(mediaFile(home, content), 'latin1')).toBe(content)
      expect(readFileSync(`${home}.key`, 'utf8')).toBe(`${secretKey}\n`)
      expect(statSync(`${home}.key`).mode & 0o777).toBe(0o600)
      expect(readFileSync(`${home}.admin-token`, 'utf8')).toBe(`${'cd'.repeat(32)}\n`)
    }
    expect(readdirSync(place.file('back')).filter((name) => /-wal$|-shm$|copying$/.test(name))).toEqual([])
  })

  test('the same command once more finds all rows there, and mends what is wrong with the files', async () => {
    using place = folder()
    const args = [`sqlite:${place.file('parley.db')}`, `sqlite:${place.file('other/parley.db')}`] as const
    await installation(place.file('parley.db'))
    expect(await copy(...args)).toMatchObject({ code: 0 })
    const file = mediaFile(place.file('other/parley'), contents[0] as string)
    writeFileSync(file, 'cut')
    const again = await copy(...args)
    expect(again).toMatchObject({ code: 0, stderr: '' })
    expect(again.stdout).toContain('The target had all rows already')
    expect(dumpOf(place.file('other/parley.db'))).toEqual(dumpOf(place.file('parley.db')))
    expect(readFileSync(file, 'latin1')).toBe(contents[0])
  })

  test('with one data folder for both, media and secrets stay where they are', async () => {
    using place = folder()
    await using target = await database()
    await installation(place.file('parley.db'))
    const before = readdirSync(place.path)
    const { code, stdout } = await copy(`sqlite:${place.file('parley.db')}`, target.url, '--to-data-dir', place.path)
    expect({ code, files: /^media: \d+ files$/m.test(stdout) }).toEqual({ code: 0, files: false })
    expect(readdirSync(place.path)).toEqual(before)
  })

  test('killed in the midst of a table, it goes on there', async () => {
    using place = folder()
    await using target = await database()
    await installation(place.file('parley.db'), 4500)
    await parley(['migrate'], { env: { PARLEY_DATABASE_URL: target.url } })
    const original = dumpOf(place.file('parley.db'))
    const args = ['--from', `sqlite:${place.file('parley.db')}`, '--to', target.url, '--to-data-dir', place.file('shared')]

    // Somebody else's row, not committed yet, with the key of a row in the third batch: that batch has to wait.
    await target.query('begin')
    const columns = Object.keys(original.messages?.[2500] as Row)
    const places = columns.map((_, i) => `$${i + 1}`)
    await target.query(`insert into messages (${columns}) values (${places})`, Object.values(original.messages?.[2500] as Row))
    await using watcher = await connected(target.url)
    const copying = starting(args)
    while ((await watcher.query(waiting)).rows[0]?.count !== '1') await watcher.query('select 1')
    await copying.kill()
    expect((await watcher.query('select count(*) from messages')).rows).toEqual([{ count: '2000' }])
    expect((await watcher.query('select name from installation')).rows).toEqual([{ name: copyUnderWay }])
    await target.query('rollback')

    const resumed = await parley(['copy', ...args])
    expect(resumed).toMatchObject({ code: 0, stderr: '' })
    const arrived = await target.dump()
    expect({ ...arrived, deliveries: arrived.deliveries?.map((row) => ({ ...row, slot: 0 })) }).toEqual(original)
  })

  test('what a killed copy has still under way in the target is waited for', async () => {
    using place = folder()
    await using target = await database()
    await using watcher = await connected(target.url)
    await installation(place.file('parley.db'), 1)
    const lock = "hashtextextended('parley copy', 0)"
    await target.query(`select pg_advisory_lock(${lock})`)
    const copying = copy(`sqlite:${place.file('parley.db')}`, target.url, '--to-data-dir', place.file('shared'))
    while ((await watcher.query(waiting)).rows[0]?.count !== '1') await watcher.query('select 1')
    expect(await target.query("select tablename from pg_tables where schemaname = 'public'")).toEqual([])
    await target.query(`select pg_advisory_unlock(${lock})`)
    expect(await copying).toMatchObject({ code: 0, stderr: '' })
  })

  test.each(['accounts', 'users', 'conversations', 'deliveries', 'media: \\d+ files'])(
    'killed after %s, into SQLite: it goes on there',
    async (what) => {
      using place = folder()
      await installation(place.file('parley.db'), 1200)
      const args = ['--from', `sqlite:${place.file('parley.db')}`, '--to', `sqlite:${place.file('other/parley.db')}`]
      const copying = starting(args)
      await copying.said(new RegExp(`^${what}`, 'm'))
      await copying.kill()
      expect(await parley(['copy', ...args])).toMatchObject({ code: 0, stderr: '' })
      expect(dumpOf(place.file('other/parley.db'))).toEqual(dumpOf(place.file('parley.db')))
      for (const content of contents) expect(existsSync(mediaFile(place.file('other/parley'), content))).toBe(true)
    },
  )

  test('a source that was changed after its copy was begun is refused, and so is another source', async () => {
    using place = folder()
    await using target = await database()
    await installation(place.file('parley.db'), 1200)
    await installation(place.file('stranger.db'), 1)
    const from = `sqlite:${place.file('parley.db')}`
    const more = ['--to-data-dir', place.file('shared')]
    const copying = starting(['--from', from, '--to', target.url, ...more])
    await copying.said(/^accounts/m)
    await copying.kill()
    expectSentence(await copy(`sqlite:${place.file('stranger.db')}`, target.url), /unfinished copy of another installation/)
    expectSentence(await copy(target.url, `sqlite:${place.file('third.db')}`), /itself the target of a copy that is not finished/)
    {
      using db = opened(place.file('parley.db'))
      db.raw.exec('UPDATE accounts SET revision = revision % 1000 + 1 WHERE sid = (SELECT min(sid) FROM accounts)')
    }
    expectSentence(await copy(from, target.url, ...more), /the source has changed since the copy .* was begun/)
  })

  test('what does not arrive as it was is told, and the target stays unfinished', async () => {
    using place = folder()
    await using target = await database()
    await installation(place.file('parley.db'))
    await parley(['migrate'], { env: { PARLEY_DATABASE_URL: target.url } })
    // A target that drops a row and alters another.
    await target.query(`create function spoil() returns trigger language plpgsql as $$ begin
      if tg_table_name = 'messages' then return null; end if;
      new.revision = 5;
      return new;
    end $$`)
    for (const table of ['messages', 'users']) {
      const sid = dumpOf(place.file('parley.db'))[table]?.[0]?.sid
      await target.query(
        `create trigger spoil before insert on ${table} for each row when (new.sid = '${sid}') execute function spoil()`,
      )
    }
    const ended = await copy(`sqlite:${place.file('parley.db')}`, target.url, '--to-data-dir', place.file('shared'))
    expectSentence(ended, /differs from the source in users, messages: do not use it/)
    expect(ended.stdout).toMatch(/^messages +60 +59$/m)
    expect(await target.query('select name from installation where name = $1', [copyUnderWay])).toEqual([{ name: copyUnderWay }])
  })
})

const waiting = `select count(*) from pg_stat_activity
  where wait_event_type = 'Lock' and application_name = 'parley copy' and datname = current_database()`

async function connected(url: string) {
  const client = new pg.Client({ connectionString: url })
  await client.connect()
  return { query: (text: string) => client.query(text), [Symbol.asyncDispose]: () => client.end() }
}

describe.runIf(postgres)('copy refuses', () => {
  test('a target with an installation, and leaves it as it is', async () => {
    using place = folder()
    await using target = await database()
    await installation(place.file('parley.db'))
    await installation(place.file('other.db'), 3)
    expect(await copy(`sqlite:${place.file('other.db')}`, target.url, '--to-data-dir', place.file('shared'))).toMatchObject({
      code: 0,
    })
    const before = { postgres: await target.dump(), sqlite: dumpOf(place.file('other.db')), files: readdirSync(place.path) }
    const from = `sqlite:${place.file('parley.db')}`
    expectSentence(await copy(from, target.url), /holds an installation already: give an empty database/)
    expectSentence(await copy(from, `sqlite:${place.file('other.db')}`), /holds an installation already/)
    const after = { postgres: await target.dump(), sqlite: dumpOf(place.file('other.db')), files: readdirSync(place.path) }
    expect(after).toEqual({ ...before, files: [...before.files] })
  })

  test('a target with tables of something else, and leaves it as it is', async () => {
    using place = folder()
    await using target = await database()
    await installation(place.file('parley.db'), 1)
    await target.query('create table users (id text)')
    expectSentence(
      await copy(`sqlite:${place.file('parley.db')}`, target.url),
      /not a Parley database, but has tables of the same names \(users\)/,
    )
    expect(await target.query("select tablename from pg_tables where schemaname = 'public'")).toEqual([{ tablename: 'users' }])
  })

  test('the file of a running server, on either side', async () => {
    using place = folder()
    await installation(place.file('other.db'), 1)
    const file = place.file('parley.db')
    await using server = await serve({ env: { PARLEY_DATABASE_URL: `sqlite:${file}`, PARLEY_LOG_LEVEL: 'silent' } })
    expectSentence(
      await copy(`sqlite:${file}`, `sqlite:${place.file('new.db')}`),
      /parley\.db is in use by another Parley process: stop it/,
    )
    expectSentence(
      await copy(`sqlite:${place.file('other.db')}`, `sqlite:${file}`),
      /parley\.db is in use by another Parley process: stop it/,
    )
    expectSentence(
      await parley(['migrate'], { env: { PARLEY_DATABASE_URL: `sqlite:${file}` } }),
      /in use by another Parley process/,
    )
    expect(existsSync(place.file('new.db'))).toBe(false)
    expect((await server.end('SIGTERM')).code).toBe(0)
    expect(await copy(`sqlite:${file}`, `sqlite:${place.file('new.db')}`)).toMatchObject({ code: 0, stderr: '' })
  })

  test('a PostgreSQL source that a server has, as long as it lives', async () => {
    using place = folder()
    await using source = await database()
    await installation(place.file('parley.db'), 3)
    const dataDir = ['--from-data-dir', place.file('shared')]
    await copy(`sqlite:${place.file('parley.db')}`, source.url, '--to-data-dir', place.file('shared'))
    await source.query("insert into leases values ('node:one', 'one', extract(epoch from clock_timestamp()) * 1000 + 60000)")
    await source.query("insert into leases values ('slot:1', 'one', extract(epoch from clock_timestamp()) * 1000 + 60000)")
    const to = `sqlite:${place.file('back.db')}`
    expectSentence(await copy(source.url, to, ...dataDir), /in use by 1 running Parley \(one\): stop/)
    await source.query("update leases set until = 1 where name = 'node:one'")
    expect(await copy(source.url, to, ...dataDir)).toMatchObject({ code: 0, stderr: '' })
    using db = opened(place.file('back.db'))
    expect(db.raw.prepare('SELECT * FROM leases').all()).toEqual([])
  })

  test('a target folder with another secret key, before anything is copied', async () => {
    using place = folder()
    await using target = await database()
    await installation(place.file('parley.db'), 1)
    mkdirSync(place.file('shared'))
    writeFileSync(place.file('shared/parley.key'), `${'12'.repeat(32)}\n`)
    const args = [`sqlite:${place.file('parley.db')}`, target.url, '--to-data-dir', place.file('shared')] as const
    expectSentence(await copy(...args), /parley\.key is not the secret key of the source, so nothing could be decrypted/)
    expect(await target.query("select tablename from pg_tables where schemaname = 'public'")).toEqual([])
    expect(readFileSync(place.file('shared/parley.key'), 'utf8')).toBe(`${'12'.repeat(32)}\n`)
    expect(readdirSync(place.file('shared'))).toEqual(['parley.key'])
  })

  test('a source that lacks files of media, unless it is told to go on', async () => {
    using place = folder()
    await installation(place.file('parley.db'), 1)
    rmSync(mediaFile(place.file('parley'), contents[0] as string))
    writeFileSync(mediaFile(place.file('parley'), contents[1] as string), 'cut')
    const args = [`sqlite:${place.file('parley.db')}`, `sqlite:${place.file('other/parley.db')}`] as const
    expectSentence(await copy(...args), /2 files of media .* cannot be found .*--from-data-dir/)
    const { code, stdout } = await copy(...args, '--allow-missing-files')
    expect({ code, told: /2 files of media .*; going on without/.test(stdout) }).toEqual({ code: 0, told: true })
    const there = contents.map((content) => existsSync(mediaFile(place.file('other/parley'), content)))
    expect(there).toEqual([false, false, true])
  })

  test('what is no Parley database, or none that this version knows', async () => {
    using place = folder()
    await using source = await database()
    const to = `sqlite:${place.file('new.db')}`
    expectSentence(await copy(source.url, to), /is not a Parley database/)
    expectSentence(await copy(`sqlite:${place.file('none.db')}`, to), /none\.db does not exist/)
    writeFileSync(place.file('diary.db'), 'Dear diary, '.repeat(1000))
    expectSentence(await copy(`sqlite:${place.file('diary.db')}`, to), /diary\.db is not a Parley database/)
    await parley(['migrate'], { env: { PARLEY_DATABASE_URL: source.url } })
    expectSentence(await copy(source.url, to), /holds no installation yet/)
    await source.query("insert into kysely_migration (name, timestamp) values ('9999-later', '')")
    expectSentence(await copy(source.url, to), /made by a newer Parley \(schema 9999-later\)/)
    expect(readdirSync(place.path)).toEqual(['diary.db'])
  })

  test('databases in memory, one database as both, and what cannot be reached; no password is shown', async () => {
    using place = folder()
    const to = `sqlite:${place.file('parley.db')}`
    expectSentence(await copy('sqlite::memory:', to), /--from names a database in memory/)
    expectSentence(await copy(to, to), /--from and --to are the same database/)
    const unreachable = await copy('postgres://parley:hidden@127.0.0.1:1/parley?password=hidden', to)
    expectSentence(unreachable, /postgres:\/\/parley@127\.0\.0\.1:1\/parley cannot be reached/)
    const wrong = await copy(Object.assign(new URL(postgres as string), { password: 'hidden' }).href, to)
    expectSentence(wrong, /refuses the connection/)
    const odd = await copy('mysql://root:hidden@db/parley', to)
    expectSentence(odd, /--from must be sqlite:<file>/)
    expect(unreachable.stderr + wrong.stderr + odd.stderr).not.toContain('hidden')
  })
})

describe.runIf(postgres)('migrate', () => {
  test('says what it did, and --check what there is to do', async () => {
    using place = folder()
    await using other = await database()
    for (const url of [`sqlite:${place.file('parley.db')}`, other.url]) {
      const given = { env: { PARLEY_DATABASE_URL: url } }
      expectSentence(await parley(['migrate', '--check'], given), /does not exist|lacks 0001-first/)
      expect(readdirSync(place.path).filter((name) => url.includes(name))).toEqual([])
      const first = await parley(['migrate'], given)
      expect(first).toMatchObject({ code: 0, stderr: '' })
      expect(first.stdout).toMatch(/^applied 0001-first\n.*\S+ is up to date\n$/s)
      expect(first.stdout).not.toContain(new URL(postgres as string).password)
      for (const args of [['migrate'], ['migrate', '--check']]) {
        const { code, stdout, stderr } = await parley(args, given)
        expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
        expect(stdout).toMatch(/^\S+ is up to date\n$/)
      }
    }
  })

  test('leaves alone what a newer Parley has made', async () => {
    using place = folder()
    const given = { env: { PARLEY_DATABASE_URL: `sqlite:${place.file('parley.db')}` } }
    await parley(['migrate'], given)
    {
      using db = opened(place.file('parley.db'))
      db.raw.exec("INSERT INTO kysely_migration (name, timestamp) VALUES ('9999-later', '')")
    }
    for (const args of [['migrate'], ['migrate', '--check']]) {
      expectSentence(await parley(args, given), /made by a newer Parley \(schema 9999-later\): use that version instead/)
    }
  })
})
