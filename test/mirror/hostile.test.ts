import { connect } from 'node:net'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { expectEqual, ownToken, settled, startMirrored } from '../support/mirror.ts'
import { movedAccount } from '../support/moving.ts'

const authorization = `Basic ${Buffer.from(`${movedAccount}:${ownToken}`).toString('base64')}`

/** Sends a request as it is; no client would. */
async function raw(url: string, head: readonly string[], body: string, as = authorization): Promise<number> {
  const { hostname, port } = new URL(url)
  const socket = connect(Number(port), hostname)
  const fixed = [
    `Host: ${hostname}:${port}`,
    `Authorization: ${as}`,
    'Connection: close',
    `Content-Length: ${Buffer.byteLength(body)}`,
  ]
  socket.write(`${[...head, ...fixed].join('\r\n')}\r\n\r\n${body}`)
  let answer = ''
  socket.setEncoding('utf8').on('data', (chunk: string) => {
    answer += chunk
  })
  // A body that is too long is refused before it is sent.
  socket.on('error', () => {})
  await new Promise((resolve) => socket.on('close', resolve))
  return Number(/^HTTP\/1\.1 (?!100)(\d+)/m.exec(answer)?.[1] ?? 0)
}

const word = fc.constantFrom(
  'Conversations',
  'Messages',
  'Participants',
  'Users',
  'Services',
  'Webhooks',
  'Roles',
  'Configuration',
  'Credentials',
  'Media',
  'Bindings',
  'ConversationWithParticipants',
  'one',
  'ada',
  '%00',
  '%20',
  '..',
  '%2e%2e',
  '%ff',
  '%',
  'IS1',
  '',
  '%F0%9F%A6%9C',
  '//127.0.0.1:9',
  'Addresses',
)
const wild = fc.array(word, { maxLength: 6 }).map((parts) => `/v1/${parts.join('/')}`)
const good = fc.constantFrom(
  '/v1/Conversations',
  '/v1/Conversations/one',
  '/v1/Conversations/one/Messages',
  '/v1/Conversations/one/Participants',
  '/v1/Conversations/one/Participants/ada',
  '/v1/ConversationWithParticipants',
  '/v1/Users',
  '/v1/Users/ada',
  '/v1/Users/ada/Conversations/one',
  '/v1/Services',
  '/v1/Configuration',
)
const path = fc.oneof(wild, good)
const name = fc.constantFrom(
  'UniqueName',
  'Identity',
  'Body',
  'Attributes',
  'State',
  'Timers.Inactive',
  'Timers.Closed',
  'MediaSid',
  'DateUpdated',
  'Author',
  'FriendlyName',
  '__proto__',
  'Participant',
)
const value = fc.constantFrom(
  'one',
  'ada',
  '',
  '%00',
  '%ff',
  '{}',
  '{"a":',
  'PT1M',
  'PT0S',
  'closed',
  'x'.repeat(300),
  '2001-01-01T00:00:00Z',
  '%F0%9F%A6%9C',
  'CH1%202',
  'null',
)
const form = fc
  .array(
    fc.tuple(name, value).map(([key, one]) => `${key}=${one}`),
    { maxLength: 4 },
  )
  .map((pairs) => pairs.join('&'))
const headers = fc.subarray([
  'X-Twilio-Webhook-Enabled: true',
  'Cookie: parley=x',
  'X-Forwarded-Host: evil.test',
  'Expect: 100-continue',
  'Accept-Encoding: gzip, br',
  'X-Twilio-Token: x',
  'If-Match: 3',
  'Range: bytes=0-1',
])

test('no request makes the mirror fail, or differ', async () => {
  await using scene = await startMirrored()
  const { mirror, wall } = scene
  await mirror.call('POST', '/v1/Conversations', { UniqueName: 'one' })
  const ok = new Set<number>()
  await fc.assert(
    fc.asyncProperty(
      fc.constantFrom('GET', 'POST', 'DELETE', 'HEAD', 'PUT', 'OPTIONS'),
      path,
      form,
      headers,
      async (method, at, body, more) => {
        const type = 'Content-Type: application/x-www-form-urlencoded'
        const status = await raw(mirror.url, [`${method} ${at} HTTP/1.1`, type, ...more], body)
        ok.add(status)
        const isAppToken = more.includes('X-Twilio-Token: x')
        expect(status === 503 && isAppToken ? 401 : status).toBeLessThan(500)
        expect(status).toBeGreaterThanOrEqual(200)
      },
    ),
    { numRuns: 300 },
  )
  expect([...ok]).toEqual(expect.arrayContaining([200, 201, 400, 404, 405]))
  expect(await raw(mirror.url, ['POST /v1/Conversations HTTP/1.1'], 'x'.repeat(5_000_000))).toBe(413)
  await settled(mirror)
  await expectEqual(mirror)
  const others = wall.requests.filter(({ authorization: sent }) => sent === authorization)
  expect(others).toEqual([])
})

test('no path means something else on the hosted side than what a restricted key is let do here', async () => {
  await using scene = await startMirrored()
  const { mirror, hosted } = scene
  await mirror.call('POST', '/v1/Conversations', { UniqueName: 'one' })
  const policy = {
    allow: ['conversations.messages/*', 'users/*', 'users.conversations/*'].map((name) => `/twilio/conversations/${name}`),
  }
  const key = await mirror.admin('POST', `/accounts/${movedAccount}/keys`, { policy })
  const as = `Basic ${btoa(`${key.sid}:${key.secret}`)}`
  expect(await raw(mirror.url, ['GET /v1/Conversations HTTP/1.1'], '', as)).toBe(401)
  for (const [method, path] of [
    ['DELETE', '/v1/Conversations/one/Messages/..'],
    ['DELETE', '/v1/Conversations/one/Messages/%2E%2e'],
    ['DELETE', '/v1/Conversations/one/Messages/.'],
    ['GET', '/v1/Users/../Conversations'],
    ['GET', '/v1/Users/.%2e/Conversations/one'],
    ['GET', '/v1/Users/..\\Conversations'],
    ['GET', '/v1/Users/x\\..\\..\\Conversations'],
    ['POST', '/v1/Users/..\\Conversations'],
  ]) {
    expect(await raw(mirror.url, [`${method} ${path} HTTP/1.1`], '', as), `${method} ${path}`).toBe(404)
  }
  expect((await hosted.call('GET', '/v1/Conversations/one')).status).toBe(200)
})

test.each(['POST http://evil.test/v1/Conversations', 'GET https://evil.test/v1/Conversations'])(
  'a target with a scheme and a host is not sent on: %s',
  async (request) => {
    await using scene = await startMirrored()
    const { mirror, wall } = scene
    const before = wall.requests.length
    expect(await raw(mirror.url, [`${request} HTTP/1.1`], '')).toBe(404)
    expect(wall.requests.slice(before)).toEqual([])
  },
)

test('nobody is erased here while they would be read again from the hosted side', async () => {
  await using scene = await startMirrored()
  const { mirror } = scene
  const path = `/accounts/${movedAccount}/erasures`
  await expect(mirror.admin('POST', path, { identity: 'alice' })).rejects.toThrow('409')
  expect(await mirror.admin('POST', path, { identity: 'alice', dry_run: true })).toMatchObject({ dry_run: true })
})
