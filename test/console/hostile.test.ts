import { afterAll, expect } from 'vitest'
import { closeBrowser, expectLooks, test } from './support.ts'

afterAll(closeBrowser)

const reversed = '\u202egnp.elif'

test('an act is done once, however often its button is pressed', async ({ tenant, visitor }) => {
  const v1 = tenant.sdk.conversations.v1
  const service = (await v1.configuration().fetch()).defaultChatServiceSid
  const page = await visitor.open(`/services/${service}/conversations`)
  await page.getByRole('button', { name: 'New conversation' }).click()
  await page.getByLabel('Friendly name').fill('Only one')
  // In one turn of the page, before it can be drawn anew.
  const twice = (name: string) =>
    page.evaluate(`(() => { const button = [...document.querySelectorAll('button')].findLast((one) => one.textContent === '${name}')
      button.click(); button.click(); button.form?.requestSubmit() })()`)
  await twice('Create')
  await page.getByRole('heading', { name: 'Only one' }).waitFor()
  expect(await v1.conversations.list()).toHaveLength(1)
  const [made] = await v1.conversations.list()
  await page.getByRole('textbox', { name: 'Message' }).fill('Once')
  await twice('Send')
  await page.getByRole('log').getByText('Once').waitFor()
  await page.getByRole('button', { name: 'Add a participant' }).click()
  await page.getByLabel('Identity').fill('ann')
  await twice('Add')
  await page.getByRole('dialog').waitFor({ state: 'detached' })
  expect(await v1.conversations(made?.sid ?? '').messages.list()).toHaveLength(1)
  expect(await v1.conversations(made?.sid ?? '').participants.list()).toHaveLength(1)
})

test('without a network an act says so, keeps what was typed, and is not done later by itself', async ({ tenant, visitor }) => {
  const v1 = tenant.sdk.conversations.v1
  const service = (await v1.configuration().fetch()).defaultChatServiceSid
  const { sid } = await v1.conversations.create({ friendlyName: 'Cut off' })
  const page = await visitor.open(`/services/${service}/conversations/${sid}`)
  const text = page.getByRole('textbox', { name: 'Message' })
  await text.fill('Is anybody there?')
  await page.context().setOffline(true)
  await page.getByRole('button', { name: 'Send' }).click()
  await page.getByRole('alert').getByText('The server cannot be reached').waitFor()
  await page.getByRole('button', { name: 'Edit' }).first().click()
  await page.getByLabel('Friendly name').fill('New name')
  await page.getByRole('button', { name: 'Save' }).click()
  await page.getByRole('dialog').getByRole('alert').getByText('The server cannot be reached').waitFor()
  await page.context().setOffline(false)
  // What comes now is shown: whatever was going to be done by itself would have been.
  await v1.conversations(sid).messages.create({ body: 'Back again' })
  await page.getByRole('log').getByText('Back again').waitFor({ state: 'attached' })
  expect((await v1.conversations(sid).messages.list()).map(({ body }) => body)).toEqual(['Back again'])
  expect((await v1.conversations(sid).fetch()).friendlyName).toBe('Cut off')
  await page.getByRole('button', { name: 'Save' }).click()
  await page.getByRole('heading', { name: 'New name' }).waitFor()
  expect(await text.inputValue()).toBe('Is anybody there?')
  await page.getByRole('button', { name: 'Send' }).click()
  await page.getByRole('log').getByText('Is anybody there?').waitFor()
  // The browser says so itself, of the requests that have failed.
  const others = visitor.errors.filter((error) => !error.includes('ERR_INTERNET_DISCONNECTED'))
  expect(others).toEqual([])
  ;(visitor.errors as string[]).length = 0
})

