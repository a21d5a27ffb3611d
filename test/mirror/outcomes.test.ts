import { pino } from 'pino'
import { request } from 'undici'
import { expect, test } from 'vitest'
import { compared, expectEqual, type Mirrored, passed, settled, startMirrored, statusOf } from '../support/mirror.ts'
import type { Fault } from '../support/wall.ts'

/** Does harm to the next write alone. */
function harmNext({ wall }: Mirrored, fault: Fault): void {
  wall.judge = ({ method }) => {
    if (method === 'GET') return null
    wall.judge = () => null
    return fault
  }
}

const writes = ({ wall }: Mirrored) => wall.requests.filter(({ method }) => method !== 'GET').length

test.each<[string, Fault, number]>([
  ['was made, and its answer is lost', 'lost', 504],
  ['was made, and half of its answer is lost', 'half', 504],
  ['was perhaps made: the connection was cut', 'cut', 504],
  ['was perhaps made: 500', { status: 500, body: '{"code":20500,"message":"x","more_info":"x","status":500}' }, 500],
  ['was not made: 429', { status: 429, body: '{"code":20429,"message":"x","more_info":"x","status":429}' }, 429],
  ['was refused', { status: 400, body: '{"code":50300,"message":"x","more_info":"x","status":400}' }, 400],
  ['is not for these credentials', { status: 401, body: '{}' }, 503],
  ['is redirected', { status: 302, headers: { location: 'http://127.0.0.1:9/' } }, 504],
])('a write that %s is sent once, and what it has come to is found out', async (_, fault, status) => {
  await using scene = await startMirrored()
  const { mirror } = scene
  const post = (path: string, form: Record<string, string>) => mirror.call('POST', `/v1${path}`, form, { check: false })
  const { sid } = (await post('/Conversations', { UniqueName: 'one' })).body
  const { sid: user } = (await post('/Users', { Identity: 'ada' })).body
  const message = (await post(`/Conversations/one/Messages`, { Body: 'first', Author: 'ada' })).body
  await settled(mirror)
  const all: [string, string, Record<string, string>?][] = [
    ['POST', '/Conversations', { FriendlyName: 'made or not' }],
    ['POST', '/Conversations', { UniqueName: 'two' }],
    ['POST', `/Conversations/${sid}`, { FriendlyName: 'Renamed', 'Timers.Closed': 'PT1H' }],
    ['POST', '/Conversations/one/Messages', { Body: 'second' }],
    ['POST', `/Conversations/one/Messages/${message.sid}`, { Body: 'edited' }],
    ['POST', '/Conversations/one/Participants', { Identity: 'bob' }],
    [
      'POST',
      '/Conversations/one/Webhooks',
      { Target: 'webhook', 'Configuration.Url': 'https://example.com', 'Configuration.Filters': 'onMessageAdded' },
    ],
    ['POST', '/ConversationWithParticipants', { UniqueName: 'three', Participant: '{"identity":"cy"}' }],
    ['POST', '/Users', { Identity: 'new' }],
    ['POST', `/Users/${user}`, { FriendlyName: 'Ada' }],
    ['POST', '/Roles', { FriendlyName: 'reader', Type: 'conversation', Permission: 'leaveConversation' }],
    ['POST', '/Services', { FriendlyName: 'Another' }],
    ['POST', '/Credentials', { Type: 'fcm', Secret: 's' }],
    ['POST', '/Configuration', { DefaultClosedTimer: 'P3D' }],
    ['DELETE', `/Conversations/one/Messages/${message.sid}`],
    ['DELETE', `/Users/${user}`],
    ['DELETE', '/Conversations/one'],
  ]
  for (const [method, path, form] of all) {
    harmNext(scene, fault)
    const before = writes(scene)
    const answer = await mirror.call(method, `/v1${path}`, form, { check: false })
    expect([path, answer.status]).toEqual([path, status])
    expect(writes(scene)).toBe(before + 1)
    await settled(mirror)
    // What is the same in the end may have been different on the way.
    if (fault === 'lost') await expectEqual(mirror)
  }
  await expectEqual(mirror)
})

