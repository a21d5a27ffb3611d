import { pino } from 'pino'
import { afterEach, beforeEach, describe, expect, vi } from 'vitest'
import { readConfig } from '../../src/config.ts'
import { openInstallation } from '../../src/installation/open.ts'
import { newDatabase, type TestDatabase } from '../support/databases.ts'
import { test } from '../support/fixtures.ts'
import { all_events, enabled, isEvent, log, settled } from '../support/hooked.ts'
import { persistent } from '../support/persistent.ts'
import { adminToken, auth_token, startServer } from '../support/server.ts'
import type { Tenant } from '../support/tenant.ts'
import { type Caught, catchWebhooks } from '../support/webhook-catcher.ts'

const minuteMs = 60_000

async function listen({ sdk }: Tenant, postWebhookUrl: string): Promise<void> {
  await sdk.conversations.v1.configuration.webhooks().update({ postWebhookUrl, filters: all_events })
}

/** `active→inactive` for each change of state that was told, once nothing is waiting any more. */
async function transitions(tenant: Tenant, requests: readonly Caught[]): Promise<string[]> {
  await settled(tenant)
  return requests.filter(isEvent('onConversationStateUpdated')).map(({ params }) => `${params.StateFrom}→${params.StateTo}`)
}

async function state({ sdk }: Tenant, sid: string): Promise<string> {
  return (await sdk.conversations.v1.conversations(sid).fetch()).state
}

/** A request to the clock with whatever token and body; any answer is fine. */
async function clock({ url }: Tenant, body?: string, token: string | null = adminToken) {
  const answer = await fetch(`${url}/admin/v1/clock`, {
    method: body === undefined ? 'GET' : 'POST',
    headers: { ...(token && { authorization: `Bearer ${token}` }), ...(body && { 'content-type': 'application/json' }) },
    ...(body !== undefined && { body }),
  })
  return { status: answer.status, body: (await answer.json()) as { now?: string; offset_ms?: number; error?: string } }
}

describe('the test clock', () => {
  // The machine's time stands still, so that the clock moves by what it is told to and nothing else.
  beforeEach(() => void vi.useFakeTimers({ toFake: ['Date'] }))
  afterEach(() => void vi.useRealTimers())

  async function standing(tenant: Tenant): Promise<{ now: string; offset_ms: number }> {
    return (await clock(tenant)).body as { now: string; offset_ms: number }
  }

  test('advances by a duration and says where it stands', async ({ tenant }) => {
    const before = await standing(tenant)
    const { status, body } = await clock(tenant, '{"advance":"P1DT2H"}')
    expect(status).toBe(200)
    expect(body.offset_ms).toBe(before.offset_ms + 26 * 60 * minuteMs)
    expect(Date.parse(body.now ?? '')).toBe(Date.parse(before.now) + 26 * 60 * minuteMs)
    expect((await clock(tenant)).body.offset_ms).toBe(body.offset_ms)
  })

  test('is set to an instant, which new rows then carry', async ({ tenant }) => {
    const { body } = await clock(tenant, '{"now":"2040-02-29T12:00:00Z"}')
    expect(body.now).toMatch(/^2040-02-29T12:00:/)
    const { dateCreated } = await tenant.sdk.conversations.v1.conversations.create({})
    expect(dateCreated.toISOString()).toMatch(/^2040-02-29T12:0/)
  })

  test('refuses with a reason what is no move, and stays', async ({ tenant }) => {
    const before = await standing(tenant)
    const nonsense = [
      '{"advance":"an hour"}',
      '{"advance":""}',
      '{"advance":"-PT1M"}',
      '{"advance":"PT-1M"}',
      '{"now":"tomorrow"}',
      '{"now":""}',
      '{"now":"2040-02-30T00:00:00Z"}',
      '{"now":"+010000-01-01T00:00:00Z"}',
      '{"advance":"P9000Y"}',
      '{"advance":"P999999999Y"}',
      '{"advance":null}',
      '{"advance":"PT1M","now":"2040-01-01T00:00:00Z"}',
      '{"forward":"PT1M"}',
      '{}',
      '[]',
      '"PT1M"',
      '{"advance":',
    ]
    for (const body of nonsense) {
      const answer = await clock(tenant, body)
      expect([body, answer]).toEqual([body, { status: 400, body: { error: expect.stringMatching(/\w+/) } }])
    }
    expect(await standing(tenant)).toEqual(before)
  })

  test('does not go back', async ({ tenant }) => {
    const { body: there } = await clock(tenant, '{"now":"2041-01-01T00:00:00Z"}')
    const back = await clock(tenant, '{"now":"2040-12-31T23:59:00Z"}')
    expect(back).toMatchObject({ status: 400, body: { error: 'the clock can only be moved forward' } })
    expect((await clock(tenant)).body.offset_ms).toBe(there.offset_ms)
  })

  test('moves for the operator only', async ({ tenant }) => {
    const before = await standing(tenant)
    for (const token of [null, 'wrong', `${adminToken}x`, auth_token]) {
      const refusal = { status: 401, body: { error: 'the operator token is missing or wrong' } }
      expect(await clock(tenant, '{"advance":"PT1H"}', token)).toEqual(refusal)
      expect(await clock(tenant, undefined, token)).toEqual(refusal)
    }
    expect(await standing(tenant)).toEqual(before)
  })

  test('is not there unless it is switched on', async () => {
    await using server = await startServer({ testClock: false })
    expect((await clock(server, '{"advance":"PT1H"}')).status).toBe(404)
    expect((await clock(server)).status).toBe(404)
  })

  test('is kept over a restart', async () => {
    await using database = await newDatabase()
    const first = await startServer(database.config)
    const { body: before } = await clock(first, '{"advance":"P10D"}')
    await first.stop()
    await using second = await startServer(database.config)
    expect((await clock(second)).body.offset_ms).toBe(before.offset_ms)
  })

  test('moves at once add up', async ({ tenant }) => {
    const before = await standing(tenant)
    const moves = await Promise.all(Array.from({ length: 5 }, () => clock(tenant, '{"advance":"PT1H"}')))
    expect(moves.map(({ status }) => status)).toEqual([200, 200, 200, 200, 200])
    expect((await standing(tenant)).offset_ms).toBe(before.offset_ms + 5 * 60 * minuteMs)
  })
})

