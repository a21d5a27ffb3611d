import { afterAll, expect } from 'vitest'
import { registerBinding } from '../support/bindings.ts'
import { violationsOf } from '../support/console.ts'
import { startFileServer } from '../support/file-server.ts'
import { sdkFor } from '../support/sdk.ts'
import { closeBrowser, expectLooks, hostile, newVisitor, setHidden, signIn, test } from './support.ts'

afterAll(closeBrowser)

test('an account is created, suspended, resumed and deleted; its secrets are shown once', async ({ server, visitor }) => {
  const page = await visitor.open('/accounts')
  await page.getByRole('button', { name: 'New account' }).click()
  await page.getByLabel('Name', { exact: true }).fill('Second account')
  await page.getByRole('button', { name: 'Create', exact: true }).click()
  const shown = page.getByRole('dialog').locator('code')
  const token = (await shown.textContent()) ?? ''
  const sid = (await page.getByRole('dialog').locator('.sid').textContent()) ?? ''
  const works = (keySid: string, keySecret: string) =>
    sdkFor(server, sid, '', { keySid, keySecret }).conversations.v1.configuration().fetch()
  expect((await works(sid, token)).accountSid).toBe(sid)
  expect(await violationsOf(page)).toEqual([])
  await page.getByRole('button', { name: 'Done' }).click()
  expect(await page.content()).not.toContain(token)
  // By its SID: a try before this one may have left an account of the same name.
  const link = page.getByRole('link', { name: sid })
  await link.getByText('Second account').waitFor()
  await link.click()
  // A key.
  await page.getByRole('button', { name: 'New key' }).click()
  await page.getByLabel('Name', { exact: true }).fill('for CI')
  await page.getByRole('button', { name: 'Create', exact: true }).click()
  const secret = (await shown.textContent()) ?? ''
  const key = (await page.getByRole('dialog').locator('.sid').textContent()) ?? ''
  await page.getByRole('button', { name: 'Done' }).click()
  expect((await works(key, secret)).accountSid).toBe(sid)
  await page.getByRole('button', { name: 'New secret for for CI' }).click()
  await page.getByRole('button', { name: 'Make a new one' }).click()
  const next = (await shown.textContent()) ?? ''
  await page.getByRole('button', { name: 'Done' }).click()
  await expect(works(key, secret)).rejects.toThrow()
  expect((await works(key, next)).accountSid).toBe(sid)
  await page.getByRole('button', { name: 'Delete for CI' }).click()
  await page.getByRole('dialog').getByRole('button', { name: 'Delete' }).click()
  await page.getByText('None. A key signs in').waitFor()
  await expect(works(key, next)).rejects.toThrow()
  // The account itself.
  await page.getByRole('button', { name: 'New auth token' }).click()
  await page.getByRole('button', { name: 'Make a new one' }).click()
  const rotated = (await shown.textContent()) ?? ''
  await page.getByRole('button', { name: 'Done' }).click()
  await expect(works(sid, token)).rejects.toThrow()
  await page.getByRole('button', { name: 'Rename' }).click()
  await page.getByLabel('Name', { exact: true }).fill('Renamed account')
  await page.getByRole('dialog').getByRole('button', { name: 'Rename' }).click()
  await page.getByRole('main').getByText('Renamed account').waitFor()
  await page.getByRole('button', { name: 'Suspend' }).click()
  await page.getByRole('dialog').getByRole('button', { name: 'Suspend' }).click()
  await page.getByText('Its requests are refused').waitFor()
  await expect(works(sid, rotated)).rejects.toThrow()
  await page.getByRole('button', { name: 'Resume' }).click()
  await page.getByRole('dialog').getByRole('button', { name: 'Resume' }).click()
  await page.getByText('Its requests are refused').waitFor({ state: 'detached' })
  expect((await works(sid, rotated)).accountSid).toBe(sid)
  // Not without its SID.
  await page.getByRole('button', { name: 'Delete', exact: true }).click()
  await page.getByLabel('The SID of the account').fill('another')
  await page.getByRole('dialog').getByRole('button', { name: 'Delete' }).click()
  expect((await works(sid, rotated)).accountSid).toBe(sid)
  await page.getByLabel('The SID of the account').fill(sid)
  await page.getByRole('dialog').getByRole('button', { name: 'Delete' }).click()
  await page.getByRole('heading', { name: 'Accounts' }).waitFor()
  await link.waitFor({ state: 'detached' })
  await expect(server.admin('GET', `/accounts/${sid}`)).rejects.toThrow('404')
})

