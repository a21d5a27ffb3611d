import { once } from 'node:events'
import { readdirSync } from 'node:fs'
import { request as httpRequest } from 'node:http'
import { join } from 'node:path'
import Sqlite from 'better-sqlite3'
import { describe, expect, test } from 'vitest'
import { inspect, newDatabase, type TestDatabase } from '../support/databases.ts'
import { all_events, type Delivery, enabled, gate } from '../support/hooked.ts'
import { postgresOnly, sqliteOnly } from '../support/only.ts'
import { startPostgres } from '../support/postgres.ts'
import { parley, type Serving, serve } from '../support/process.ts'
import { sdkFor } from '../support/sdk.ts'
import { type Caught, catchWebhooks, type WebhookCatcher } from '../support/webhook-catcher.ts'

const account_sid = `AC${'d'.repeat(32)}`
const auth_token = 'aTokenOfTheCrashTests'
const adminToken = 'operator-token-of-the-crash-tests'

function settings(database: Pick<TestDatabase, 'env'>) {
  return {
    env: {
      ...database.env,
      PARLEY_ACCOUNT_SID: account_sid,
      PARLEY_AUTH_TOKEN: auth_token,
      PARLEY_ADMIN_TOKEN: adminToken,
      PARLEY_LOG_LEVEL: 'silent',
    },
  }
}

function conversations(server: Serving) {
  return sdkFor(server, account_sid, auth_token).conversations.v1.conversations
}

async function tellCatcher(server: Serving, catcher: WebhookCatcher): Promise<void> {
  const { v1 } = sdkFor(server, account_sid, auth_token).conversations
  await v1.configuration.webhooks().update({ postWebhookUrl: catcher.url(), filters: all_events })
}

async function pending(server: Serving): Promise<Delivery[]> {
  const headers = { authorization: `Bearer ${adminToken}` }
  const answer = await fetch(`${server.url}/admin/v1/deliveries?status=pending&limit=1000`, { headers })
  return ((await answer.json()) as { deliveries: Delivery[] }).deliveries
}

/** On a shared database what a dead server was about to deliver is free for others after its lease only. */

async function settled(server: Serving): Promise<void> {
  await expect.poll(() => pending(server)).toEqual([])
}

/** Everything the server has answered to, as the callers know it. */
interface Answered {
  /** The last name that was answered, and one that may or may not have been written. */
  readonly names: Map<string, { certain: string; possible?: string }>
  readonly removed: Set<string>
  /** A removal was asked for and not answered: both outcomes are right. */
  readonly unknown: Set<string>
  /** `EventType sid name` of each answered write. */
  readonly events: Set<string>
}

function nothingAnswered(): Answered {
  return { names: new Map(), removed: new Set(), unknown: new Set(), events: new Set() }
}

/** Makes, renames and removes conversations until the server does not answer any more, or it is enough. */
async function writer(server: Serving, answered: Answered, id: string, wrote: () => void, enough = () => false): Promise<void> {
  const api = conversations(server)
  const { names, removed, unknown, events } = answered
  for (let i = 0; !enough(); i++) {
    const name = `${id}.${i}`
    const made = await api.create({ friendlyName: name, uniqueName: name, ...enabled }).catch(() => undefined)
    if (!made) return
    const { sid } = made
    names.set(sid, { certain: name })
    events.add(`onConversationAdded ${sid} ${name}`)
    wrote()
    if (i % 3 === 0) continue

    names.set(sid, { certain: name, possible: `${name} renamed` })
    const renamed = await api(sid)
      .update({ friendlyName: `${name} renamed`, ...enabled })
      .catch(() => undefined)
    if (!renamed) return
    names.set(sid, { certain: `${name} renamed` })
    events.add(`onConversationUpdated ${sid} ${name} renamed`)
    wrote()
    if (i % 3 === 1) continue

    unknown.add(sid)
    const gone = await api(sid)
      .remove(enabled)
      .catch(() => false)
    if (!gone) return
    unknown.delete(sid)
    removed.add(sid)
    names.delete(sid)
    events.add(`onConversationRemoved ${sid} ${name} renamed`)
    wrote()
  }
}

/** Whatever has been answered is there, and has been told. */
async function expectKept(server: Serving, answered: Answered, catcher: WebhookCatcher): Promise<void> {
  const found = new Map((await conversations(server).list({ pageSize: 1000 })).map((each) => [each.sid, each.friendlyName]))
  for (const [sid, { certain, possible = certain }] of answered.names) {
    if (answered.unknown.has(sid) && !found.has(sid)) continue
    expect([certain, possible]).toContain(found.get(sid))
  }
  expect([...answered.removed].filter((sid) => found.has(sid))).toEqual([])
  await settled(server)
  const arrived = new Set(catcher.requests.map(eventOf))
  expect([...answered.events].filter((event) => !arrived.has(event))).toEqual([])
  expect(catcher.requests.every(({ signed }) => signed)).toBe(true)
}

