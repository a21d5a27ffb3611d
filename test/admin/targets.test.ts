import { expect } from 'vitest'
import type { DeliveryRow } from '../../src/storage/schema.ts'
import { ask } from '../support/admin.ts'
import { testWithRows as test } from '../support/fixtures.ts'
import { enabled, settled } from '../support/hooked.ts'

test('targets are counted over the same time, however many of one status there are', async ({ server, tenant, catcher }) => {
  const { webhooks } = tenant.sdk.conversations.v1.configuration
  await webhooks().update({ postWebhookUrl: catcher.url(), method: 'POST', filters: ['onConversationAdded'] })
  await tenant.sdk.conversations.v1.conversations.create({ ...enabled })
  await settled(tenant)
  const path = `/targets?account_sid=${tenant.account_sid}`
  const [model] = (await server.rows('deliveries')).filter(({ account_sid }) => account_sid === tenant.account_sid)
  const first = await tenant.admin('GET', path)
  expect(first).toEqual({
    date_since: null,
    targets: [
      expect.objectContaining({
        target_sid: tenant.account_sid,
        kind: 'webhook',
        url: catcher.url(),
        ...{ pending: 0, delivered: 1, failed: 0, last_failure: null },
        date_delivered: expect.any(String),
        median_duration_ms: expect.any(Number),
        p95_duration_ms: expect.any(Number),
      }),
    ],
  })
  // Long ago one failed; since then another target has had 2,100 deliveries.
  const target_sid = `WH${'1'.repeat(32)}`
  const at = (i: number): Partial<DeliveryRow> => ({ id: `WD${i.toString(16).padStart(32, '0')}` })
  const attempts = JSON.stringify([{ at: 1000, duration_ms: 5, status: 500, error: null }])
  const rows: DeliveryRow[] = [
    { ...model, ...at(1), status: 'failed', attempts, date_finished: 1000 } as DeliveryRow,
    ...Array.from({ length: 2100 }, (_, i) => ({ ...model, ...at(i + 2), target_sid, attempts }) as DeliveryRow),
  ]
  await Promise.all(rows.map((row) => server.insert('deliveries', row)))
  // Of the account they are few enough to look at all of them; of the installation not.
  expect(await tenant.admin('GET', path)).toMatchObject({
    date_since: null,
    targets: [
      { target_sid: tenant.account_sid, delivered: 1, failed: 1 },
      { target_sid, delivered: 2100, failed: 0 },
    ],
  })
  const { targets, date_since } = await tenant.admin('GET', '/targets')
  expect(date_since).not.toBeNull()
  expect(targets.map((target: { target_sid: string }) => target.target_sid)).toEqual([tenant.account_sid, target_sid])
  expect(targets[0]).toMatchObject({ delivered: 1, failed: 0 })
  expect(targets[0].last_failure).toMatchObject({ delivery_id: rows[0]?.id, status: 500, error: null })
  expect(targets[1]).toMatchObject({ failed: 0, median_duration_ms: 5 })
  expect(targets[1].delivered).toBeLessThanOrEqual(2000)
  expect(await tenant.admin('GET', `/targets?account_sid=AC${'0'.repeat(32)}`)).toMatchObject({ targets: [] })
  // However many deliveries others have had since, an account sees its own.
  const other = await tenant.admin('POST', '/accounts', { friendly_name: 'Busy' })
  const theirs = { account_sid: other.sid, service_sid: other.default_chat_service_sid, target_sid: other.sid }
  const busy = Array.from({ length: 2100 }, (_, i) => ({
    ...model,
    ...at(i + 3000),
    ...theirs,
    id: `WDf${`${i}`.padStart(31, '0')}`,
  }))
  await Promise.all(busy.map((row) => server.insert('deliveries', row as DeliveryRow)))
  const again = await tenant.admin('GET', path)
  expect(again.targets.find((one: { target_sid: string }) => one.target_sid === tenant.account_sid)).toMatchObject({
    delivered: 1,
  })
  expect((await tenant.admin('GET', `/targets?account_sid=${other.sid}`)).targets).toMatchObject([{ target_sid: other.sid }])
  // Of more than 3,000 the latest are counted, and the last failure is found although it is older.
  const more = Array.from({ length: 1000 }, (_, i) => ({ ...model, ...at(i + 10_000), target_sid, attempts }) as DeliveryRow)
  await Promise.all(more.map((row) => server.insert('deliveries', row)))
  const latest = await tenant.admin('GET', path)
  expect(latest.date_since).not.toBeNull()
  expect(latest.targets).toMatchObject([
    { target_sid: tenant.account_sid, delivered: 1, failed: 0, last_failure: { delivery_id: rows[0]?.id } },
    { target_sid, delivered: 2999, failed: 0, median_duration_ms: 5 },
  ])
})