test('a dialog keeps to what it was opened for, whatever becomes of the account meanwhile', async ({
  server,
  tenant,
  visitor,
}) => {
  const path = `/accounts/${tenant.account_sid}`
  const page = await visitor.open(path)
  const dialog = page.getByRole('dialog')
  await page.getByRole('button', { name: 'Suspend' }).click()
  await server.admin('POST', path, { status: 'suspended', friendly_name: 'Meanwhile' })
  // The page behind it is read anew, as it is when somebody comes back to it.
  await setHidden(page, true)
  await setHidden(page, false)
  await page.getByText('Its requests are refused').waitFor()
  await page.getByRole('button', { name: 'Resume' }).waitFor()
  await dialog.getByRole('heading', { name: 'Suspend the account?' }).waitFor()
  await dialog.getByRole('button', { name: 'Suspend' }).click()
  await page.getByText('The account was suspended').waitFor()
  expect(await server.admin('GET', path)).toMatchObject({ status: 'suspended', friendly_name: 'Meanwhile' })
})

test('a key is made that may only do what is chosen', async ({ tenant, visitor }) => {
  const page = await visitor.open(`/accounts/${tenant.account_sid}`)
  await page.getByRole('button', { name: 'New key' }).click()
  await page.getByLabel('Name', { exact: true }).fill('reports')
  await page.getByLabel('It may do').selectOption('restricted')
  // Nothing is chosen: the server says what it wants.
  await page.getByRole('checkbox', { name: 'list users', exact: true }).waitFor()
  await page.getByRole('button', { name: 'Create', exact: true }).click()
  await page.getByRole('dialog').getByRole('alert').waitFor()
  await page.getByRole('checkbox', { name: 'list users', exact: true }).check()
  await page.getByRole('checkbox', { name: 'read conversations.messages', exact: true }).check()
  expect(await violationsOf(page)).toEqual([])
  await page.getByRole('button', { name: 'Create', exact: true }).click()
  const keySecret = (await page.getByRole('dialog').locator('code').textContent()) ?? ''
  const keySid = (await page.getByRole('dialog').locator('.sid').textContent()) ?? ''
  await page.getByRole('button', { name: 'Done' }).click()
  await page.getByText(`${keySid} · restricted`).waitFor()
  await page.getByText('May do 2 things').click()
  await page.getByText('/twilio/conversations/users/list').waitFor()
  expect(await violationsOf(page)).toEqual([])
  const { v1 } = sdkFor(tenant, tenant.account_sid, '', { keySid, keySecret }).conversations
  expect(await v1.users.list()).toEqual([])
  await expect(v1.users.create({ identity: 'ann' })).rejects.toMatchObject({ status: 401, code: 70051 })
})

test('an address is configured, changed and deleted', async ({ tenant, visitor }) => {
  const { addressConfigurations } = tenant.sdk.conversations.v1
  const page = await visitor.open(`/accounts/${tenant.account_sid}/addresses`)
  await page.getByText('No address is configured').waitFor()
  await page.getByRole('button', { name: 'New address' }).click()
  await page.getByLabel('Address', { exact: true }).fill('no number')
  await page.getByRole('button', { name: 'Create', exact: true }).click()
  await page.getByRole('dialog').getByRole('alert').waitFor()
  await page.getByLabel('Address', { exact: true }).fill('+15557654321')
  await page.getByLabel('Gives it').selectOption('webhook')
  await page.getByLabel('URL').fill('https://example.com/inbound')
  await page.getByLabel('onParticipantAdded').check()
  expect(await violationsOf(page)).toEqual([])
  await page.getByRole('button', { name: 'Create', exact: true }).click()
  await page.getByText('opens a conversation with a webhook').waitFor()
  const [made] = await addressConfigurations.list()
  expect(made).toMatchObject({ address: '+15557654321', type: 'sms' })
  expect(made?.autoCreation).toMatchObject({
    enabled: true,
    type: 'webhook',
    webhook_url: 'https://example.com/inbound',
    webhook_filters: ['onMessageAdded', 'onParticipantAdded'],
  })
  await page.getByRole('button', { name: 'Edit +15557654321' }).click()
  await page.getByLabel('Opens a conversation').uncheck()
  await page.getByLabel('Gives it').selectOption('default')
  await page.getByRole('button', { name: 'Save' }).click()
  await page.getByText('opens no conversation').waitFor()
  expect((await addressConfigurations.list())[0]?.autoCreation).toEqual({ enabled: false, type: 'default' })
  await page.getByRole('button', { name: 'Delete +15557654321' }).click()
  await page.getByRole('dialog').getByRole('button', { name: 'Delete' }).click()
  await page.getByText('No address is configured').waitFor()
})

