import type { Page } from 'playwright-core'
import { afterAll, expect } from 'vitest'
import { startCarrier } from '../support/faked-carrier.ts'
import { enabled, settled } from '../support/hooked.ts'
import { adminToken, startServer } from '../support/server.ts'
import type { Tenant } from '../support/tenant.ts'
import { closeBrowser, newVisitor, signIn, test } from './support.ts'

afterAll(closeBrowser)

async function defaultService({ sdk }: Tenant): Promise<string> {
  return (await sdk.conversations.v1.configuration().fetch()).defaultChatServiceSid
}

const listOf = (service: string) => `/services/${service}/conversations`
const row = (page: Page, name: string) => page.getByRole('link').filter({ hasText: name })

test('the operator token signs in, a wrong one does not; a reload stays signed in, signing out does not', async ({
  server,
  tenant,
}) => {
  const visitor = await newVisitor(server)
  const service = await defaultService(tenant)
  const page = await visitor.open(`${listOf(service)}?state=closed`)
  await signIn(page, 'wrong-operator-token')
  await page.getByRole('alert').filter({ hasText: 'the operator token is wrong' }).waitFor()
  await signIn(page)
  // Where one wanted to go.
  await page.getByText('No conversation matches').waitFor()
  expect(page.url()).toContain(`${listOf(service)}?state=closed`)
  await page.reload()
  await page.getByText('No conversation matches').waitFor()
  await page.getByRole('button', { name: 'Settings' }).click()
  await page.getByRole('button', { name: 'Sign out' }).click()
  await page.getByLabel('Operator token').waitFor()
  expect(await page.evaluate('document.cookie + JSON.stringify(localStorage)')).not.toContain(adminToken)
  await visitor.close()
})

test('a link signs in once, and leaves nothing in the address', async ({ server }) => {
  const { path } = await server.admin('POST', '/session/links')
  for (const first of [true, false]) {
    const visitor = await newVisitor(server)
    const page = await visitor.open(path.slice('/console'.length))
    await (first ? page.getByRole('heading', { name: 'Conversations' }) : page.getByText('the link has been used')).waitFor()
    expect(page.url()).not.toContain('code=')
    await visitor.close()
  }
})

test('a session that ends is noticed in every tab, which asks for the token', async ({ server }) => {
  const visitor = await newVisitor(server)
  const page = await visitor.open()
  await signIn(page)
  await page.getByRole('heading', { name: 'Conversations' }).waitFor()
  // What a server says that has been started with another token: see test/admin/session.test.ts.
  await page.context().clearCookies()
  const other = await visitor.open()
  await other.getByLabel('Operator token').waitFor()
  const token = page.getByLabel('Operator token')
  await page.getByRole('link', { name: 'Deliveries' }).or(token).first().waitFor()
  // Unless it has noticed already.
  if (!(await token.isVisible())) await page.evaluate(`document.querySelector('a[href$="/deliveries"]')?.click()`)
  await token.waitFor()
  await visitor.close()
})

test('what REST creates is in the list without a reload; filters are in the URL', async ({ tenant, visitor }) => {
  const service = await defaultService(tenant)
  const page = await visitor.open(listOf(service))
  await page.getByText('No conversations yet').waitFor()
  const { conversations } = tenant.sdk.conversations.v1
  const { sid } = await conversations.create({ friendlyName: 'Order 1234', 'timers.inactive': 'PT1H' })
  await row(page, 'Order 1234')
    .filter({ hasText: /inactive in 00:59:\d\d/ })
    .waitFor()
  const { sid: other } = await conversations.create({ friendlyName: 'Complaint' })
  await conversations(other).participants.create({ identity: 'ann' })
  await conversations(other).update({ state: 'closed' })
  await row(page, 'Complaint').filter({ hasText: 'closed' }).waitFor()
  await page.getByLabel('Name', { exact: true }).fill('order')
  await page.keyboard.press('Enter')
  await row(page, 'Complaint').waitFor({ state: 'detached' })
  await row(page, 'Order 1234').waitFor()
  expect(page.url()).toContain('name=order')
  await page.goBack()
  await row(page, 'Complaint').waitFor()
  await page.getByLabel('Participant').fill('ann')
  await page.keyboard.press('Enter')
  await row(page, 'Order 1234').waitFor({ state: 'detached' })
  await page.reload()
  await row(page, 'Complaint').waitFor()
  await page.getByRole('link', { name: 'Clear' }).click()
  await row(page, 'Order 1234').click()
  await page.getByRole('heading', { name: 'Order 1234' }).waitFor()
  expect(page.url()).toContain(`${listOf(service)}/${sid}`)
})