/** That no page of the file is damaged; a database on a network has nothing of the kind to ask. */
function expectSound({ config: { database } }: TestDatabase): void {
  if (database.engine !== 'sqlite') return
  const file = new Sqlite(database.file, { readonly: true })
  expect(file.pragma('integrity_check', { simple: true })).toBe('ok')
  file.close()
}

function eventOf({ params }: Caught): string {
  return `${params.EventType} ${params.ConversationSid} ${params.FriendlyName}`
}

describe('kill -9', () => {
  test('in the midst of many writes, several times: no answered write and no event of one is lost', async () => {
    await using database = await newDatabase()
    await using catcher = await catchWebhooks({ authToken: auth_token })
    const answered = nothingAnswered()
    for (let round = 0; round < 5; round++) {
      await using server = await serve(settings(database))
      await tellCatcher(server, catcher)
      const deadly = 20 + Math.floor(Math.random() * 120)
      let writes = 0
      const wrote = () => {
        if (++writes === deadly) server.signal('SIGKILL')
      }
      await Promise.all(Array.from({ length: 16 }, (_, i) => writer(server, answered, `${round}.${i}`, wrote)))
      expect((await server.ended).signal).toBe('SIGKILL')
      expect(writes).toBeGreaterThanOrEqual(deadly)
    }

    await using server = await serve(settings(database))
    await expectKept(server, answered, catcher)
    await server.end('SIGTERM')
    expectSound(database)
  })

  test('events that wait for a slow endpoint are delivered by the next start, each conversation in order', async () => {
    await using database = await newDatabase()
    await using catcher = await catchWebhooks({ authToken: auth_token })
    using held = gate()
    catcher.reply(() => ({ delayUntil: held.opened }))
    const sids: string[] = []
    {
      await using server = await serve(settings(database))
      await tellCatcher(server, catcher)
      const api = conversations(server)
      for (let i = 0; i < 3; i++) {
        const { sid } = await api.create({ friendlyName: '0', ...enabled })
        for (const friendlyName of ['1', '2', '3']) await api(sid).update({ friendlyName, ...enabled })
        sids.push(sid)
      }
      await catcher.next()
      await server.end('SIGKILL')
    }
    const before = catcher.requests.length
    catcher.reply(() => ({}))
    await using server = await serve(settings(database))
    await settled(server)
    const after = catcher.requests.slice(before)
    for (const sid of sids) {
      const names = after.filter(({ params }) => params.ConversationSid === sid).map(({ params }) => params.FriendlyName)
      expect(names).toEqual(['0', '1', '2', '3'])
    }
    expect(after).toHaveLength(12)
    // Told twice because nobody knows whether the first one got through; its receiver can tell.
    const [first] = catcher.requests
    const again = after.find((caught) => eventOf(caught) === eventOf(first as Caught))
    expect(again?.headers['i-twilio-idempotency-token']).toBe(first?.headers['i-twilio-idempotency-token'])
  })

  test('deadlines that passed meanwhile are applied by the next start', async () => {
    await using database = await newDatabase()
    await using catcher = await catchWebhooks({ authToken: auth_token })
    const config = settings(database)
    const timed = { env: { ...config.env, PARLEY_TEST_CLOCK: 'true' } }
    let sid = ''
    {
      await using server = await serve(timed)
      await tellCatcher(server, catcher)
      sid = (await conversations(server).create({ 'timers.inactive': 'PT1M', 'timers.closed': 'P1D' })).sid
      await server.end('SIGKILL')
    }
    {
      await using look = inspect(database.config)
      await look.insert('installation', { name: 'clock_offset_ms', value: String(3_600_000) })
    }
    await using server = await serve(timed)
    await expect.poll(() => catcher.requests).toHaveLength(1)
    expect(catcher.requests[0]?.params).toMatchObject({ ConversationSid: sid, StateTo: 'inactive', Reason: 'TIMER' })
    await settled(server)
    expect(catcher.requests).toHaveLength(1)
  })

  test('the next one starts at once and finds everything', async () => {
    await using database = await newDatabase()
    const config = settings(database)
    let sid = ''
    {
      await using first = await serve(config)
      sid = (await conversations(first).create({ friendlyName: 'kept' })).sid
      await first.end('SIGKILL')
    }
    await using second = await serve(config)
    expect((await conversations(second)(sid).fetch()).friendlyName).toBe('kept')
  })
})

sqliteOnly('one process per database', () => {
  test('a second one is refused with a reason while the first runs, which goes on undisturbed', async () => {
    await using database = await newDatabase()
    const config = settings(database)
    const file = join(database.config.dataDir as string, 'parley.db')
    await using first = await serve(config)
    const { sid } = await conversations(first).create({ friendlyName: 'kept' })
    const second = await parley(['serve', '--port', '0'], config)
    expect(second.code).toBe(1)
    expect(second.stderr).toBe(
      `parley: ${file} is in use by another Parley process: stop it, or give this one its own PARLEY_DATABASE_URL\n`,
    )
    expect(second.stdout).toBe('')
    await conversations(first)(sid).update({ friendlyName: 'still here' })
    expect((await conversations(first)(sid).fetch()).friendlyName).toBe('still here')
  })
})

