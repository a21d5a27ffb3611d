import { expect } from 'vitest'
import { test } from '../support/fixtures.ts'
import { settled } from '../support/hooked.ts'
import { persistent } from '../support/persistent.ts'
import type { Answer, Tenant } from '../support/tenant.ts'
import { catchWebhooks } from '../support/webhook-catcher.ts'

const writers = 64

let tenant: Tenant
let call: Tenant['call']

test.beforeEach(({ tenant: own }) => {
  tenant = own
  call = persistent(own)
})

const v1 = () => tenant.sdk.conversations.v1

type Form = Record<string, string>

/** Paths of a conversation in each family. */
async function newConversation(service?: string, form: Form = {}): Promise<{ sid: string; path: string }> {
  const root = service === undefined ? '/v1' : `/v1/Services/${service}`
  const { sid } = (await call('POST', `${root}/Conversations`, form)).body
  return { sid, path: `${root}/Conversations/${sid}` }
}

async function newService(): Promise<string> {
  return (await v1().services.create({ friendlyName: 'S' })).sid
}

/** All at once. */
function atOnce<T>(count: number, run: (i: number) => Promise<T>): Promise<T[]> {
  return Promise.all(Array.from({ length: count }, (_, i) => run(i)))
}

/** How often each status and code came. */
function tally(answers: readonly Answer[]): Record<string, number> {
  const counts: Record<string, number> = {}
  for (const { status, body } of answers) {
    const name = status < 300 ? String(status) : `${status}/${body.code}`
    counts[name] = (counts[name] ?? 0) + 1
  }
  return counts
}

const upTo = (count: number) => Array.from({ length: count }, (_, i) => i)
const listed = async (path: string) => (await call('GET', `${path}/Messages?PageSize=1000`)).body.messages
const bySid = (a: { sid: string }, b: { sid: string }) => a.sid.localeCompare(b.sid)

test.each(['default', 'service'])(
  '%s family: 64 writers get indexes without a gap, although others fail or are refused',
  async (family) => {
    await using hook = await catchWebhooks({ authToken: tenant.auth_token })
    const hooks = { preWebhookUrl: hook.url('/pre'), postWebhookUrl: hook.url('/post') }
    await v1()
      .configuration.webhooks()
      .update({ ...hooks, filters: ['onMessageAdd', 'onMessageAdded'] })
    hook.reply(({ path, params }) => (path === '/pre' && params.Body === 'veto' ? { status: 403 } : {}))
    const { path } = await newConversation(family === 'service' ? await newService() : undefined)
    const headers = { 'x-twilio-webhook-enabled': 'true' }
    const answers = (
      await atOnce(writers, async (writer) => {
        const said = async (form: Form, asked = {}) => call('POST', `${path}/Messages`, form, { headers: asked })
        return [
          await said({ Author: `writer ${writer}`, Body: 'first' }),
          await said({ Author: `writer ${writer}` }),
          await said({ Author: `writer ${writer}`, Body: 'veto' }, headers),
          await said({ Author: `writer ${writer}`, Body: 'told' }, headers),
          await said({ Author: 'x'.repeat(257), Body: 'no' }),
          await said({ Author: `writer ${writer}`, Body: 'last' }),
        ]
      })
    ).flat()
    expect(tally(answers)).toEqual({
      '201': 3 * writers,
      '400/50503': writers,
      '400/50310': writers,
      '403/50056': writers,
    })
    const made = answers.filter(({ status }) => status === 201).map(({ body }) => body)
    const stored = await listed(path)
    expect(stored.map(({ index }: { index: number }) => index)).toEqual(upTo(3 * writers))
    expect([...made].sort(bySid)).toEqual([...stored].sort(bySid))
    // Everybody's own messages are in the order in which they were sent.
    for (const writer of upTo(writers)) {
      const own = stored.filter(({ author }: { author: string }) => author === `writer ${writer}`)
      expect(own.map(({ body }: { body: string }) => body)).toEqual(['first', 'told', 'last'])
    }
    // Told once each, in the order of their indexes.
    await settled(tenant)
    const told = hook.requests.filter((caught) => caught.path === '/post').map(({ params }) => Number(params.Index))
    const expected = stored.filter(({ body }: { body: string }) => body === 'told').map(({ index }: { index: number }) => index)
    expect(told).toEqual(expected)
  },
)