test('a list of several pages says that there is more, and loads it where one is', async ({ tenant, visitor }) => {
  const service = await defaultService(tenant)
  const { conversations } = tenant.sdk.conversations.v1
  for (let i = 0; i < 60; i++) await conversations.create({ friendlyName: `Case ${i}` })
  const page = await visitor.open(listOf(service))
  await row(page, 'Case 59').waitFor()
  await page.getByRole('button', { name: 'Load more' }).click()
  await row(page, 'Case 0').first().waitFor()
  await conversations.create({ friendlyName: 'News' })
  await page.getByRole('button', { name: 'There is new activity: show it' }).click()
  await row(page, 'News').waitFor()
})

test('a conversation shows what is written, changed and removed, and writes as anybody', async ({ tenant, visitor, catcher }) => {
  const service = await defaultService(tenant)
  const v1 = tenant.sdk.conversations.v1
  await v1.configuration
    .webhooks()
    .update({ postWebhookUrl: catcher.url(), filters: ['onMessageAdded', 'onConversationStateUpdated'] })
  const { sid } = await v1.conversations.create({ friendlyName: 'Support', 'timers.inactive': 'PT1H' })
  const here = v1.conversations(sid)
  await here.participants.create({ identity: 'ann' })
  const page = await visitor.open(`${listOf(service)}/${sid}`)
  await page.getByText('No messages yet').waitFor()
  const first = await here.messages.create({ author: 'ann', body: 'Is anybody there?' })
  const bubble = (index: number) => page.getByRole('article', { name: `Message ${index} by` })
  await bubble(0).getByText('Is anybody there?').waitFor()
  // As system, with webhooks: the delivery is below the message.
  await page.getByLabel('Message', { exact: true }).fill('Yes')
  await page.keyboard.press('Enter')
  await bubble(1).getByText('Yes').waitFor()
  expect((await here.messages.list()).map(({ author, body }) => [author, body])).toEqual([
    ['ann', 'Is anybody there?'],
    ['system', 'Yes'],
  ])
  await bubble(1).getByText('delivered').waitFor()
  expect(catcher.requests.at(-1)?.params).toMatchObject({ EventType: 'onMessageAdded', Body: 'Yes' })
  // As somebody, without webhooks.
  await page.getByLabel('as', { exact: true }).selectOption('ann')
  await page.getByLabel('with webhooks').uncheck()
  await page.getByLabel('Message', { exact: true }).fill('Thank you\nvery much')
  await page.getByRole('button', { name: 'Send' }).click()
  await bubble(2).getByText('Thank you').waitFor()
  await page.getByLabel('with webhooks').check()
  // A delivery receipt of a person who has read.
  await bubble(1).getByRole('button', { name: 'Edit' }).click()
  await page.getByLabel('Text', { exact: true }).fill('Yes, of course')
  await page.getByRole('button', { name: 'Save' }).click()
  await bubble(1).getByText('Yes, of course').waitFor()
  await bubble(0).getByRole('button', { name: 'Delete' }).click()
  await page.getByRole('dialog').getByRole('button', { name: 'Delete' }).click()
  await page.getByText('Message #0 was deleted').waitFor()
  await expect(here.messages(first.sid).fetch()).rejects.toThrow('not found')
  // A participant comes and goes.
  await page.getByRole('button', { name: 'Add a participant' }).click()
  await page.getByLabel('Identity').fill('bob')
  await page.getByRole('button', { name: 'Add', exact: true }).click()
  await page.getByRole('button', { name: 'Remove bob' }).click()
  await page.getByRole('dialog').getByRole('button', { name: 'Remove' }).click()
  await page.getByRole('button', { name: 'Remove bob' }).waitFor({ state: 'detached' })
  // Its timer, its state.
  await page.getByRole('button', { name: 'Timers' }).click()
  await page.getByLabel('Closes after').fill('soon')
  await page.getByRole('button', { name: 'Set', exact: true }).click()
  await page.getByRole('dialog').getByRole('alert').waitFor()
  await page.getByLabel('Closes after').fill('PT2H')
  await page.getByRole('button', { name: 'Set', exact: true }).click()
  await page.getByText(/closes in 01:59:\d\d/).waitFor()
  await page.getByRole('button', { name: 'State' }).click()
  await page.getByRole('dialog').getByLabel('State').selectOption('closed')
  await page.getByRole('button', { name: 'Change the state' }).click()
  await page.getByText('This conversation is closed: nothing can be written to it.').waitFor()
  await page.getByText('From active to closed, by a request').waitFor()
  expect((await here.fetch()).state).toBe('closed')
  await page.getByRole('button', { name: 'Reopen' }).click()
  await page.getByRole('dialog').getByRole('button', { name: 'Reopen' }).click()
  await page.getByLabel('Message', { exact: true }).waitFor()
  expect((await here.fetch()).state).toBe('active')
  await page.getByText('After that it was reopened by the operator').waitFor()
  await page.getByRole('button', { name: 'Delete' }).first().click()
  await page.getByRole('dialog').getByRole('button', { name: 'Delete' }).click()
  await page.getByText('No conversations yet').waitFor()
})