test('a credential is created and renamed, and its secrets are never shown', async ({ tenant, visitor }) => {
  const page = await visitor.open(`/accounts/${tenant.account_sid}/credentials`)
  await page.getByRole('button', { name: 'New credential' }).click()
  await page.getByLabel('Type').selectOption('apn')
  await page.getByLabel('Friendly name').fill('iPhones')
  await page.getByLabel('Sandbox').check()
  await page.getByLabel('Certificate').fill('the certificate')
  await page.getByLabel('Private key').fill('the private key')
  await page.getByRole('button', { name: 'Create', exact: true }).click()
  // The dialog has a field of this name.
  const list = page.getByRole('list', { name: 'Credentials' })
  await list.getByText('sandbox').waitFor()
  const [made] = await tenant.sdk.conversations.v1.credentials.list()
  expect(made).toMatchObject({ friendlyName: 'iPhones', type: 'apn' })
  await page.reload()
  await page.getByRole('button', { name: 'Edit iPhones' }).click()
  expect(await page.getByLabel('Private key').inputValue()).toBe('')
  await page.getByLabel('Friendly name').fill('Tablets')
  await page.getByLabel('Sandbox').uncheck()
  await page.getByRole('button', { name: 'Save' }).click()
  await page.getByRole('button', { name: 'Edit Tablets' }).waitFor()
  await list.getByText('sandbox').waitFor({ state: 'detached' })
  expect(await page.content()).not.toContain('the private key')
  await page.getByRole('button', { name: 'Delete Tablets' }).click()
  await page.getByRole('dialog').getByRole('button', { name: 'Delete' }).click()
  await page.getByText('No credentials').waitFor()
})

test('bindings are found by identity, and a device is forgotten', async () => {
  await using server = await startFileServer()
  const service_sid = (await server.sdk.conversations.v1.configuration().fetch()).defaultChatServiceSid
  const { sid: credential_sid } = await server.sdk.conversations.v1.credentials.create({ type: 'fcm', secret: '{}' })
  for (const identity of ['ann', 'bob']) await registerBinding(server, server, { service_sid, identity, credential_sid })
  const visitor = await newVisitor(server)
  const page = await visitor.open(`/services/${service_sid}/bindings`)
  await signIn(page)
  await page.getByText('ann-endpoint').waitFor()
  await page.getByLabel('Identity').fill('bob')
  await page.getByRole('button', { name: 'Filter' }).click()
  await page.getByText('ann-endpoint').waitFor({ state: 'detached' })
  await page.getByText('bob-endpoint').waitFor()
  expect(page.url()).toContain('identity=bob')
  await page.reload()
  await page.getByRole('button', { name: /Delete BS/ }).click()
  await page.getByRole('dialog').getByRole('button', { name: 'Delete' }).click()
  await page.getByText('No binding matches').waitFor()
  expect((await server.sdk.conversations.v1.services(service_sid).bindings.list()).map(({ identity }) => identity)).toEqual([
    'ann',
  ])
  expect(visitor.errors).toEqual([])
  await visitor.close()
})

test('the pages of accounts pass axe, fit, and run nothing of a name', async ({ server, tenant }) => {
  const v1 = tenant.sdk.conversations.v1
  const name = hostile.join(' ').slice(0, 250)
  const { defaultChatServiceSid: service } = await v1.configuration().fetch()
  await tenant.admin('POST', `/accounts/${tenant.account_sid}`, { friendly_name: name })
  await tenant.admin('POST', `/accounts/${tenant.account_sid}/keys`, { friendly_name: name })
  await v1.credentials.create({ type: 'fcm', friendlyName: name.slice(0, 64), secret: '{}' })
  await v1.addressConfigurations.create({ type: 'sms', address: '+15557654321', friendlyName: name })
  const account = `/accounts/${tenant.account_sid}`
  await expectLooks(server, [
    ['/accounts', '<img src=x'],
    [account, '<img src=x'],
    [`${account}/addresses`, '<img src=x'],
    [`${account}/credentials`, '<img src=x'],
    [`/services/${service}/bindings?identity=${encodeURIComponent(name)}`, 'No binding matches'],
  ])
})
