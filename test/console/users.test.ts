import { afterAll, expect } from 'vitest'
import { connected } from '../support/client.ts'
import { closeBrowser, expectLooks, hostile, test } from './support.ts'

afterAll(closeBrowser)

test('users are listed with role and unread counts, found by identity, created, changed and deleted', async ({
  tenant,
  visitor,
  catcher,
}) => {
  const v1 = tenant.sdk.conversations.v1
  const { defaultChatServiceSid: service } = await v1.configuration().fetch()
  const { sid: ann } = await v1.users.create({ identity: 'ann', friendlyName: 'Ann Other' })
  const { sid } = await v1.conversations.create({ friendlyName: 'Order 7' })
  await v1.conversations(sid).participants.create({ identity: 'ann' })
  await v1.conversations(sid).messages.create({ body: 'One' })
  await v1.users(ann).userConversations(sid).update({ lastReadMessageIndex: 0 })
  await v1.conversations(sid).messages.create({ body: 'Two' })
  await v1.conversations(sid).messages.create({ body: 'Three' })
  await v1.configuration.webhooks().update({ postWebhookUrl: catcher.url(), filters: ['onUserUpdated', 'onUserAdded'] })
  const page = await visitor.open(`/services/${service}/users`)
  const row = page.getByRole('link', { name: 'ann Ann Other' })
  await row.filter({ hasText: 'service user' }).filter({ hasText: '2 unread in 1 conversation' }).waitFor()
  await page.getByLabel('Identity').fill('nobody')
  await page.getByRole('button', { name: 'Find' }).click()
  await page.getByRole('alert').filter({ hasText: 'not found' }).waitFor()
  await page.getByLabel('Identity').fill('ann')
  await page.getByRole('button', { name: 'Find' }).click()
  await page.getByRole('heading', { name: 'User', exact: true }).waitFor()
  expect(page.url()).toContain(ann)
  const membership = page.getByRole('link', { name: 'Order 7' })
  await membership.filter({ hasText: '2 unread' }).waitFor()
  // Live: another message, a change by REST.
  await v1.conversations(sid).messages.create({ body: 'Four' })
  await membership.filter({ hasText: '3 unread' }).waitFor()
  await v1.users(ann).update({ friendlyName: 'Ann Again' })
  await page.getByText('Ann Again').waitFor()
  // Attributes are checked while they are typed, and stay as they are written.
  await page.getByRole('button', { name: 'Edit' }).click()
  const attributes = page.getByLabel('Attributes')
  await attributes.fill('{"a":}')
  await page.getByText('This is no JSON').waitFor()
  await page.getByRole('button', { name: 'Save' }).click()
  expect((await v1.users(ann).fetch()).attributes).toBe('{}')
  await attributes.fill(`"${'x'.repeat(16_384)}"`)
  await page.getByText('Too long: 16,386 bytes').waitFor()
  await attributes.fill('{ "id":12345678901234567890,\n"list":[1] }')
  await page.getByRole('button', { name: 'Save' }).click()
  await page.getByText('The user was changed').waitFor()
  expect((await v1.users(ann).fetch()).attributes).toBe('{ "id":12345678901234567890,\n"list":[1] }')
  expect((await catcher.next()).params).toMatchObject({ EventType: 'onUserUpdated', Identity: 'ann' })
  await page.getByRole('button', { name: 'Edit' }).click()
  await page.getByRole('button', { name: 'Indent' }).click()
  await page.getByRole('button', { name: 'Save' }).click()
  await expect
    .poll(async () => (await v1.users(ann).fetch()).attributes)
    .toBe('{\n  "id": 12345678901234567890,\n  "list": [\n    1\n  ]\n}')
  await page.getByRole('button', { name: 'Delete' }).click()
  await page.getByRole('dialog').getByRole('button', { name: 'Delete' }).click()
  await page.getByText('No users yet').waitFor()
  await page.getByRole('button', { name: 'New user' }).click()
  await page.getByRole('dialog').getByLabel('Identity').fill('bob/the builder?')
  await page.getByRole('dialog').getByLabel('Role').selectOption('service admin')
  await page.getByRole('button', { name: 'Create', exact: true }).click()
  await page.getByText('In no conversation').waitFor()
  await page.reload()
  await page.getByText('bob/the builder?').waitFor()
  await page.getByText('service admin').waitFor()
})

test('who is online is shown where the service knows', async ({ tenant, visitor }) => {
  const v1 = tenant.sdk.conversations.v1
  const { defaultChatServiceSid: service } = await v1.configuration().fetch()
  await v1.services(service).configuration().update({ reachabilityEnabled: true })
  await v1.users.create({ identity: 'ann' })
  const page = await visitor.open(`/services/${service}/users`)
  const row = page.getByRole('link', { name: /^ann/ })
  await row.filter({ hasText: 'unknown' }).waitFor()
  // Live.
  await connected(tenant, 'ann')
  await row.filter({ hasText: 'online' }).waitFor()
  await row.click()
  await page.getByText('online', { exact: true }).waitFor()
})

test('the pages of users pass axe, fit, and run nothing of a name', async ({ server, tenant }) => {
  const v1 = tenant.sdk.conversations.v1
  const { defaultChatServiceSid: service } = await v1.configuration().fetch()
  const identity = hostile.join(' ').slice(0, 250)
  const { sid } = await v1.users.create({
    identity,
    friendlyName: identity,
    attributes: JSON.stringify([...hostile, 'x'.repeat(300)]),
  })
  const made = await v1.conversations.create({ friendlyName: identity })
  await v1.conversations(made.sid).participants.create({ identity })
  await expectLooks(server, [
    [`/services/${service}/users`, '<img src=x'],
    [`/services/${service}/users/${sid}`, 'not counted'],
    [`/services/${service}/users/${encodeURIComponent(identity)}`, 'not counted'],
    [`/services/${service}/users/US${'0'.repeat(32)}`, 'not found'],
  ])
})
