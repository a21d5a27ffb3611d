import { randomBytes } from 'node:crypto'
import { mkdir, readFile, rm, utimes, writeFile } from 'node:fs/promises'
import { dirname } from 'node:path'
import { request } from 'undici'
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest'
import { readConfig, type SettingTexts } from '../../src/config.ts'
import type { StartOptions } from '../../src/main.ts'
import { newDatabase, type TestDatabase } from '../support/databases.ts'
import { serve } from '../support/process.ts'
import { describeWithS3, type S3Server, startS3, type TestBucket } from '../support/s3.ts'
import { auth_token, startServer, type TestServer } from '../support/server.ts'
import { startProxy, type TcpProxy } from '../support/tcp-proxy.ts'

const short = { mediaTimeouts: { connect: 500, idle: 500, response: 500 } }

const account_sid = `AC${'0'.repeat(32)}`

let s3: S3Server
let bucket: TestBucket
let proxy: TcpProxy
/** Ends with the test. */
async function database(): Promise<TestDatabase> {
  const made = await newDatabase()
  onTestFinished(() => made.dispose())
  return made
}

/** A server whose media are in a bucket; ends with the test. */
async function start(texts: SettingTexts, options: StartOptions = {}, on?: TestDatabase): Promise<Served> {
  const { mediaStore, mediaAccessKeyId, mediaSecretAccessKey, mediaLinks } = readConfig(texts)
  const { config } = on ?? (await database())
  const server = await startServer({ ...config, mediaStore, mediaAccessKeyId, mediaSecretAccessKey, mediaLinks }, options)
  onTestFinished(() => server.stop())
  const { sid } = (await server.call('POST', '/v1/Services', { FriendlyName: 'Support' })).body
  return { ...server, media: `${server.url}/v1/Services/${sid}/Media` }
}

interface Served extends TestServer {
  /** The URL of the media of a service. */
  readonly media: string
}

function authorization({ account_sid }: Pick<TestServer, 'account_sid'>) {
  return { authorization: `Basic ${Buffer.from(`${account_sid}:${auth_token}`).toString('base64')}` }
}

async function upload(server: Pick<Served, 'account_sid' | 'media'>, body: Buffer) {
  const answer = await request(server.media, {
    method: 'POST',
    body,
    headers: { ...authorization(server), 'content-type': 'image/png' },
  })
  // biome-ignore lint/suspicious/noExplicitAny: tests look into bodies of every kind
  return { status: answer.statusCode, headers: answer.headers, body: (await answer.body.json()) as any }
}

async function add(server: Served, body: Buffer) {
  const { status, body: record } = await upload(server, body)
  expect(status).toBe(201)
  return record
}

async function get(
  server: Pick<Served, 'account_sid'>,
  url: string,
  headers: Record<string, string> = {},
  method: 'GET' | 'HEAD' = 'GET',
) {
  const answer = await request(url, { method, headers: { ...authorization(server), ...headers } })
  return { status: answer.statusCode, headers: answer.headers, bytes: Buffer.from(await answer.body.arrayBuffer()) }
}

async function remove(server: Served, { url }: { url: string }) {
  const answer = await request(url, { method: 'DELETE', headers: authorization(server) })
  expect(answer.statusCode).toBe(204)
  await answer.body.dump()
}

const unavailable = { status: 503, headers: { 'retry-after': '5' } }

