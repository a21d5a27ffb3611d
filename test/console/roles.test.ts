import { afterAll, expect } from 'vitest'
import { closeBrowser, expectLooks, hostile, test } from './support.ts'

afterAll(closeBrowser)

test('a role is created like another, its permissions are set in the matrix, and it is deleted', async ({ tenant, visitor }) => {
  const v1 = tenant.sdk.conversations.v1
  const { defaultChatServiceSid: service } = await v1.configuration().fetch()
  const page = await visitor.open(`/services/${service}/roles`)
  const inService = page.getByRole('region', { name: 'Roles in the service' })
  const inConversation = page.getByRole('region', { name: 'Roles in a conversation' })
  await inService.getByLabel('createConversation for service user').waitFor()
  expect(await inService.getByLabel('createConversation for service user').isChecked()).toBe(true)
  // What a role of the other kind may have is not offered.
  expect(await inService.getByLabel('sendMessage for service user').count()).toBe(0)
  expect(await inConversation.getByLabel('joinConversation for channel user').count()).toBe(0)
  await page.getByRole('button', { name: 'New role' }).click()
  await page.getByLabel('Name', { exact: true }).fill('moderators')
  await page.getByLabel('Starts with the permissions of').selectOption({ label: 'channel user (in a conversation)' })
  await page.getByRole('button', { name: 'Create', exact: true }).click()
  const may = (permission: string) => inConversation.getByLabel(`${permission} for moderators`, { exact: true })
  await may('deleteAnyMessage').check()
  await may('deleteOwnMessage').uncheck()
  await page.getByRole('button', { name: 'Save (1)' }).click()
  await page.getByText('The permissions were saved').waitFor()
  const roleOf = async () => (await v1.services(service).roles.list()).find(({ friendlyName }) => friendlyName === 'moderators')
  const stored = await roleOf()
  expect(stored?.type).toBe('conversation')
  expect(stored?.permissions).toContain('deleteAnyMessage')
  expect(stored?.permissions).toContain('sendMessage')
  expect(stored?.permissions).not.toContain('deleteOwnMessage')
  await page.reload()
  await may('deleteAnyMessage').waitFor()
  expect(await may('deleteAnyMessage').isChecked()).toBe(true)
  // Undoing sends nothing.
  await may('sendMessage').uncheck()
  await page.getByRole('button', { name: 'Undo' }).click()
  expect(await may('sendMessage').isChecked()).toBe(true)
  // A role that is a default stays.
  await inConversation.getByRole('button', { name: 'channel user' }).click()
  await page.getByText('It is the default of participants').waitFor()
  expect(await page.getByRole('dialog').getByRole('button', { name: 'Delete' }).isDisabled()).toBe(true)
  await page.keyboard.press('Escape')
  await inConversation.getByRole('button', { name: 'moderators' }).click()
  await page.getByRole('button', { name: 'Copy the curl that makes it' }).click()
  expect(await page.evaluate('navigator.clipboard.readText()')).toContain(`--data-urlencode 'Permission=deleteAnyMessage'`)
  await page.getByRole('dialog').getByRole('button', { name: 'Delete' }).click()
  await page.getByRole('dialog').getByRole('button', { name: 'Delete' }).click()
  await may('sendMessage').waitFor({ state: 'detached' })
  expect(await roleOf()).toBe(undefined)
})

test('the page of roles passes axe, fits, and runs nothing of a name', async ({ server, tenant }) => {
  const v1 = tenant.sdk.conversations.v1
  const { defaultChatServiceSid: service } = await v1.configuration().fetch()
  for (const name of hostile) {
    for (const type of ['service', 'conversation'] as const) {
      const friendlyName = name.slice(0, 64)
      await v1.services(service).roles.create({ friendlyName, type, permission: ['addParticipant'] })
    }
  }
  await expectLooks(server, [[`/services/${service}/roles`, '<img src=x']])
})
