import { expect } from 'vitest'
import type { DeliveryRow } from '../../src/storage/schema.ts'
import { testWithRows as test } from '../support/fixtures.ts'
import { enabled, settled } from '../support/hooked.ts'

interface LogPage {
  readonly deliveries: readonly { readonly id: string; readonly status: string }[]
  readonly next_before: string | null
}

test('pages of the log have every delivery once, whatever the filters and the sizes', async ({ server, tenant, catcher }) => {
  await tenant.sdk.conversations.v1.configuration
    .webhooks()
    .update({ postWebhookUrl: catcher.url(), method: 'POST', filters: ['onConversationAdded'] })
  const { sid } = await tenant.sdk.conversations.v1.conversations.create({ ...enabled })
  await settled(tenant)
  const [model] = (await server.rows('deliveries')) as [DeliveryRow]
  const made = Array.from({ length: 1500 }, (_, i): DeliveryRow => {
    // Few have failed, all of them long ago but for one; one in a hundred is large.
    const status = i < 150 || i === 1400 ? 'failed' : 'delivered'
    const form = i % 100 === 0 ? JSON.stringify({ Body: 'x'.repeat(300_000) }) : model.form
    const event_type = i % 3 === 0 ? 'onMessageAdded' : model.event_type
    const target_sid = i < 20 ? `WH${'0'.repeat(32)}` : model.target_sid
    return {
      ...model,
      event_type,
      target_sid,
      id: `WD${i.toString(16).padStart(32, '0')}`,
      status,
      form,
      subject_sid: i % 2 === 0 ? sid : `${sid}x`,
    }
  })
  for (const row of made) await server.insert('deliveries', row)
  const ids = [...made.map(({ id }) => id), model.id].toReversed()
  const of = (wanted: (row: DeliveryRow) => boolean) => ids.filter((id) => wanted(made.find((row) => row.id === id) ?? model))
  const cases: [string, (row: DeliveryRow) => boolean][] = [
    ['', () => true],
    ['&status=failed', ({ status }) => status === 'failed'],
    ['&status=pending', ({ status }) => status === 'pending'],
    [`&service_sid=${model.service_sid}`, () => true],
    [`&service_sid=${model.service_sid}&status=failed`, ({ status }) => status === 'failed'],
    [`&conversation_sid=${sid}`, ({ subject_sid }) => subject_sid === sid],
    [`&conversation_sid=${sid}&status=failed`, ({ subject_sid, status }) => subject_sid === sid && status === 'failed'],
    [`&service_sid=${model.service_sid}&status=delivered`, ({ status }) => status === 'delivered'],
    [`&service_sid=${model.service_sid}&event_type=onMessageAdded`, ({ event_type }) => event_type === 'onMessageAdded'],
    [
      `&conversation_sid=${sid}&target_sid=WH${'0'.repeat(32)}&status=failed`,
      ({ subject_sid, target_sid }) => subject_sid === sid && target_sid !== model.target_sid,
    ],
    [`&service_sid=${model.service_sid}&event_type=none`, () => false],
  ]
  for (const [query, wanted] of cases) {
    for (const limit of [70, 1000]) {
      const found: string[] = []
      for (let before: string | null = ''; before !== null; ) {
        const path = `/deliveries?limit=${limit}${query}${before && `&before=${before}`}`
        const page: LogPage = await tenant.admin('GET', path)
        expect(JSON.stringify(page).length).toBeLessThan(1_700_000)
        found.push(...page.deliveries.map(({ id }) => id))
        before = page.next_before
      }
      expect(found, `${query} by ${limit}`).toEqual(of(wanted))
    }
  }
})

test('what has failed is sent again in batches, in its order, and of each event only the last delivery', async ({
  server,
  tenant,
  catcher,
}) => {
  const v1 = tenant.sdk.conversations.v1
  const since = new Date(server.clock.now() - 1000).toISOString()
  const again = async (choice: object = {}): Promise<number[]> => {
    const counts: number[] = []
    for (let place: object | null = {}; place !== null; ) {
      const made = await tenant.admin('POST', '/deliveries/redeliver', { since, service_sid, limit: 3, ...choice, ...place })
      counts.push(made.redelivered)
      place = made.next_after === null ? null : { until: made.until, after: made.next_after }
    }
    await settled(tenant)
    return counts
  }
  // A 4xx fails at once.
  catcher.reply(() => ({ status: 400 }))
  const filters = ['onConversationAdded', 'onMessageAdded']
  await v1.configuration.webhooks().update({ postWebhookUrl: catcher.url(), filters })
  const { sid, chatServiceSid: service_sid } = await v1.conversations.create({ friendlyName: 'Room', ...enabled })
  for (const body of ['one', 'two', 'three']) await v1.conversations(sid).messages.create({ body, ...enabled })
  await settled(tenant)
  const told = () => catcher.requests.splice(0).map(({ params }) => params.Body ?? params.FriendlyName)
  expect(told()).toEqual(['Room', 'one', 'two', 'three'])
  expect(await again()).toEqual([3, 1])
  expect(told()).toEqual(['Room', 'one', 'two', 'three'])
  expect((await again({ event_type: 'onMessageAdded', kind: 'webhook', conversation_sid: sid })).reduce((a, b) => a + b)).toBe(3)
  expect(told()).toEqual(['one', 'two', 'three'])
  for (const choice of [
    { kind: 'message' },
    { target_sid: sid },
    { conversation_sid: `CH${'0'.repeat(32)}` },
    { until: since },
  ]) {
    expect(await again(choice), JSON.stringify(choice)).toEqual([0])
  }
  expect(await again({ since: new Date(server.clock.now() + 60_000).toISOString() })).toEqual([0])
  catcher.reply(() => ({ status: 200 }))
  expect((await again()).reduce((a, b) => a + b)).toBe(4)
  expect(told()).toEqual(['Room', 'one', 'two', 'three'])
  // All have arrived, though seven deliveries and more have failed before.
  expect((await again()).reduce((a, b) => a + b)).toBe(0)
  expect(told()).toEqual([])
})
