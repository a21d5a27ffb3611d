import { expect } from 'vitest'
import type { DeliveryRow } from '../../src/storage/schema.ts'
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
  const { targets, date_since } = await tenant.admin('GET', path)
  expect(date_since).not.toBeNull()
  expect(targets.map((target: { target_sid: string }) => target.target_sid)).toEqual([tenant.account_sid, target_sid])
  expect(targets[0]).toMatchObject({ delivered: 1, failed: 0 })
  expect(targets[0].last_failure).toMatchObject({ delivery_id: rows[0]?.id, status: 500, error: null })
  expect(targets[1]).toMatchObject({ failed: 0, median_duration_ms: 5 })
  expect(targets[1].delivered).toBeLessThanOrEqual(2000)
  expect(await tenant.admin('GET', `/targets?account_sid=AC${'0'.repeat(32)}`)).toMatchObject({ targets: [] })
})
