import { connect } from 'node:net'
import { pino } from 'pino'
import { expect, onTestFinished, test } from 'vitest'
import { proxyCheck } from '../../src/api/origin.ts'
import { isLoopbackAddress } from '../../src/api/peers.ts'
import { WaitingWrites } from '../../src/api/waiting-writes.ts'
import { type Config, readConfig } from '../../src/config.ts'
import { start } from '../../src/main.ts'
import { passingDatabase } from '../support/databases.ts'
import { sdkFor } from '../support/sdk.ts'
import { adminToken, auth_token, startServer } from '../support/server.ts'

async function limited({ metricsUrl }: { readonly metricsUrl: string }): Promise<Record<string, number>> {
  const text = await (await fetch(`${metricsUrl}/metrics`)).text()
  return Object.fromEntries(
    [...text.matchAll(/^parley_limited_total\{limit="(\w+)"\} (\d+)$/gm)].map(([, limit, count]) => [limit, Number(count)]),
  )
}

/** A server whose database commits nothing until it is let to. */
async function startHeld(overrides: Partial<Config>) {
  const own = await passingDatabase()
  const config = { ...readConfig({ PORT: '0' }), ...own.config, auth_token, adminToken, ...overrides }
  const running = await start(config, { log: pino({ level: 'silent' }) })
  onTestFinished(async () => {
    await running.stop()
    await own.dispose()
  })
  const { database, account } = running.installation
  // Its type follows from the name of the command, which is passed on as it is.
  const original = database.write.bind(database) as (name: string, input: unknown) => Promise<unknown>
  const gate = Promise.withResolvers<void>()
  let held = 0
  const write = async (name: string, input: unknown) => {
    if (name === 'change' || name === 'changeAll') {
      held++
      await gate.promise
    }
    return original(name, input)
  }
  Object.assign(database, { write })
  return { ...running, account_sid: account.sid, held: () => held, release: gate.resolve }
}

test('of the accounts that wait for the database the one with the most is refused, with when to come again; others go on', async () => {
  const server = await startHeld({ maxWaitingWrites: 4, maxConcurrentRequests: 0 })
  const made = await fetch(`${server.url}/admin/v1/accounts`, {
    method: 'POST',
    headers: { authorization: `Bearer ${adminToken}`, 'content-type': 'application/json' },
    body: '{}',
  })
  const other = (await made.json()) as { sid: string; auth_token: string }
  const first = { sid: server.account_sid, auth_token }
  const post = (account: { readonly sid: string; readonly auth_token: string }, path = 'Conversations', body = '') =>
    fetch(`${server.url}/v1/${path}`, {
      method: 'POST',
      headers: {
        authorization: `Basic ${Buffer.from(`${account.sid}:${account.auth_token}`).toString('base64')}`,
        'content-type': 'application/x-www-form-urlencoded',
      },
      body,
    })
  const waiting = Array.from({ length: 4 }, () => post(first))
  await expect.poll(server.held).toBe(4)
  const refused = await post(first)
  expect([refused.status, refused.headers.get('retry-after')]).toEqual([503, '1'])
  expect(await refused.json()).toMatchObject({ code: 20503, status: 503 })
  // Several rows in one request are one write.
  expect((await post(first, 'ConversationWithParticipants', 'Participant={"identity":"ann"}')).status).toBe(503)
  const others = Array.from({ length: 3 }, () => post(other))
  await expect.poll(server.held).toBe(7)
  // Reads wait for nobody.
  const { v1 } = sdkFor(server, first.sid, auth_token).conversations
  expect(await v1.conversations.list()).toEqual([])
  const fourth = post(other)
  await expect.poll(server.held).toBe(8)
  // Twice as many as the limit are the most, whoever asks.
  expect((await post(other)).status).toBe(503)
  expect((await post(first)).status).toBe(503)
  expect(await limited(server)).toMatchObject({ waiting_writes: 4 })
  server.release()
  const settled = await Promise.all([...waiting, ...others, fourth])
  expect(settled.map(({ status }) => status)).toEqual(Array.from({ length: 8 }, () => 201))
  expect((await post(first)).status).toBe(201)
  expect(await v1.conversations.list()).toHaveLength(5)
})