test('somebody with a phone writes from outside, as their carrier would hand it over', async ({ tenant, visitor, catcher }) => {
  const service = await defaultService(tenant)
  const v1 = tenant.sdk.conversations.v1
  await v1.configuration.webhooks().update({ postWebhookUrl: catcher.url(), filters: ['onMessageAdded'] })
  const { sid } = await v1.conversations.create({ friendlyName: 'By phone' })
  const binding = { 'messagingBinding.address': '+15551234567', 'messagingBinding.proxyAddress': '+15557654321' }
  await v1.conversations(sid).participants.create(binding)
  const page = await visitor.open(`${listOf(service)}/${sid}`)
  await page.getByLabel('as', { exact: true }).selectOption({ label: '+15551234567 from outside' })
  await page.getByLabel('Message', { exact: true }).fill('Are you open?')
  await page.keyboard.press('Enter')
  await page.getByRole('article', { name: 'Message 0 by +15551234567' }).getByText('Are you open?').waitFor()
  expect((await catcher.next()).params).toMatchObject({ Source: 'SMS', Author: '+15551234567', Body: 'Are you open?' })
})

test('older messages are loaded on demand, and pictures are shown', async ({ server, tenant, visitor }) => {
  const service = await defaultService(tenant)
  const v1 = tenant.sdk.conversations.v1
  const { sid } = await v1.conversations.create({ friendlyName: 'Long' })
  for (let i = 0; i < 60; i++) await v1.conversations(sid).messages.create({ body: `Text ${i} of many` })
  const { username, password } = tenant.credentials
  const png = Buffer.from(
    'iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==',
    'base64',
  )
  const upload = await fetch(`${server.url}/v1/Services/${service}/Media?Filename=dot.png`, {
    method: 'POST',
    headers: { authorization: `Basic ${btoa(`${username}:${password}`)}`, 'content-type': 'image/png' },
    body: png,
  })
  const { sid: mediaSid } = (await upload.json()) as { sid: string }
  await v1.conversations(sid).messages.create({ mediaSid })
  const page = await visitor.open(`${listOf(service)}/${sid}`)
  const picture = page.getByRole('img', { name: 'dot.png' })
  await picture.waitFor()
  await expect.poll(() => picture.evaluate((img) => 'naturalWidth' in img && img.naturalWidth)).toBe(1)
  expect(await page.getByText('Text 1 of many').count()).toBe(0)
  await page.getByRole('button', { name: 'Load older messages' }).click()
  await page.getByText('Text 1 of many').waitFor()
})

test('failed deliveries are found, looked at and sent again, one or several', async ({ tenant, visitor, catcher }) => {
  const v1 = tenant.sdk.conversations.v1
  const hostile = '<img src=x onerror="window.pwned=1">'
  catcher.reply(() => ({
    status: 500,
    body: `out of order ${hostile}`,
    headers: { 'x-why': hostile, 'set-cookie': 'let-me-in' },
  }))
  await v1.configuration.webhooks().update({ postWebhookUrl: catcher.url(), filters: ['onConversationAdded'] })
  const { sid } = await v1.conversations.create({ friendlyName: 'Undelivered', xTwilioWebhookEnabled: 'true' })
  const page = await visitor.open(`/deliveries?conversation=${sid}&status=failed`)
  await row(page, 'onConversationAdded').filter({ hasText: '500' }).click()
  await page.getByRole('heading', { name: 'onConversationAdded' }).getByText('failed').waitFor()
  await page.getByText('Undelivered', { exact: true }).waitFor()
  await page.getByText('I-Twilio-Idempotency-Token').waitFor()
  await page.getByText('Response', { exact: true }).click()
  await page.getByText(`out of order ${hostile}`).waitFor()
  await page.locator('dt:text-is("x-why") + dd').getByText(hostile).waitFor()
  expect(await page.locator('dt:text-is("set-cookie") + dd').textContent()).toBe('(hidden)')
  expect(await page.evaluate("'pwned' in window")).toBe(false)
  catcher.reply(() => ({ status: 200 }))
  await page.getByRole('button', { name: 'Send again' }).click()
  await page.getByRole('heading', { name: 'onConversationAdded' }).getByText('delivered').waitFor()
  expect(catcher.requests).toHaveLength(2)
  await page.goto(page.url().replace(/deliveries\/.*/, `deliveries?conversation=${sid}`))
  const boxes = page.getByRole('checkbox')
  await boxes.nth(1).waitFor()
  for (const box of await boxes.all()) await box.check()
  await page.getByRole('button', { name: 'Send again (2)' }).click()
  await boxes.nth(3).waitFor()
  await expect.poll(() => catcher.requests.length).toBe(4)
})

