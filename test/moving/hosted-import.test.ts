import { join } from 'node:path'
import { expect, test } from 'vitest'
import { type FetchOptions, fetchHosted } from '../../src/transfer/hosted/fetch.ts'
import { secretKey } from '../support/file-server.ts'
import { fill, imported, installedOn } from '../support/moving.ts'
import { folder, spawnParley } from '../support/process.ts'
import type { TestServer } from '../support/server.ts'
import { startWall } from '../support/wall.ts'

type Body = Record<string, unknown>

/** Everything that the API shows of an account, by path, without what depends on the host. */
async function everythingOf(server: TestServer): Promise<Map<string, unknown>> {
  const shown = new Map<string, unknown>()
  const neutral = (body: Body) => JSON.parse(JSON.stringify(body).replaceAll(server.url, 'https://host'))
  const one = async (path: string) => {
    const { status, body } = await server.call('GET', `/v1${path}`)
    shown.set(path, status === 200 ? neutral(body) : status)
  }
  const list = async (path: string, key: string): Promise<Body[]> => {
    const { body } = await server.call('GET', `/v1${path}?PageSize=1000`)
    const rows: Body[] = body[key].map(neutral)
    // Where the list is ordered by activity or creation within one second, the order is nobody's promise.
    shown.set(
      path,
      [...rows].sort((a, b) => String(a.sid).localeCompare(String(b.sid))),
    )
    return rows
  }
  await one('/Configuration')
  await one('/Configuration/Webhooks')
  await list('/Credentials', 'credentials')
  await list('/Configuration/Addresses', 'address_configurations')
  for (const { sid: service } of await list('/Services', 'services')) {
    const root = `/Services/${service}`
    for (const single of ['', '/Notifications', '/Webhooks']) await one(`${root}/Configuration${single}`)
    await list(`${root}/Roles`, 'roles')
    for (const { sid } of await list(`${root}/Users`, 'users')) await list(`${root}/Users/${sid}/Conversations`, 'conversations')
    for (const { sid, state } of await list(`${root}/Conversations`, 'conversations')) {
      const path = `${root}/Conversations/${sid}`
      await list(`${path}/Participants`, 'participants')
      for (const { sid: message, media } of await list(`${path}/Messages`, 'messages')) {
        await list(`${path}/Messages/${message}/Receipts`, 'delivery_receipts')
        for (const file of (media as Body[] | null) ?? []) {
          const { status, body } = await server.call('GET', `/v1${root}/Media/${file.sid}`, undefined, { check: false })
          shown.set(`${root}/Media/${file.sid}`, [status, body.size, body.content_type, body.filename, body.message_sid])
        }
      }
      // Those of a closed conversation are never called again: they are left behind.
      if (state !== 'closed') await list(`${path}/Webhooks`, 'webhooks')
    }
  }
  return shown
}

test('an account that was read over a bad network and imported shows the same; a second pass brings what has changed', async () => {
  using files = folder()
  await using hosted = await installedOn('sqlite')
  await using own = await installedOn('sqlite')
  await using source = await hosted.start()
  await fill(source)
  await using wall = await startWall(source.url)
  let requests = 0
  wall.judge = () =>
    ++requests % 5 === 0 ? ((['cut', 'half', { status: 503 }, { status: 429 }] as const)[(requests / 5) % 4] ?? null) : null
  let now = Date.now()
  const options: FetchOptions = {
    url: wall.url,
    mediaUrl: wall.url,
    ...source.credentials,
    folder: files.path,
    perSecond: 10_000,
    concurrency: 4,
    since: false,
    dryRun: false,
    services: null,
    read: { pageSize: 2, receipts: 'all', media: true, bindings: true, memberships: true, recheck: 100 },
    clock: { now: () => now, offset: () => 0 },
    wait: async (ms) => {
      now += ms
      await new Promise(setImmediate)
    },
    random: () => 0.5,
    observer: { counting: () => {}, began: () => {}, went: () => {}, ended: () => {} },
  }

  expect(await fetchHosted(options)).toMatchObject({ isComplete: true, problems: [] })

  await using target = await own.start()
  const first = await imported(target, own, join(files.path, 'records.jsonl'))
  expect(first.faults).toEqual([])
  expect(await everythingOf(target)).toEqual(await everythingOf(source))

  const { conversations } = (await source.call('GET', '/v1/Conversations?State=active')).body
  const [{ sid }] = conversations
  await source.call('POST', `/v1/Conversations/${sid}`, { FriendlyName: 'Renamed', 'Timers.Inactive': 'PT5H' })
  await source.call('POST', `/v1/Conversations/${sid}/Messages`, { Author: 'ada', Body: 'after the first pass' })
  await source.call('POST', '/v1/Users', { Identity: 'late' })
  await source.call('POST', '/v1/Conversations', { UniqueName: 'made later' })

  expect(await fetchHosted({ ...options, since: true })).toMatchObject({ isComplete: true, problems: [], deletions: [] })
  const second = await imported(target, own, join(files.path, 'records-2.jsonl'))
  expect(second.faults).toEqual([])
  expect(await everythingOf(target)).toEqual(await everythingOf(source))
})

test('the command reads and stores in one go; timers stand still until the last pass', async () => {
  using files = folder()
  await using hosted = await installedOn('sqlite')
  await using own = await installedOn('sqlite')
  await using source = await hosted.start()
  await source.call('POST', '/v1/Conversations', { UniqueName: 'soon', 'Timers.Closed': 'PT10M' })
  await (await own.start()).stop()
  const env = {
    TWILIO_ACCOUNT_SID: source.account_sid,
    TWILIO_AUTH_TOKEN: source.auth_token,
    PARLEY_DATABASE_URL: `sqlite:${own.place.database?.engine === 'sqlite' ? own.place.database.file : ''}`,
    PARLEY_SECRET_KEY: secretKey,
    PARLEY_TEST_CLOCK: 'true',
  }
  const run = async (...more: string[]) => {
    const { code, stdout, stderr } = await spawnParley(
      ['import', '--from-twilio', '--url', source.url, '--folder', files.path, '--rate', '1000', ...more],
      { env },
    ).ended
    expect([code, stderr]).toEqual([0, ''])
    return stdout
  }
  const stateHere = async () => {
    await using server = await own.start()
    await server.advance('PT11M')
    return (await server.call('GET', '/v1/Conversations/soon')).body.state
  }

  expect(await run()).toMatch(/everything that the API shows was taken[\s\S]*conversation +1 +1 /)
  expect(await stateHere()).toBe('active')
  await run('--since', '--start-timers')
  expect(await stateHere()).toBe('closed')
})
