import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { pino } from 'pino'
import { expect, test } from 'vitest'
import { readConfig } from '../../src/config.ts'
import { openInstallation } from '../../src/installation/open.ts'
import { openMirror } from '../../src/mirror/open.ts'
import { MirrorStore } from '../../src/mirror/store.ts'
import { targetText } from '../../src/mirror/targets.ts'
import { inspect, newDatabase } from '../support/databases.ts'
import { secretKey } from '../support/file-server.ts'
import { mirrorSettings } from '../support/mirror.ts'
import { movedAccount } from '../support/moving.ts'

const log = pino({ level: 'silent' })

async function installed() {
  const database = await newDatabase()
  const config = { ...readConfig({}), ...database.config, secretKey, account_sid: movedAccount }
  const installation = await openInstallation(config, { log })
  return {
    ...installation,
    config,
    async [Symbol.asyncDispose]() {
      await installation.database.close()
      await database.dispose()
    },
  }
}

test('a write whose record is refused here is to be read, from the transaction on that ends it', async () => {
  await using installation = await installed()
  const { database, vault, clock, config } = installation
  await using inside = inspect(config)
  const [account] = await inside.rows('accounts')
  const service = account?.default_service_sid ?? ''
  const store = new MirrorStore({ database, vault, clock, account_sid: movedAccount, turn: null })
  const dates = { date_created: '2026-01-01T00:00:00Z', date_updated: '2026-01-01T00:00:00Z' }
  const line = (n: number, unique_name: string) => ({
    kind: 'conversation' as const,
    service,
    resource: {
      sid: `CH${String(n).padStart(32, '0')}`,
      messaging_service_sid: `MG${'0'.repeat(32)}`,
      friendly_name: null,
      unique_name,
      attributes: '{}',
      state: 'active',
      timers: {},
      bindings: {},
      ...dates,
    },
  })
  const targets = async () => (await inside.rows('mirror_work')).map(({ key }) => key)
  expect(await store.store({ lines: [line(1, 'taken')] })).toMatchObject({ refusals: [] })
  for (const [n, name] of [
    [2, 'taken'],
    [3, 'no text\u0000'],
  ] as const) {
    const id = `write ${n}`
    await database.write('openIntent', { account_sid: movedAccount, id, targets: [], now: clock.now(), turn: null })
    const later = targetText('conversation', service, String(n))
    const { refusals } = await store.store({ lines: [line(n, name)], intent: id, ifRefused: [later] })
    expect(refusals).toHaveLength(1)
    expect(await targets()).toEqual([later])
    await database.write('settleTarget', { account_sid: movedAccount, key: later, marks: 1, now: clock.now() })
  }
  expect(await store.store({ lines: [line(1, 'taken')], ifRefused: ['never'] })).toMatchObject({ refusals: [] })
  expect(await targets()).toEqual([])
})

test('a process whose turn another has taken stores nothing, sends nothing, and leaves what is to be read', async () => {
  await using installation = await installed()
  const { database, vault, clock, config } = installation
  await using inside = inspect(config)
  const account_sid = movedAccount
  const name = `mirror ${account_sid}`
  const take = (owner: string, abandoned: string | null) =>
    database.write('keepTurn', { name, owner, value: JSON.stringify([owner, 1]), abandoned })
  const turn = { name, owner: 'one' }
  const store = new MirrorStore({ database, vault, clock, account_sid, turn })
  const [account] = await inside.rows('accounts')
  const service = account?.default_service_sid ?? ''
  const role = { sid: `RL${'1'.repeat(32)}`, friendly_name: 'new', type: 'conversation', permissions: ['sendMessage'] }
  const dates = { date_created: '2026-01-01T00:00:00Z', date_updated: '2026-01-01T00:00:00Z' }
  const news = { lines: [{ kind: 'role' as const, service, resource: { ...role, ...dates } }] }
  const open = (id: string) => database.write('openIntent', { account_sid, id, targets: [], now: clock.now(), turn })

  const first = await take('one', null)
  expect(await take('two', null)).toBe(first)
  expect(await take('two', '["one",0]')).toBe(first)
  await open('a write')
  expect(await take('two', first)).toBe('["two",1]')

  await expect(open('another')).rejects.toMatchObject({ entry: { status: 503 } })
  await expect(store.store({ ...news, intent: 'a write', ifRefused: ['role 1'] })).rejects.toMatchObject({
    entry: { status: 503 },
  })
  await expect(database.write('setMirror', { account_sid, turn, state: 'switched' })).rejects.toMatchObject({
    entry: { status: 503 },
  })
  expect((await inside.rows('roles')).map(({ sid }) => sid)).not.toContain(role.sid)
  expect((await inside.rows('mirror_work')).map(({ key, targets }) => [key, targets])).toEqual([['role 1', null]])
  expect(await inside.rows('mirrors')).toEqual([])

  // Whoever does not have it ends nobody's.
  await database.write('endTurn', turn)
  expect(await take('three', null)).toBe('["two",1]')
  await database.write('endTurn', { name, owner: 'two' })
  await take('one', null)
  expect(await store.store(news)).toMatchObject({ outcomes: ['created'] })
})

test('a mirror that cannot be opened leaves no connection to the hosted side', async () => {
  await using installation = await installed()
  const connected = Promise.withResolvers<void>()
  const hosted = createServer((_request, response) => response.end(JSON.stringify({ account_sid: movedAccount })))
  hosted.on('connection', (socket) => socket.once('close', () => connected.resolve()))
  await new Promise<void>((resolve) => hosted.listen(0, '127.0.0.1', resolve))
  const url = `http://127.0.0.1:${(hosted.address() as AddressInfo).port}`
  const needed = {
    ...installation,
    pipeline: expect.anything(),
    maxBodyBytes: 1000,
    store: expect.anything(),
    monotonicMs: () => 0,
  }
  await installation.database.close()
  await expect(openMirror(mirrorSettings(url, { account_sid: null }), needed)).rejects.toThrow('Service unavailable')
  await connected.promise
  await new Promise((resolve) => hosted.close(resolve))
})
