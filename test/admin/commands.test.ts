import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { Command } from 'commander'
import fc from 'fast-check'
import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { channelsCommand } from '../../src/cli/channels.ts'
import { clockCommand } from '../../src/cli/clock.ts'
import { type Delivery, deliveriesCommand, redeliverCommand } from '../../src/cli/deliveries.ts'
import { inboundCommand } from '../../src/cli/inbound.ts'
import { LogFollower } from '../../src/cli/listen.ts'
import { type Call, findServer } from '../../src/cli/server.ts'
import { readConfig } from '../../src/config.ts'
import { startCarrier } from '../support/faked-carrier.ts'
import { folder as temporaryFolder } from '../support/process.ts'
import { adminToken, startServer, type TestServer } from '../support/server.ts'
import { catchWebhooks } from '../support/webhook-catcher.ts'

const secretKey = '5'.repeat(64)

let printed: string[] = []
let complained: string[] = []
beforeEach(() => {
  printed = []
  complained = []
  vi.spyOn(console, 'error').mockImplementation((line: string) => void complained.push(line))
  vi.spyOn(console, 'log').mockImplementation((line: string) => void printed.push(line))
})
afterEach(() => void vi.restoreAllMocks())

function settingsFor({ url }: TestServer) {
  return { PORT: new URL(url).port, PARLEY_SECRET_KEY: secretKey, PARLEY_ADMIN_TOKEN: adminToken }
}

/** Runs a command against a server; returns what it printed. */
async function run(server: TestServer, ...args: string[]): Promise<string[]> {
  const program = new Command()
  for (const make of [channelsCommand, clockCommand, deliveriesCommand, redeliverCommand, inboundCommand])
    program.addCommand(make())
  const { PORT, PARLEY_SECRET_KEY, PARLEY_ADMIN_TOKEN } = settingsFor(server)
  const flags = ['--port', PORT, '--secret-key', PARLEY_SECRET_KEY, '--admin-token', PARLEY_ADMIN_TOKEN]
  const nowhere = ['--database-url', 'sqlite:./there/is/none.db']
  printed = []
  await program.parseAsync([...args, ...flags, ...nowhere], { from: 'user' })
  return printed
}

/** A server with one delivered webhook, and its delivery. */
async function withDelivery() {
  const catcher = await catchWebhooks()
  const server = await startServer({ secretKey })
  const form = { Method: 'POST', PostWebhookUrl: catcher.url('/'), Filters: 'onConversationStateUpdated' }
  await server.call('POST', '/v1/Configuration/Webhooks', form)
  const { body } = await server.call('POST', '/v1/Conversations', { 'Timers.Inactive': 'PT1M' })
  return {
    server,
    catcher,
    conversation: (body as { sid: string }).sid,
    [Symbol.asyncDispose]: async () => {
      await server.stop()
      await catcher[Symbol.asyncDispose]()
    },
  }
}

test('an empty list says so, where programs do not read it', async () => {
  await using server = await startServer({ secretKey })
  for (const args of [['deliveries'], ['deliveries', 'list', '--json'], ['channels', 'list', server.account_sid]]) {
    expect(await run(server, ...args)).toEqual([])
  }
  expect(complained).toEqual(['no deliveries', 'no deliveries', 'no channels'])
})

test('the clock is shown, advanced and set; what it cannot do is a sentence', async () => {
  await using server = await startServer({ secretKey })
  const [shown = ''] = await run(server, 'clock')
  expect(shown).toMatch(/^\d{4}-\d\d-\d\dT[\d:.]+Z {2}0 s ahead$/)
  expect(await run(server, 'clock', 'advance', 'PT10M')).toEqual([expect.stringMatching(/ (600|5\d\d) s ahead$/)])
  expect(await run(server, 'clock', 'set', '2100-01-01T00:00:00Z')).toEqual([expect.stringMatching(/^2100-01-01T00:00:00/)])
  expect(await run(server, 'clock', 'reset')).toEqual([expect.stringMatching(/ 0 s ahead$/)])
  await expect(run(server, 'clock', 'advance', 'soon')).rejects.toThrow('advance must be an ISO 8601 duration, such as PT10M')
  await expect(run(server, 'clock', 'set', '1999-01-01')).rejects.toThrow(/forward|now must be/)
  await using plain = await startServer({ secretKey, testClock: false })
  await expect(run(plain, 'clock')).rejects.toThrow('start it with PARLEY_TEST_CLOCK=true (--test-clock)')
})

