import type { Locator, Page } from 'playwright-core'
import { afterAll, expect } from 'vitest'
import { settled } from '../support/hooked.ts'
import { adminToken } from '../support/server.ts'
import type { Tenant } from '../support/tenant.ts'
import { closeBrowser, newVisitor, test } from './support.ts'

afterAll(closeBrowser)

/** More than any page has. */
const maxStops = 150

/** Goes on by Tab until something has the focus, which has to be seen. Backwards with Shift. */
async function tabTo(page: Page, target: Locator, key: 'Tab' | 'Shift+Tab' = 'Tab'): Promise<void> {
  await target.waitFor()
  for (let stops = 0; stops < maxStops; stops++) {
    await page.keyboard.press(key)
    if (!(await hasFocus(target))) continue
    expect(await page.evaluate('getComputedStyle(document.activeElement).outlineStyle'), `the outline of ${target}`).not.toBe(
      'none',
    )
    return
  }
  throw new Error(`${target} is not reached by ${key}`)
}

const hasFocus = async (target: Locator) => (await target.and(target.page().locator(':focus')).count()) > 0

async function listOf({ sdk }: Tenant): Promise<string> {
  const { defaultChatServiceSid } = await sdk.conversations.v1.configuration().fetch()
  return `/services/${defaultChatServiceSid}/conversations`
}

test('somebody signs in, filters a list, opens a conversation, writes and closes it without a mouse', async ({ tenant }) => {
  const here = await tenant.sdk.conversations.v1.conversations.create({ friendlyName: 'Without a mouse' })
  await tenant.sdk.conversations.v1.conversations.create({ friendlyName: 'Another one' })
  const visitor = await newVisitor(tenant)
  const page = await visitor.open(await listOf(tenant))
  const token = page.getByLabel('Operator token')
  await token.waitFor()
  if (!(await hasFocus(token))) await tabTo(page, token)
  await page.keyboard.type(adminToken)
  await page.keyboard.press('Enter')

  await tabTo(page, page.getByLabel('Name', { exact: true }))
  await page.keyboard.type('without')
  await page.keyboard.press('Enter')
  await page.getByRole('link', { name: /Another one/ }).waitFor({ state: 'detached' })
  await tabTo(page, page.getByRole('link', { name: /Without a mouse/ }))
  await page.keyboard.press('Enter')
  await page.getByRole('heading', { name: 'Without a mouse' }).waitFor()

  await tabTo(page, page.getByLabel('Message', { exact: true }))
  await page.keyboard.type('Written by keyboard')
  await page.keyboard.press('Enter')
  const message = page.getByRole('article', { name: 'Message 0 by' })
  await message.getByText('Written by keyboard').waitFor()

  // A dialog keeps the focus, and gives it back to the button that has opened it.
  const remove = message.getByRole('button', { name: 'Delete' })
  await tabTo(page, remove, 'Shift+Tab')
  await page.keyboard.press('Enter')
  const dialog = page.getByRole('dialog')
  await dialog.waitFor()
  for (let stops = 0; stops < 10; stops++) {
    await page.keyboard.press('Tab')
    const inside = await page.evaluate(
      "document.activeElement === document.body || document.activeElement.closest('dialog') !== null",
    )
    expect(inside).toBe(true)
  }
  await page.keyboard.press('Escape')
  await dialog.waitFor({ state: 'detached' })
  expect(await hasFocus(remove)).toBe(true)
  await page.keyboard.press('Enter')
  await tabTo(page, dialog.getByRole('button', { name: 'Delete' }))
  await page.keyboard.press('Enter')
  await message.waitFor({ state: 'detached' })

  await tabTo(page, page.getByRole('button', { name: 'State' }))
  await page.keyboard.press('Enter')
  const state = dialog.getByLabel('State')
  await state.waitFor()
  if (!(await hasFocus(state))) await tabTo(page, state)
  await page.keyboard.type('closed')
  await tabTo(page, dialog.getByRole('button', { name: 'Change the state' }))
  await page.keyboard.press('Enter')
  await page.getByText('This conversation is closed').waitFor()
  expect((await tenant.sdk.conversations.v1.conversations(here.sid).fetch()).state).toBe('closed')
  expect(visitor.errors).toEqual([])
  await visitor.close()
})

test('a dialog opens again as soon as it has given the focus back', async ({ tenant, visitor }) => {
  const { sid } = await tenant.sdk.conversations.v1.conversations.create()
  await tenant.sdk.conversations.v1.conversations(sid).messages.create({ body: 'Deleted after all' })
  const page = await visitor.open(`${await listOf(tenant)}/${sid}`)
  const message = page.getByRole('article', { name: 'Message 0 by' })
  const dialog = page.getByRole('dialog')
  await message.getByRole('button', { name: 'Delete' }).focus()
  // Sooner than any key can be pressed.
  await page.evaluate(`document.activeElement.addEventListener('focus', ({ target }) => queueMicrotask(() => target.click()), {
    once: true,
  })`)
  await page.keyboard.press('Enter')
  await dialog.waitFor()
  await page.keyboard.press('Escape')
  await tabTo(page, dialog.getByRole('button', { name: 'Delete' }))
  await page.keyboard.press('Enter')
  await message.waitFor({ state: 'detached' })
})

test('a failed delivery is found and sent again without a mouse', async ({ tenant, visitor, catcher }) => {
  const v1 = tenant.sdk.conversations.v1
  await v1.configuration.webhooks().update({ postWebhookUrl: catcher.url(), filters: ['onConversationAdded'] })
  catcher.reply(() => ({ status: 400 }))
  await v1.conversations.create({ friendlyName: 'Told', xTwilioWebhookEnabled: 'true' })
  await settled(tenant)
  const page = await visitor.open()
  await tabTo(page, page.getByRole('link', { name: 'Deliveries', exact: true }).first())
  await page.keyboard.press('Enter')
  await page.getByRole('heading', { name: 'Deliveries' }).waitFor()
  const box = page.getByRole('checkbox').first()
  await tabTo(page, box)
  await page.keyboard.press('Space')
  expect(await box.isChecked()).toBe(true)
  // The latest: those of other accounts are on the page, too.
  await tabTo(page, page.getByRole('link').filter({ hasText: 'onConversationAdded' }).first())
  await page.keyboard.press('Enter')
  await page.getByRole('heading', { name: 'onConversationAdded' }).getByText('failed').waitFor()
  catcher.reply(() => ({ status: 200 }))
  await tabTo(page, page.getByRole('button', { name: 'Send again' }))
  await page.keyboard.press('Enter')
  await page.getByRole('heading', { name: 'onConversationAdded' }).getByText('delivered').waitFor()
})