test('deleting while others write frees no index', async () => {
  const { path } = await newConversation()
  const answers = await atOnce(writers, async () => {
    const made = await call('POST', `${path}/Messages`, { Body: 'x' })
    const [first, second] = await atOnce(2, () => call('DELETE', `${path}/Messages/${made.body.sid}`))
    return [made, first, second] as Answer[]
  })
  const indexes = answers.map(([made]) => made?.body.index as number)
  expect(indexes.sort((a, b) => a - b)).toEqual(upTo(writers))
  // Of two who delete the same message one does.
  expect(tally(answers.flatMap(([, ...deletions]) => deletions))).toEqual({ '204': writers, '404/20404': writers })
  expect(await listed(path)).toEqual([])
  expect((await call('POST', `${path}/Messages`, { Body: 'x' })).body.index).toBe(writers)
})

test.each(['default', 'service'])(
  '%s family: an identity that is added many times at once joins once and is one user',
  async (family) => {
    const service = family === 'service' ? await newService() : undefined
    const { path } = await newConversation(service)
    const answers = await atOnce(16, () => call('POST', `${path}/Participants`, { Identity: 'alice' }))
    expect(tally(answers)).toEqual({ '201': 1, '409/50433': 15 })
    const joined = answers.find(({ status }) => status === 201)?.body
    expect((await call('GET', `${path}/Participants`)).body.participants).toEqual([joined])
    const root = path.slice(0, path.indexOf('/Conversations'))
    const { users } = (await call('GET', `${root}/Users`)).body
    expect(users.map(({ identity }: { identity: string }) => identity)).toEqual(['alice'])
  },
)

test('an identity that joins many conversations at once is one user, and in each of them', async () => {
  const paths = (await atOnce(16, () => newConversation())).map(({ path }) => path)
  const answers = await Promise.all([
    ...paths.map((path) => call('POST', `${path}/Participants`, { Identity: 'alice' })),
    call('POST', '/v1/Users', { Identity: 'bob' }),
    ...paths.map((path) => call('POST', `${path}/Participants`, { Identity: 'bob' })),
  ])
  const [bob] = answers.splice(16, 1)
  expect(tally(answers)).toEqual({ '201': 32 })
  expect([201, 409]).toContain(bob?.status)
  const { users } = (await call('GET', '/v1/Users')).body
  expect(users.map(({ identity }: { identity: string }) => identity).sort()).toEqual(['alice', 'bob'])
  for (const identity of ['alice', 'bob']) {
    const { conversations } = (await call('GET', `/v1/Users/${identity}/Conversations`)).body
    expect(conversations.length).toBe(16)
  }
})

test('a pair of addresses that is added to many conversations at once lands in one, whichever the service', async () => {
  const services = [undefined, await newService()]
  const places = await atOnce(16, (i) => newConversation(services[i % 2]))
  const pair = { 'MessagingBinding.Address': '+15550000001', 'MessagingBinding.ProxyAddress': '+15559990001' }
  const answers = await Promise.all(places.map(({ path }) => call('POST', `${path}/Participants`, pair)))
  expect(tally(answers)).toEqual({ '201': 1, '409/50416': 15 })
  const winner = answers.find(({ status }) => status === 201)?.body.conversation_sid
  for (const { status, body } of answers) {
    if (status === 201) continue
    expect(body.message).toBe(`A binding for this participant and proxy address already exists in Conversation ${winner}`)
  }
  const members = await Promise.all(places.map(({ path }) => call('GET', `${path}/Participants`)))
  expect(members.flatMap(({ body }) => body.participants).length).toBe(1)
})

