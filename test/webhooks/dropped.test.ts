import { describe, expect, test as plain } from 'vitest'
import type { DeliveryRow } from '../../src/storage/schema.ts'
import { startFileServer } from '../support/file-server.ts'
import { testWithRows as test } from '../support/fixtures.ts'
import { all_events, enabled, gate, log, settled } from '../support/hooked.ts'
import type { Tenant } from '../support/tenant.ts'
import { catchWebhooks } from '../support/webhook-catcher.ts'

const conversations = ({ sdk }: Tenant) => sdk.conversations.v1.conversations

async function rename(tenant: Tenant, sid: string, ...names: string[]) {
  for (const friendlyName of names) await conversations(tenant)(sid).update({ friendlyName, ...enabled })
}

async function accountHook({ sdk }: Tenant, postWebhookUrl: string) {
  await sdk.conversations.v1.configuration.webhooks().update({ postWebhookUrl, method: 'POST', filters: all_events })
}

const lastError = ({ attempts }: { readonly attempts: readonly { readonly error: string | null }[] }) => attempts.at(-1)?.error

describe('what is pending for a target', () => {
  test('is dropped by the operator, and what comes later is sent', async ({ tenant, catcher }) => {
    await accountHook(tenant, catcher.url())
    using held = gate()
    catcher.reply(() => ({ delayUntil: held.opened }))
    const { sid } = await conversations(tenant).create({ friendlyName: 'first', ...enabled })
    await catcher.next()
    const names = Array.from({ length: 30 }, (_, i) => `n${i}`)
    await rename(tenant, sid, ...names)
    // What is in flight is among them: it has not been recorded yet.
    expect(await tenant.admin('DELETE', `/deliveries?target_sid=${tenant.account_sid}`)).toEqual({ dropped: 31 })
    expect(await log(tenant, '&status=pending')).toEqual([])
    await rename(tenant, sid, 'later')
    held.open()
    await settled(tenant)
    expect(catcher.requests.map(({ params }) => params.FriendlyName)).toEqual(['first', 'later'])
    const failed = await log(tenant, '&status=failed')
    expect(failed.map(lastError)).toEqual(names.map(() => 'dropped by the operator'))
    expect((await log(tenant, '&status=delivered')).map(({ params }) => params.FriendlyName)).toEqual(['later', 'first'])
  })

  test('is given up, and holds up nothing, when the server cannot make the request', async ({ server, tenant, catcher }) => {
    await accountHook(tenant, catcher.url())
    const { sid } = await conversations(tenant).create({ friendlyName: 'first', ...enabled })
    await settled(tenant)
    const [row] = (await server.rows('deliveries')).filter(({ subject_sid }) => subject_sid === sid)
    if (!row) throw new Error('a delivery has a row')
    const id = `WD${'0'.repeat(32)}`
    // A kind that this version does not know.
    await server.insert('deliveries', {
      ...row,
      id,
      kind: 'pigeon' as DeliveryRow['kind'],
      status: 'pending',
      date_finished: null,
    })
    await rename(tenant, sid, 'later')
    await settled(tenant)
    expect((await log(tenant, '&status=delivered')).map(({ params }) => params.FriendlyName)).toEqual(['later', 'first'])
    expect((await log(tenant, '&status=failed')).map((failed) => [failed.id, lastError(failed)])).toEqual([
      [id, 'internal error'],
    ])
  })

  test('is nothing for a target that nobody knows, and the target has to be named', async ({ tenant }) => {
    expect(await tenant.admin('DELETE', `/deliveries?target_sid=WH${'0'.repeat(32)}`)).toEqual({ dropped: 0 })
    await expect(tenant.admin('DELETE', '/deliveries')).rejects.toThrow('400')
  })
})

describe("a conversation's webhook", () => {
  async function hooked(tenant: Tenant, url: string) {
    const { sid } = await conversations(tenant).create({})
    const filters = ['onConversationUpdated', 'onConversationRemoved']
    const hook = { target: 'webhook' as const, 'configuration.url': url, 'configuration.filters': filters }
    return { sid, webhook: await conversations(tenant)(sid).webhooks.create(hook) }
  }

  test('that was removed is not sent what was pending', async ({ tenant, catcher }) => {
    using held = gate()
    catcher.reply(() => ({ delayUntil: held.opened }))
    const { sid, webhook } = await hooked(tenant, catcher.url())
    await rename(tenant, sid, 'a')
    await catcher.next()
    await rename(tenant, sid, 'b')
    await conversations(tenant)(sid).webhooks(webhook.sid).remove()
    held.open()
    await settled(tenant)
    expect(catcher.requests).toHaveLength(1)
    expect((await log(tenant, '&status=failed')).map(lastError)).toEqual(['the webhook was removed'])
  })

  test('is told of the end of its conversation, which takes it along', async ({ tenant, catcher }) => {
    using held = gate()
    catcher.reply(() => ({ delayUntil: held.opened }))
    const { sid } = await hooked(tenant, catcher.url())
    await rename(tenant, sid, 'a')
    await catcher.next()
    await conversations(tenant)(sid).remove(enabled)
    held.open()
    await settled(tenant)
    expect(catcher.requests.map(({ params }) => params.EventType)).toEqual(['onConversationUpdated', 'onConversationRemoved'])
  })
})

plain('a delivery that has been pending for longer than allowed has failed', async () => {
  await using catcher = await catchWebhooks()
  await using server = await startFileServer({ deliveryMaxAgeHours: 1 })
  using held = gate()
  catcher.reply(() => ({ delayUntil: held.opened }))
  await accountHook(server, catcher.url())
  const { sid } = await conversations(server).create({ friendlyName: 'first', ...enabled })
  await catcher.next()
  const [first] = (await server.rows('deliveries')) as [DeliveryRow]
  const old = { ...first, id: `WD${'0'.repeat(32)}`, subject_sid: `CH${'0'.repeat(32)}`, date_created: Date.now() - 3_700_000 }
  held.open()
  await settled(server)
  await server.insert('deliveries', old)
  // Where nothing is pending that the loop knows of, whatever comes next makes it look.
  await rename(server, sid, 'second')
  await settled(server)
  const failed = await log(server, '&status=failed')
  expect(failed.map(({ id, attempts }) => [id, attempts.at(-1)?.error])).toEqual([[old.id, 'pending for too long']])
  expect(catcher.requests).toHaveLength(2)
})
