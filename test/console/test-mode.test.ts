import type { Page } from 'playwright-core'
import { afterAll, expect } from 'vitest'
import { startServer } from '../support/server.ts'
import { closeBrowser, expectLooks, hostile, newVisitor, signIn, test } from './support.ts'

afterAll(closeBrowser)

const openDialog = (name: string) => async (page: Page) => {
  await page.getByRole('button', { name, exact: true }).click()
  await page.getByRole('dialog').waitFor()
}

test('a server in test mode begins with a seed from the clock page, and says what is wrong with one', async ({
  onTestFinished,
}) => {
  const server = await startServer({ testMode: true })
  const visitor = await newVisitor(server)
  onTestFinished(async () => {
    await visitor.close()
    await server.stop()
  })
  const page = await visitor.open('/clock')
  await signIn(page)
  await page.getByRole('button', { name: 'Begin with a seed' }).click()
  const dialog = page.getByRole('dialog')
  await dialog.getByLabel('Seed').fill(`accounts:\n  - conversatons: []\n    users: [{ identity: 7 }]`)
  await dialog.getByRole('button', { name: 'Begin', exact: true }).click()
  await dialog.getByRole('alert').getByText('conversations may be meant').waitFor()
  await server.sdk.conversations.v1.conversations.create({ friendlyName: 'Still here' })
  const seed = { accounts: [{ conversations: [{ friendly_name: `Sown ${hostile[0]}`, timers: { inactive: 'PT1H' } }] }] }
  await dialog.getByLabel('From a file').setInputFiles({
    name: 'seed.json',
    mimeType: 'application/json',
    buffer: Buffer.from(JSON.stringify(seed)),
  })
  await expect.poll(() => dialog.getByLabel('Seed').inputValue()).toBe(JSON.stringify(seed))
  await dialog.getByRole('button', { name: 'Begin', exact: true }).click()
  await dialog.waitFor({ state: 'detached' })
  await page.getByRole('list', { name: 'Timers' }).getByRole('link').filter({ hasText: 'Sown <img' }).waitFor()
  const named = await server.sdk.conversations.v1.conversations.list()
  expect(named.map(({ friendlyName }) => friendlyName)).toEqual([`Sown ${hostile[0]}`])
  expect(visitor.errors).toEqual([])
  // And what the page shows looks well.
  for (let i = 0; i < 3; i++) await server.admin('POST', '/snapshot')
  await expectLooks(server, [
    ['/clock', 'Begin with a seed'],
    ['/clock', 'Begin with a seed', openDialog('Begin with a seed')],
    ['/clock', 'Begin with a seed', openDialog('Reset everything')],
    ['/clock', 'Go back', (at) => at.getByRole('button', { name: 'Go back' }).first().click()],
  ])
})

test('the dialog that sends failed deliveries again looks well', async ({ server, tenant, catcher }) => {
  const v1 = tenant.sdk.conversations.v1
  await v1.configuration.webhooks().update({ postWebhookUrl: catcher.url(), filters: ['onConversationAdded'] })
  catcher.reply(() => ({ status: 400 }))
  await v1.conversations.create({ friendlyName: 'Failed', xTwilioWebhookEnabled: 'true' })
  await catcher.next()
  await expectLooks(server, [
    ['/deliveries?status=failed', 'onConversationAdded', openDialog('Send failed ones again')],
    [`/deliveries?status=failed&event=${'x'.repeat(60)}`, 'Send failed ones again', openDialog('Send failed ones again')],
  ])
})