test('a test event is signed, marked and recorded like any event, whatever the filters are', async ({ tenant, catcher }) => {
  const { sdk, admin, account_sid } = tenant
  const v1 = sdk.conversations.v1
  const service = (await v1.configuration().fetch()).defaultChatServiceSid
  const conversation = await v1.conversations.create()
  const scoped = await v1.conversations(conversation.sid).webhooks.create({
    target: 'webhook',
    'configuration.url': catcher.url('/scoped'),
    'configuration.filters': ['onMessageAdded'],
  })
  await v1.configuration.webhooks().update({ postWebhookUrl: catcher.url('/account'), method: 'GET', filters: [] })
  await v1
    .services(service)
    .configuration.webhooks()
    .update({ postWebhookUrl: catcher.url('/service'), method: 'POST' })
  const [ofAccount, ofService, ofConversation] = [
    await admin('POST', `/targets/${account_sid}/test`),
    await admin('POST', `/targets/${service}/test`, {}),
    await admin('POST', `/targets/${scoped.sid}/test`, { conversation_sid: conversation.sid }),
  ]
  expect(ofConversation).toMatchObject({ kind: 'webhook', target_sid: scoped.sid, event_type: 'onTestEvent', status: 'pending' })
  await settled(tenant)
  for (const { id } of [ofAccount, ofService, ofConversation]) {
    expect(await admin('GET', `/deliveries/${id}`)).toMatchObject({
      status: 'delivered',
      attempts: [{ status: 200, error: null }],
    })
  }
  // The catcher refuses what is not signed with the token of the account.
  const shown = catcher.requests.map(({ method, path, params }) => ({ method, path, params }))
  const common = {
    EventType: 'onTestEvent',
    AccountSid: account_sid,
    ChatServiceSid: service,
    Test: 'true',
    RetryCount: '0',
    DateCreated: expect.any(String),
  }
  expect(shown).toHaveLength(3)
  expect(shown).toEqual(
    expect.arrayContaining([
      { method: 'GET', path: expect.stringMatching(/\/account/), params: common },
      { method: 'POST', path: expect.stringMatching(/\/service/), params: common },
      {
        method: 'POST',
        path: expect.stringMatching(/\/scoped/),
        params: {
          ...common,
          ConversationSid: conversation.sid,
          WebhookSid: scoped.sid,
          WebhookType: 'webhook',
        },
      },
    ]),
  )
  const { targets } = await admin('GET', `/targets?account_sid=${account_sid}`)
  expect(targets.find((one: { target_sid: string }) => one.target_sid === scoped.sid).conversation_sid).toBe(conversation.sid)
})

test('a test event needs a webhook with a URL', async ({ server, tenant }) => {
  const { account_sid, sdk } = tenant
  const conversation = await sdk.conversations.v1.conversations.create()
  const [none, nobody] = [`WH${'0'.repeat(32)}`, `AC${'0'.repeat(32)}`]
  const refused = async (sid: string, body?: object | string) => {
    const answer = await ask(server, 'POST', `/targets/${sid}/test`, body)
    return [answer.status, answer.body.error]
  }
  expect(await refused(account_sid)).toEqual([409, 'it has no post-action URL: nothing is sent there'])
  expect(await refused(nobody)).toEqual([404, `${nobody} was not found`])
  expect(await refused(`IS${'0'.repeat(32)}`)).toEqual([404, `IS${'0'.repeat(32)} was not found`])
  expect(await refused(none)).toEqual([400, 'a webhook of a conversation needs conversation_sid'])
  expect(await refused(none, { conversation_sid: conversation.sid })).toEqual([404, `${none} was not found`])
  expect((await refused(none, { conversation_sid: 'CH%00\u0000' }))[0]).toBe(400)
  expect((await refused(none, { conversation_sid: `CH${'0'.repeat(32)}` }))[0]).toBe(404)
  expect((await refused(account_sid, { conversation_sid: conversation.sid }))[0]).toBe(400)
  for (const sid of ['CR0', `CR${'0'.repeat(32)}`, '%F0%9F%92%A9', `${account_sid}%20`])
    expect((await refused(sid))[0], sid).toBe(400)
  for (const body of [[], '7', { conversation_sid: 7 }, { extra: 1 }, { conversation_sid: 'x'.repeat(300) }]) {
    expect((await refused(account_sid, body))[0], JSON.stringify(body)).toBe(400)
  }
  await sdk.conversations.v1.configuration.webhooks().update({ postWebhookUrl: 'http://127.0.0.1:9/', target: 'flex' })
  expect((await refused(account_sid))[0]).toBe(409)
})