test('deliveries are listed, filtered, shown, dropped and sent again', async () => {
  await using world = await withDelivery()
  const { server, catcher, conversation } = world
  await run(server, 'clock', 'advance', 'PT1M')
  const list = async (...filter: string[]) => (await run(server, 'deliveries', 'list', ...filter)).join('\n')
  await expect
    .poll(() => list('--status', 'delivered'))
    .toMatch(/^WD[0-9a-f]{32} {2}\S+ {2}delivered {2}onConversationStateUpdated/)
  const id = (await list()).slice(0, 34)
  expect(await list('--conversation', conversation)).toContain(`${conversation}  200  ${catcher.url('/')}`)
  expect(await list('--conversation', `CH${'0'.repeat(32)}`)).toBe('')
  expect(await list('--status', 'failed')).toBe('')
  for (const [option, here, elsewhere] of [
    ['--account', server.account_sid, `AC${'0'.repeat(32)}`],
    ['--event', 'onConversationStateUpdated', 'onMessageAdded'],
    ['--target', server.account_sid, `WH${'0'.repeat(32)}`],
    ['--text', conversation, 'nobody wrote this'],
    ['--from', '2000-01-01', '2200-01-01'],
    ['--to', '2200-01-01', '2000-01-01'],
  ] as const) {
    expect(await list(option, here), option).toContain(id)
    expect(await list(option, elsewhere), option).toBe('')
  }
  await expect(run(server, 'deliveries', 'list', '--from', 'soon')).rejects.toThrow(/from must be an? .*date/)
  expect(JSON.parse(await list('--json'))).toMatchObject({ id, params: { Reason: 'TIMER' } })
  expect(JSON.parse((await run(server, 'deliveries', 'show', id)).join('\n'))).toMatchObject({ id, status: 'delivered' })

  const [again = ''] = await run(server, 'redeliver', id)
  expect(again).toMatch(/^WD[0-9a-f]{32} {2}\S+ {2}pending {2}onConversationStateUpdated/)
  await expect.poll(() => catcher.requests.length).toBe(2)
  expect(await run(server, 'deliveries', 'drop', server.account_sid)).toEqual([
    expect.stringMatching(/^\d+ deliver(y is|ies are) dropped$/),
  ])
  expect(await list('--limit', '1')).toMatch(new RegExp(`^${again.slice(0, 34)}  [^\n]+$`))
  await expect(run(server, 'redeliver', 'WD0')).rejects.toThrow('WD0 was not found')
  await expect(run(server, 'deliveries', 'show', '../accounts')).rejects.toThrow('../accounts was not found')
})

test('what has failed since a date is sent again, whatever the number', async () => {
  await using world = await withDelivery()
  const { server, catcher } = world
  catcher.reply(() => ({ status: 400 }))
  const count = 103
  for (let i = 1; i < count; i++) await server.call('POST', '/v1/Conversations', { 'Timers.Inactive': 'PT1M' })
  await run(server, 'clock', 'advance', 'PT1M')
  const failed = async () => (await run(server, 'deliveries', 'list', '--status', 'failed', '--limit', '1000')).length
  await expect.poll(failed).toBe(count)
  catcher.reply(() => ({ status: 200 }))
  const since = (...more: string[]) => run(server, 'redeliver', '--since', '2020-01-01', ...more)
  expect(await since('--event', 'onMessageAdded')).toEqual(['0 deliveries are sent once more'])
  expect(await since('--until', '2020-01-02')).toEqual(['0 deliveries are sent once more'])
  expect(await since('--kind', 'push', '--target', server.account_sid)).toEqual(['0 deliveries are sent once more'])
  expect(await since('--account', `AC${'0'.repeat(32)}`)).toEqual(['0 deliveries are sent once more'])
  expect(await since('--text', 'nobody wrote this')).toEqual(['0 deliveries are sent once more'])
  expect(await since('--conversation', world.conversation)).toEqual(['1 delivery is sent once more'])
  expect(await since('--kind', 'webhook', '--target', server.account_sid)).toEqual([`${count - 1} deliveries are sent once more`])
  expect(await since()).toEqual(['0 deliveries are sent once more'])
  await expect.poll(() => catcher.requests.length).toBe(2 * count)
  await expect(run(server, 'redeliver', '--since', 'soon')).rejects.toThrow('since must be an ISO 8601 date')
  const stderr = vi.spyOn(process.stderr, 'write').mockImplementation(() => true)
  vi.spyOn(process, 'exit').mockImplementation(() => {
    throw new Error('exited')
  })
  for (const wrong of [[], ['WD0', '--since', '2020-01-01'], ['WD0', '--event', 'x'], ['--until', '2020-01-01']]) {
    await expect(run(server, 'redeliver', ...wrong)).rejects.toThrow('exited')
  }
  expect(stderr).toHaveBeenCalledWith('error: either ids of deliveries, or --since and what narrows it down\n')
})

