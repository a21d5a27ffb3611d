import type { Worker } from 'node:worker_threads'
import { pino } from 'pino'
import { Agent, request } from 'undici'
import { expect, onTestFinished, test } from 'vitest'
import { readConfig } from '../../src/config.ts'
import { start } from '../../src/main.ts'
import { emptyForm } from '../../src/model/form.ts'
import { Readers } from '../../src/readers/readers.ts'
import { conversations } from '../../src/resources/conversations/conversation.ts'
import { Vault } from '../../src/vault.ts'
import { registerBinding } from '../support/bindings.ts'
import { officialOperations } from '../support/contract.ts'
import { inspect, newDatabase } from '../support/databases.ts'
import { families, openFamily } from '../support/family.ts'
import { type FileServer, secretKey, startFileServer } from '../support/file-server.ts'
import { serve } from '../support/process.ts'
import { sdkFor } from '../support/sdk.ts'
import { adminToken, auth_token, startServer, type TestServer } from '../support/server.ts'
import { tour } from '../support/tour.ts'

/** What `/metrics` says of the reading threads. */
async function reading({ metricsUrl }: { readonly metricsUrl: string }): Promise<{ workers: number; pages: number }> {
  const text = await (await fetch(`${metricsUrl}/metrics`)).text()
  const gauge = (name: string) => Number(new RegExp(`^${name} (\\d+)$`, 'm').exec(text)?.[1])
  return { workers: gauge('parley_read_workers'), pages: gauge('parley_read_worker_pages_total') }
}

/** Collects the threads that read pages and are started from now on. */
function watchThreads(): readonly Worker[] {
  const threads: Worker[] = []
  const started = (thread: Worker) => {
    // Only such a thread is sent keys.
    thread.once('message', (message) => {
      if (message?.kind === 'ready') threads.push(thread)
    })
  }
  process.on('worker', started)
  onTestFinished(() => void process.off('worker', started))
  return threads
}

const secretOf = ({ username, password }: TestServer['credentials']) =>
  `Basic ${Buffer.from(`${username}:${password}`).toString('base64')}`

/** One thing of every kind, and more than one page of some, in both families of paths. */
async function populate(server: FileServer): Promise<void> {
  const { v1 } = server.sdk.conversations
  for (const address of ['+15550000000', '+15550000009']) await v1.addressConfigurations.create({ type: 'sms', address })
  for (const friendlyName of ['Phones', 'Tablets']) await v1.credentials.create({ type: 'fcm', friendlyName, secret: 'S' })
  for (const name of families) {
    const family = await openFamily(server, name)
    await registerBinding(server, server, { service_sid: family.service })
    await family.users.create({ identity: 'bob', friendlyName: 'Bób 💬', attributes: '{"a":[1,null,"\\u2028"]}' })
    await family.roles.create({ friendlyName: 'speaker', type: 'conversation', permission: ['sendMessage'] })
    for (const uniqueName of ['first', 'second', 'third']) {
      const { sid } = await family.conversations.create({ uniqueName, friendlyName: `Order ${uniqueName} – ✓` })
      const { participants, messages, webhooks } = family.conversations(sid)
      await participants.create({ identity: 'dave' })
      if (uniqueName !== 'first') continue
      const proxyAddress = name === 'default' ? '+15550000001' : '+15550000002'
      await participants.create({ 'messagingBinding.address': '+15551234567', 'messagingBinding.proxyAddress': proxyAddress })
      for (const body of ['Hello', 'Grüße', '👋']) await messages.create({ author: 'dave', body })
      const url = 'https://somebody:secret@example.com/hook'
      await webhooks.create({ target: 'webhook', 'configuration.url': url, 'configuration.filters': ['onMessageRemoved'] })
      const [message] = await messages.list()
      const receipts = () => messages(message?.sid ?? '').deliveryReceipts.list()
      await expect.poll(async () => (await receipts()).length).toBe(1)
    }
  }
}