describe('deadlines', () => {
  test('one advance steps through all of them, in order', async ({ tenant, catcher }) => {
    await listen(tenant, catcher.url())
    const conversations = tenant.sdk.conversations.v1.conversations
    const early = await conversations.create({ 'timers.inactive': 'PT2M', 'timers.closed': 'PT10M' })
    const late = await conversations.create({ 'timers.inactive': 'PT5M', 'timers.closed': 'PT20M' })
    await tenant.advance('PT1H')
    expect(await transitions(tenant, catcher.requests)).toHaveLength(4)
    const steps = catcher.requests
      .map(({ params }) => ({ sid: params.ConversationSid, to: params.StateTo, at: Date.parse(params.StateUpdated ?? '') }))
      .sort((a, b) => a.at - b.at)
    expect(steps.map(({ sid, to }) => [sid, to])).toEqual([
      [early.sid, 'inactive'],
      [late.sid, 'inactive'],
      [early.sid, 'closed'],
      [late.sid, 'closed'],
    ])
    const [first, second, third, fourth] = steps.map(({ at }) => at)
    // From one anchor each, to the millisecond.
    expect((third ?? 0) - (first ?? 0)).toBe(8 * minuteMs)
    expect((fourth ?? 0) - (second ?? 0)).toBe(15 * minuteMs)
    expect(await log(tenant)).toHaveLength(4)
  })

  test('a deadline is applied when it has come and not a moment before', async ({ tenant, catcher }) => {
    await listen(tenant, catcher.url())
    const conversations = tenant.sdk.conversations.v1.conversations
    const { sid } = await conversations.create({ 'timers.inactive': 'PT1H', ...enabled })
    const made = Date.parse((await catcher.next()).params.DateCreated ?? '')
    const due = made + 60 * minuteMs
    await tenant.admin('POST', '/clock', { now: new Date(due - 30_000).toISOString() })
    expect(await state(tenant, sid)).toBe('active')
    expect(await log(tenant)).toHaveLength(1)
    await tenant.admin('POST', '/clock', { now: new Date(due).toISOString() })
    expect(await state(tenant, sid)).toBe('inactive')
    expect((await catcher.next()).params.StateUpdated).toBe(new Date(due).toISOString())
  })

  test('a closed timer alone closes straight from active', async ({ tenant, catcher }) => {
    await listen(tenant, catcher.url())
    const conversations = tenant.sdk.conversations.v1.conversations
    const { sid } = await conversations.create({ 'timers.closed': 'PT10M' })
    await tenant.advance('PT10M')
    expect(await state(tenant, sid)).toBe('closed')
    expect(await transitions(tenant, catcher.requests)).toEqual(['active→closed'])
  })

  test('a closed timer before the inactive one wins, and the inactive one never fires', async ({ tenant, catcher }) => {
    await listen(tenant, catcher.url())
    await tenant.sdk.conversations.v1.conversations.create({ 'timers.inactive': 'PT30M', 'timers.closed': 'PT10M' })
    await tenant.advance('P1D')
    expect(await transitions(tenant, catcher.requests)).toEqual(['active→closed'])
  })

  test('both overdue after a downtime: one change, straight to closed, told once', async () => {
    await using database = await newDatabase()
    await using catcher = await catchWebhooks({ authToken: auth_token })
    const first = await startServer(database.config)
    await listen(first, catcher.url())
    const conversations = first.sdk.conversations.v1.conversations
    const { sid } = await conversations.create({ 'timers.inactive': 'PT1M', 'timers.closed': 'PT10M' })
    await first.stop()
    await sleepFor(database, 60 * minuteMs)

    await using second = await startServer(database.config)
    const { params } = await catcher.next()
    expect(params).toMatchObject({ ConversationSid: sid, StateFrom: 'active', StateTo: 'closed', Reason: 'TIMER' })
    await second.advance('P1D')
    expect(await transitions(second, catcher.requests)).toEqual(['active→closed'])
    expect(await second.sdk.conversations.v1.conversations(sid).fetch()).toMatchObject({ state: 'closed', timers: {} })
  })

  test('an update after the deadline meets the state that the deadline has led to', async () => {
    await using database = await newDatabase()
    await using catcher = await catchWebhooks({ authToken: auth_token })
    const first = await startServer(database.config)
    await listen(first, catcher.url())
    const { sid } = await first.sdk.conversations.v1.conversations.create({ 'timers.closed': 'PT10M' })
    await first.stop()
    await sleepFor(database, 60 * minuteMs)

    await using second = await startServer(database.config)
    const update = second.sdk.conversations.v1.conversations(sid).update({ friendlyName: 'too late', ...enabled })
    await expect(update).rejects.toMatchObject({ status: 400, code: 50377 })
    // The refusal does not wait for the sweep, which emits the event.
    await catcher.next()
    expect(await transitions(second, catcher.requests)).toEqual(['active→closed'])
    expect(catcher.requests).toHaveLength(1)
  })

  test('back to active counts both anew from that moment', async ({ tenant, catcher }) => {
    await listen(tenant, catcher.url())
    const conversations = tenant.sdk.conversations.v1.conversations
    const { sid } = await conversations.create({ 'timers.inactive': 'PT10M', 'timers.closed': 'PT30M' })
    await tenant.advance('PT10M')
    expect(await state(tenant, sid)).toBe('inactive')
    await tenant.advance('PT10M')
    const { timers, dateUpdated } = await conversations(sid).update({ state: 'active' })
    expect(inMinutes(timers, dateUpdated)).toEqual({ date_inactive: 10, date_closed: 30 })
    // The old closed deadline passes without effect.
    await tenant.advance('PT9M')
    expect(await state(tenant, sid)).toBe('active')
    await tenant.advance('PT1M')
    expect(await state(tenant, sid)).toBe('inactive')
    await tenant.advance('PT19M')
    expect(await state(tenant, sid)).toBe('inactive')
    await tenant.advance('PT1M')
    expect(await transitions(tenant, catcher.requests)).toEqual(['active→inactive', 'active→inactive', 'inactive→closed'])
  })

  test('a conversation with participants becomes active at once, though nobody moves the clock', async ({ tenant, catcher }) => {
    await listen(tenant, catcher.url())
    vi.useFakeTimers({ toFake: ['Date'] })
    try {
      const { conversations, conversationWithParticipants } = tenant.sdk.conversations.v1
      const made = await conversationWithParticipants.create({
        participant: ['{"identity":"alice"}'],
        'timers.inactive': 'PT10M',
        ...enabled,
      })
      expect(made.state).toBe('initializing')
      const { params } = await catcher.next(isEvent('onConversationStateUpdated'))
      expect(params).toMatchObject({ ConversationSid: made.sid, Reason: 'EVENT', StateUpdated: expect.any(String) })
      const started = await conversations(made.sid).fetch()
      expect(started).toMatchObject({ state: 'active', timers: made.timers })
      await conversations(made.sid).messages.create({ body: 'Hi' })
      await tenant.advance('PT10M')
      expect(await transitions(tenant, catcher.requests)).toEqual(['initializing→active', 'active→inactive'])
    } finally {
      vi.useRealTimers()
    }
  })

  test('inactive by the caller counts the closed deadline anew', async ({ tenant, catcher }) => {
    await listen(tenant, catcher.url())
    const conversations = tenant.sdk.conversations.v1.conversations
    const { sid } = await conversations.create({ 'timers.inactive': 'PT10M', 'timers.closed': 'PT30M' })
    await tenant.advance('PT5M')
    const parked = await conversations(sid).update({ state: 'inactive' })
    expect(inMinutes(parked.timers, parked.dateUpdated)).toEqual({ date_closed: 30 })
    await tenant.advance('PT29M')
    expect(await state(tenant, sid)).toBe('inactive')
    await tenant.advance('PT1M')
    expect(await transitions(tenant, catcher.requests)).toEqual(['inactive→closed'])
  })

  test('a change of a timer counts anew, and a timer that is unset never fires', async ({ tenant, catcher }) => {
    await listen(tenant, catcher.url())
    const conversations = tenant.sdk.conversations.v1.conversations
    const { sid } = await conversations.create({ 'timers.inactive': 'PT10M', 'timers.closed': 'PT30M' })
    await tenant.advance('PT9M')
    const later = await conversations(sid).update({ 'timers.inactive': 'PT20M' })
    expect(inMinutes(later.timers, later.dateUpdated)).toEqual({ date_inactive: 20, date_closed: 30 })
    await tenant.advance('PT19M')
    expect(await state(tenant, sid)).toBe('active')
    const unset = await conversations(sid).update({ 'timers.closed': 'PT0S', 'timers.inactive': '' })
    expect(unset.timers).toEqual({})
    await tenant.advance('P30D')
    expect(await state(tenant, sid)).toBe('active')
    expect(await transitions(tenant, catcher.requests)).toEqual([])
  })

  test('other changes leave the deadlines alone', async ({ tenant, catcher }) => {
    await listen(tenant, catcher.url())
    const conversations = tenant.sdk.conversations.v1.conversations
    const { sid, timers } = await conversations.create({ 'timers.inactive': 'PT10M' })
    await tenant.advance('PT9M')
    const changed = await conversations(sid).update({ friendlyName: 'New', attributes: '{"a":1}', uniqueName: 'n' })
    expect(changed.timers).toEqual(timers)
    await tenant.advance('PT1M')
    expect(await transitions(tenant, catcher.requests)).toEqual(['active→inactive'])
  })

  test('a deleted conversation has no deadlines', async ({ tenant, catcher }) => {
    await listen(tenant, catcher.url())
    const conversations = tenant.sdk.conversations.v1.conversations
    const { sid } = await conversations.create({ 'timers.inactive': 'PT10M', 'timers.closed': 'PT30M' })
    await conversations(sid).remove()
    await tenant.advance('P1D')
    expect(await transitions(tenant, catcher.requests)).toEqual([])
  })

  test('those of a deleted service do nothing and hold up nobody', async ({ tenant, catcher }) => {
    await listen(tenant, catcher.url())
    const { v1 } = tenant.sdk.conversations
    const service = await v1.services.create({ friendlyName: 'Gone' })
    await v1.services(service.sid).conversations.create({ 'timers.inactive': 'PT1M' })
    const { sid } = await v1.conversations.create({ 'timers.inactive': 'PT2M' })
    await v1.services(service.sid).remove()
    await tenant.advance('PT5M')
    expect(await transitions(tenant, catcher.requests)).toEqual(['active→inactive'])
    expect(catcher.requests[0]?.params.ConversationSid).toBe(sid)
  })

  test('1200 due at once: each changes once and is told once, although requests and moves come at the same time', async ({
    tenant,
    catcher,
  }) => {
    await listen(tenant, catcher.url())
    const call = persistent(tenant)
    const create = async () => (await call('POST', '/v1/Conversations', { 'Timers.Closed': 'PT10M' })).body.sid as string
    const sids = (await Promise.all(Array.from({ length: 1200 }, create))).sort()
    const reads = Array.from({ length: 50 }, (_, i) => state(tenant, sids[i * 20] ?? ''))
    await Promise.all([tenant.advance('PT10M'), tenant.advance('PT1M'), ...reads])
    await settled(tenant)
    expect(catcher.requests.map(({ params }) => params.ConversationSid).sort()).toEqual(sids)
    expect(new Set(catcher.requests.map(({ params }) => `${params.StateFrom}→${params.StateTo}`))).toEqual(
      new Set(['active→closed']),
    )
    const open = await tenant.sdk.conversations.v1.conversations.list({ state: 'active' })
    expect(open).toEqual([])
    expect(await tenant.sdk.conversations.v1.conversations.list({ state: 'closed' })).toHaveLength(1200)
  })
})

/** What a tenant would find had it been down for so long. */
async function sleepFor(place: TestDatabase, duration_ms: number): Promise<void> {
  const config = { ...readConfig({ PARLEY_TEST_CLOCK: 'true' }), ...place.config, auth_token, adminToken }
  const { database } = await openInstallation(config, { log: pino({ level: 'silent' }) })
  await database.write('setFact', { name: 'clock_offset_ms', value: String(duration_ms) })
  await database.close()
}

function inMinutes(timers: unknown, from: Date): Record<string, number> {
  const dates = Object.entries(timers as Record<string, string>)
  return Object.fromEntries(dates.map(([name, at]) => [name, (Date.parse(at) - from.getTime()) / minuteMs]))
}
