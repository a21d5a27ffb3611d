import { expect } from 'vitest'
import { ask } from '../support/admin.ts'
import { test } from '../support/fixtures.ts'

interface Summary {
  readonly sid: string
  readonly state: string
  readonly friendly_name: string | null
  readonly unique_name: string | null
  readonly date_activity: string
  readonly messages: number
}

interface Page {
  readonly conversations: readonly Summary[]
  readonly next_before: string | null
}

test('every filter finds what it names, in its order, whatever the size of a page', async ({ tenant }) => {
  const v1 = tenant.sdk.conversations.v1
  const service_sid = (await v1.configuration().fetch()).defaultChatServiceSid
  for (let i = 0; i < 24; i++) {
    const { sid } = await v1.conversations.create({
      friendlyName: i % 3 === 0 ? `Order ${i} of ÄNNE` : `Case ${i}`,
      ...(i % 4 === 0 && { uniqueName: `order-${i}` }),
      'timers.inactive': i % 6 === 0 ? 'PT1M' : 'PT2H',
    })
    if (i % 2 === 0) await v1.conversations(sid).participants.create({ identity: 'ann' })
    if (i % 5 === 0) {
      for (const proxy of ['+15557654321', '+15557654322']) {
        const binding = { 'messagingBinding.address': '+15551234567', 'messagingBinding.proxyAddress': proxy }
        // A pair of addresses is in one open conversation.
        await v1.conversations(sid).participants.create(binding)
      }
      await v1.conversations(sid).update({ state: 'closed' })
    }
    if (i === 7) await v1.conversations(sid).messages.create({ body: 'Hello' })
  }
  await tenant.advance('PT5M')
  const all: Summary[] = (await tenant.admin('GET', `/conversations?service_sid=${service_sid}&limit=100`)).conversations
  expect(all).toHaveLength(24)
  expect(all.map(({ date_activity }) => date_activity)).toEqual(
    all
      .map(({ date_activity }) => date_activity)
      .sort()
      .reverse(),
  )
  expect(all.filter(({ messages }) => messages === 1)).toHaveLength(1)
  const number = ({ friendly_name }: Summary) => Number(/\d+/.exec(friendly_name ?? '')?.[0])
  const middle = all[12]?.date_activity ?? ''
  const created = all.toSorted((a, b) => (a.sid < b.sid ? 1 : -1))
  const cases: [string, readonly Summary[], (one: Summary) => boolean][] = [
    ['', all, () => true],
    ['&state=closed', all, (one) => number(one) % 5 === 0],
    ['&state=inactive', all, (one) => number(one) % 6 === 0 && number(one) % 5 !== 0],
    ['&name=%C3%A4nne', all, (one) => number(one) % 3 === 0],
    ['&name=ORDER-', all, ({ unique_name }) => unique_name !== null],
    ['&name=nobody', all, () => false],
    ['&name=case&state=closed', all, (one) => number(one) % 5 === 0 && number(one) % 3 !== 0],
    [`&from=${middle}`, all, (one) => one.date_activity >= middle],
    [`&to=${middle}`, all, (one) => one.date_activity <= middle],
    [`&from=${middle}&to=${middle}`, all, (one) => one.date_activity === middle],
    ['&identity=ann', created, (one) => number(one) % 2 === 0],
    ['&identity=ann&state=closed', created, (one) => number(one) % 10 === 0],
    [`&identity=ann&to=${middle}`, created, (one) => number(one) % 2 === 0 && one.date_activity <= middle],
    ['&identity=nobody', created, () => false],
    ['&address=%2B15551234567', created, (one) => number(one) % 5 === 0],
  ]
  for (const [query, order, wanted] of cases) {
    for (const limit of [1, 4, 100]) {
      const found: string[] = []
      for (let before: string | null = ''; before !== null; ) {
        const path = `/conversations?service_sid=${service_sid}&limit=${limit}${query}${before && `&before=${before}`}`
        const page: Page = (await ask(tenant, 'GET', path)).body
        expect(page.conversations.length).toBeLessThanOrEqual(limit)
        found.push(...page.conversations.map(({ sid }) => sid))
        before = page.next_before
      }
      expect(found, `${query} by ${limit}`).toEqual(order.filter(wanted).map(({ sid }) => sid))
    }
  }
})

test('what cannot be looked for is refused with a reason', async ({ tenant }) => {
  const service_sid = (await tenant.sdk.conversations.v1.configuration().fetch()).defaultChatServiceSid
  const sid = `CH${'0'.repeat(32)}`
  const bad = [
    'state=open',
    'name=',
    `name=${'x'.repeat(257)}`,
    'name=%00',
    'from=soon',
    'to=2030-13-01',
    'limit=0',
    'limit=101',
    'limit=x',
    `before=${sid}`,
    `before=7.${sid}x`,
    'before=%27',
    `identity=ann&before=7.${sid}`,
    'identity=ann&address=%2B15551234567',
    'colour=red',
  ]
  for (const query of bad) {
    const { status, body } = await ask(tenant, 'GET', `/conversations?service_sid=${service_sid}&${query}`)
    expect([status, typeof body.error], query).toEqual([400, 'string'])
  }
  expect((await ask(tenant, 'GET', '/conversations')).status).toBe(400)
  for (const other of [`IS${'0'.repeat(32)}`, 'IS0', '%27']) {
    expect((await ask(tenant, 'GET', `/conversations?service_sid=${other}`)).status).toBe(404)
  }
})

test('the server says what it is, where a SID belongs and which timers are due next', async ({ server, tenant }) => {
  const v1 = tenant.sdk.conversations.v1
  const { defaultChatServiceSid } = await v1.configuration().fetch()
  const { sid } = await v1.conversations.create({ friendlyName: 'Due', 'timers.inactive': 'PT1M', 'timers.closed': 'PT1H' })
  const info = (await ask(tenant, 'GET', '/server')).body
  expect(info).toMatchObject({ first_account_sid: server.account_sid, test_clock: true, test_mode: false })
  const { account_sid } = tenant
  const place = { account_sid, service_sid: defaultChatServiceSid, conversation_sid: null }
  expect((await ask(tenant, 'GET', `/sids/${sid}`)).body).toEqual({ ...place, kind: 'conversation', conversation_sid: sid })
  expect((await ask(tenant, 'GET', `/sids/${defaultChatServiceSid}`)).body).toEqual({ ...place, kind: 'service' })
  expect((await ask(tenant, 'GET', `/sids/${account_sid}`)).body).toEqual({ ...place, kind: 'account' })
  for (const none of [`CH${'0'.repeat(32)}`, `IS${'0'.repeat(32)}`, `IM${'0'.repeat(32)}`, 'x', '%00', '%27']) {
    expect([400, 404]).toContain((await ask(tenant, 'GET', `/sids/${none}`)).status)
  }
  const timerOf = async (query: string) => {
    const { timers } = (await ask(tenant, 'GET', `/timers?${query}`)).body
    return timers.find(({ conversation_sid }: { conversation_sid: string }) => conversation_sid === sid)
  }
  expect(await timerOf('limit=200')).toMatchObject({ state: 'active', next_state: 'inactive', friendly_name: 'Due' })
  expect(await timerOf('until=2001-01-01')).toBeUndefined()
  await tenant.advance('PT2M')
  expect(await timerOf('limit=200')).toMatchObject({ state: 'inactive', next_state: 'closed' })
  for (const query of ['until=soon', 'limit=0', 'limit=201', 'x=1']) {
    expect((await ask(tenant, 'GET', `/timers?${query}`)).status, query).toBe(400)
  }
})
