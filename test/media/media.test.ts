import { createHash, randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { mkdir, readdir, readFile, stat, utimes, writeFile } from 'node:fs/promises'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { Readable } from 'node:stream'
import { gzipSync } from 'node:zlib'
import { Agent, request } from 'undici'
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest'
import { type Config, readConfig } from '../../src/config.ts'
import { mediaFolder } from '../../src/data-folders.ts'
import { newDatabase, type TestDatabase } from '../support/databases.ts'
import { sqliteOnly } from '../support/only.ts'
import { auth_token, startServer, type TestServer } from '../support/server.ts'
import type { Credentials } from '../support/tenant.ts'
import { catchWebhooks } from '../support/webhook-catcher.ts'

const limit_bytes = 24 * 1024 * 1024
const pixel = Buffer.from(
  'iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==',
  'base64',
)

let database: TestDatabase
/** Where uploads are kept. */
let folder: string
let server: TestServer
let service: string

beforeAll(async () => {
  database = await newDatabase()
  folder = mediaFolder(database.config) as string
  server = await startServer(settings())
  service = await newService()
})
afterAll(async () => {
  await server.stop()
  await database.dispose()
})

function settings(): Partial<Config> {
  return { ...database.config, mediaMaxBytes: limit_bytes }
}

async function newService(): Promise<string> {
  return (await server.call('POST', '/v1/Services', { FriendlyName: 'Support' })).body.sid
}

interface Sent {
  readonly to?: string
  readonly query?: string
  readonly type?: string | null
  readonly as?: Credentials | null
  readonly headers?: Record<string, string>
}

function authorization(as: Credentials | null = { username: server.account_sid, password: auth_token }): Record<string, string> {
  return as ? { authorization: `Basic ${Buffer.from(`${as.username}:${as.password}`).toString('base64')}` } : {}
}

async function send(body: Buffer | Readable | string, { to = service, query = '', type = 'image/png', as, headers }: Sent = {}) {
  const answer = await request(`${server.url}/v1/Services/${to}/Media${query}`, {
    method: 'POST',
    body,
    headers: { ...authorization(as), ...(type !== null && { 'content-type': type }), ...headers },
  })
  // biome-ignore lint/suspicious/noExplicitAny: tests look into bodies of every kind
  return { status: answer.statusCode, headers: answer.headers, body: (await answer.body.json()) as any }
}

async function upload(body: Buffer | Readable | string, sent: Sent = {}) {
  const { status, body: record } = await send(body, sent)
  expect(status).toBe(201)
  return record
}

async function get(url: string, { as, headers, method = 'GET' }: Sent & { method?: 'GET' | 'HEAD' } = {}) {
  const answer = await request(url, { method, headers: { ...authorization(as), ...headers } })
  return { status: answer.statusCode, headers: answer.headers, bytes: Buffer.from(await answer.body.arrayBuffer()) }
}

const call = (method: string, path: string, as?: Credentials) =>
  server.call(method, path, undefined, { check: false, ...(as && { as }) })

function fileOf(bytes: Buffer): string {
  const sha256 = createHash('sha256').update(bytes).digest('hex')
  return join(folder, sha256.slice(0, 2), sha256.slice(2, 4), sha256)
}

async function exists(file: string): Promise<boolean> {
  return (await stat(file).catch(() => null)) !== null
}

const concurrentRequests = async () => (await server.call('GET', '/v1/Services')).headers['twilio-concurrent-requests']
const gone = (file: string) => expect.poll(() => exists(file)).toBe(false)
const arriving = () => readdir(join(folder, 'incoming'))

describe('upload and download', () => {
  test('answers the record in the order of the vendor', async () => {
    const answer = await send(pixel, { query: '?Category=media&Filename=p.png' })
    expect(answer.status).toBe(201)
    const { body: record } = answer
    const url = `${server.url}/v1/Services/${service}/Media/${record.sid}`
    const { date_created } = record
    expect(JSON.stringify(record)).toBe(
      JSON.stringify({
        sid: record.sid,
        service_sid: service,
        channel_sid: null,
        message_sid: null,
        date_created,
        date_updated: date_created,
        date_upload_updated: date_created,
        size: pixel.length,
        content_type: 'image/png',
        filename: 'p.png',
        category: 'media',
        author: null,
        is_multipart_upstream: false,
        url,
        links: { content: `${url}/Content`, content_direct_temporary: record.links.content_direct_temporary },
      }),
    )
    expect(record.sid).toMatch(/^ME[0-9a-f]{32}$/)
    expect(answer.headers['twilio-request-id']).toMatch(/^RQ/)
    const fetched = await call('GET', `/v1/Services/${service}/Media/${record.sid}`)
    expect(fetched).toMatchObject({ status: 200, body: { sid: record.sid, filename: 'p.png' } })
  })

  test('gives back the bytes as they came, with headers that keep a browser from running them', async () => {
    const bytes = randomBytes(100_000)
    const record = await upload(bytes, { type: 'image/PNG; x=1', query: '?Filename=a%20b.png' })
    const { status, headers, bytes: given } = await get(record.links.content)
    expect(status).toBe(200)
    expect(given.equals(bytes)).toBe(true)
    expect(headers).toMatchObject({
      'content-type': 'image/PNG; x=1',
      'content-length': '100000',
      'content-disposition': `attachment; filename="a b.png"; filename*=UTF-8''a%20b.png`,
      'x-content-type-options': 'nosniff',
      'content-security-policy': "default-src 'none'; sandbox",
      'access-control-allow-origin': '*',
    })
    const head = await get(record.links.content, { method: 'HEAD' })
    expect([head.status, head.headers['content-length'], head.bytes.length]).toEqual([200, '100000', 0])
  })

  test('takes 20 MB in pieces of unknown total', async () => {
    const piece = randomBytes(64 * 1024)
    const pieces = Readable.from(
      (function* () {
        for (let i = 0; i < 320; i++) yield piece
      })(),
    )
    const record = await upload(pieces, { type: 'video/mp4' })
    expect(record.size).toBe(20 * 1024 * 1024)
    const { bytes } = await get(record.links.content)
    expect(createHash('sha256').update(bytes).digest('hex')).toBe(
      createHash('sha256')
        .update(Buffer.concat(Array.from({ length: 320 }, () => piece)))
        .digest('hex'),
    )
  })

  test('takes forms and JSON as the bytes they are, and no type as unknown bytes', async () => {
    for (const type of ['application/x-www-form-urlencoded', 'application/json', 'text/plain; charset=utf-8']) {
      const record = await upload('a=1&b=2', { type })
      expect(record).toMatchObject({ content_type: type, size: 7 })
      expect(String((await get(record.links.content)).bytes)).toBe('a=1&b=2')
    }
    expect(await upload('x', { type: null })).toMatchObject({ content_type: 'application/octet-stream', filename: null })
  })

  test.each(['text/html', 'image/svg+xml', 'application/xhtml+xml; charset=utf-8', 'TEXT/JavaScript', 'application/xml'])(
    'keeps %s in the record but does not serve it as that',
    async (type) => {
      const record = await upload('<script>alert(1)</script>', { type })
      expect(record.content_type).toBe(type)
      expect((await get(record.links.content)).headers['content-type']).toBe('application/octet-stream')
    },
  )

  test.each([
    ['Ünï 文.png', 'Ünï 文.png', `attachment; filename="_n_ _.png"; filename*=UTF-8''%C3%9Cn%C3%AF%20%E6%96%87.png`],
    ['../../etc/passwd', 'passwd', `attachment; filename="passwd"; filename*=UTF-8''passwd`],
    ['C:\\temp\\x.txt', 'x.txt', `attachment; filename="x.txt"; filename*=UTF-8''x.txt`],
    ['..', null, 'attachment'],
    ['a"; x="\r\nSet-Cookie: a=b', 'a"; x="\r\nSet-Cookie: a=b', /^attachment; filename="a_; x=___Set-Cookie: a=b"; filename\*=/],
    ['gpj.\u202eexe', 'gpj.\u202eexe', `attachment; filename="gpj._exe"; filename*=UTF-8''gpj._exe`],
  ])('reads the name %j safely', async (given, filename, disposition) => {
    const before = await readdir(folder)
    const record = await upload(pixel, { query: `?Filename=${encodeURIComponent(given)}` })
    expect(record.filename).toBe(filename)
    const { headers } = await get(record.links.content)
    if (typeof disposition === 'string') expect(headers['content-disposition']).toBe(disposition)
    else expect(headers['content-disposition']).toMatch(disposition)
    expect(headers['set-cookie']).toBeUndefined()
    expect(await readdir(folder)).toEqual(expect.arrayContaining(before))
  })

  test.each([
    ['bytes=0-3', 206, '0123', 'bytes 0-3/10'],
    ['bytes=7-', 206, '789', 'bytes 7-9/10'],
    ['bytes=-2', 206, '89', 'bytes 8-9/10'],
    ['bytes=8-100', 206, '89', 'bytes 8-9/10'],
    ['bytes=3-2', 200, '0123456789', undefined],
    ['bytes=0-1,3-4', 200, '0123456789', undefined],
    ['lines=1-2', 200, '0123456789', undefined],
  ])('answers the range %s', async (range, status, text, contentRange) => {
    const record = await upload('0123456789', { type: 'text/plain' })
    const answer = await get(record.links.content, { headers: { range } })
    expect([answer.status, String(answer.bytes), answer.headers['content-range']]).toEqual([status, text, contentRange])
  })

  test.each(['bytes=10-', 'bytes=20-30', 'bytes=-0'])('refuses the range %s, in which there is nothing', async (range) => {
    const { links } = await upload('0123456789', { type: 'text/plain' })
    const answer = await get(links.content, { headers: { range } })
    expect([answer.status, answer.headers['content-range'], JSON.parse(String(answer.bytes))]).toMatchObject([
      416,
      'bytes */10',
      { status: 416, code: 20416 },
    ])
    expect((await get(links.content, { headers: { range, 'if-range': '"another"' } })).status).toBe(200)
  })

  test('sends nothing again that the caller has', async () => {
    const { links } = await upload('0123456789')
    const { etag = '', 'last-modified': modified = '' } = (await get(links.content)).headers as Record<string, string>
    const earlier = new Date(Date.parse(modified) - 1000).toUTCString()
    for (const [headers, status] of [
      [{ 'if-none-match': etag }, 304],
      [{ 'if-none-match': `"x", W/${etag}` }, 304],
      [{ 'if-none-match': '*' }, 304],
      [{ 'if-none-match': '"x"' }, 200],
      [{ 'if-modified-since': modified }, 304],
      [{ 'if-modified-since': earlier }, 200],
      [{ 'if-modified-since': 'junk' }, 200],
      [{ 'if-none-match': '"x"', 'if-modified-since': modified }, 200],
    ] as const) {
      for (const method of ['GET', 'HEAD'] as const) {
        const answer = await get(links.content, { headers, method })
        expect([answer.status, answer.headers.etag], JSON.stringify(headers)).toEqual([status, etag])
        expect(answer.bytes.length).toBe(status === 304 || method === 'HEAD' ? 0 : 10)
      }
    }
  })

  test('ignores a range of other bytes than these', async () => {
    const record = await upload('0123456789')
    const headers = { range: 'bytes=0-3', 'if-range': '"another"' }
    expect((await get(record.links.content, { headers })).status).toBe(200)
    const { etag } = (await get(record.links.content)).headers
    expect((await get(record.links.content, { headers: { ...headers, 'if-range': String(etag) } })).status).toBe(206)
  })
})

describe('a form with a part Media', () => {
  const part = (name: string, content: string | Buffer, extra = '') => [
    `--xx\r\nContent-Disposition: form-data; name="${name}"${extra}\r\n\r\n`,
    content,
    '\r\n',
  ]
  const form = (...parts: (string | Buffer)[][]) =>
    Buffer.concat([...parts.flat(), '--xx--\r\n'].map((each) => Buffer.from(each)))
  const type = 'multipart/form-data; boundary=xx'

  test('is the file of that part, with its name and type', async () => {
    const file = part('Media', pixel, '; filename="a.png"\r\nContent-Type: image/png')
    const record = await upload(form(part('Other', 'x'), file, part('More', 'y')), { type })
    expect(record).toMatchObject({ content_type: 'image/png', filename: 'a.png', size: pixel.length })
    expect((await get(record.links.content)).bytes.equals(pixel)).toBe(true)
    expect((await upload(form(file), { type, query: '?Filename=b.png' })).filename).toBe('b.png')
  })

  test('as browsers send it', async () => {
    const body = new FormData()
    body.append('Media', new Blob(['hello'], { type: 'text/plain' }), 'hello.txt')
    const url = `${server.url}/v1/Services/${service}/Media`
    const answer = await fetch(url, { method: 'POST', headers: authorization(), body })
    expect(await answer.json()).toMatchObject({ content_type: 'text/plain', filename: 'hello.txt', size: 5 })
  })

  test('needs that part, whole, and not too large', async () => {
    expect(await send(form(part('File', 'x', '; filename="x"')), { type })).toMatchObject({ status: 400, body: { code: 20001 } })
    expect(await send(form(), { type })).toMatchObject({ status: 400 })
    const cut = form(part('Media', 'x'.repeat(100))).subarray(0, 100)
    expect(await send(cut, { type })).toMatchObject({ status: 400, body: { code: 50511 } })
    expect(await send(form(part('Media', '')), { type })).toMatchObject({ status: 400, body: { code: 20001 } })
    expect(await send(form(part('Media', Buffer.alloc(limit_bytes + 1))), { type })).toMatchObject({
      status: 413,
      body: { code: 50512 },
    })
    expect(await arriving()).toEqual([])
  })
})

describe('an upload that no message takes', () => {
  test('is gone after five minutes, its file too', async () => {
    const own = await newDatabase()
    onTestFinished(own.dispose)
    const settings = { ...own.config }
    const moved = await startServer(settings)
    onTestFinished(moved.stop)
    const { body: made } = await moved.call('POST', '/v1/Services', { FriendlyName: 'x' })
    const { body: conversation } = await moved.call('POST', `/v1/Services/${made.sid}/Conversations`, {})
    const path = `/v1/Services/${made.sid}`
    const post = async (text: string) => {
      const headers = { authorization: `Basic ${btoa(`${moved.account_sid}:${auth_token}`)}`, 'content-type': 'text/plain' }
      const answer = await request(`${moved.url}${path}/Media`, { method: 'POST', body: text, headers })
      return ((await answer.body.json()) as { sid: string }).sid
    }
    const [taken, late, early] = [await post('taken'), await post('late'), await post('early')]
    const messages = `${path}/Conversations/${conversation.sid}/Messages`
    expect((await moved.call('POST', messages, { MediaSid: taken })).status).toBe(201)
    await moved.advance('PT4M59S')
    expect((await moved.call('POST', messages, { MediaSid: early })).status).toBe(201)
    const status = async (sid: string) => (await moved.call('GET', `${path}/Media/${sid}`, undefined, { check: false })).status
    expect(await status(late)).toBe(200)
    await moved.advance('PT1S')
    expect([await status(late), await status(taken), await status(early)]).toEqual([404, 200, 200])
    expect((await moved.call('POST', messages, { MediaSid: late })).body).toMatchObject({ status: 400, code: 50507 })
    // Its file goes with the next round of the worker, of which a start has one.
    await moved.stop()
    const again = await startServer(settings)
    onTestFinished(again.stop)
    const files = async () =>
      (await readdir(mediaFolder(settings as Config) as string, { recursive: true })).filter((name) => /[0-9a-f]{64}$/.test(name))
    await expect.poll(files).toHaveLength(2)
  })
})

test('uploads at the same time stay within the quota together', async () => {
  const limited = await startServer({ mediaQuotaBytes: 10 })
  onTestFinished(limited.stop)
  const { body: made } = await limited.call('POST', '/v1/Services', { FriendlyName: 'x' })
  const headers = { authorization: `Basic ${btoa(`${limited.account_sid}:${auth_token}`)}`, 'content-type': 'text/plain' }
  const url = `${limited.url}/v1/Services/${made.sid}/Media`
  const statuses = await Promise.all(
    Array.from({ length: 12 }, async (_, i) => {
      const { statusCode, body } = await request(url, { method: 'POST', body: `text${i % 10}`, headers })
      await body.dump()
      return statusCode
    }),
  )
  expect(statuses.toSorted()).toEqual([201, 201, ...Array(10).fill(403)])
})

test('a compressed upload is refused', async () => {
  const headers = { authorization: `Basic ${btoa(`${server.account_sid}:${auth_token}`)}`, 'content-encoding': 'gzip' }
  const url = `${server.url}/v1/Services/${service}/Media`
  const { statusCode, body } = await request(url, { method: 'POST', body: gzipSync('text'), headers })
  expect({ statusCode, body: await body.json() }).toMatchObject({ statusCode: 415, body: { code: 20415 } })
})

test('an account has a quota, if one is set', async () => {
  const limited = await startServer({ mediaQuotaBytes: 10 })
  onTestFinished(limited.stop)
  const { body: made } = await limited.call('POST', '/v1/Services', { FriendlyName: 'x' })
  const post = async (text: string) => {
    const headers = { authorization: `Basic ${btoa(`${limited.account_sid}:${auth_token}`)}`, 'content-type': 'text/plain' }
    const answer = await request(`${limited.url}/v1/Services/${made.sid}/Media`, { method: 'POST', body: text, headers })
    return (await answer.body.json()) as { sid: string; code?: number; status?: number }
  }
  const { sid } = await post('123456')
  expect(await post('12345')).toMatchObject({ status: 403, code: 20507, message: 'Media quota of the account exceeded' })
  await post('1234')
  expect(await post('1')).toMatchObject({ status: 403 })
  await limited.call('DELETE', `/v1/Services/${made.sid}/Media/${sid}`, undefined, { check: false })
  expect(await post('1')).toMatchObject({ size: 1 })
  expect(() => readConfig({ PARLEY_MEDIA_QUOTA_BYTES: '0' })).toThrow('PARLEY_MEDIA_QUOTA_BYTES must be a whole number from 1')
})

describe('refusals', () => {
  test('an empty body', async () => {
    expect(await send(Buffer.alloc(0))).toMatchObject({ status: 400, body: { code: 20001 } })
    expect(await send(Readable.from([]))).toMatchObject({ status: 400, body: { code: 20001 } })
  })

  test.each([
    ['a category that there is not', '?Category=picture'],
    ['a name with a NUL', '?Filename=a%00b'],
    ['a name of 257 characters', `?Filename=${'x'.repeat(257)}`],
  ])('%s', async (_, query) => {
    expect(await send(pixel, { query })).toMatchObject({ status: 400, body: { code: 20422 } })
  })

  test.each([
    ['no type', 'png'],
    ['half a type', 'image/'],
    ['a form without a boundary', 'multipart/form-data'],
    ['parts of another kind', 'multipart/mixed; boundary=x'],
    ['a type of 300 characters', `text/${'x'.repeat(295)}`],
  ])('%s', async (_, type) => {
    expect(await send(pixel, { type })).toMatchObject({ status: 400, body: { code: 50511 } })
  })

  test('more than the limit, told beforehand or not, and the connection goes on', async () => {
    const one = new Agent({ connections: 1 })
    onTestFinished(() => one.close())
    const post = async (body: Buffer | Readable) => {
      const answer = await request(`${server.url}/v1/Services/${service}/Media`, {
        method: 'POST',
        body,
        dispatcher: one,
        headers: { ...authorization(), 'content-type': 'video/mp4' },
      })
      return { status: answer.statusCode, body: (await answer.body.json()) as { code: number } }
    }
    const bytes = randomBytes(1024 * 1024)
    const pieces = (count: number) => Readable.from(Array.from({ length: count }, () => bytes))
    expect(await post(Buffer.alloc(limit_bytes + 1))).toMatchObject({ status: 413, body: { code: 50512 } })
    expect(await post(pieces(25))).toMatchObject({ status: 413, body: { code: 50512 } })
    expect((await post(pieces(24))).status).toBe(201)
    expect(await arriving()).toEqual([])
  })

  test('no credentials, wrong ones, and other methods', async () => {
    expect((await send(pixel, { as: null })).status).toBe(401)
    expect((await send(pixel, { as: { username: server.account_sid, password: 'wrong' } })).status).toBe(401)
    const record = await upload(pixel)
    expect((await get(record.url, { as: null })).status).toBe(401)
    expect((await get(record.links.content, { as: null })).status).toBe(401)
    expect(await call('GET', `/v1/Services/${service}/Media`)).toMatchObject({ status: 405, body: { code: 20004 } })
    expect((await call('POST', `/v1/Services/${service}/Media/${record.sid}`)).status).toBe(405)
    expect((await call('OPTIONS', `/v1/Services/${service}/Media`)).status).toBe(204)
    expect((await call('GET', `/v1/Services/${service}/Nothing`)).status).toBe(404)
  })

  test('what belongs to another account or service', async () => {
    const record = await upload(pixel)
    const other = await newService()
    const { sid, auth_token: password } = await server.admin('POST', '/accounts', {})
    const stranger = { username: sid, password }
    const missing = { status: 404, body: { code: 20404 } }
    for (const tail of ['', '/Content']) {
      expect(await call('GET', `/v1/Services/${other}/Media/${record.sid}${tail}`)).toMatchObject(missing)
      expect(await call('GET', `/v1/Services/${service}/Media/${record.sid}${tail}`, stranger)).toMatchObject(missing)
    }
    expect(await call('DELETE', `/v1/Services/${service}/Media/${record.sid}`, stranger)).toMatchObject(missing)
    expect(await send(pixel, { as: stranger })).toMatchObject(missing)
    expect(await send(pixel, { to: `IS${'0'.repeat(32)}` })).toMatchObject(missing)
    expect((await get(record.links.content)).status).toBe(200)
  })
})

/** Sends media with a message, so that they stay. */
async function carry(MediaSid: string): Promise<void> {
  const { body: conversation } = await server.call('POST', `/v1/Services/${service}/Conversations`, {})
  const messages = `/v1/Services/${service}/Conversations/${conversation.sid}/Messages`
  expect((await server.call('POST', messages, { MediaSid })).status).toBe(201)
}

describe('the temporary url', () => {
  test('needs no header, and only for five minutes', async () => {
    const { sid, url, links } = await upload(pixel)
    await carry(sid)
    const direct: string = links.content_direct_temporary
    const { status, bytes, headers } = await get(direct, { as: null })
    expect([status, bytes.equals(pixel), headers['x-content-type-options']]).toEqual([200, true, 'nosniff'])
    await server.advance('PT4M55S')
    expect((await get(direct, { as: null })).status).toBe(200)
    await server.advance('PT10S')
    expect((await get(direct, { as: null })).status).toBe(403)
    const anew = JSON.parse(String((await get(url)).bytes)).links.content_direct_temporary
    expect((await get(anew, { as: null })).status).toBe(200)
  })

  test('cannot be made up', async () => {
    const record = await upload(pixel)
    const other = await upload(pixel)
    const direct = new URL(record.links.content_direct_temporary)
    const changed = (name: string, value: string | null) => {
      const url = new URL(direct)
      if (value === null) url.searchParams.delete(name)
      else url.searchParams.set(name, value)
      return url.href
    }
    const signature = direct.searchParams.get('Signature') ?? ''
    const later = String(Number(direct.searchParams.get('Expires')) + 60)
    const urls = [
      changed('Expires', later),
      changed('Expires', null),
      changed('Signature', null),
      changed(
        'Signature',
        signature.replace(/^./, (first) => (first === 'A' ? 'B' : 'A')),
      ),
      changed('Signature', ''),
      direct.href.replace(record.sid, other.sid),
    ]
    for (const url of urls) expect((await get(url, { as: null })).status).toBe(403)
    expect((await get(direct.href, { as: null })).status).toBe(200)
  })

  test('is of no use once the media are gone, or the account is suspended', async () => {
    const { sid, auth_token: password } = await server.admin('POST', '/accounts', {})
    const as = { username: sid, password }
    const { body } = await server.call('POST', '/v1/Services', { FriendlyName: 'Theirs' }, { as })
    const { links, sid: media_sid } = await upload(pixel, { to: body.sid, as })
    await server.admin('POST', `/accounts/${sid}`, { status: 'suspended' })
    expect((await get(links.content_direct_temporary, { as: null })).status).toBe(403)
    await server.admin('POST', `/accounts/${sid}`, { status: 'active' })
    expect((await get(links.content_direct_temporary, { as: null })).status).toBe(200)
    await call('DELETE', `/v1/Services/${body.sid}/Media/${media_sid}`, as)
    expect((await get(links.content_direct_temporary, { as: null })).status).toBe(404)
  })
})

describe('files', () => {
  test('the same bytes are kept once, readable by their owner alone, until the last row is gone', async () => {
    const bytes = randomBytes(1000)
    const [one, two] = await Promise.all([upload(bytes), upload(bytes, { to: await newService() })])
    const { mode } = await stat(fileOf(bytes))
    expect(mode & 0o777).toBe(0o600)
    expect((await readFile(fileOf(bytes))).equals(bytes)).toBe(true)
    expect(await readdir(dirname(fileOf(bytes)))).toHaveLength(1)
    expect((await call('DELETE', `/v1/Services/${service}/Media/${one.sid}`)).status).toBe(204)
    expect((await call('GET', `/v1/Services/${service}/Media/${one.sid}`)).status).toBe(404)
    expect((await get(two.links.content)).bytes.equals(bytes)).toBe(true)
    expect((await call('DELETE', `/v1/Services/${two.service_sid}/Media/${two.sid}`)).status).toBe(204)
    await gone(fileOf(bytes))
  })

  test('bytes that come while their last row goes stay', async () => {
    const bytes = randomBytes(1000)
    for (let i = 0; i < 20; i++) {
      const before = await upload(bytes)
      const [after] = await Promise.all([upload(bytes), call('DELETE', `/v1/Services/${service}/Media/${before.sid}`)])
      expect((await get(after.links.content)).bytes.equals(bytes)).toBe(true)
      await call('DELETE', `/v1/Services/${service}/Media/${after.sid}`)
    }
    await gone(fileOf(bytes))
  })

  test('an upload that is cut off leaves nothing', async () => {
    const socket = connect(Number(new URL(server.url).port), '127.0.0.1')
    socket.write(
      `POST /v1/Services/${service}/Media HTTP/1.1\r\nHost: localhost\r\nAuthorization: ${authorization().authorization}\r\n` +
        `Content-Type: image/png\r\nContent-Length: 1000000\r\n\r\n${'x'.repeat(10_000)}`,
    )
    await once(socket, 'connect')
    await expect.poll(arriving).toHaveLength(1)
    socket.destroy()
    await expect.poll(arriving).toEqual([])
    await expect.poll(concurrentRequests).toBe('1')
  })

  test('a download that is cut off ends', async () => {
    const record = await upload(randomBytes(20 * 1024 * 1024))
    const { body } = await request(record.links.content, { headers: authorization() })
    await once(body, 'readable')
    body.on('error', () => {}).destroy()
    await expect.poll(concurrentRequests).toBe('1')
  })

  test('what a crash has left is removed at the start, and nothing else', async () => {
    const kept = randomBytes(1000)
    const record = await upload(kept)
    await server.stop()
    const orphan = randomBytes(1000)
    const young = randomBytes(1000)
    const cut = join(folder, 'incoming', 'cut-short')
    for (const file of [fileOf(orphan), fileOf(young), cut]) {
      await mkdir(dirname(file), { recursive: true })
      await writeFile(file, orphan)
    }
    const long_ago_s = Date.now() / 1000 - 2 * 3600
    for (const file of [fileOf(orphan), cut, fileOf(kept)]) await utimes(file, long_ago_s, long_ago_s)
    server = await startServer({ ...settings(), account_sid: server.account_sid })
    await gone(fileOf(orphan))
    await gone(cut)
    expect(await exists(fileOf(young))).toBe(true)
    expect((await get(`${server.url}${new URL(record.links.content).pathname}`)).bytes.equals(kept)).toBe(true)
  })

  sqliteOnly('in memory', () => {
    test('a database leaves no files', async () => {
      const before = (await readdir(tmpdir())).filter((name) => name.startsWith('parley-media-'))
      const passing = await startServer()
      const made = (await readdir(tmpdir())).filter((name) => name.startsWith('parley-media-') && !before.includes(name))
      expect(made).not.toEqual([])
      await passing.stop()
      const left = (await readdir(tmpdir())).filter((name) => made.includes(name))
      // Servers of other test files come and go meanwhile.
      expect(left.length).toBeLessThan(made.length)
    })
  })
})

describe('messages', () => {
  async function newConversation() {
    const path = `/v1/Services/${service}/Conversations`
    const { body } = await server.call('POST', path, {})
    return { sid: body.sid as string, path: `${path}/${body.sid}` }
  }

  test('carry media, made by the official client and told to webhooks', async () => {
    await using catcher = await catchWebhooks({ authToken: auth_token })
    const { sid, path } = await newConversation()
    await server.call('POST', `${path}/Webhooks`, {
      Target: 'webhook',
      'Configuration.Url': catcher.url(),
      'Configuration.Method': 'POST',
      'Configuration.Filters': 'onMessageAdded',
    })
    const record = await upload(pixel, { query: '?Filename=p.png' })
    const message = await server.sdk.conversations.v1
      .services(service)
      .conversations(sid)
      .messages.create({ mediaSid: record.sid, xTwilioWebhookEnabled: 'true' })
    const media = [{ sid: record.sid, size: pixel.length, content_type: 'image/png', filename: 'p.png' }]
    expect(message).toMatchObject({ body: null, media })
    const { body } = await server.call('GET', `${path}/Messages/${message.sid}`)
    expect(JSON.stringify(body.media)).toBe(JSON.stringify(media))
    const { params } = await catcher.next()
    expect(params.Media).toBe(
      JSON.stringify([{ Sid: record.sid, Filename: 'p.png', ContentType: 'image/png', Size: pixel.length }]),
    )
    expect(params).not.toHaveProperty('Body')
    const fetched = await call('GET', `/v1/Services/${service}/Media/${record.sid}`)
    expect(fetched.body).toMatchObject({ channel_sid: sid, message_sid: message.sid })
    expect((await get(record.links.content)).bytes.equals(pixel)).toBe(true)
  })

  test('of the default family carry media of the default service', async () => {
    const { body } = await server.call('POST', '/v1/Conversations', {})
    const record = await upload(pixel, { to: body.chat_service_sid })
    const message = await server.sdk.conversations.v1
      .conversations(body.sid)
      .messages.create({ mediaSid: record.sid, body: 'caption' })
    expect(message).toMatchObject({ body: 'caption', media: [{ sid: record.sid, filename: null }] })
  })

  test('refuse media that are not there, of another service, or of another message', async () => {
    const { path } = await newConversation()
    const record = await upload(pixel)
    const elsewhere = await upload(pixel, { to: await newService() })
    const post = (MediaSid: string, more = {}) => server.call('POST', `${path}/Messages`, { MediaSid, ...more })
    expect(await post('ME1')).toMatchObject({ status: 400, body: { code: 50510 } })
    expect(await post(`ME${'0'.repeat(32)}`)).toMatchObject({ status: 400, body: { code: 50507 } })
    expect(await post(elsewhere.sid)).toMatchObject({ status: 400, body: { code: 50507 } })
    const [one, two] = await Promise.all([post(record.sid), post(record.sid)])
    expect([one.status, two.status].sort()).toEqual([201, 400])
    expect((one.status === 400 ? one : two).body.code).toBe(50508)
    expect(await call('DELETE', `/v1/Services/${service}/Media/${record.sid}`)).toMatchObject({
      status: 400,
      body: { code: 50508 },
    })
    const ContentSid = `HX${'0'.repeat(32)}`
    const template = { types: { 'twilio/text': { body: 'x' } } }
    await server.admin('PUT', `/accounts/${server.account_sid}/contents/${ContentSid}`, template)
    const content = await post(record.sid, { ContentSid })
    expect(content).toMatchObject({ status: 201, body: { media: null } })
  })

  test('take their media along when they go', async () => {
    const { path } = await newConversation()
    const bytes = randomBytes(1000)
    const record = await upload(bytes)
    const { body: message } = await server.call('POST', `${path}/Messages`, { MediaSid: record.sid })
    const { body: other } = await server.call('POST', `${path}/Messages`, { MediaSid: (await upload(pixel)).sid })
    await server.call('POST', `${path}/Messages/${message.sid}`, { Body: 'changed' })
    expect((await get(record.links.content)).status).toBe(200)
    await server.call('DELETE', `${path}/Messages/${message.sid}`)
    expect((await get(record.links.content)).status).toBe(404)
    await gone(fileOf(bytes))
    expect((await get(`${server.url}/v1/Services/${service}/Media/${other.media[0].sid}`)).status).toBe(200)
  })

  test('and conversations and services take along theirs', async () => {
    const own = await newService()
    const { body: conversation } = await server.call('POST', `/v1/Services/${own}/Conversations`, {})
    const path = `/v1/Services/${own}/Conversations/${conversation.sid}`
    const [sent, unsent] = [randomBytes(1000), randomBytes(1000)]
    const record = await upload(sent, { to: own })
    const free = await upload(unsent, { to: own })
    await server.call('POST', `${path}/Messages`, { MediaSid: record.sid })
    await server.call('DELETE', path)
    expect((await get(record.links.content)).status).toBe(404)
    await gone(fileOf(sent))
    expect((await get(free.links.content)).status).toBe(200)
    await server.call('DELETE', `/v1/Services/${own}`)
    expect((await get(free.links.content)).status).toBe(404)
    await gone(fileOf(unsent))
  })
})
