import { afterAll, expect } from 'vitest'
import { violationsOf } from '../support/console.ts'
import { newTenant } from '../support/tenant.ts'
import { closeBrowser, expectLooks, hostile, newVisitor, signIn, test, wider } from './support.ts'

afterAll(closeBrowser)

test('what operators have done is listed, filtered by the URL, and verified', async ({ server, visitor }) => {
  const { account_sid } = await newTenant(server)
  await server.admin('POST', `/accounts/${account_sid}`, { friendly_name: hostile[0], status: 'suspended' })
  await server.admin('POST', `/accounts/${account_sid}/keys`, { friendly_name: 7 }).catch(() => {})
  const page = await visitor.open()
  await page.getByRole('link', { name: 'Configuration' }).click()
  await page.getByRole('link', { name: 'Audit log' }).click()
  const entries = page.getByRole('list', { name: 'Entries' }).getByRole('listitem')
  await entries.filter({ hasText: 'session.created' }).first().waitFor()
  await page.getByLabel('Account', { exact: true }).last().fill(account_sid)
  await page.getByRole('button', { name: 'Filter' }).click()
  await page.waitForURL((url) => url.searchParams.get('account') === account_sid)
  await expect.poll(() => entries.count()).toBe(3)
  const updated = entries.filter({ hasText: 'account.updated' })
  await updated.locator('summary').click()
  await updated.getByText('"status":"active"').waitFor()
  await updated.getByText('"status":"suspended"').waitFor()
  await updated
    .getByText(/"friendly_name":"hmac:[0-9a-f]{32}"/)
    .last()
    .waitFor()
  await page.getByLabel('Outcome').selectOption('refused')
  await page.waitForURL((url) => url.searchParams.get('outcome') === 'refused')
  await expect.poll(() => entries.allTextContents()).toEqual([expect.stringContaining('api_key.created')])
  await page.reload()
  await expect.poll(() => entries.allTextContents()).toEqual([expect.stringContaining('api_key.created')])
  await page.getByRole('button', { name: 'Verify' }).click()
  await page.getByText(/All is well: \d+ entries are as they were written/).waitFor()
  await page.getByRole('link', { name: 'Clear' }).click()
  await entries.filter({ hasText: 'session.created' }).first().waitFor()
  await expectLooks(server, [
    [`/audit?account=${account_sid}`, 'account.updated'],
    ['/audit?action=nothing', 'No entry matches'],
    ['/audit?from=yesterday', 'from must be an ISO 8601 date'],
  ])
})

test('an entry that is open passes axe in light and dark, and fits a width of 360', async ({ server }) => {
  await newTenant(server)
  for (const dark of [false, true]) {
    const visitor = await newVisitor(server, { width: 360, dark })
    const page = await visitor.open('/audit?action=account.created')
    await signIn(page)
    await page.locator('summary').first().click()
    await page.getByText('Hash').first().waitFor()
    expect(await violationsOf(page)).toEqual([])
    expect(await page.evaluate(wider)).toEqual([])
    expect(visitor.errors).toEqual([])
    await visitor.close()
  }
})
