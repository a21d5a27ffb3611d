import { chmodSync, copyFileSync, cpSync, existsSync, mkdirSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { pino } from 'pino'
import { expect, test } from 'vitest'
import { readConfig } from '../../src/config.ts'
import { backupInstallation } from '../../src/copy/backup.ts'
import { plainProgress } from '../../src/copy/progress.ts'
import { start } from '../../src/main.ts'
import { engine, newDatabase, type TestDatabase } from '../support/databases.ts'
import { folder, parley, serve } from '../support/process.ts'
import { auth_token, startServer, type TestServer } from '../support/server.ts'

const log = pino({ level: 'silent' })
const silent = plainProgress(() => {})

const given = ({ env }: TestDatabase) => ({ env: { ...env, PARLEY_LOG_LEVEL: 'silent', PORT: '0' } })
const backupOf = ({ env }: TestDatabase, to: string, allowMissingFiles = false) =>
  backupInstallation({ config: readConfig(env), folder: to, allowMissingFiles, progress: silent })

/** Everything that the account shows: conversations, and the content of its media. */
async function contentOf(server: TestServer, media: readonly string[]): Promise<unknown> {
  const { body } = await server.call('GET', '/v1/Conversations?PageSize=1000')
  const files = await Promise.all(
    media.map(async (sid) => {
      const authorization = `Basic ${btoa(`${server.account_sid}:${auth_token}`)}`
      const url = `${server.url}/v1/Services/${await serviceOf(server)}/Media/${sid}/Content`
      return (await fetch(url, { headers: { authorization } })).text()
    }),
  )
  // Links name the port.
  const { conversations } = body as { conversations: { sid: string; unique_name: string }[] }
  return { names: conversations.map(({ sid, unique_name }) => [sid, unique_name]).sort(), files }
}

async function serviceOf(server: TestServer): Promise<string> {
  return ((await server.call('GET', '/v1/Configuration')).body as { default_chat_service_sid: string }).default_chat_service_sid
}

async function upload(server: TestServer, content: string): Promise<string> {
  const authorization = `Basic ${btoa(`${server.account_sid}:${auth_token}`)}`
  const url = `${server.url}/v1/Services/${await serviceOf(server)}/Media`
  const response = await fetch(url, { method: 'POST', body: content, headers: { authorization, 'content-type': 'text/plain' } })
  return ((await response.json()) as { sid: string }).sid
}

test('a backup that is made while the server writes has all that was acknowledged before, and opens as an installation', async () => {
  using place = folder()
  await using database = await newDatabase()
  const media: string[] = []
  let before: unknown
  {
    await using server = await startServer(database.config)
    for (let n = 0; n < 30; n++) await server.call('POST', '/v1/Conversations', { UniqueName: `before-${n}` })
    for (const text of ['a picture', 'another one']) media.push(await upload(server, text))
    before = await contentOf(server, media)
    let writing = true
    const writes = (async () => {
      for (let n = 0; writing; n++) {
        const { body } = await server.call('POST', '/v1/Conversations', { UniqueName: `during-${n}` })
        if (n % 2 === 0) await server.call('DELETE', `/v1/Conversations/${(body as { sid: string }).sid}`)
      }
    })()
    await backupOf(database, place.file('backup'))
    writing = false
    await writes
  }
  expect(readdirSync(place.file('backup')).toSorted()).toEqual(['parley.db', 'parley.media'])
  expect([place.file('backup'), place.file('backup/parley.db')].map((file) => (statSync(file).mode & 0o777).toString(8))).toEqual(
    ['700', '600'],
  )
  // Restored as the pages say: the folder, and the key from where it is kept.
  cpSync(place.file('backup'), place.file('restored'), { recursive: true })
  copyFileSync(join(database.env.PARLEY_DATA_DIR, 'parley.key'), place.file('restored/parley.key'))
  const file = place.file('restored/parley.db')
  await using restored = await startServer({ database: { engine: 'sqlite', file }, dataDir: null })
  const { names, files } = (await contentOf(restored, media)) as { names: string[][]; files: string[] }
  expect(files).toEqual(['a picture', 'another one'])
  expect({ names: names.filter(([, name]) => name?.startsWith('before-')), files }).toEqual(before)
})

test('the command says where the backup is and that the key is not in it', async () => {
  using place = folder()
  await using database = await newDatabase()
  await using server = await serve(given(database))
  const { code, stdout, stderr } = await parley(['backup', place.file('a/b')], given(database))
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
  expect(stdout).toContain(`The backup is in ${place.file('a/b')}. It was opened and compared with the database.`)
  expect(stdout).toContain(`keep ${join(database.env.PARLEY_DATA_DIR, 'parley.key')} in another place`)
  expect(existsSync(place.file('a/b/parley.key'))).toBe(false)
  expect((await server.end('SIGTERM')).code).toBe(0)
})

test('a backup can be copied into a new database of either engine', async () => {
  using place = folder()
  await using database = await newDatabase()
  {
    await using server = await startServer(database.config)
    await server.call('POST', '/v1/Conversations', { UniqueName: 'order-1234' })
  }
  await backupOf(database, place.file('backup'))
  await using target = await newDatabase({ untouched: true })
  const { PARLEY_DATABASE_URL, PARLEY_DATA_DIR } = target.env
  copyFileSync(join(database.env.PARLEY_DATA_DIR, 'parley.key'), join(PARLEY_DATA_DIR, 'parley.key'))
  const from = `sqlite:${place.file('backup/parley.db')}`
  const copied = await parley(['copy', '--from', from, '--to', PARLEY_DATABASE_URL, '--to-data-dir', PARLEY_DATA_DIR])
  expect(copied).toMatchObject({ code: 0, stderr: '' })
  await using restored = await startServer(target.config)
  expect((await restored.call('GET', '/v1/Conversations/order-1234')).status).toBe(200)
})

test('what cannot be backed up is refused, and leaves nothing', async () => {
  using place = folder()
  await using database = await newDatabase()
  const to = place.file('backup')
  await using server = await startServer(database.config)
  await upload(server, 'a picture')

  mkdirSync(place.file('full'))
  writeFileSync(place.file('full/notes'), 'Dear diary')
  await expect(backupOf(database, place.file('full'))).rejects.toThrow(/full is not empty: give the backup a folder of its own/)
  expect(readdirSync(place.file('full'))).toEqual(['notes'])

  for (const own of ['parley.media', 'parley.media/b/c', 'parley.gateway/b']) {
    const inside = join(database.env.PARLEY_DATA_DIR, own)
    await expect(backupOf(database, inside)).rejects.toThrow(
      /is inside .*, which Parley keeps for itself: give the backup a folder/,
    )
  }
  expect(existsSync(join(database.env.PARLEY_DATA_DIR, 'parley.media/b'))).toBe(false)
  for (const path of [join(database.env.PARLEY_DATA_DIR, 'parley.key'), '/dev/null/x', '/proc/parley'])
    await expect(backupOf(database, path)).rejects.toThrow(/ cannot be used \(E.*\): check its owner, or name another folder/)

  const config = readConfig({ ...database.env, PARLEY_SECRET_KEY: '7'.repeat(64) })
  const other = backupInstallation({ config, folder: to, allowMissingFiles: false, progress: silent })
  await expect(other).rejects.toThrow(/the secret key is not the one that this database was created with/)

  rmSync(join(database.env.PARLEY_DATA_DIR, 'parley.media'), { recursive: true })
  await expect(backupOf(database, to)).rejects.toThrow(/a file of media cannot be found .*--allow-missing-files/)
  expect(existsSync(to)).toBe(false)
  await backupOf(database, to, true)
  expect(readdirSync(to)).toContain('parley.db')

  await using empty = await newDatabase({ untouched: true })
  await expect(backupOf(empty, place.file('none'))).rejects.toThrow(/does not exist|is not a Parley database/)
  const memory = readConfig({ PARLEY_DATABASE_URL: 'sqlite::memory:' })
  await expect(
    backupInstallation({ config: memory, folder: place.file('none'), allowMissingFiles: false, progress: silent }),
  ).rejects.toThrow(/in memory/)
  expect(existsSync(place.file('none'))).toBe(false)
})

test.runIf(engine === 'sqlite' && process.getuid?.() !== 0)('a folder that cannot be written to is a sentence', async () => {
  using place = folder()
  await using database = await newDatabase()
  await (await start({ ...readConfig({ PORT: '0' }), ...database.config }, { log })).stop()
  mkdirSync(place.file('locked'))
  chmodSync(place.file('locked'), 0o500)
  await expect(backupOf(database, place.file('locked/backup'))).rejects.toThrow(/cannot be used .*: check its owner/)
})