test('a write that fails is not waited for any more', async () => {
  const refusals: string[] = []
  const writes = new WaitingWrites({ max: 1, onRefused: () => refusals.push('refused') })
  for (let i = 0; i < 3; i++) {
    await expect(writes.run('AC1', () => Promise.reject(new Error('of the database')))).rejects.toThrow('of the database')
  }
  const gate = Promise.withResolvers<string>()
  const running = writes.run('AC1', () => gate.promise)
  await expect(writes.run('AC1', async () => 'never')).rejects.toMatchObject({ kind: 'tooManyWrites' })
  expect(await writes.run('AC2', async () => 'of another account')).toBe('of another account')
  gate.resolve('done')
  expect(await running).toBe('done')
  expect(await writes.run('AC1', async () => 'again')).toBe('again')
  expect(refusals).toEqual(['refused'])
})

/** Connects from an address of this machine and asks for something. Resolves with the status, '' when the connection was closed unanswered. */
function opened(url: string, from: string) {
  const { hostname, port } = new URL(url)
  const socket = connect({ port: Number(port), host: hostname, localAddress: from })
  onTestFinished(() => void socket.destroy())
  socket.on('error', () => {})
  socket.write('GET /healthz HTTP/1.1\r\nhost: localhost\r\n\r\n')
  const answered = new Promise<string>((resolve) => {
    socket.once('data', (bytes) => resolve(bytes.toString().split(' ')[1] ?? ''))
    socket.once('close', () => resolve(''))
  })
  return { socket, answered }
}

test('an address has so many connections, and those beyond are closed; a proxy has any number', async () => {
  const limits = { maxConnectionsPerAddress: 2, isExempt: proxyCheck(['127.0.0.9']) ?? expect.fail() }
  const lines: string[] = []
  const log = pino({}, { write: (line: string) => void lines.push(line) })
  await using server = await startServer({ metricsPort: 0 }, { limits, log })
  const [one, two] = [opened(server.url, '127.0.0.1'), opened(server.url, '127.0.0.1')]
  expect([await one.answered, await two.answered]).toEqual(['200', '200'])
  expect(await opened(server.url, '127.0.0.1').answered).toBe('')
  expect(await opened(server.url, '127.0.0.2').answered).toBe('200')
  const proxied = Array.from({ length: 5 }, () => opened(server.url, '127.0.0.9').answered)
  expect(await Promise.all(proxied)).toEqual(Array.from({ length: 5 }, () => '200'))
  expect(await opened(server.url, '127.0.0.1').answered).toBe('')
  expect(await limited(server)).toEqual({ connections_per_address: 2 })
  // Said once, not for each.
  const warnings = lines.filter((line) => line.includes('PARLEY_TRUSTED_PROXIES')).map((line) => JSON.parse(line))
  expect(warnings).toEqual([expect.objectContaining({ from: '127.0.0.1', level: 40 })])
  one.socket.destroy()
  await expect.poll(() => opened(server.url, '127.0.0.1').answered).toBe('200')
})

test('this machine has any number of connections, and all of them together are limited', async () => {
  await using server = await startServer({ maxConnectionsPerAddress: 1, maxConnections: 3, metricsPort: 0 })
  const three = Array.from({ length: 3 }, () => opened(server.url, '127.0.0.1').answered)
  expect(await Promise.all(three)).toEqual(['200', '200', '200'])
  expect(await opened(server.url, '127.0.0.1').answered).toBe('')
  expect(await limited(server)).toEqual({ connections: 1 })
})

test.each([
  ['127.0.0.1', true],
  ['127.8.8.8', true],
  ['::1', true],
  ['::ffff:127.0.0.1', true],
  ['10.0.0.1', false],
  ['::ffff:10.0.0.1', false],
  ['2001:db8::1', false],
  ['::', false],
  ['fe80::1%eth0', false],
  ['', false],
])('%s is this machine: %s', (address, is) => {
  expect(isLoopbackAddress(address)).toBe(is)
})

test('both limits are settings', () => {
  const { maxConnectionsPerAddress, maxWaitingWrites } = readConfig({})
  expect([maxConnectionsPerAddress, maxWaitingWrites]).toEqual([500, 5000])
  for (const name of ['PARLEY_MAX_CONNECTIONS_PER_ADDRESS', 'PARLEY_MAX_WAITING_WRITES'] as const) {
    for (const wrong of ['-1', '1.5', 'many'])
      expect(() => readConfig({ [name]: wrong })).toThrow(`${name} must be a whole number`)
  }
})
