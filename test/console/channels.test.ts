import type { Page } from 'playwright-core'
import { afterAll, expect } from 'vitest'
import { startCarrier } from '../support/faked-carrier.ts'
import { closeBrowser, expectLooks, test } from './support.ts'

afterAll(closeBrowser)

const setting = (page: Page, name: string) => page.getByLabel(name, { exact: true })

test('a channel is made, tested, changed and deleted; its secret is never shown', async ({ server, tenant, visitor }) => {
  await using carrier = await startCarrier()
  const page = await visitor.open(`/accounts/${tenant.account_sid}/channels`)
  await page.getByText('No channels yet').waitFor()
  await page.getByRole('button', { name: 'New channel' }).click()
  await setting(page, 'Address').fill('nonsense')
  await setting(page, 'Kind').selectOption('faked')
  await setting(page, 'base_url').fill('http://127.0.0.1:1')
  await setting(page, 'token').fill('a-token-of-the-carrier')
  await page.getByRole('button', { name: 'Create' }).click()
  await page.getByRole('dialog').getByRole('alert').getByText('is not an address of a known format').waitFor()
  await setting(page, 'Address').fill('+15557654321')
  await setting(page, 'ttl').fill('7')
  await page.getByRole('button', { name: 'Create' }).click()
  await page.getByRole('heading', { name: '+15557654321' }).waitFor()
  const path = `/accounts/${tenant.account_sid}/channels`
  const stored = async () => (await tenant.admin('GET', path)).channels[0].settings
  expect(await stored()).toEqual({
    base_url: 'http://127.0.0.1:1',
    token: '********',
    region: 'eu',
    ttl: 7,
    urgent: false,
  })
  // A deep link, and what the form has of a secret.
  await page.reload()
  expect(await setting(page, 'token').inputValue()).toBe('********')
  expect(await page.content()).not.toContain('a-token-of-the-carrier')
  await page.getByRole('button', { name: 'Test' }).click()
  await page.getByText('It does not work:').waitFor()
  await setting(page, 'base_url').fill(carrier.url)
  await setting(page, 'region').selectOption('us')
  await setting(page, 'urgent').selectOption('true')
  await page.getByRole('button', { name: 'Save' }).click()
  await page.getByText('settings.urgent is not possible in us').waitFor()
  await setting(page, 'region').selectOption('eu')
  await setting(page, 'urgent').selectOption('')
  await setting(page, 'ttl').fill('')
  await page.getByRole('button', { name: 'Save' }).click()
  await page.getByText('The settings were saved').waitFor()
  expect(await stored()).toMatchObject({ base_url: carrier.url, ttl: null, urgent: false })
  await page.getByRole('button', { name: 'Test' }).click()
  await page.getByText('It works: the carrier said 200').waitFor()
  // The secret was kept: the carrier gets it.
  const v1 = tenant.sdk.conversations.v1
  const { sid } = await v1.conversations.create({})
  const binding = { 'messagingBinding.address': '+15551234567', 'messagingBinding.proxyAddress': '+15557654321' }
  await v1.conversations(sid).participants.create(binding)
  carrier.reply = () => ({ status: 400, body: { code: 30007 } })
  await v1.conversations(sid).messages.create({ body: 'Hello' })
  const failed = async () => (await tenant.admin('GET', `/deliveries?conversation_sid=${sid}&status=failed`)).deliveries[0]
  await expect.poll(failed).toBeTruthy()
  expect(carrier.headers[0]?.['x-token']).toBe('a-token-of-the-carrier')
  // In the list and on its page is what went wrong last.
  await page.goto(`${server.url}/console${path}`)
  await page.getByRole('link', { name: '+15557654321' }).getByText('0 sent, 1 failed; last error: the carrier refused').waitFor()
  await page.getByRole('link', { name: '+15557654321' }).click()
  await page.getByRole('link', { name: 'the carrier refused the message' }).click()
  await page.getByRole('heading', { name: 'channelMessage' }).waitFor()
  await page.goBack()
  // Of another kind.
  await setting(page, 'Kind').selectOption('loopback')
  await page.getByRole('button', { name: 'Save' }).click()
  await page.getByText('The settings were saved').waitFor()
  await page.getByRole('button', { name: 'Test' }).click()
  await page.getByText('It works: messages count as delivered').waitFor()
  await setting(page, 'Kind').selectOption('webhook')
  await setting(page, 'url').fill('https://ann:secret@example.com/in')
  await page.getByRole('button', { name: 'Save' }).click()
  await expect.poll(async () => (await stored()).url).toBe('https://example.com/in')
  await page.getByText('A user name and password in it are not shown').waitFor()
  await page.getByRole('button', { name: 'Test' }).click()
  await page.getByText('the kind webhook has no check').waitFor()
  await page.getByRole('button', { name: 'Delete' }).click()
  await page.getByRole('dialog').getByRole('button', { name: 'Delete' }).click()
  await page.getByText('No channels yet').waitFor()
  await page.goBack()
  await page.getByText('This address has no channel').waitFor()
})

test('the pages of channels pass axe, fit a width of 360, and run nothing of what is stored', async ({ server, tenant }) => {
  const channels = `/accounts/${tenant.account_sid}/channels`
  const url = 'https://example.com/"><img src=x onerror="window.pwned=1">'
  await tenant.admin('PUT', `${channels}/+15557654321`, { url })
  await tenant.admin('PUT', `${channels}/${encodeURIComponent(`${'x'.repeat(200)}@example.com`)}`, { url })
  const one = 'Settings'
  await expectLooks(server, [
    [channels, 'New channel'],
    [`${channels}/%2B15557654321`, one],
    [`${channels}/${'x'.repeat(200)}%40example.com`, one],
    [`${channels}/%2B15550000000`, 'This address has no channel'],
    [`/accounts/AC${'0'.repeat(32)}/channels`, 'was not found'],
  ])
})