test('channels are set, listed and deleted, without the password in the URL', async () => {
  await using server = await startServer({ secretKey })
  const address = '+15557654321'
  const row = expect.stringMatching(/^CN[0-9a-f]{32} {2}\+15557654321 {2}webhook {2}url=http:\/\/127\.0\.0\.1:1\/$/)
  expect(await run(server, 'channels', 'set', server.account_sid, address, 'http://me:hidden@127.0.0.1:1/')).toEqual([row])
  expect(await run(server, 'channels', 'list', server.account_sid)).toEqual([row])
  await expect(run(server, 'channels', 'set', server.account_sid, address, 'nonsense')).rejects.toThrow('url must be an http')
  await expect(run(server, 'channels', 'set', server.account_sid, 'me', 'http://a/')).rejects.toThrow('me is not an address')
  await run(server, 'channels', 'delete', server.account_sid, address)
  expect(await run(server, 'channels', 'list', server.account_sid)).toEqual([])
  const gone = run(server, 'channels', 'delete', server.account_sid, address)
  await expect(gone).rejects.toThrow(`${address} of ${server.account_sid} was not found`)
})

test('channels of any kind are set with its settings, and checked', async () => {
  await using carrier = await startCarrier()
  await using server = await startServer({ secretKey })
  using folder = temporaryFolder()
  const file = join(folder.path, 'token')
  writeFileSync(file, 'the-token\n')
  const set = (...more: string[]) => run(server, 'channels', 'set', server.account_sid, '+15557654321', ...more)
  expect((await run(server, 'channels', 'kinds')).join('\n')).toContain(
    'token  What proves requests in both directions  required, secret',
  )
  const given = ['--setting', `base_url=${carrier.url}`, `token=@${file}`, 'ttl=5', 'urgent=false']
  expect((await set('--kind', 'faked', ...given)).join('')).toContain('faked')
  const [shown] = await run(server, 'channels', 'list', server.account_sid)
  expect(shown).toContain(`base_url=${carrier.url}  token=********  region=eu  ttl=5  urgent=false`)
  expect(await run(server, 'channels', 'check', server.account_sid, '+15557654321')).toEqual(['works: the carrier said 200'])
  await expect(set('--kind', 'faked', '--setting', 'token')).rejects.toThrow('--setting takes name=value, not token')
  await expect(set('--kind', 'faked', '--setting', 'token=@/nowhere')).rejects.toThrow('/nowhere cannot be read')
  await expect(set('--kind', 'faked', '--setting', 'ttl=many')).rejects.toThrow('settings.base_url is required')
  await expect(set('--kind', 'pigeon')).rejects.toThrow('kind must be one of')
  await expect(set()).rejects.toThrow('kind is required, or url alone')
})

test('an inbound message is handed in', async () => {
  await using server = await startServer({ secretKey })
  const [from, to] = ['+15551234567', '+15557654321']
  await expect(run(server, 'inbound', '--from', from, '--to', to, '--body', 'Hello')).rejects.toThrow('has no open conversation')
  const form = { Type: 'sms', Address: to, 'AutoCreation.Enabled': 'true', 'AutoCreation.Type': 'default' }
  await server.call('POST', '/v1/Configuration/Addresses', form)
  const sent = ['--body', 'Hello', '--attributes', '{"a":1}', '--account', server.account_sid]
  const lines = await run(server, 'inbound', '--from', from, '--to', to, ...sent)
  expect(lines).toEqual([
    expect.stringMatching(/^conversation {2}CH[0-9a-f]{32} {2}\(created\)$/),
    expect.stringMatching(/^participant {3}MB[0-9a-f]{32}$/),
    expect.stringMatching(/^message {7}IM[0-9a-f]{32}$/),
  ])
  const conversation = /CH\w+/.exec(lines[0] ?? '')?.[0]
  const { body } = await server.call('GET', `/v1/Conversations/${conversation}/Messages`)
  expect(body).toMatchObject({ messages: [{ body: 'Hello', attributes: '{"a":1}' }] })
  const wrong = run(server, 'inbound', '--from', from, '--to', to, '--body', 'Hello', '--attributes', '{')
  await expect(wrong).rejects.toThrow()
})

