import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import type { Page } from 'playwright-core'
import { afterAll, expect } from 'vitest'
import { violationsOf } from '../support/console.ts'
import { adminToken } from '../support/server.ts'
import type { Tenant } from '../support/tenant.ts'
import { closeBrowser, test } from './support.ts'

afterAll(closeBrowser)

const run = promisify(execFile)

const odd = '{"id":12345678901234567890,\n\n "list" : [1,2] }'

async function openCase({ sdk }: Tenant) {
  const v1 = sdk.conversations.v1
  const { defaultChatServiceSid: service } = await v1.configuration().fetch()
  const { sid } = await v1.conversations.create({ friendlyName: "It's odd", attributes: odd })
  const here = v1.conversations(sid)
  const person = await here.participants.create({ identity: 'ann', attributes: odd })
  const message = await here.messages.create({ author: 'ann', body: "It's 5 o'clock", attributes: odd })
  const open = { path: `/services/${service}/conversations/${sid}`, here }
  return { ...open, person: here.participants(person.sid), message: here.messages(message.sid) }
}

/** Types what is no JSON and what is too long, then JSON; saves only that. */
async function edit(page: Page, max: number): Promise<void> {
  const attributes = page.getByRole('dialog').getByLabel('Attributes')
  expect(await attributes.inputValue()).toBe(odd)
  await attributes.fill('{a: 1}')
  await page.getByText('This is no JSON').waitFor()
  expect(await violationsOf(page)).toEqual([])
  await page.getByRole('button', { name: 'Save' }).click()
  await attributes.fill(`"${'x'.repeat(max - 1)}"`)
  await page.getByText(`Too long: ${(max + 1).toLocaleString('en')} bytes`).waitFor()
  await page.getByRole('button', { name: 'Save' }).click()
  await attributes.fill(' [ 1.0 ] ')
  await page.getByRole('button', { name: 'Save' }).click()
  await page.getByRole('dialog').waitFor({ state: 'detached' })
}

test('attributes of conversation, participant and message are checked, and stored as they are written', async ({
  tenant,
  visitor,
}) => {
  const { path, here, person, message } = await openCase(tenant)
  const page = await visitor.open(path)
  const bubble = page.getByRole('article', { name: 'Message 0 by ann' })
  // Other fields are changed and these are left alone: nothing of them is sent.
  await page.getByRole('button', { name: 'Edit', exact: true }).first().click()
  await page.getByLabel('Friendly name').fill('Still odd')
  await page.getByRole('button', { name: 'Save' }).click()
  await page.getByRole('heading', { name: 'Still odd' }).waitFor()
  expect((await here.fetch()).attributes).toBe(odd)
  await page.getByRole('button', { name: 'Edit', exact: true }).first().click()
  await edit(page, 16_384)
  await page.getByRole('button', { name: 'Edit ann' }).click()
  await edit(page, 4096)
  await bubble.getByRole('button', { name: 'Edit' }).click()
  await edit(page, 4096)
  for (const one of [here, person, message]) expect((await one.fetch()).attributes).toBe(' [ 1.0 ] ')
  // Nothing at all stands for an empty object.
  await page.getByRole('button', { name: 'Edit ann' }).click()
  await page.getByRole('dialog').getByLabel('Attributes').fill('')
  await page.getByRole('button', { name: 'Save' }).click()
  await page.getByRole('dialog').waitFor({ state: 'detached' })
  expect((await person.fetch()).attributes).toBe('{}')
})

test('the copied commands do what they say, whatever is in a text', async ({ tenant, visitor }) => {
  const { path, here } = await openCase(tenant)
  const page = await visitor.open(path)
  const copied = async (name: string) => {
    await page.getByRole('button', { name, exact: true }).filter({ visible: true }).click()
    const command = await page.evaluate<string>('navigator.clipboard.readText()')
    expect(command).not.toContain(adminToken)
    const env = { ...process.env, PARLEY_ADMIN_TOKEN: adminToken }
    const { stdout } = await run('sh', ['-c', `${command} --silent --show-error`], { env })
    return JSON.parse(stdout)
  }
  await page.getByRole('article').getByRole('button', { name: 'Details' }).click()
  const { sid } = await copied('Copy the curl that makes it')
  expect(await here.messages(sid).fetch()).toMatchObject({ author: 'ann', body: "It's 5 o'clock", attributes: odd, index: 1 })
  expect(await copied('Copy as curl')).toMatchObject({ index: 0, attributes: odd })
})