describeWithS3('media in a bucket', () => {
  beforeAll(async () => {
    s3 = await startS3()
    bucket = s3.bucket('media')
    proxy = await startProxy(s3.endpoint)
  })
  afterAll(async () => {
    await proxy[Symbol.asyncDispose]()
    await s3[Symbol.asyncDispose]()
  })

  describe('media', () => {
    test('are objects named by their content, and come back as they were sent', async () => {
      const server = await start(bucket.settings('plain/one'))
      const bytes = randomBytes(3_000_000)
      const record = await add(server, bytes)
      expect((await readFile(bucket.fileOf('plain/one', bytes))).equals(bytes)).toBe(true)
      const whole = await get(server, record.links.content)
      expect(whole).toMatchObject({ status: 200, headers: { 'content-type': 'image/png', 'content-length': '3000000' } })
      expect(whole.bytes.equals(bytes)).toBe(true)
      const part = await get(server, record.links.content, { range: 'bytes=1000-2000' })
      expect(part).toMatchObject({ status: 206, headers: { 'content-range': 'bytes 1000-2000/3000000' } })
      expect(part.bytes.equals(bytes.subarray(1000, 2001))).toBe(true)
      expect((await get(server, record.links.content, { range: 'bytes=3000000-' })).status).toBe(416)
      expect(await get(server, record.links.content, {}, 'HEAD')).toMatchObject({ status: 200, bytes: Buffer.alloc(0) })
      const signed = await request(record.links.content_direct_temporary)
      expect(Buffer.from(await signed.body.arrayBuffer()).equals(bytes)).toBe(true)
    })

    test('are kept once, until the last of them is deleted', async () => {
      const server = await start(bucket.settings('once'))
      const bytes = randomBytes(1000)
      const records = [await add(server, bytes), await add(server, bytes)]
      expect(bucket.objects('once')).toHaveLength(2)
      await remove(server, records[0])
      expect((await get(server, records[1].links.content)).bytes.equals(bytes)).toBe(true)
      await remove(server, records[1])
      await expect.poll(() => bucket.objects('once')).toEqual(['installation'])
    })

    test('stay when they come while their last row goes', async () => {
      const server = await start(bucket.settings('race'))
      const bytes = randomBytes(1000)
      let before = await add(server, bytes)
      for (let i = 0; i < 10; i++) {
        const [after] = await Promise.all([add(server, bytes), remove(server, before)])
        expect((await get(server, after.links.content)).bytes.equals(bytes)).toBe(true)
        before = after
      }
      await remove(server, before)
      await expect.poll(() => bucket.objects('race')).toEqual(['installation'])
    })

    test('are gone after five minutes when no message takes them', async () => {
      const on = await database()
      const server = await start(bucket.settings('expiry'), {}, on)
      await add(server, randomBytes(1000))
      expect(bucket.objects('expiry')).toHaveLength(2)
      await server.advance('PT6M')
      // It looks once a minute, and at its start.
      await server.stop()
      await start(bucket.settings('expiry'), {}, on)
      await expect.poll(() => bucket.objects('expiry')).toEqual(['installation'])
    })

    test('may have temporary links that lead to the store', async () => {
      const server = await start({ ...bucket.settings('links'), PARLEY_MEDIA_LINKS: 'store' })
      const bytes = Buffer.from('<script>alert(1)</script>')
      const answer = await request(`${server.media}?Filename=${encodeURIComponent('ä b.html')}`, {
        method: 'POST',
        body: bytes,
        headers: { ...authorization(server), 'content-type': 'text/html' },
      })
      const { links } = (await answer.body.json()) as { links: { content: string; content_direct_temporary: string } }
      const link = new URL(links.content_direct_temporary)
      expect(link.origin).toBe(s3.endpoint)
      expect(link.searchParams.get('X-Amz-Expires')).toBe('300')
      const { statusCode, headers, body } = await request(link)
      expect(statusCode).toBe(200)
      expect(Buffer.from(await body.arrayBuffer()).equals(bytes)).toBe(true)
      expect(headers['content-type']).toBe('application/octet-stream')
      expect(headers['content-disposition']).toBe(`attachment; filename="_ b.html"; filename*=UTF-8''%C3%A4%20b.html`)
      link.searchParams.set('response-content-type', 'text/html')
      expect((await request(link)).statusCode).toBe(403)
      expect((await get(server, links.content)).bytes.equals(bytes)).toBe(true)
    })

    test('that a crash has left are removed at the start, and nothing else', async () => {
      const on = await database()
      const settings = bucket.settings('crash')
      const server = await start(settings, {}, on)
      const [kept, young, orphan, lost] = [randomBytes(1000), randomBytes(1000), randomBytes(1000), randomBytes(1000)]
      const { sid } = await add(server, kept)
      const record = await add(server, lost)
      await server.stop()
      const put = async (file: string, bytes: Buffer, hours: number) => {
        await mkdir(dirname(file), { recursive: true })
        await writeFile(file, bytes)
        const at = Date.now() / 1000 - hours * 3600
        await utimes(file, at, at)
      }
      await put(bucket.fileOf('crash', orphan), orphan, 2)
      await put(bucket.fileOf('crash', young), young, 0)
      expect(sid).toMatch(/^ME/)
      // A deletion that was interrupted before it could find out that a row has come.
      const before = bucket.fileOf('crash', lost)
      const aside = `${dirname(dirname(dirname(before)))}/aside/${before.split('/').at(-1)}`
      await put(aside, lost, 2)
      await rm(before)
      const again = await start(settings, {}, on)
      await expect.poll(() => bucket.objects('crash')).toHaveLength(4)
      const files = [kept, young, lost].map((bytes) => bucket.fileOf('crash', bytes).split('/crash/')[1])
      expect(bucket.objects('crash')).toEqual([...files, 'installation'].sort())
      expect((await get(again, record.links.content.replace(server.url, again.url))).bytes.equals(lost)).toBe(true)
    })
  })

  describe('a bucket that keeps versions', () => {
    test('keeps none of what is deleted', async () => {
      await using versioned = await startS3([], { versioned: true })
      const media = versioned.bucket('versions')
      await media.keepVersions()
      const server = await start(media.settings('v'))
      const [bytes, other] = [randomBytes(1000), randomBytes(1000)]
      const records = [await add(server, bytes), await add(server, bytes), await add(server, other)]
      const [name, kept] = [bytes, other].map((content) => media.fileOf('v', content).split('/v/')[1] ?? '')
      expect(await media.versions('v')).toEqual([name, name, kept, 'installation'].sort())
      await remove(server, records[0])
      await remove(server, records[1])
      await expect.poll(() => media.versions('v')).toEqual([kept, 'installation'].sort())
      expect((await get(server, records[2].links.content)).bytes.equals(other)).toBe(true)
    })
  })

  describe('an erasure', () => {
    /** A message of a person, with a file. */
    const say = async (server: Served, identity: string, bytes: Buffer) => {
      const { sid, chat_service_sid } = (await server.call('POST', '/v1/Conversations', {})).body
      const media = `${server.url}/v1/Services/${chat_service_sid}/Media`
      const record = await add({ ...server, media }, bytes)
      await server.call('POST', `/v1/Conversations/${sid}/Messages`, { Author: identity, MediaSid: record.sid })
    }
    const statusOf = async (server: Served, id: string) =>
      (await server.admin('GET', `/accounts/${server.account_sid}/erasures/${id}`)).status

    test('is done when no version is left of what the person has sent', async () => {
      await using versioned = await startS3([], { versioned: true })
      const media = versioned.bucket('erased')
      await media.keepVersions()
      const server = await start(media.settings('e'))
      const other = randomBytes(1000)
      await say(server, 'alice', randomBytes(1000))
      await say(server, 'bob', other)
      expect(await media.versions('e')).toHaveLength(3)
      const { id } = await server.admin('POST', `/accounts/${server.account_sid}/erasures`, { identity: 'alice', dry_run: false })
      await expect.poll(() => statusOf(server, id)).toBe('done')
      expect(await media.versions('e')).toEqual([media.fileOf('e', other).split('/e/')[1], 'installation'].sort())
    })

    test('is not done while the bucket does not say so', async () => {
      const server = await start(bucket.settings('unproven', proxy.url.replace(/\/$/, '')), short)
      await say(server, 'alice', randomBytes(1000))
      proxy.cut()
      const { id } = await server.admin('POST', `/accounts/${server.account_sid}/erasures`, { identity: 'alice', dry_run: false })
      const asked = proxy.refused()
      await asked
      expect(await statusOf(server, id)).toBe('running')
      proxy.heal()
      await expect.poll(() => statusOf(server, id)).toBe('done')
      expect(bucket.objects('unproven')).toEqual(['installation'])
    })
  })

  describe('a server that is killed', () => {
    test('has kept every upload that it has answered', async () => {
      const on = await database()
      const env = { ...on.env, ...bucket.settings('killed'), PARLEY_AUTH_TOKEN: auth_token, PARLEY_ACCOUNT_SID: account_sid }
      const answered = new Map<string, Buffer>()
      let media = ''
      for (let round = 0; round < 3; round++) {
        await using serving = await serve({ env })
        const server = { url: serving.url, account_sid }
        if (media === '') {
          const body = new URLSearchParams({ FriendlyName: 'x' }).toString()
          const headers = { ...authorization(server), 'content-type': 'application/x-www-form-urlencoded' }
          const answer = await request(`${serving.url}/v1/Services`, { method: 'POST', body, headers })
          media = `/v1/Services/${((await answer.body.json()) as { sid: string }).sid}/Media`
        }
        let sent = 0
        const uploads = async () => {
          for (;;) {
            const bytes = randomBytes(50_000)
            // The connection is cut when the process is gone.
            const answer = await upload({ ...server, media: serving.url + media }, bytes).catch(() => null)
            if (!answer) return
            if (answer.status === 201) answered.set(answer.body.sid, bytes)
            if (++sent === 20) serving.signal('SIGKILL')
          }
        }
        await Promise.all([uploads(), uploads(), uploads()])
        expect((await serving.ended).signal).toBe('SIGKILL')
      }
      await using serving = await serve({ env })
      expect(answered.size).toBeGreaterThanOrEqual(57)
      for (const [sid, bytes] of answered) {
        const { status, bytes: kept } = await get({ account_sid }, `${serving.url}${media}/${sid}/Content`)
        expect(status).toBe(200)
        expect(kept.equals(bytes)).toBe(true)
      }
    })
  })

  describe('a bucket that does not work', () => {
    test('is 503 with a time to wait, until it does', async () => {
      const server = await start(bucket.settings('down', proxy.url.replace(/\/$/, '')), short)
      const bytes = randomBytes(1000)
      const record = await add(server, bytes)
      for (const fail of [() => proxy.cut(), () => proxy.freeze()]) {
        fail()
        expect(await upload(server, randomBytes(1000))).toMatchObject({ ...unavailable, body: { code: 20503, status: 503 } })
        expect(await get(server, record.links.content)).toMatchObject(unavailable)
        const metrics = (await get(server, `${server.metricsUrl}/metrics`)).bytes.toString()
        expect(metrics).toMatch(/^parley_media_store_requests_total\{operation="get",outcome="failed"\} [1-9]/m)
        expect(metrics).toMatch(/^parley_media_store_requests_total\{operation="put",outcome="ok"\} [1-9]/m)
        proxy.heal()
        expect((await get(server, record.links.content)).bytes.equals(bytes)).toBe(true)
        await add(server, randomBytes(1000))
      }
    })

    test('may come later than the server', async () => {
      proxy.cut()
      const server = await start(bucket.settings('late', proxy.url.replace(/\/$/, '')), short)
      expect(await upload(server, randomBytes(1000))).toMatchObject(unavailable)
      proxy.heal()
      await add(server, randomBytes(1000))
    })

    test('has its downloads continued where they break off', async () => {
      const server = await start(bucket.settings('halves', proxy.url.replace(/\/$/, '')))
      const bytes = randomBytes(5_000_000)
      const record = await add(server, bytes)
      proxy.cutAfter(1_000_000, 3)
      const whole = await get(server, record.links.content)
      expect(whole.bytes.equals(bytes)).toBe(true)
      proxy.cutAfter(1_000_000, 2)
      const part = await get(server, record.links.content, { range: 'bytes=100-' })
      expect(part.bytes.equals(bytes.subarray(100))).toBe(true)
    })

    test('stores nothing that has changed on its way, and is asked again', async () => {
      const server = await start(bucket.settings('changed', proxy.url.replace(/\/$/, '')))
      const bytes = Buffer.from(`${'x'.repeat(20_000)}a line to change${'y'.repeat(20_000)}`)
      proxy.replace('a line to change', 'another line ...')
      const record = await add(server, bytes)
      expect((await get(server, record.links.content)).bytes.equals(bytes)).toBe(true)
      expect(bucket.objects('changed')).toHaveLength(2)
    })

    test('whose objects have changed gives nobody all of one', async () => {
      const server = await start(bucket.settings('rotten'))
      const bytes = randomBytes(2_000_000)
      const record = await add(server, bytes)
      const file = bucket.fileOf('rotten', bytes)
      await writeFile(file, Buffer.concat([bytes.subarray(0, 1_999_999), Buffer.from([(bytes[1_999_999] ?? 0) ^ 1])]))
      await expect(get(server, record.links.content)).rejects.toThrow()
      await writeFile(file, bytes.subarray(0, 1_000_000))
      expect((await get(server, record.links.content)).status).toBe(500)
    })
  })

  describe('a bucket with wrong settings', () => {
    const refused = async (texts: SettingTexts, sentence: RegExp) => {
      const error: unknown = await start(texts).then(
        () => null,
        (thrown: unknown) => thrown,
      )
      expect(error).toMatchObject({ name: 'ConfigError' })
      expect(String(error)).toMatch(sentence)
      expect(String(error)).not.toContain('secret-of')
    }

    test('prevents the start, with what to do', async () => {
      const settings = bucket.settings('wrong')
      const absent = { ...settings, PARLEY_MEDIA_STORE: settings.PARLEY_MEDIA_STORE?.replace('s3://media', 's3://nothing') ?? '' }
      await refused(absent, /there is no such bucket: make it, or correct PARLEY_MEDIA_STORE/)
      const secret = { ...settings, PARLEY_MEDIA_SECRET_ACCESS_KEY: 'another' }
      await refused(secret, /check PARLEY_MEDIA_SECRET_ACCESS_KEY/)
      await refused({ ...settings, PARLEY_MEDIA_ACCESS_KEY_ID: 'another' }, /check .* the access key/)
      const alone = { ...settings, PARLEY_MEDIA_SECRET_ACCESS_KEY: '' }
      await refused(alone, /belong together/)
    })

    test('and one that may only be read, too', async () => {
      await using readonly = await startS3(['--readonly'])
      await refused(readonly.bucket('media').settings('x'), /check the rights of the access key/)
    })

    test('prevents the start when it is that of another installation', async () => {
      await start(bucket.settings('taken'))
      await refused(bucket.settings('taken'), /contains the media of another installation/)
    })
  })
})