test('commands that need the server say so when it does not run', async () => {
  const server = await startServer({ secretKey })
  await server.stop()
  const args = [['clock'], ['inbound', '--from', '+15551234567', '--to', '+15557654321']]
  for (const given of args)
    await expect(run(server, ...given)).rejects.toThrow(/needs the running server of .* but no server listens on/)
})

test('whoever listens is told of each webhook once it is sent, and not of earlier ones', async () => {
  await using world = await withDelivery()
  const { server, conversation } = world
  await run(server, 'clock', 'advance', 'PT1M')
  await expect.poll(() => run(server, 'deliveries', '--status', 'delivered')).toHaveLength(1)
  const { call } = await findServer({ ...readConfig(settingsFor(server)) })
  const log = new LogFollower(call as Call, {})
  expect(await log.news()).toEqual([])
  const heard: Delivery[] = []
  const listen = async () => {
    heard.push(...(await log.news()))
    return heard.map(({ params, status }) => [params.StateTo, status])
  }
  await server.call(
    'POST',
    `/v1/Conversations/${conversation}`,
    { State: 'closed' },
    { headers: { 'x-twilio-webhook-enabled': 'true' } },
  )
  await expect.poll(listen).toEqual([['closed', 'delivered']])
  expect(await listen()).toHaveLength(1)
})

test('a listener misses and repeats nothing, whatever the order of ids, attempts and reads', async () => {
  const step = fc.oneof(
    fc.record({ kind: fc.constant('add' as const), skew: fc.integer({ min: -2400, max: 2400 }) }),
    fc.record({ kind: fc.constant('attempt' as const), of: fc.nat(), last: fc.boolean() }),
    fc.record({ kind: fc.constant('read' as const) }),
  )
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 60 }), async (steps) => {
      const rows: Delivery[] = []
      let now = 1_700_000_000_000
      const call = (async (_method: string, path: string) => {
        const { pathname, searchParams } = new URL(path, 'http://parley')
        if (pathname !== '/deliveries') return structuredClone(rows.find(({ id }) => pathname.endsWith(id)))
        const before = searchParams.get('before') ?? '~'
        const sorted = rows.filter(({ id }) => id < before).toSorted((a, b) => (a.id < b.id ? 1 : -1))
        // Pages of two: more than one is needed.
        return { deliveries: structuredClone(sorted.slice(0, 2)), next_before: sorted.length > 2 ? sorted[1]?.id : null }
      }) as Call
      const log = new LogFollower(call, {})
      await log.news()
      const heard = new Map<string, Delivery[]>()
      const read = async () => {
        for (const delivery of await log.news()) heard.set(delivery.id, [...(heard.get(delivery.id) ?? []), delivery])
      }
      for (const action of steps) {
        now += 100
        if (action.kind === 'read') await read()
        else if (action.kind === 'add') {
          const id = `WD${(now + action.skew).toString(16).padStart(12, '0')}${String(rows.length).padStart(20, '0')}`
          rows.push({ id, status: 'pending', attempts: [] } as unknown as Delivery)
        } else {
          const pending = rows.filter(({ status }) => status === 'pending')
          const row = pending[action.of % Math.max(1, pending.length)]
          row?.attempts.push({ at: '', duration_ms: 1, status: 200, error: null })
          if (row && action.last) row.status = 'delivered'
        }
      }
      await read()
      for (const { id, status, attempts } of rows) {
        const told = heard.get(id) ?? []
        expect(told.length > 0).toBe(attempts.length > 0)
        expect(told.filter((delivery) => delivery.status === 'delivered')).toHaveLength(status === 'delivered' ? 1 : 0)
        const counts = told.map((delivery) => delivery.attempts.length)
        expect(new Set(counts).size).toBe(counts.length)
        expect(counts.at(-1) ?? 0).toBe(attempts.length)
      }
    }),
    { numRuns: 300 },
  )
})