test('all that has failed is sent again, as the list is filtered', async ({ tenant, visitor, catcher }) => {
  const v1 = tenant.sdk.conversations.v1
  catcher.reply(() => ({ status: 400 }))
  await v1.configuration.webhooks().update({ postWebhookUrl: catcher.url(), filters: ['onConversationAdded'] })
  const { chatServiceSid: service } = await v1.conversations.create({ friendlyName: 'First', xTwilioWebhookEnabled: 'true' })
  await v1.conversations.create({ friendlyName: 'Second', xTwilioWebhookEnabled: 'true' })
  const page = await visitor.open(`/deliveries?service=${service}&status=failed`)
  await page.getByRole('checkbox').nth(1).waitFor()
  catcher.reply(() => ({ status: 200 }))
  const send = async (since?: string) => {
    await page.getByRole('button', { name: 'Send failed ones again' }).click()
    if (since !== undefined) await page.getByLabel('Created since').fill(since)
    await page.getByRole('dialog').getByRole('button', { name: 'Send again' }).click()
  }
  await send('an hour ago')
  await page.getByRole('alert').filter({ hasText: 'since must be an ISO 8601 date' }).waitFor()
  await page.getByRole('dialog').getByRole('button', { name: 'Cancel' }).click()
  await send()
  await page.getByText('2 deliveries are sent again').waitFor()
  await expect.poll(() => catcher.requests.length).toBe(4)
  expect(
    catcher.requests
      .slice(2)
      .map(({ params }) => params.FriendlyName)
      .sort(),
  ).toEqual(['First', 'Second'])
  await send()
  await page.getByText('0 deliveries are sent again').waitFor()
  expect(await page.getByRole('checkbox').count()).toBe(2)
})

test('deliveries are filtered by account, time and text, in the URL', async ({ tenant, visitor, catcher }) => {
  const v1 = tenant.sdk.conversations.v1
  await v1.configuration.webhooks().update({ postWebhookUrl: catcher.url(), filters: ['onConversationAdded'] })
  for (const friendlyName of ['Oranges', 'Lemons']) await v1.conversations.create({ friendlyName, ...enabled })
  await settled(tenant)
  const page = await visitor.open(`/deliveries?account=${tenant.account_sid}`)
  await row(page, 'onConversationAdded').nth(1).waitFor()
  await page.getByLabel('Text of parameters').fill('LEMON')
  await page.getByRole('button', { name: 'Filter' }).click()
  await page.waitForURL(/text=LEMON/)
  await expect.poll(() => row(page, 'onConversationAdded').count()).toBe(1)
  await page.reload()
  expect(await page.getByLabel('Text of parameters').inputValue()).toBe('LEMON')
  await row(page, 'onConversationAdded').click()
  await page.getByText('Lemons', { exact: true }).waitFor()
  await page.goBack()
  await page.getByLabel('to', { exact: true }).fill('2020-01-01')
  await page.getByRole('button', { name: 'Filter' }).click()
  await page.getByText('No delivery matches').waitFor()
  await page.getByLabel('to', { exact: true }).fill('yesterday')
  await page.getByRole('button', { name: 'Filter' }).click()
  await page.getByRole('alert').filter({ hasText: 'to must be an ISO 8601 date' }).waitFor()
})

test('a delivery without a URL says who it was for: a channel, or nobody', async ({ tenant, visitor }) => {
  await using carrier = await startCarrier()
  const [customer, carried, alone] = ['+15551234567', '+15557654321', '+15557654322']
  const settings = { base_url: carrier.url, token: 'a-token-of-the-carrier' }
  await tenant.admin('PUT', `/accounts/${tenant.account_sid}/channels/${carried}`, { kind: 'faked', settings })
  const { conversations } = tenant.sdk.conversations.v1
  const sentOn = async (proxy: string) => {
    const { sid } = await conversations.create({})
    const binding = { 'messagingBinding.address': customer, 'messagingBinding.proxyAddress': proxy }
    await conversations(sid).participants.create(binding)
    await conversations(sid).messages.create({ body: 'Hello' })
    const page = await visitor.open(`/deliveries?conversation=${sid}`)
    await row(page, 'channelMessage').click()
    return page.locator('dt:text-is("Sent to") + dd')
  }
  expect(await (await sentOn(carried)).textContent()).toMatch(/^a channel CN[0-9a-f]{32}$/)
  expect(await (await sentOn(alone)).textContent()).toBe('nobody: no channel carries the address ')
})

