import { mkdir, mkdtemp, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { request } from 'undici'
import { expect, onTestFinished, test } from 'vitest'
import { newDatabase } from '../support/databases.ts'
import { secretKey } from '../support/file-server.ts'
import {
  expectEqual,
  hostedToken,
  mirrorSettings,
  ownToken,
  passed,
  settled,
  startMirrored,
  switched,
} from '../support/mirror.ts'
import { movedAccount } from '../support/moving.ts'
import { parley } from '../support/process.ts'
import { sdkFor } from '../support/sdk.ts'
import { startServer } from '../support/server.ts'

const basic = (token: string) => `Basic ${Buffer.from(`${movedAccount}:${token}`).toString('base64')}`

test('a file goes to the hosted side, comes here with its message, and is here after the switch', async () => {
  await using scene = await startMirrored()
  const { mirror, wall } = scene
  const { default_chat_service_sid: service } = (await mirror.call('GET', '/v1/Configuration')).body
  const bytes = Buffer.alloc(300_000, 'picture')
  const upload = await request(`${mirror.url}/v1/Services/${service}/Media?Filename=a.png`, {
    method: 'POST',
    headers: { authorization: basic(ownToken), 'content-type': 'image/png' },
    body: bytes,
  })
  expect(upload.statusCode).toBe(201)
  const media = (await upload.body.json()) as { sid: string; url: string }
  expect(media.url.startsWith(`${mirror.url}/v1/`)).toBe(true)
  const { sid } = (await mirror.call('POST', '/v1/Conversations', {})).body
  await mirror.call('POST', `/v1/Conversations/${sid}/Messages`, { MediaSid: media.sid, Body: 'see' })
  const content = async () => {
    const answer = await request(`${media.url}/Content`, { headers: { authorization: basic(ownToken) } })
    return [answer.statusCode, Buffer.from(await answer.body.arrayBuffer()).equals(bytes)]
  }
  expect(await content()).toEqual([200, true])
  await settled(mirror)
  await expectEqual(mirror)
  expect(await mirror.rows('media')).toMatchObject([{ sid: media.sid, size: bytes.length, filename: 'a.png' }])
  expect(await switched(mirror)).toMatchObject({ state: 'switched' })
  const before = wall.requests.length
  expect(await content()).toEqual([200, true])
  expect(wall.requests.length).toBe(before)
})

test('with --reads here Parley answers reads, with pages of its own', async () => {
  await using scene = await startMirrored({ reads: 'here' })
  const { mirror, wall } = scene
  const { conversations } = sdkFor(mirror, movedAccount, ownToken).conversations.v1
  const { sid } = await conversations.create({ uniqueName: 'one' })
  for (let i = 0; i < 5; i++) await conversations(sid).messages.create({ body: `message ${i}` })
  await settled(mirror)
  const before = wall.requests.length
  expect((await conversations('one').messages.list({ pageSize: 2 })).map(({ body }) => body)).toEqual(
    [0, 1, 2, 3, 4].map((i) => `message ${i}`),
  )
  expect(wall.requests.length).toBe(before)
})

test('pages of the hosted side are followed through the mirror', async () => {
  await using scene = await startMirrored()
  const { mirror, wall } = scene
  const { conversations } = sdkFor(mirror, movedAccount, ownToken).conversations.v1
  for (let i = 0; i < 5; i++) await conversations.create({ uniqueName: `number ${i}` })
  const before = wall.requests.length
  expect(await conversations.list({ pageSize: 2 })).toHaveLength(5)
  expect(wall.requests.length - before).toBeGreaterThanOrEqual(3)
})

test('what would make a SID here is refused while it follows', async () => {
  await using scene = await startMirrored()
  const { mirror } = scene
  await mirror.call('POST', '/v1/Configuration/Addresses', {
    Type: 'sms',
    Address: '+15550001111',
    'AutoCreation.Enabled': 'true',
    'AutoCreation.Type': 'default',
  })
  await settled(mirror)
  const inbound = { from: '+15551230000', to: '+15550001111', body: 'Hello', external_id: 'x' }
  await expect(mirror.admin('POST', '/inbound', inbound)).rejects.toThrow('503')
  expect(await mirror.rows('conversations')).toEqual([])
  const upgrade = await request(`${mirror.url}/v3/wsconnect`, { headers: { connection: 'upgrade', upgrade: 'websocket' } }).catch(
    () => null,
  )
  expect(upgrade?.statusCode ?? 0).not.toBe(101)
})

test('a role, a user’s level and settings past the mirror come with a pass', async () => {
  await using scene = await startMirrored()
  const { mirror, hosted } = scene
  const there = (path: string, form: Record<string, string>) => hosted.call('POST', `/v1${path}`, form)
  const role = (await there('/Roles', { FriendlyName: 'reader', Type: 'conversation', Permission: 'leaveConversation' })).body
  await there('/Users', { Identity: 'ada' })
  await there('/Conversations', { UniqueName: 'one', 'Timers.Inactive': 'PT10M' })
  await there('/Conversations/one/Participants', { Identity: 'ada', RoleSid: role.sid })
  await there('/Services', { FriendlyName: 'Another' })
  await there('/Configuration', { DefaultInactiveTimer: 'PT1H' })
  await passed(mirror)
  await expectEqual(mirror)
  await mirror.call(
    'POST',
    '/v1/Users/ada/Conversations/one',
    { NotificationLevel: 'muted', LastReadMessageIndex: '0' },
    { check: false },
  )
  await settled(mirror)
  await hosted.call('DELETE', `/v1/Users/ada`)
  await passed(mirror)
  await expectEqual(mirror)
})

test('nobody answers alone for what follows, until that is forgotten; a mirror needs its account', async () => {
  await using database = await newDatabase()
  await using hosted = await startServer({ account_sid: movedAccount, auth_token: hostedToken })
  const config = { ...database.config, secretKey, account_sid: movedAccount, auth_token: ownToken }
  const mirror = mirrorSettings(hosted.url)
  const other = { ...mirror, account_sid: `AC${'9'.repeat(32)}` }
  await expect(startServer(config, { mirror: other })).rejects.toThrow('there is no account AC9999')
  await (await startServer(config, { mirror })).stop()
  await expect(startServer(config)).rejects.toThrow('follows a hosted one')
  const env = { ...database.env, PARLEY_SECRET_KEY: secretKey, PARLEY_TEST_CLOCK: 'true' }
  const run = (...args: string[]) => parley(['mirror', ...args], { env })
  expect(await run('status')).toMatchObject({ code: 1, stderr: expect.stringContaining('needs the running server') })
  expect(await run()).toMatchObject({ code: 1, stderr: expect.stringContaining('--from-twilio is needed') })
  expect(await run('--from-twilio')).toMatchObject({ code: 1, stderr: expect.stringContaining('TWILIO_ACCOUNT_SID') })
  expect(await run('--from-twilio', '--url', 'http://example.com')).toMatchObject({
    code: 1,
    stderr: expect.stringContaining('https'),
  })
  expect(await run('--from-twilio', '--every', '0')).toMatchObject({ code: 1, stderr: expect.stringContaining('from 1 to') })
  expect(await run('--from-twilio', '--reads', 'there')).toMatchObject({
    code: 1,
    stderr: expect.stringContaining('hosted, here'),
  })
  expect(await run('forget')).toMatchObject({ code: 0, stdout: expect.stringContaining('no hosted account is followed') })
  expect(await run('forget')).toMatchObject({ code: 0, stdout: expect.stringContaining('nothing was followed') })
  await using server = await startServer(config)
  await expect(server.admin('GET', '/mirror')).rejects.toThrow('404')
  await expect(server.admin('POST', '/mirror', { job: 'compare' })).rejects.toThrow('404')
})

test('what an earlier process has fetched and not kept is deleted', async () => {
  const dataDir = await mkdtemp(join(tmpdir(), 'parley-test-'))
  onTestFinished(() => rm(dataDir, { recursive: true, force: true }))
  const left = join(dataDir, 'parley.mirror', 'media', 'partial', `ME${'1'.repeat(32)}`)
  await mkdir(dirname(left), { recursive: true })
  await writeFile(left, 'a part of a picture')
  await using _scene = await startMirrored({}, { dataDir })
  await expect(stat(left)).rejects.toMatchObject({ code: 'ENOENT' })
})