// An embedded one has no process of its own that could be gone.
postgresOnly('kill -9 of the database', () => {
  test('in the midst of many writes: no answered write and no event of one is lost, and the server goes on', async () => {
    await using postgres = await startPostgres({ durable: true })
    await using place = await newDatabase()
    await using catcher = await catchWebhooks({ authToken: auth_token })
    const url = await postgres.createDatabase()
    await using server = await serve(settings({ env: { ...place.env, PARLEY_DATABASE_URL: url } }))
    await tellCatcher(server, catcher)
    const answered = nothingAnswered()
    let writes = 0
    let crashes = Promise.resolve()
    const crash = async () => {
      await postgres.kill()
      await postgres.restart()
    }
    const wrote = () => {
      if (++writes % 100 === 0 && writes <= 300) crashes = crashes.then(crash)
    }
    // Who is refused comes again: the server has to answer in the end.
    const write = async (id: number) => {
      for (let i = 0; writes < 500; i++) await writer(server, answered, `${id}.${i}`, wrote, () => writes >= 500)
    }
    await Promise.all(Array.from({ length: 16 }, (_, id) => write(id)))
    await crashes
    await expectKept(server, answered, catcher)
    expect((await server.end('SIGTERM')).code).toBe(0)
  })
})

describe('SIGTERM', () => {
  test('answers what is in flight, then ends with 0 and leaves no log behind; nothing is told twice', async () => {
    await using database = await newDatabase()
    await using catcher = await catchWebhooks({ authToken: auth_token })
    const config = settings(database)
    const names: string[] = []
    {
      await using server = await serve(config)
      await tellCatcher(server, catcher)
      const { v1 } = sdkFor(server, account_sid, auth_token).conversations
      await v1.configuration.webhooks().update({ preWebhookUrl: catcher.url('/pre') })
      using held = gate()
      catcher.reply(({ path }) => (path === '/pre' ? { delayUntil: held.opened } : {}))
      const creates = Array.from({ length: 20 }, (_, i) => v1.conversations.create({ friendlyName: `${i}`, ...enabled }))
      // All of them are in flight: each waits for its hook.
      for (const _ of creates) await catcher.next(({ path }) => path === '/pre')
      server.signal('SIGTERM')
      // It has taken notice once nobody new gets in.
      await expect.poll(() => fetch(`${server.url}/healthz`).then(String, () => 'refused')).toBe('refused')
      held.open()
      names.push(...(await Promise.all(creates)).map(({ friendlyName }) => friendlyName))
      expect(await server.ended).toMatchObject({ code: 0, signal: null, stderr: '' })
    }
    expect(names).toHaveLength(20)
    const files = readdirSync(database.config.dataDir as string)
    expect(files).toContain('parley.key')
    expect(files.filter((name) => /-(wal|shm|journal)$/.test(name))).toEqual([])

    await using server = await serve(config)
    await settled(server)
    const told = catcher.requests.filter(({ path }) => path !== '/pre').map(({ params }) => params.FriendlyName ?? '')
    expect(told.sort()).toEqual(names.sort())
    expect((await conversations(server).list()).map(({ friendlyName }) => friendlyName).sort()).toEqual(names.sort())
  })

  test('is not held up by a client that keeps its connection', async () => {
    await using database = await newDatabase()
    await using catcher = await catchWebhooks()
    await using server = await serve(settings(database))
    const { v1 } = sdkFor(server, account_sid, auth_token).conversations
    await v1.configuration.webhooks().update({ preWebhookUrl: catcher.url(), filters: all_events })
    using held = gate()
    catcher.reply(() => ({ delayUntil: held.opened }))
    // In flight when the signal comes, on a connection that the client would use again.
    const asked = httpRequest(`${server.url}/v1/Conversations`, {
      method: 'POST',
      headers: {
        authorization: `Basic ${btoa(`${account_sid}:${auth_token}`)}`,
        connection: 'keep-alive',
        'x-twilio-webhook-enabled': 'true',
        'content-length': 0,
      },
    })
    const answered = once(asked, 'response')
    asked.end()
    await catcher.next()
    server.signal('SIGTERM')
    await expect.poll(() => fetch(`${server.url}/healthz`).then(String, () => 'refused')).toBe('refused')
    held.open()
    const [response] = (await answered) as [import('node:http').IncomingMessage]
    expect(response.statusCode).toBe(201)
    // Read, and then left open: the other side has to end it.
    response.resume()
    expect(await server.ended).toMatchObject({ code: 0 })
  })
})