test('the clock is moved to the next deadline, and another tab shows what that did', async ({ visitor }) => {
  await using server = await startServer({ testMode: true })
  const other = await newVisitor(server)
  const tab = await other.open()
  await signIn(tab)
  await tab.getByText('No conversations yet').waitFor()
  const v1 = server.sdk.conversations.v1
  await v1.conversations.create({ friendlyName: 'Sleepy', 'timers.inactive': 'PT10M', 'timers.closed': 'PT1H' })
  await row(tab, 'Sleepy').filter({ hasText: 'active' }).waitFor()
  const clock = await other.open('/clock')
  await row(clock, 'Sleepy').waitFor()
  await clock.getByRole('button', { name: 'Advance to the next deadline' }).click()
  await row(tab, 'Sleepy').filter({ hasText: 'inactive' }).waitFor()
  await row(clock, 'Sleepy').filter({ hasText: 'closed' }).waitFor()
  await clock.getByLabel('By').fill('PT1H')
  await clock.getByRole('button', { name: 'Advance', exact: true }).click()
  await row(tab, 'Sleepy').filter({ hasText: 'closed' }).waitFor()
  await clock.getByText('No timer is running').waitFor()
  // Back to a time at which something was due.
  await v1.conversations.create({ friendlyName: 'Drowsy', 'timers.inactive': 'PT30M' })
  await row(clock, 'Drowsy').waitFor()
  await clock.getByRole('list', { name: 'Due within the hour' }).getByText('1 timer').waitFor()
  await clock.getByRole('button', { name: 'Take a snapshot' }).click()
  await clock.getByRole('button', { name: 'Go back to' }).waitFor()
  await clock.getByRole('button', { name: '+ 1 hour' }).click()
  await clock.getByText('No timer is running').waitFor()
  await clock.getByRole('button', { name: 'Go back to' }).click()
  await clock.getByRole('dialog').getByRole('button', { name: 'Go back' }).click()
  await row(clock, 'Drowsy').waitFor()
  await row(tab, 'Drowsy').filter({ hasText: 'inactive in' }).waitFor()
  await clock.getByRole('button', { name: 'Reset everything' }).click()
  await clock.getByRole('button', { name: 'Reset', exact: true }).click()
  await tab.getByText('No conversations yet').waitFor()
  expect(other.errors).toEqual([])
  await other.close()
  expect(visitor.errors).toEqual([])
})

test('everything is reached by keyboard', async ({ tenant, visitor }) => {
  const service = await defaultService(tenant)
  const { sid } = await tenant.sdk.conversations.v1.conversations.create({ friendlyName: 'By keyboard' })
  const page = await visitor.open()
  await page.getByRole('heading', { name: 'Conversations' }).waitFor()
  await page.keyboard.press('/')
  await page.keyboard.type(sid)
  await page.keyboard.press('Enter')
  await page.getByRole('heading', { name: 'By keyboard' }).waitFor()
  expect(page.url()).toContain(`${listOf(service)}/${sid}`)
  await page.keyboard.press('Control+k')
  await page.keyboard.type('failed')
  await page.keyboard.press('Enter')
  await page.getByRole('heading', { name: 'Deliveries' }).waitFor()
  expect(page.url()).toContain('status=failed')
  await page.keyboard.press('Control+k')
  await page.getByRole('dialog').waitFor()
  await page.keyboard.press('Escape')
  await page.getByRole('dialog').waitFor({ state: 'detached' })
})

test('a SID alone leads to its page; what is not there says what to do', async ({ tenant, visitor }) => {
  const { sid } = await tenant.sdk.conversations.v1.conversations.create({ friendlyName: 'Found' })
  const page = await visitor.open(`/${sid}`)
  await page.getByRole('heading', { name: 'Found' }).waitFor()
  const quiet = await newVisitor(tenant)
  const lost = await quiet.open(`/CH${'0'.repeat(32)}`)
  await signIn(lost)
  await lost.getByText('was not found').waitFor()
  await lost.goto(`${tenant.url}/console/a/b/c`)
  await lost.getByText('The console has no such page').waitFor()
  await quiet.close()
})