test('a pair is handed over: closing and taking at once leave one holder', async () => {
  const [from, ...to] = await atOnce(9, () => newConversation())
  const pair = { 'MessagingBinding.Address': '+15550000001', 'MessagingBinding.ProxyAddress': '+15559990001' }
  await call('POST', `${from?.path}/Participants`, pair)
  const [closed, ...answers] = await Promise.all([
    call('POST', from?.path ?? '', { State: 'closed' }),
    ...to.map(({ path }) => call('POST', `${path}/Participants`, pair)),
  ])
  expect(closed.status).toBe(200)
  const taken = answers.filter(({ status }) => status === 201)
  expect(taken.length).toBeLessThanOrEqual(1)
  expect(tally(answers)).toEqual({ ...(taken.length && { '201': 1 }), '409/50416': to.length - taken.length })
  // Nobody holds it twice, and it did not get lost.
  const next = await newConversation()
  const { status, body } = await call('POST', `${next.path}/Participants`, pair)
  expect([status, body.code]).toEqual(taken.length ? [409, 50416] : [201, undefined])
})

test('the limit of participants with an address holds however many come at once', async () => {
  const { path } = await newConversation()
  const answers = await atOnce(80, (i) =>
    call('POST', `${path}/Participants`, {
      'MessagingBinding.Address': `+1555000${1000 + i}`,
      'MessagingBinding.ProxyAddress': '+15559990001',
    }),
  )
  expect(tally(answers)).toEqual({ '201': 50, '403/50418': 30 })
  expect((await call('GET', `${path}/Participants?PageSize=100`)).body.participants.length).toBe(50)
})

test('closing while messages come: all that were accepted are there, none comes after', async () => {
  for (const _round of upTo(3)) {
    const { path } = await newConversation(undefined, { 'Timers.Inactive': 'PT10M' })
    const enough = Promise.withResolvers<void>()
    const made: { sid: string; index: number }[] = []
    /** Until it is refused. */
    const writer = async (): Promise<Answer> => {
      for (;;) {
        const answer = await call('POST', `${path}/Messages`, { Body: 'x' })
        if (answer.status !== 201) return answer
        if (made.push(answer.body) === 2 * writers) enough.resolve()
      }
    }
    const writing = atOnce(writers, writer)
    await enough.promise
    expect((await call('POST', path, { State: 'closed' })).body).toMatchObject({ state: 'closed', timers: {} })
    const late = await atOnce(writers, () => call('POST', `${path}/Messages`, { Body: 'late' }))
    expect(tally([...(await writing), ...late])).toEqual({ '400/50377': 2 * writers })
    const stored = await listed(path)
    expect([...stored].sort(bySid)).toEqual([...made].sort(bySid))
    expect(stored.map(({ index }: { index: number }) => index)).toEqual(upTo(made.length))
    expect((await call('GET', path)).body).toMatchObject({ state: 'closed', timers: {} })
  }
})

test('waking while messages come: woken once, its deadlines counted from a message', async () => {
  await using hook = await catchWebhooks({ authToken: tenant.auth_token })
  await v1()
    .configuration.webhooks()
    .update({ postWebhookUrl: hook.url(), filters: ['onConversationStateUpdated'] })
  const { path } = await newConversation(undefined, { State: 'inactive', 'Timers.Inactive': 'PT10M' })
  const answers = await atOnce(writers, (i) => call('POST', `${path}/Messages`, { Body: String(i) }))
  expect(tally(answers)).toEqual({ '201': writers })
  const { body } = await call('GET', path)
  const anchors = answers.map((answer) => Date.parse(answer.body.date_created) + 600_000)
  expect(body.state).toBe('active')
  expect(anchors).toContain(Date.parse(body.timers.date_inactive))
  await hook.next(({ params }) => params.StateTo === 'active')
  await settled(tenant)
  expect(hook.requests.length).toBe(1)
})