test('names that cannot be seen, go the other way or are very long are told apart and stay in their place', async ({
  server,
  tenant,
  visitor,
}) => {
  const v1 = tenant.sdk.conversations.v1
  const service = (await v1.configuration().fetch()).defaultChatServiceSid
  const blank = await v1.conversations.create({ friendlyName: ' \u200b\u2060 ', uniqueName: 'seen' })
  const { sid } = await v1.conversations.create({ friendlyName: 'שיחה: 1234 where?' })
  const people = ['אברהם', reversed, `${'name'.repeat(60)}`, 'مرحبا', 'a\u0301\u0302\u0303'.repeat(30)]
  for (const identity of people) {
    await v1.conversations(sid).participants.create({ identity, attributes: JSON.stringify({ deep: 'x'.repeat(3000) }) })
    await v1.conversations(sid).messages.create({ author: identity, body: `${identity} שלום ${'\u0300'.repeat(200)}` })
  }
  const list = `/services/${service}/conversations`
  const page = await visitor.open(list)
  await page.getByRole('link').filter({ hasText: 'seen' }).click()
  await page.getByRole('heading', { name: 'seen' }).waitFor()
  expect(page.url()).toContain(blank.sid)
  await page.goto(`${server.url}/console${list}/${sid}`)
  const author = page.getByRole('log').locator('article strong bdi').filter({ hasText: reversed })
  await author.waitFor()
  const styleOf = (selector: string, name: string) =>
    page.evaluate(`getComputedStyle(document.querySelector(${JSON.stringify(selector)})).${name}`)
  expect(await styleOf('[role=log] article strong bdi', 'unicodeBidi')).toBe('isolate')
  expect(await styleOf('h1 bdi', 'direction')).toBe('rtl')
  await expectLooks(server, [
    [list, 'seen'],
    [`${list}/${sid}`, 'אברהם'],
  ])
})

test('a conversation of very many people shows some, and the others when they are asked for', async ({ tenant, visitor }) => {
  const v1 = tenant.sdk.conversations.v1
  const service = (await v1.configuration().fetch()).defaultChatServiceSid
  const { sid } = await v1.conversations.create({ friendlyName: 'A crowd' })
  const count = 450
  for (let i = 0; i < count; i += 25) {
    await Promise.all(
      Array.from({ length: 25 }, (_, j) => v1.conversations(sid).participants.create({ identity: `one-${i + j}` })),
    )
  }
  const page = await visitor.open(`/services/${service}/conversations/${sid}`)
  await page.getByText('Participants (200 of more)').waitFor()
  const more = page.getByRole('button', { name: 'Load more participants' })
  await more.click()
  await page.getByText('Participants (400 of more)').waitFor()
  await more.click()
  await page.getByText(`Participants (${count})`).waitFor()
  expect(await more.count()).toBe(0)
})

test('Back, Forward and reload keep each page as it was filtered', async ({ server, tenant, visitor }) => {
  const v1 = tenant.sdk.conversations.v1
  const { account_sid } = tenant
  const service = (await v1.configuration().fetch()).defaultChatServiceSid
  await v1.conversations.create({ friendlyName: 'One' })
  const strange = `a&b=c#d?e%f+g "h" 'i' <j> \u2028 é`
  const q = encodeURIComponent(strange)
  const list = `/services/${service}/conversations`
  const pages: [path: string, label: string, value: string][] = [
    [`${list}?name=${q}`, 'Name', strange],
    [`${list}?name=007`, 'Name', '007'],
    [`${list}?name=true`, 'Name', 'true'],
    [`${list}?state=closed`, 'State', 'closed'],
    [`/deliveries?target=${q}&service=${service}`, 'Target', strange],
    ['/deliveries?status=failed', 'Status', 'failed'],
    [`/search?q=${q}`, 'Words', strange],
    [`/services/${service}/bindings?identity=${q}`, 'Identity', strange],
  ]
  const page = await visitor.open(`/accounts/${account_sid}/targets`)
  const expectField = async (label: string, value: string) =>
    expect.poll(() => page.locator('main').getByLabel(label, { exact: true }).inputValue()).toBe(value)
  for (const [path, label, value] of pages) {
    await page.goto(`${server.url}/console${path}`)
    await expectField(label, value)
    await page.reload()
    await expectField(label, value)
  }
  for (const [, label, value] of pages.toReversed().slice(1)) {
    await page.goBack()
    await expectField(label, value)
  }
  for (const [, label, value] of pages.slice(1)) {
    await page.goForward()
    await expectField(label, value)
  }
})
