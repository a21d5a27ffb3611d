import { createHash } from 'node:crypto'
import { readFileSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { parseJsonObject } from '../../src/json.ts'
import { makeTemporaryFolder } from '../../src/temporary.ts'
import { type FetchOptions, fetchHosted } from '../../src/transfer/hosted/fetch.ts'
import { folder, spawnParley } from '../support/process.ts'
import { startServer, type TestServer } from '../support/server.ts'
import { newTenant, type Tenant } from '../support/tenant.ts'
import { type Passed, startWall } from '../support/wall.ts'

let server: TestServer
beforeAll(async () => {
  server = await startServer()
})
afterAll(() => server.stop())

/** Time that passes only by waiting. */
function hurriedTime() {
  let now = Date.now()
  const waits: number[] = []
  return {
    waits,
    clock: { now: () => now, offset: () => 0 },
    wait: async (ms: number) => {
      waits.push(ms)
      now += ms
      // Others get their turn.
      await new Promise(setImmediate)
    },
  }
}

const quiet = { counting: () => {}, began: () => {}, went: () => {}, ended: () => {} }

interface Line {
  readonly kind: string
  // Bodies of every kind.
  // biome-ignore lint/suspicious/noExplicitAny: see above
  readonly resource: any
  // biome-ignore lint/suspicious/noExplicitAny: see above
  readonly extra?: any
}

function optionsFor(tenant: Tenant, url: string, changes: Partial<FetchOptions> = {}): FetchOptions {
  return {
    url,
    mediaUrl: url,
    username: tenant.account_sid,
    password: tenant.auth_token,
    folder: makeTemporaryFolder('parley-hosted-'),
    perSecond: 10_000,
    concurrency: 4,
    since: false,
    dryRun: false,
    services: null,
    read: { pageSize: 3, receipts: 'all', media: true, bindings: true, memberships: true, recheck: 2 },
    random: () => 0.5,
    observer: quiet,
    ...hurriedTime(),
    ...changes,
  }
}

function linesIn(folder: string, file = 'records.jsonl'): Line[] {
  const lines = readFileSync(join(folder, file), 'utf8').trimEnd().split('\n')
  expect(parseJsonObject(lines[0] ?? '')).toMatchObject({ kind: 'header', format: 1 })
  expect(parseJsonObject(lines.at(-1) ?? '')).toMatchObject({ kind: 'end' })
  return lines.slice(1, -1).map((line) => parseJsonObject(line) as unknown as Line)
}

const sidsOf = (lines: readonly Line[], kind: string) =>
  lines.filter((line) => line.kind === kind).map((line) => line.resource.sid)

/** Makes `count` conversations: with two participants, messages with a gap, and in each state; one of them has a file. */
async function fill(tenant: Tenant, count: number) {
  const sids: string[] = []
  await tenant.sdk.conversations.v1.users.create({ identity: 'ada', attributes: '{"a":1}' })
  const { default_chat_service_sid: service } = (await tenant.call('GET', '/v1/Configuration')).body
  for (let i = 0; i < count; i++) {
    const conversation = await tenant.sdk.conversations.v1.conversations.create({
      friendlyName: `Nr ${i}`,
      xTwilioWebhookEnabled: 'true',
    })
    sids.push(conversation.sid)
    const path = `/v1/Conversations/${conversation.sid}`
    await tenant.call('POST', `${path}/Participants`, { Identity: 'ada' })
    await tenant.call('POST', `${path}/Participants`, { Identity: `user ${i}` })
    for (let index = 0; index < 5; index++)
      await tenant.call('POST', `${path}/Messages`, { Author: 'ada', Body: `${i}.${index}` })
    const { body } = await tenant.call('GET', `${path}/Messages`)
    await tenant.call('DELETE', `${path}/Messages/${body.messages[2].sid}`)
    await tenant.call('POST', `${path}/Webhooks`, {
      Target: 'webhook',
      'Configuration.Url': 'https://example.com/hook',
      'Configuration.Filters': 'onMessageAdded',
    })
    const state = ['active', 'inactive', 'closed'][i % 3] ?? 'active'
    if (state !== 'active') await tenant.call('POST', path, { State: state })
  }
  return { sids, service }
}

async function sendFile(tenant: Tenant, service: string, conversation: string, content: string): Promise<string> {
  const headers = { 'content-type': 'text/plain' }
  const media = await tenant.call('POST', `/v1/Services/${service}/Media?Filename=a.txt`, content, { headers, check: false })
  await tenant.call('POST', `/v1/Conversations/${conversation}/Messages`, { Author: 'ada', MediaSid: media.body.sid })
  return media.body.sid
}

/** Everything that the source shows, read without the reader under test: whole lists, one after the other. */
async function expectedOf(tenant: Tenant, service: string) {
  const all = async (path: string, key: string) => (await tenant.call('GET', `${path}?PageSize=1000`)).body[key]
  const root = `/v1/Services/${service}`
  const strip = ({ url: _url, links: _links, ...rest }: Record<string, unknown>) => rest
  const expected = new Map<string, object>()
  const put = (rows: Record<string, unknown>[]) => {
    for (const row of rows) expected.set(String(row.sid), strip(row))
  }
  put(await all(`${root}/Roles`, 'roles'))
  const conversations = await all(`${root}/Conversations`, 'conversations')
  put(conversations)
  for (const { sid, state } of conversations) {
    put(await all(`${root}/Conversations/${sid}/Participants`, 'participants'))
    put(await all(`${root}/Conversations/${sid}/Messages`, 'messages'))
    if (state !== 'closed') put(await all(`${root}/Conversations/${sid}/Webhooks`, 'webhooks'))
  }
  return expected
}

function taken(lines: readonly Line[]) {
  const kinds = new Set(['role', 'conversation', 'participant', 'message', 'conversation_webhook'])
  return new Map(lines.filter(({ kind }) => kinds.has(kind)).map(({ resource }) => [resource.sid, resource]))
}

it('takes everything of an account, in an order in which each line refers to earlier ones', async () => {
  const tenant = await newTenant(server)
  const { sids, service } = await fill(tenant, 7)
  const media = await sendFile(tenant, service, sids[0] ?? '', 'Hello file')
  const options = optionsFor(tenant, server.url)

  const report = await fetchHosted(options)

  expect(report).toMatchObject({ isComplete: true, problems: [], survey: { conversations: 7, users: 8 } })
  const lines = linesIn(options.folder)
  expect(taken(lines)).toEqual(await expectedOf(tenant, service))
  expect(lines.map(({ kind }) => kind)).toEqual(
    expect.arrayContaining(['service', 'configuration', 'notification', 'webhook', 'user']),
  )
  const file = lines.find(({ extra }) => extra?.media)?.extra.media[0]
  const sha256 = createHash('sha256').update('Hello file').digest('hex')
  expect(file).toMatchObject({ sid: media, sha256, size: 10, content_type: 'text/plain', filename: 'a.txt' })
  expect(readFileSync(join(options.folder, 'media', sha256.slice(0, 2), sha256.slice(2, 4), sha256), 'utf8')).toBe('Hello file')
  // What people have written is for the owner alone.
  for (const name of ['records.jsonl', `media/${sha256.slice(0, 2)}/${sha256.slice(2, 4)}/${sha256}`, 'media']) {
    expect([name, statSync(join(options.folder, name)).mode & 0o077]).toEqual([name, 0])
  }
  // Each conversation lies in one piece, its messages by index.
  const within = lines
    .map(({ kind, resource }) => (kind === 'conversation' ? resource.sid : resource.conversation_sid))
    .filter(Boolean)
  expect(within.filter((sid, i) => sid !== within[i - 1])).toEqual([...sids].reverse())
  expect(lines.find(({ kind }) => kind === 'service')?.extra.default_chat_service_role_sid).toMatch(/^RL/)
})

it('takes the same through refusals, failures and cut connections', async () => {
  const tenant = await newTenant(server)
  const { sids, service } = await fill(tenant, 6)
  await sendFile(tenant, service, sids[1] ?? '', 'x'.repeat(200_000))
  await using wall = await startWall(server.url)
  const faults = [
    { status: 429, headers: { 'retry-after': '7' }, body: '{"code":20429,"message":"Too Many Requests","status":429}' },
    { status: 503, body: '<html>' },
    'half',
    { status: 500, body: '{}' },
    'cut',
    { status: 429, body: '' },
    { status: 200, body: 'not JSON' },
  ] as const
  let requests = 0
  wall.judge = () => (++requests % 3 === 0 ? (faults[(requests / 3) % faults.length] ?? null) : null)
  const time = hurriedTime()
  const options = optionsFor(tenant, wall.url, time)

  const report = await fetchHosted(options)

  expect(report).toMatchObject({ isComplete: true, problems: [] })
  expect(report.traffic.refused).toBeGreaterThan(0)
  expect(taken(linesIn(options.folder))).toEqual(await expectedOf(tenant, service))
  expect(time.waits.some((ms) => ms >= 7000)).toBe(true)
  expect(wall.mostAtOnce).toBeLessThanOrEqual(4)
})

it('sends the credentials to the two configured hosts only', async () => {
  const tenant = await newTenant(server)
  const { sids, service } = await fill(tenant, 1)
  await sendFile(tenant, service, sids[0] ?? '', 'secret file')
  await using content = await startWall(server.url)
  await using wall = await startWall(server.url)
  // As a media host whose content is redirected to another machine.
  wall.judge = ({ path }) => (path.includes('/Content') ? { status: 307, headers: { location: content.url + path } } : null)
  const options = optionsFor(tenant, wall.url)

  expect(await fetchHosted(options)).toMatchObject({ isComplete: true })

  expect(content.requests.length).toBe(1)
  expect(content.requests.every(({ authorization }) => authorization === undefined)).toBe(true)
  const unsigned = (passed: Passed) => passed.path.includes('/Content')
  expect(wall.requests.filter(unsigned).every(({ authorization }) => authorization === undefined)).toBe(true)

  wall.judge = () => ({ status: 302, headers: { location: `${content.url}/v1/Configuration` } })
  await expect(fetchHosted(optionsFor(tenant, wall.url))).rejects.toThrow(/a redirect, which is not followed/)
  expect(content.requests.length).toBe(1)
})

/** Calls `change` once, between two pages of the list of conversations that is being read. */
function between(change: () => Promise<unknown>): (passed: Passed) => Promise<null> {
  let [isReading, isDone] = [false, false]
  return async ({ path }) => {
    isReading ||= path.includes('/Messages')
    if (!isReading || isDone || !/^\/v1\/Services\/\w+\/Conversations\?.*PageToken/.test(path)) return null
    isDone = true
    await change()
    return null
  }
}

async function conversationsIn(tenant: Tenant): Promise<string[]> {
  const { body } = await tenant.call('GET', '/v1/Conversations?PageSize=1000')
  return body.conversations.map(({ sid }: { sid: string }) => sid).sort()
}

it('misses no conversation that gets a message while it pages', async () => {
  const tenant = await newTenant(server)
  const { sids } = await fill(tenant, 20)
  await using wall = await startWall(server.url)
  // In the list by activity, it would jump over the position.
  wall.judge = between(() => tenant.call('POST', `/v1/Conversations/${sids[0]}/Messages`, { Author: 'ada', Body: 'late' }))
  const time = hurriedTime()
  // What was made since the pass began is read once more at the end: nothing was, by this clock.
  const clock = { ...time.clock, now: () => time.clock.now() + 2 * 86_400_000 }
  const options = optionsFor(tenant, wall.url, { ...time, clock, concurrency: 1 })

  expect(await fetchHosted(options)).toMatchObject({ isComplete: true })

  expect(sidsOf(linesIn(options.folder), 'conversation').sort()).toEqual(await conversationsIn(tenant))
})

it('reads what is made while it pages, and nothing twice', async () => {
  const tenant = await newTenant(server)
  await fill(tenant, 20)
  await using wall = await startWall(server.url)
  wall.judge = between(() => tenant.call('POST', '/v1/Conversations', { FriendlyName: 'Added' }))
  const options = optionsFor(tenant, wall.url, { concurrency: 1 })

  expect(await fetchHosted(options)).toMatchObject({ isComplete: true })

  const there = await conversationsIn(tenant)
  expect(there.length).toBe(21)
  expect(sidsOf(linesIn(options.folder), 'conversation').sort()).toEqual(there)
})

it('goes on after kill -9, again and again, and takes each thing once', async () => {
  const tenant = await newTenant(server)
  const { sids, service } = await fill(tenant, 12)
  await sendFile(tenant, service, sids[3] ?? '', 'y'.repeat(100_000))
  const long = `/Conversations/${sids[6]}/Messages`
  for (let i = 0; i < 120; i++) await tenant.call('POST', `/v1${long}`, { Author: 'ada', Body: `long ${i}` })
  await using wall = await startWall(server.url)
  using here = folder()
  const args = [
    'import',
    '--from-twilio',
    '--url',
    wall.url,
    '--folder',
    here.path,
    '--page-size',
    '2',
    '--rate',
    '1000',
    '--fetch-only',
  ]
  const env = { TWILIO_ACCOUNT_SID: tenant.account_sid, TWILIO_AUTH_TOKEN: tenant.auth_token }

  let kills = 0
  const firstOfLong: string[] = []
  for (;;) {
    const before = wall.requests.length
    const child = spawnParley(args, { env })
    const killAt = wall.requests.length + 25 + 7 * kills
    wall.judge = async () => {
      if (wall.requests.length !== killAt) return null
      child.signal('SIGKILL')
      await child.ended
      return 'cut'
    }
    const { code, stdout, stderr } = await child.ended
    const first = wall.requests.slice(before).find(({ path }) => path.includes(`${long}?`))
    if (first) firstOfLong.push(first.path)
    if (code === null) kills++
    else {
      expect([code, stderr, stdout]).toEqual([0, '', expect.stringContaining('everything that the API shows was taken')])
      break
    }
  }

  expect(kills).toBeGreaterThan(2)
  // In the middle of its messages, not from their start.
  expect(firstOfLong).toContainEqual(expect.stringContaining('PageToken'))
  const lines = linesIn(here.path)
  expect(taken(lines)).toEqual(await expectedOf(tenant, service))
  const all = lines.map(({ resource }) => resource.sid).filter(Boolean)
  expect(new Set(all).size).toBe(all.length)
})

it('takes what has changed of a conversation while its reading was interrupted', async () => {
  const tenant = await newTenant(server)
  const { sid } = await tenant.sdk.conversations.v1.conversations.create({ friendlyName: 'Before' })
  const path = `/v1/Conversations/${sid}`
  for (let i = 0; i < 90; i++) await tenant.call('POST', `${path}/Messages`, { Author: 'ada', Body: `long ${i}` })
  await using wall = await startWall(server.url)
  let pages = 0
  // Wrong credentials end a run. By then, most of the pages are on disk.
  wall.judge = (passed) => (passed.path.includes(`${sid}/Messages`) && ++pages > 27 ? { status: 401, body: '{}' } : null)
  const options = optionsFor(tenant, wall.url)
  await expect(fetchHosted(options)).rejects.toThrow(/refuses the credentials/)
  await tenant.call('POST', path, { FriendlyName: 'After' })
  await tenant.call('POST', `${path}/Participants`, { Identity: 'late' })
  wall.judge = () => null

  const report = await fetchHosted(options)

  expect(report).toMatchObject({ isComplete: true, problems: [] })
  expect(report.counts).toContainEqual({ kind: 'conversation', fate: 'read', amount: 1 })
  const lines = linesIn(options.folder)
  const names = lines.filter(({ kind }) => kind === 'conversation').map(({ resource }) => resource.friendly_name)
  expect(names).toEqual(['Before', 'After'])
  expect(lines.filter(({ kind }) => kind === 'participant').map(({ resource }) => resource.identity)).toEqual(['late'])
  const messages = sidsOf(lines, 'message')
  expect([messages.length, new Set(messages).size]).toEqual([90, 90])
})

it('fetches what has changed in a second pass, and says what was deleted', async () => {
  const tenant = await newTenant(server)
  const { sids } = await fill(tenant, 9)
  const options = optionsFor(tenant, server.url)
  await fetchHosted(options)
  const [changed = '', , closed = '', deleted = ''] = sids
  await expect(fetchHosted(options)).rejects.toThrow(/--since/)
  await tenant.call('POST', `/v1/Conversations/${changed}`, { FriendlyName: 'Renamed' })
  await tenant.call('POST', `/v1/Conversations/${changed}/Messages`, { Author: 'ada', Body: 'new' })
  const { participants } = (await tenant.call('GET', `/v1/Conversations/${changed}/Participants`)).body
  await tenant.call('DELETE', `/v1/Conversations/${changed}/Participants/${participants[1].sid}`)
  await tenant.call('DELETE', `/v1/Conversations/${deleted}`)
  const { sid: added } = await tenant.sdk.conversations.v1.conversations.create({ friendlyName: 'Later' })

  const report = await fetchHosted({ ...options, since: true })

  expect(report).toMatchObject({ isComplete: true, problems: [], pass: 2 })
  expect(report.deletions).toEqual([
    { kind: 'conversation', sid: deleted },
    { kind: 'participant', sid: participants[1].sid },
  ])
  const lines = linesIn(options.folder, 'records-2.jsonl')
  expect(sidsOf(lines, 'conversation').sort()).toEqual([added, changed].sort())
  expect(lines.some(({ resource }) => resource.body === 'new')).toBe(true)
  // Of the open ones, two earlier messages again; of the closed ones nothing.
  const again = lines.filter(({ kind }) => kind === 'message').map(({ resource }) => resource.conversation_sid)
  expect(again.filter((sid) => sid === closed)).toEqual([])
  expect(again.filter((sid) => sid === sids[1]).length).toBe(2)
  expect(sidsOf(lines, 'role')).toEqual([])
})

it('takes what a key may read, and says what it may not', async () => {
  const tenant = await newTenant(server)
  await fill(tenant, 2)
  await using wall = await startWall(server.url)
  const refusal = { code: 70051, message: 'Authorization Error: required permission roles/list is missing', status: 401 }
  wall.judge = ({ path }) => (path.includes('/Roles') ? { status: 401, body: JSON.stringify(refusal) } : null)
  const options = optionsFor(tenant, wall.url)

  const report = await fetchHosted(options)

  expect(report.isComplete).toBe(false)
  expect(report.problems).toEqual([
    {
      kind: 'role',
      sid: expect.stringMatching(/^IS/),
      reason: expect.stringContaining('required permission roles/list is missing'),
    },
  ])
  expect(sidsOf(linesIn(options.folder), 'conversation').length).toBe(2)

  // The rest, once the key may.
  wall.judge = () => null
  const later = await fetchHosted({ ...options, since: true })
  expect(later).toMatchObject({ isComplete: true, problems: [] })
  expect(sidsOf(linesIn(options.folder, 'records-2.jsonl'), 'role').length).toBeGreaterThan(3)
})

it('stops at wrong credentials, without repeating them', async () => {
  const tenant = await newTenant(server)
  const password = 'not the token'
  const refused = fetchHosted(optionsFor(tenant, server.url, { password }))
  await expect(refused).rejects.toThrow(/refuses the credentials/)
  await expect(refused).rejects.not.toThrow(password)
})

it('reports a file and a conversation that cannot be had, takes the rest, and tries them again in the next pass', async () => {
  const tenant = await newTenant(server)
  const { sids, service } = await fill(tenant, 4)
  const media = await sendFile(tenant, service, sids[0] ?? '', 'never there')
  await using wall = await startWall(server.url)
  wall.judge = ({ path }) => {
    if (path.includes(`/Media/${media}`)) return { status: 404, body: '{}' }
    return path.includes(`${sids[1]}/Messages`) ? { status: 500, body: '' } : null
  }
  const options = optionsFor(tenant, wall.url)

  const report = await fetchHosted(options)

  expect(report.isComplete).toBe(false)
  expect(report.problems.map(({ kind, sid }) => [kind, sid])).toEqual([
    ['conversation', sids[1]],
    ['media', media],
  ])
  expect(sidsOf(linesIn(options.folder), 'message').length).toBe(3 * 4 + 1)

  wall.judge = () => null
  expect(await fetchHosted({ ...options, since: true })).toMatchObject({ isComplete: true, problems: [] })
  const again = linesIn(options.folder, 'records-2.jsonl')
  expect(again.filter(({ resource }) => resource.conversation_sid === sids[1] && 'index' in resource).length).toBe(4)
  expect(again.find(({ extra }) => extra?.media)?.extra.media[0]).toMatchObject({ sid: media, size: 11 })
})

it('counts a conversation that is deleted between the list and its messages', async () => {
  const tenant = await newTenant(server)
  const { sids } = await fill(tenant, 4)
  await using wall = await startWall(server.url)
  wall.judge = async ({ path }) => {
    if (path.includes(`${sids[2]}/Messages`))
      await tenant.call('DELETE', `/v1/Conversations/${sids[2]}`, undefined, { check: false })
    return null
  }
  const options = optionsFor(tenant, wall.url)
  const report = await fetchHosted(options)
  expect(report).toMatchObject({ isComplete: true, problems: [] })
  expect(report.counts).toContainEqual({ kind: 'conversation', fate: 'deleted', amount: 1 })
  expect(sidsOf(linesIn(options.folder), 'conversation').sort()).toEqual(sids.filter((sid) => sid !== sids[2]).sort())
})

it('begins a list anew when its position is no longer accepted, and takes nothing twice', async () => {
  const tenant = await newTenant(server)
  const { service } = await fill(tenant, 8)
  await using wall = await startWall(server.url)
  const refused = new Set<string>()
  wall.judge = ({ path }) => {
    const list = path.split('?')[0] ?? ''
    if (!path.includes('PageToken') || refused.has(list)) return null
    refused.add(list)
    return { status: 400, body: '{"code":21481,"message":"Invalid page token","status":400}' }
  }
  const options = optionsFor(tenant, wall.url)
  expect(await fetchHosted(options)).toMatchObject({ isComplete: true, problems: [] })
  expect([...refused].some((list) => list.endsWith('/Messages'))).toBe(true)
  const lines = linesIn(options.folder)
  expect(taken(lines)).toEqual(await expectedOf(tenant, service))
  for (const kind of ['conversation', 'message']) expect(new Set(sidsOf(lines, kind)).size).toBe(sidsOf(lines, kind).length)
})

it('finds out what no list of conversations shows: durations of timers, who muted, who created', async () => {
  const tenant = await newTenant(server)
  const service = (await tenant.call('GET', '/v1/Configuration')).body.default_chat_service_sid
  const { sid } = await tenant.sdk.conversations.v1.conversations.create({ timers: { inactive: 'PT1H', closed: 'P2D' } } as never)
  await tenant.call('POST', `/v1/Conversations/${sid}`, { 'Timers.Inactive': 'PT1H', 'Timers.Closed': 'P2D' })
  const participant = (await tenant.call('POST', `/v1/Conversations/${sid}/Participants`, { Identity: 'muter' })).body.sid
  await tenant.call('POST', `/v1/Services/${service}/Users/muter/Conversations/${sid}`, { NotificationLevel: 'muted' })
  const options = optionsFor(tenant, server.url)
  await fetchHosted(options)
  const lines = linesIn(options.folder)
  const { extra } = lines.find(({ kind }) => kind === 'conversation') ?? {}
  expect(extra.inactive_after).toMatch(/^PT3(?:600|60\d|59\d)S$/)
  expect(extra.closed_after).toMatch(/^PT17(?:2800|280\d|279\d)S$/)
  expect(lines.find(({ resource }) => resource.sid === participant)?.extra).toEqual({ notification_level: 'muted' })
})

it('counts without reading in a dry run, and a pass begins with what was counted', async () => {
  const tenant = await newTenant(server)
  await fill(tenant, 3)
  await using wall = await startWall(server.url)
  const options = optionsFor(tenant, wall.url)
  const { survey } = await fetchHosted({ ...options, dryRun: true })
  expect(survey).toMatchObject({ conversations: 3, open: 2, users: 4 })
  expect(wall.requests.some(({ path }) => path.includes('/Messages'))).toBe(false)
  const counting = wall.requests.length
  const report = await fetchHosted(options)
  expect(report).toMatchObject({ isComplete: true })
  expect(wall.requests.length - counting).toBe(report.traffic.requests)
})

it('refuses a folder that belongs to another account, or to an import that is running', async () => {
  const [one, other] = [await newTenant(server), await newTenant(server)]
  const options = optionsFor(one, server.url)
  await fetchHosted({ ...options, dryRun: true })
  const { username, password } = optionsFor(other, server.url)
  await expect(fetchHosted({ ...options, username, password })).rejects.toThrow(/belongs to an import of AC/)
  await using wall = await startWall(server.url)
  const busy = optionsFor(one, wall.url)
  let second: Promise<unknown> | undefined
  wall.judge = async () => {
    second ??= fetchHosted(busy).catch((error: Error) => error.message)
    await second
    return null
  }
  await fetchHosted(busy)
  expect(await second).toMatch(/another import is using it/)
})
