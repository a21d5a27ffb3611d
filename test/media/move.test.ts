import { randomBytes } from 'node:crypto'
import { existsSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { request } from 'undici'
import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest'
import { contentFile } from '../../src/media/files.ts'
import { newDatabase, type TestDatabase } from '../support/databases.ts'
import { folder, parley, type Serving, serve, spawnParley } from '../support/process.ts'
import { describeWithS3, type S3Server, startS3, type TestBucket } from '../support/s3.ts'
import { auth_token } from '../support/server.ts'
import { startProxy } from '../support/tcp-proxy.ts'

const account_sid = `AC${'0'.repeat(32)}`
const authorization = `Basic ${Buffer.from(`${account_sid}:${auth_token}`).toString('base64')}`

/** What a message carries does not expire. */
interface Carried {
  readonly path: string
  readonly bytes: Buffer
}

async function post(url: string, body: string | Buffer, type = 'application/x-www-form-urlencoded') {
  const answer = await request(url, { method: 'POST', body, headers: { authorization, 'content-type': type } })
  expect(answer.statusCode).toBe(201)
  return (await answer.body.json()) as { sid: string; chat_service_sid: string }
}

/** Uploads files and sends them. */
async function carry({ url }: Serving, count: number): Promise<Carried[]> {
  const { sid, chat_service_sid } = await post(`${url}/v1/Conversations`, '')
  const all: Carried[] = []
  for (let i = 0; i < count; i++) {
    const bytes = randomBytes(20_000)
    const media = await post(`${url}/v1/Services/${chat_service_sid}/Media`, bytes, 'image/png')
    await post(`${url}/v1/Conversations/${sid}/Messages`, `MediaSid=${media.sid}`)
    all.push({ path: `/v1/Services/${chat_service_sid}/Media/${media.sid}/Content`, bytes })
  }
  return all
}

async function expectAll({ url }: Serving, all: readonly Carried[]): Promise<void> {
  for (const { path, bytes } of all) {
    const { statusCode, body } = await request(url + path, { headers: { authorization } })
    expect(statusCode).toBe(200)
    expect(Buffer.from(await body.arrayBuffer()).equals(bytes)).toBe(true)
  }
}

function filesIn(folder: string): string[] {
  const entries = existsSync(folder) ? readdirSync(folder, { recursive: true, withFileTypes: true }) : []
  return entries.filter((entry) => entry.isFile() && /^[0-9a-f]{64}$/.test(entry.name)).map(({ name }) => name)
}

describeWithS3('parley media move', () => {
  let s3: S3Server
  let bucket: TestBucket
  beforeAll(async () => {
    s3 = await startS3()
    bucket = s3.bucket('media')
  })
  afterAll(() => s3[Symbol.asyncDispose]())

  const database = async (): Promise<TestDatabase> => {
    const made = await newDatabase()
    onTestFinished(() => made.dispose())
    return made
  }
  const envOf = (on: TestDatabase) => ({ ...on.env, PARLEY_AUTH_TOKEN: auth_token, PARLEY_ACCOUNT_SID: account_sid })

  test('moves all files to the bucket and back, while the server runs', async () => {
    const on = await database()
    const local = join(on.env.PARLEY_DATA_DIR, 'parley.media')
    const inFolder = envOf(on)
    const inBucket = { ...inFolder, ...bucket.settings('there') }
    const all: Carried[] = []
    {
      await using server = await serve({ env: inFolder })
      all.push(...(await carry(server, 20)))
      // Nobody would find there what is moved.
      const early = await parley(['media', 'move'], { env: inBucket })
      expect(early).toMatchObject({
        code: 1,
        stderr: expect.stringContaining('the servers keep media in folder, not in s3://media'),
      })
      const needless = await parley(['media', 'move'], { env: inFolder })
      expect(needless).toMatchObject({ code: 0, stdout: expect.stringContaining('Nothing is to be moved') })
    }
    {
      await using server = await serve({ env: inBucket })
      await expectAll(server, all)
      all.push(...(await carry(server, 3)))
      expect([filesIn(local).length, bucket.objects('there').length]).toEqual([20, 4])
      const dry = await parley(['media', 'move', '--dry-run'], { env: inBucket })
      expect(dry).toMatchObject({ code: 0, stdout: expect.stringContaining('20 files (400000 bytes) are to be moved from') })
      const [moved] = await Promise.all([parley(['media', 'move'], { env: inBucket }), expectAll(server, all)])
      expect(moved).toMatchObject({ code: 0, stdout: expect.stringContaining('20 files (400000 bytes) were moved from') })
      expect([filesIn(local).length, bucket.objects('there').length]).toEqual([0, 24])
      await expectAll(server, all)
    }
    const back = { ...inFolder, ...bucket.settings('there') }
    const settings = { ...back, PARLEY_MEDIA_STORE: '', PARLEY_MEDIA_PREVIOUS_STORE: bucket.url('there') }
    await using server = await serve({ env: settings })
    all.push(...(await carry(server, 1)))
    await expectAll(server, all)
    const [moved] = await Promise.all([parley(['media', 'move'], { env: settings }), expectAll(server, all)])
    expect(moved).toMatchObject({ code: 0, stdout: expect.stringContaining('23 files') })
    expect(bucket.objects('there')).toEqual(['installation'])
    expect(filesIn(local)).toHaveLength(24)
    await expectAll(server, all)
  })

  test('goes on after it was killed', async () => {
    await using proxy = await startProxy(s3.endpoint)
    const on = await database()
    const local = join(on.env.PARLEY_DATA_DIR, 'parley.media')
    const inBucket = { ...envOf(on), ...bucket.settings('killed', proxy.url.replace(/\/$/, '')) }
    const all: Carried[] = []
    {
      await using server = await serve({ env: envOf(on) })
      all.push(...(await carry(server, 40)))
    }
    await using server = await serve({ env: inBucket })
    const [name = ''] = filesIn(local).sort().slice(-10)
    const frozen = proxy.freezeAt(`PUT /media/killed/${name.slice(0, 2)}`)
    const move = spawnParley(['media', 'move'], { env: inBucket })
    await frozen
    move.signal('SIGKILL')
    await move.ended
    proxy.heal()
    const left = filesIn(local).length
    expect(left).toBeGreaterThan(0)
    expect(left).toBeLessThan(40)
    await expectAll(server, all)
    const moved = await parley(['media', 'move'], { env: inBucket })
    expect(moved).toMatchObject({ code: 0, stdout: expect.stringContaining(`${left} files`) })
    expect(filesIn(local)).toEqual([])
    await expectAll(server, all)
  })

  test('leaves damaged files where they are, and says so', async () => {
    const on = await database()
    const local = join(on.env.PARLEY_DATA_DIR, 'parley.media')
    const inBucket = { ...envOf(on), ...bucket.settings('damaged') }
    {
      await using server = await serve({ env: envOf(on) })
      await carry(server, 3)
    }
    const [name = ''] = filesIn(local)
    await writeFile(contentFile(local, name), randomBytes(20_000))
    await using server = await serve({ env: inBucket })
    const moved = await parley(['media', 'move'], { env: inBucket })
    expect(moved).toMatchObject({
      code: 1,
      stderr: expect.stringContaining(`damaged, and left where they are: 1 (the first is ${name})`),
    })
    expect(filesIn(local)).toEqual([name])
    expect(bucket.objects('damaged')).toHaveLength(3)
    expect(server.url).toMatch(/^http/)
  })

  test('is not needed for a backup, an export and an import: they read the bucket, and write to it', async () => {
    using place = folder()
    await using other = await newDatabase()
    const on = await database()
    const inBucket = { ...envOf(on), ...bucket.settings('kept') }
    await using server = await serve({ env: inBucket })
    const all = await carry(server, 5)
    const made = await parley(['backup', place.file('backup')], { env: inBucket })
    expect(made.stderr).toBe('')
    expect(filesIn(place.file('backup/parley.media'))).toHaveLength(5)
    const exported = await parley(['export', '--out', place.file('export')], { env: inBucket })
    expect(exported.stderr).toContain('5 files of media')

    // The backup is an installation without a bucket.
    const key = readFileSync(join(on.env.PARLEY_DATA_DIR, 'parley.key'), 'utf8').trim()
    const restored = { PARLEY_DATABASE_URL: `sqlite:${place.file('backup/parley.db')}`, PARLEY_SECRET_KEY: key }
    {
      await using from = await serve({ env: restored })
      await expectAll(from, all)
    }

    // Another installation takes the export into a bucket of its own.
    const there = { ...other.env, ...bucket.settings('other'), PARLEY_AUTH_TOKEN: auth_token, PARLEY_ACCOUNT_SID: account_sid }
    const env = { ...there, PARLEY_ADMIN_TOKEN: 'an-operator-token' }
    await using target = await serve({ env })
    const imported = await parley(['import', '--from', place.file('export')], { env: { ...env, PORT: new URL(target.url).port } })
    expect(imported.stderr).toBe('')
    expect(bucket.objects('other')).toHaveLength(6)
    await expectAll(target, all)

    const gone = bucket.objects('kept').find((name) => name !== 'installation') ?? ''
    rmSync(join(bucket.path('kept'), gone))
    const failed = await parley(['backup', place.file('second')], { env: inBucket })
    expect(failed).toMatchObject({ code: 1, stderr: expect.stringContaining('a file of media cannot be found') })
  })
})