/** Every path that can be reached from the lists by URLs in responses, with what was sent for it. */
async function crawl(server: TestServer): Promise<ReadonlyMap<string, string>> {
  const seen = new Map<string, string>()
  const roots = ['Configuration', 'Configuration/Webhooks', 'Configuration/Addresses', 'Credentials', 'Services', 'Conversations']
  const more = [
    'Users',
    'Roles',
    'Conversations?State=active',
    'Conversations?PageSize=1',
    'ParticipantConversations?Identity=dave',
  ]
  const wrong = [
    'Conversations?PageToken=no',
    'Conversations?PageSize=-1',
    'ParticipantConversations',
    'Conversations/none/Messages',
  ]
  const queue = [...roots, ...more, ...wrong].map((path) => `/v1/${path}`)
  for (let path = queue.pop(); path !== undefined; path = queue.pop()) {
    if (seen.has(path)) continue
    const { body } = await request(server.url + path, { headers: { authorization: secretOf(server.credentials) } })
    const text = await body.text()
    seen.set(path, text)
    const parsed: unknown = JSON.parse(text, (_key, value: unknown) => {
      if (typeof value === 'string' && value.startsWith(`${publicUrl}/v1/`)) queue.push(value.slice(publicUrl.length))
      return value
    })
    expect(parsed).toBeTypeOf('object')
    for (const [, service] of text.matchAll(/"chat_service_sid":"(IS\w+)"/g)) {
      queue.push(`/v1/Services/${service}/ParticipantConversations?Identity=dave`)
    }
  }
  return seen
}

const publicUrl = 'https://chat.example.com'

test('every read operation sends byte for byte what it sends without reading threads', async () => {
  await using place = await newDatabase()
  {
    await using server = await startServer({ ...place.config, publicUrl })
    await using look = inspect(place.config)
    const { insert, rows, holds } = look
    await populate({ ...server, insert, rows, holds })
  }
  const crawled: ReadonlyMap<string, string>[] = []
  for (const readWorkers of [0, 1, 3]) {
    await using server = await startServer({ ...place.config, publicUrl, readWorkers })
    crawled.push(await crawl(server))
    const { workers, pages } = await reading(server)
    expect(workers).toBe(readWorkers)
    expect(pages > 0).toBe(readWorkers > 0)
  }
  const [alone, ...beside] = crawled
  for (const one of beside) expect(one).toEqual(alone)
  const patterns = officialOperations()
    .filter(({ method }) => method === 'GET')
    .map(({ path, operationId }) => ({ operationId, path: new RegExp(`^${path.replace(/\{\w+\}/g, '[^/]+')}$`) }))
  const paths = [...(alone?.keys() ?? [])].map((path) => path.replace(/\?.*/, ''))
  const missed = patterns.filter(({ path }) => !paths.some((one) => path.test(one)))
  expect(missed.map(({ operationId }) => operationId)).toEqual([])
})

test('the official client gets through every official operation', async () => {
  await using server = await startFileServer({ readWorkers: 2 })
  expect((await tour(server)).size).toBe(103)
  expect((await reading(server)).pages).toBeGreaterThan(10)
})

test('what was answered is in the next page, whichever thread reads it', async () => {
  await using place = await newDatabase()
  await using server = await startServer({ ...place.config, readWorkers: 2 })
  const { v1 } = server.sdk.conversations
  const reader = sdkFor(server, server.account_sid, server.auth_token).conversations.v1
  const { sid: busy } = await v1.conversations.create({ friendlyName: 'Busy' })
  let done = false
  // Keeps the threads in the middle of something.
  const load = Array.from({ length: 4 }, async () => {
    while (!done) await v1.conversations(busy).messages.list()
  })
  const writers = Array.from({ length: 4 }, async (_, writer) => {
    const { sid } = await v1.conversations.create({ friendlyName: `Room ${writer}` })
    const { messages } = v1.conversations(sid)
    for (let i = 0; i < 25; i++) {
      const { sid: made } = await messages.create({ author: 'alice', body: `${i}` })
      await v1.conversations(busy).messages.create({ author: 'alice', body: `${i}` })
      const bodiesOf = async () => {
        const lists = await Promise.all(Array.from({ length: 3 }, () => reader.conversations(sid).messages.list()))
        return lists.map((list) => list.map(({ body }) => body))
      }
      for (const bodies of await bodiesOf()) expect(bodies.at(-1)).toBe(`${i}`)
      await messages(made).update({ body: `${i}!` })
      for (const bodies of await bodiesOf()) expect(bodies.at(-1)).toBe(`${i}!`)
      if (i % 2 === 0) continue
      await messages(made).remove()
      for (const bodies of await bodiesOf()) expect(bodies).not.toContain(`${i}!`)
    }
  })
  await Promise.all(writers).finally(() => {
    done = true
  })
  await Promise.all(load)
  expect((await reading(server)).pages).toBeGreaterThan(500)
})

