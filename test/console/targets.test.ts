import { afterAll, expect } from 'vitest'
import { enabled, settled } from '../support/hooked.ts'
import { startServer } from '../support/server.ts'
import { catchWebhooks } from '../support/webhook-catcher.ts'
import { closeBrowser, expectLooks, newVisitor, signIn, test } from './support.ts'

afterAll(closeBrowser)

test('each target says how much arrives, how fast, and what went wrong last', async ({ server, tenant, catcher, visitor }) => {
  const v1 = tenant.sdk.conversations.v1
  const path = `/accounts/${tenant.account_sid}/targets`
  const page = await visitor.open(path)
  await page.getByText('Nothing was sent lately').waitFor()
  const evil = '?x=%3Cimg%20src=x%20onerror=%22window.pwned=1%22%3E'
  await v1.configuration.webhooks().update({ postWebhookUrl: catcher.url(evil), filters: ['onConversationAdded'] })
  // Redeliveries are what takes time: a 4xx fails at once.
  let status = 200
  catcher.reply(() => ({ status }))
  for (const each of [200, 200, 400]) {
    status = each
    await v1.conversations.create({ xTwilioWebhookEnabled: 'true' })
    await settled(tenant)
  }
  const { targets } = await tenant.admin('GET', `/targets?account_sid=${tenant.account_sid}`)
  expect(targets).toMatchObject([{ delivered: 2, failed: 1, last_failure: { status: 400 } }])
  await page.getByRole('button', { name: 'Read again' }).click()
  const target = page.getByRole('region', { name: catcher.url() })
  await target.getByText('66 %').waitFor()
  await target.getByText('2 delivered, 1 failed, 0 pending').waitFor()
  await target.getByText('half within').waitFor()
  await target.getByRole('link', { name: 'onConversationAdded: ' }).click()
  await page.getByRole('heading', { name: 'onConversationAdded' }).getByText('failed').waitFor()
  await page.goBack()
  await target.getByRole('link', { name: 'show them' }).click()
  await page.getByRole('link').filter({ hasText: '400' }).waitFor()
  await page.goto(`${server.url}/console/deliveries`)
  await page.getByRole('link', { name: 'Targets' }).waitFor()
  await expectLooks(server, [
    [path, '2 delivered'],
    [`/accounts/AC${'0'.repeat(32)}/targets`, 'Nothing was sent lately'],
  ])
})

test('a test event can be sent to each webhook, and what came of it is shown', async ({ server, tenant, catcher, visitor }) => {
  const { account_sid, sdk } = tenant
  const v1 = sdk.conversations.v1
  const service = (await v1.configuration().fetch()).defaultChatServiceSid
  const settings = await visitor.open(`/accounts/${account_sid}/webhooks`)
  await settings.getByLabel('Post-action URL').waitFor()
  expect(await settings.getByRole('button', { name: 'Send a test event' }).count()).toBe(0)
  await v1.configuration.webhooks().update({ postWebhookUrl: catcher.url('/account'), filters: [] })
  await settings.reload()
  await settings.getByRole('button', { name: 'Send a test event' }).click()
  await settings.getByRole('status').getByText('200 in').waitFor()
  expect((await catcher.next()).params).toMatchObject({ EventType: 'onTestEvent', Test: 'true' })
  // An endpoint that fails: the result says so.
  catcher.reply(() => ({ status: 404 }))
  const targets = await visitor.open(`/accounts/${account_sid}/targets`)
  await targets.getByRole('button', { name: 'Send a test event' }).click()
  await targets.getByRole('status').getByText('404 in').waitFor()
  // Refused: the URL was taken away in between.
  await v1.configuration.webhooks().update({ postWebhookUrl: '' })
  await targets.getByRole('button', { name: 'Send a test event' }).click()
  await targets.getByRole('alert').getByText('it has no post-action URL').waitFor()
  catcher.reply(() => ({ status: 200 }))
  const { sid } = await v1.conversations.create({ friendlyName: 'With a webhook' })
  await v1.conversations(sid).webhooks.create({
    target: 'webhook',
    'configuration.url': catcher.url('/scoped'),
    'configuration.filters': ['onMessageAdded'],
  })
  const page = await visitor.open(`/services/${service}/conversations/${sid}`)
  await page.getByText('Webhooks (1)').click()
  await page.getByRole('button', { name: 'Send a test event' }).click()
  await page.getByRole('complementary').getByRole('status').getByText('200 in').waitFor()
  await page.getByRole('log').getByText('A test event was sent').waitFor()
  await expectLooks(server, [
    [`/accounts/${account_sid}/targets`, 'Send a test event'],
    [`/services/${service}/conversations/${sid}`, 'A test event was sent'],
  ])
})

test('the attempts of a delivery are told with their pauses, and drawn at their places in time', async () => {
  await using server = await startServer({ webhookRetries: 1 })
  await using catcher = await catchWebhooks({ authToken: server.auth_token })
  catcher.reply(({ params }) => ({ status: params.RetryCount === '0' ? 503 : 200 }))
  const v1 = server.sdk.conversations.v1
  await v1.configuration.webhooks().update({ postWebhookUrl: catcher.url(), filters: ['onConversationAdded'] })
  await v1.conversations.create({ ...enabled })
  await settled(server)
  const [{ id, attempts }] = (await server.admin('GET', '/deliveries')).deliveries
  expect(attempts).toMatchObject([{ status: 503 }, { status: 200 }])
  const visitor = await newVisitor(server)
  const page = await visitor.open(`/deliveries/${id}`)
  await signIn(page)
  const items = page.locator('ol.attempts > li')
  await items.nth(1).getByText('after a pause of').waitFor()
  await items.nth(0).getByText('after it was created').waitFor()
  await items.nth(0).getByText('503', { exact: true }).waitFor()
  // What is drawn says the same: the first attempt ends before the second one begins, which is the end of all.
  const places = async (line: string) =>
    Promise.all(['x1', 'x2'].map(async (end) => Number.parseFloat((await page.locator(line).getAttribute(end)) ?? '')))
  const [first, pause, second] = [await places('.bad'), await places('li:nth-child(2) .pause'), await places('.good')]
  expect(pause).toEqual([first[1], second[0]])
  expect(first[0]).toBeGreaterThanOrEqual(2)
  expect(second[0]).toBeGreaterThan(first[1] ?? 100)
  expect(second[1]).toBe(98)
  expect(visitor.errors).toEqual([])
  await visitor.close()
  await expectLooks(server, [[`/deliveries/${id}`, 'after a pause of']])
})