test('what differs is named, and read again', async () => {
  await using scene = await startMirrored()
  const { mirror, hosted } = scene
  const make = (path: string, form: Record<string, string>) => hosted.call('POST', `/v1${path}`, form)
  const { sid } = (await make('/Conversations', { FriendlyName: 'past the mirror' })).body
  const message = (await make(`/Conversations/${sid}/Messages`, { Body: 'one' })).body
  const found = (await compared(mirror)).report
  expect(found?.differences).toMatchObject([
    { resource: 'Conversation', sid, is: 'missing here' },
    { resource: 'Message', sid: message.sid, is: 'missing here' },
  ])
  expect(found?.rows).toBeGreaterThan(10)
  await settled(mirror)
  await expectEqual(mirror)

  await hosted.call('POST', `/v1/Conversations/${sid}/Messages/${message.sid}`, { Body: 'edited past the mirror' })
  const { report } = await compared(mirror)
  const keys = expect.arrayContaining(['body'])
  expect(report?.differences).toMatchObject([{ resource: 'Message', sid: message.sid, is: 'different', keys }])
  await settled(mirror)
  await expectEqual(mirror)
  await hosted.call('DELETE', `/v1/Conversations/${sid}/Messages/${message.sid}`)
  await hosted.call('POST', `/v1/Conversations/${sid}/Participants`, { Identity: 'ada' })
  await passed(mirror)
  await expectEqual(mirror)
  await hosted.call('DELETE', `/v1/Conversations/${sid}`)
  await passed(mirror)
  await expectEqual(mirror)
})

test('only the account that follows is sent on, with good credentials and to its host alone', async () => {
  await using scene = await startMirrored()
  const { mirror, wall } = scene
  const other = await mirror.admin('POST', '/accounts', {})
  const before = wall.requests.length
  const as = { username: other.sid, password: other.auth_token }
  expect((await mirror.call('POST', '/v1/Conversations', { UniqueName: 'here' }, { as })).status).toBe(201)
  expect((await mirror.call('POST', '/v1/Conversations', {}, { as: { ...mirror.credentials, password: 'wrong' } })).status).toBe(
    401,
  )
  expect((await mirror.call('POST', '/v1/NoSuchThing', {}, { check: false })).status).toBe(404)
  expect((await mirror.call('PUT', '/v1/Conversations', undefined, { check: false })).status).toBe(405)
  expect(wall.requests.length).toBe(before)
  expect((await statusOf(mirror)).open_writes).toBe(0)
  const raw = await request(`${mirror.url}//127.0.0.1:9/v1/Conversations`, { method: 'GET' })
  expect(raw.statusCode).toBe(404)
  await raw.body.dump()
})

test('a stop does not wait for a hosted side that does not answer', async () => {
  const scene = await startMirrored()
  const { hosted, wall, mirror } = scene
  await mirror.call('POST', '/v1/Conversations', { UniqueName: 'one' })
  await settled(mirror)
  const reading = Promise.withResolvers<void>()
  const end = Promise.withResolvers<void>()
  const asked: string[] = []
  wall.judge = async ({ method, path }) => {
    if (method !== 'GET') return null
    asked.push(path)
    reading.resolve()
    await end.promise
    return 'cut'
  }
  await mirror.call('POST', '/v1/Conversations/one/Messages', { Body: 'read afterwards' })
  await reading.promise
  await mirror.stop()
  // Nothing was asked for again.
  expect(new Set(asked).size).toBe(asked.length)
  end.resolve()
  await wall[Symbol.asyncDispose]()
  await hosted.stop()
})

test('the log says that something could not be read, and not of whom', async () => {
  const lines: string[] = []
  const log = pino({ level: 'info' }, { write: (line: string) => void lines.push(line) })
  await using scene = await startMirrored({}, {}, { log })
  const { mirror, wall } = scene
  await mirror.call('POST', '/v1/Conversations', { UniqueName: 'one' })
  await settled(mirror)
  const body = '{"code":20403,"message":"Ada.Private may not be read","more_info":"x","status":403}'
  wall.judge = ({ method, path }) => (method === 'GET' && path.includes('/Users/') ? { status: 403, body } : null)
  await mirror.call('POST', '/v1/Conversations/one/Participants', { Identity: 'Ada.Private' })
  await expect.poll(async () => (await statusOf(mirror)).failing.length).toBeGreaterThan(0)
  expect(lines.join('')).toContain('is not stored yet')
  expect(lines.join('')).not.toContain('Ada.Private')
  wall.judge = () => null
})