test('a page is of the time to which a test has moved the clock of the server, or of the account', async () => {
  await using server = await startServer({ readWorkers: 1 })
  const { v1 } = server.sdk.conversations
  await v1.conversations.create({ 'timers.inactive': 'PT10M', 'timers.closed': 'PT1H' })
  const states = async () => (await v1.conversations.list()).map(({ state }) => state)
  expect(await states()).toEqual(['active'])
  // Past the timers, which would apply the deadline to the row.
  server.clock.moveTo(server.clock.now() + 11 * 60_000, server.account_sid)
  expect(await states()).toEqual(['inactive'])
  server.clock.moveTo(server.clock.now() + 61 * 60_000)
  expect(await states()).toEqual(['closed'])
})

test('credentials and limits are what they are without reading threads', async () => {
  let nowMs = 0
  const limits = { maxRequestsPerSecond: 5 }
  await using server = await startServer({ readWorkers: 2, ...limits }, { monotonicMs: () => nowMs })
  const key = await server.admin('POST', `/accounts/${server.account_sid}/keys`)
  const as = { username: key.sid, password: key.secret }
  const page = () => server.call('GET', '/v1/Conversations', undefined, { as })
  const statuses = (await Promise.all(Array.from({ length: 8 }, page))).map(({ status }) => status)
  expect(statuses.sort()).toEqual([200, 200, 200, 200, 200, 429, 429, 429])
  nowMs += 1000
  const { headers } = await page()
  expect(headers['twilio-concurrent-requests']).toBe('1')
  expect(headers['twilio-request-id']).toMatch(/^RQ/)
  await server.admin('DELETE', `/accounts/${server.account_sid}/keys/${key.sid}`)
  expect((await page()).status).toBe(401)
  await server.admin('POST', `/accounts/${server.account_sid}`, { status: 'suspended' })
  expect((await server.call('GET', '/v1/Conversations')).status).toBe(403)
})

test('passwords in the URLs of webhooks are for those who may set them', async () => {
  await using server = await startServer({ readWorkers: 1 })
  const { conversations } = server.sdk.conversations.v1
  const { sid } = await conversations.create({})
  const url = 'https://anna:password@example.test/in'
  await conversations(sid).webhooks.create({
    target: 'webhook',
    'configuration.url': url,
    'configuration.filters': ['onMessageAdded'],
  })
  const seenAs = async (role: string) => {
    const { token } = await server.admin('POST', '/operators', { name: role, role })
    const headers = { authorization: `Bearer ${token}`, 'x-parley-account': server.account_sid }
    return (await fetch(`${server.url}/v1/Conversations/${sid}/Webhooks`, { headers })).text()
  }
  const viewed = await seenAs('viewer')
  expect(viewed).toContain('https://example.test/in')
  expect(viewed).not.toMatch(/anna|password/)
  expect(await seenAs('admin')).toContain(url)
  expect((await reading(server)).pages).toBe(2)
})

test('a thread that ends takes no request with it, is said in the log, and is replaced', async () => {
  const threads = watchThreads()
  const lines: { msg: string; err?: { message: string } }[] = []
  const log = pino({ level: 'error' }, { write: (line: string) => void lines.push(JSON.parse(line)) })
  await using place = await newDatabase()
  await using server = await startServer({ ...place.config, readWorkers: 2 }, { log })
  const { v1 } = server.sdk.conversations
  for (let i = 0; i < 30; i++) await v1.conversations.create({ friendlyName: `Order ${i}` })
  expect(threads.length).toBe(2)
  const pages = Array.from({ length: 60 }, () => server.call('GET', '/v1/Conversations?PageSize=30'))
  await pages[0]
  for (const thread of threads.slice(0, 2)) void thread.terminate()
  for (const { status, body } of await Promise.all(pages)) {
    expect(status).toBe(200)
    expect(body.conversations.length).toBe(30)
  }
  await expect.poll(() => reading(server).then(({ workers }) => workers)).toBe(2)
  const before = (await reading(server)).pages
  await v1.conversations.list()
  expect((await reading(server)).pages).toBeGreaterThan(before)
  expect(lines.map(({ msg }) => msg)).toEqual(Array(2).fill('a read worker has ended: another one is started'))
  expect(lines.map(({ err }) => err?.message)).toEqual(Array(2).fill('the thread has ended with code 1'))
})

test('a stop finishes the pages in progress, then ends the threads', async () => {
  const threads = watchThreads()
  await using place = await newDatabase()
  await using server = await startServer({ ...place.config, readWorkers: 2 })
  for (let i = 0; i < 30; i++) await server.sdk.conversations.v1.conversations.create({ friendlyName: `Order ${i}` })
  const ended = threads.map((thread) => new Promise((resolve) => thread.once('exit', resolve)))
  const agent = new Agent({ connections: 32, pipelining: 1 })
  onTestFinished(() => agent.close())
  const headers = { authorization: secretOf(server.credentials) }
  const page = async () => {
    const answer = await request(`${server.url}/v1/Conversations?PageSize=30`, { headers, dispatcher: agent })
    return { status: answer.statusCode, text: await answer.body.text() }
  }
  // Their connections are open then.
  await Promise.all(Array.from({ length: 32 }, page))
  const pages = Array.from({ length: 32 }, page)
  await Promise.race(pages)
  await server.stop()
  expect(await Promise.all(ended)).toEqual([0, 0])
  const settled = await Promise.allSettled(pages)
  const sent = settled.flatMap((one) => (one.status === 'fulfilled' ? [one.value] : []))
  expect(sent.length).toBeGreaterThan(0)
  for (const { status, text } of sent) {
    expect(status).toBe(200)
    expect(JSON.parse(text).conversations.length).toBe(30)
  }
})

test('what was answered before kill -9 is in the pages after it, and a signal ends the process with its threads', async () => {
  await using place = await newDatabase()
  const account_sid = `AC${'d'.repeat(32)}`
  const env = {
    ...place.env,
    PARLEY_READ_WORKERS: '2',
    PARLEY_ACCOUNT_SID: account_sid,
    PARLEY_AUTH_TOKEN: auth_token,
    PARLEY_ADMIN_TOKEN: adminToken,
    PARLEY_MAX_CONCURRENT_REQUESTS: '0',
  }
  const answered: string[] = []
  {
    await using server = await serve({ env })
    const { conversations } = sdkFor(server, account_sid, auth_token).conversations.v1
    const failed = (error: unknown) => error
    let killed = false
    const writes = Array.from({ length: 3 }, async () => {
      while (!killed) {
        const made = await conversations.create({ friendlyName: 'Order' }).catch(failed)
        if (!(made instanceof Error)) answered.push((made as { sid: string }).sid)
        if (answered.length >= 40) killed = true
      }
    })
    const reads = Array.from({ length: 3 }, async () => {
      while (!killed) await conversations.list().catch(failed)
    })
    await Promise.race(writes)
    await server.end('SIGKILL')
    await Promise.all([...writes, ...reads])
  }
  await using server = await serve({ env })
  const list = await sdkFor(server, account_sid, auth_token).conversations.v1.conversations.list()
  expect(list.map(({ sid }) => sid)).toEqual(expect.arrayContaining(answered))
  expect(await server.end('SIGTERM')).toMatchObject({ code: 0, signal: null })
})

test('threads rest while the write-ahead log is long and grows', async () => {
  await using place = await newDatabase()
  await using server = await startServer({ ...place.config, secretKey })
  const { database } = place.config
  const vault = new Vault(secretKey)
  let bytes = 0
  const readers = await Readers.start({
    count: 1,
    file: database.engine === 'sqlite' ? database.file : '',
    vault,
    pageSecrets: vault.deriveAll('page tokens'),
    clock: server.clock,
    logBytes: async () => bytes,
    failed: (error) => expect.fail(error.message),
    ended: (error) => expect.fail(error.message),
  })
  const path = { account_sid: server.account_sid, service_sid: null, parents: [], key: null, text: '/Conversations' }
  const rest = { base: server.url, query: emptyForm, body: emptyForm, webhooks: false }
  const readBy = async () => {
    const page = await readers.page({ resource: conversations, family: 'default', path, ...rest }, async () => 'here')
    return typeof page === 'string' ? 'main' : 'thread'
  }
  const megabytes = [60, 70, 70, 70, 80, 90, 90, 10, 20]
  const seen: string[] = []
  for (const one of megabytes) {
    bytes = one * 1024 * 1024
    await readers.checkLog()
    seen.push(await readBy())
  }
  await readers.close()
  expect(seen).toEqual(['thread', 'main', 'thread', 'thread', 'main', 'main', 'thread', 'thread', 'thread'])
})

test('with PostgreSQL the setting is refused before anything is opened', async () => {
  const config = readConfig({ PORT: '0', PARLEY_DATABASE_URL: 'postgres://nobody@127.0.0.1:1/none', PARLEY_READ_WORKERS: '1' })
  await expect(start(config, { log: pino({ level: 'silent' }) })).rejects.toThrow(
    'PARLEY_READ_WORKERS (--read-workers) is for SQLite: leave it out with PostgreSQL, where further cores take further nodes',
  )
  for (const text of ['-1', '17', '1.5', 'many']) {
    expect(() => readConfig({ PARLEY_READ_WORKERS: text })).toThrow('PARLEY_READ_WORKERS must be a whole number from 0 to 16')
  }
})
