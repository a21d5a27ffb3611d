import { afterAll, expect } from 'vitest'
import { ask } from '../support/admin.ts'
import { violationsOf } from '../support/console.ts'
import { startServer } from '../support/server.ts'
import { closeBrowser, newVisitor, signIn, test } from './support.ts'

afterAll(closeBrowser)

const hostile = '<img src=x onerror="window.pwned=1"> zebra <mark>"; </mark><script>window.pwned=2</script>'

test('the search field leads to what is found in all accounts, marked as text, at a URL that can be kept', async () => {
  await using server = await startServer()
  const visitor = await newVisitor(server)
  const v1 = server.sdk.conversations.v1
  const { sid } = await v1.conversations.create({ friendlyName: 'Zebra crossing' })
  const here = v1.conversations(sid)
  await here.participants.create({ identity: 'zebra.fan' })
  await here.messages.create({ author: 'zebra.fan', body: hostile })
  const other = await server.admin('POST', '/accounts', { friendly_name: 'Elsewhere' })
  const as = { username: other.sid, password: other.auth_token }
  await server.call('POST', '/v1/Conversations', { FriendlyName: 'Another zebra' }, { as })

  const page = await visitor.open()
  await signIn(page)
  await page.getByRole('heading', { name: 'Conversations' }).waitFor()
  await page.keyboard.press('/')
  await page.keyboard.type('zebra')
  await page.keyboard.press('Enter')
  const group = (name: string) => page.getByRole('region', { name })
  await group('Messages').getByRole('link').first().waitFor()
  await group('Conversations').getByRole('link').nth(1).waitFor()
  await group('People').getByRole('link').nth(1).waitFor()
  expect(page.url()).toContain('/search?q=zebra')
  expect(await group('Conversations').getByRole('link').allInnerTexts()).toEqual([
    expect.stringContaining('Another zebra'),
    expect.stringContaining('Zebra crossing'),
  ])
  await group('Conversations').getByText('Elsewhere').waitFor()
  const snippet = group('Messages').locator('.snippet')
  expect(await snippet.textContent()).toBe(hostile)
  expect(await snippet.locator('mark').allInnerTexts()).toEqual(['zebra'])
  expect(await page.evaluate("'pwned' in window")).toBe(false)
  expect(await violationsOf(page)).toEqual([])

  // One kind, and one account: in the URL, and as they were after a reload.
  await page.getByLabel('Where').selectOption(server.account_sid)
  await page.waitForURL(/account=AC/)
  await page.getByLabel('Kind').selectOption('conversations')
  await page.waitForURL(/type=conversation/)
  await page.reload()
  await group('Conversations').getByRole('link').first().waitFor()
  expect(await group('Conversations').getByRole('link').count()).toBe(1)
  expect(await group('People').count()).toBe(0)
  await group('Conversations').getByRole('link').click()
  await page.getByRole('heading', { name: 'Zebra crossing' }).waitFor()

  // The list of a service has the words of messages as a filter.
  const service = (await v1.configuration().fetch()).defaultChatServiceSid
  await page.goto(`${server.url}/console/services/${service}/conversations`)
  await page.getByLabel('Text in messages').fill('onerror zeb')
  await page.keyboard.press('Enter')
  await page.waitForURL(/text=onerror/)
  await page.getByRole('link').filter({ hasText: 'Zebra crossing' }).waitFor()
  await page.getByLabel('Text in messages').fill('unheard of')
  await page.keyboard.press('Enter')
  await page.getByText('No conversation matches').waitFor()

  // From the commands, without a mouse.
  await page.keyboard.press('Control+k')
  await page.keyboard.type('crossing')
  await page.keyboard.press('Enter')
  await group('Conversations').getByRole('link').filter({ hasText: 'Zebra crossing' }).waitFor()
  expect(visitor.errors).toEqual([])
  await visitor.close()
})

test('a message that was found is brought into view and marked, however far back it is', async ({ tenant, visitor }) => {
  const v1 = tenant.sdk.conversations.v1
  const { sid } = await v1.conversations.create({ friendlyName: 'A long one' })
  const here = v1.conversations(sid)
  for (let i = 0; i < 260; i += 20) {
    await Promise.all(
      Array.from({ length: 20 }, (_, j) => here.messages.create({ body: i + j === 17 ? 'needle' : `hay ${i + j}` })),
    )
  }
  const found = (await here.messages.list()).find(({ body }) => body === 'needle')
  const page = await visitor.open(`/search?q=needle&account=${tenant.account_sid}`)
  await page.getByRole('region', { name: 'Messages' }).getByRole('link').click()
  const marked = page.locator('article[aria-current]')
  await marked.getByText('needle').waitFor()
  const isInView = `(() => { const { top, bottom } = document.querySelector('article[aria-current]').getBoundingClientRect()
    const box = document.querySelector('.timeline').getBoundingClientRect(); return top >= box.top && bottom <= box.bottom })()`
  await expect.poll(() => page.evaluate(isInView)).toBe(true)
  expect(page.url()).toContain(`at=${found?.sid}`)
  expect(await violationsOf(page)).toEqual([])
  await page.reload()
  await expect.poll(() => page.evaluate(`document.querySelector('article[aria-current]') && ${isInView}`)).toBe(true)
  // Neither the end nor the beginning is there, and both can be reached, without a gap.
  const log = page.getByRole('log')
  const shown = async () => (await log.locator('article .row-note').allInnerTexts()).filter((text) => text.startsWith('#'))
  const all = Array.from({ length: 260 }, (_, i) => `#${i}`)
  await log.getByRole('button', { name: 'Load newer messages' }).click()
  await expect.poll(async () => (await shown()).length).toBeGreaterThan(60)
  for (const direction of ['newer', 'older']) {
    const more = log.getByRole('button', { name: `Load ${direction} messages` })
    for (let before = -1; before !== (await shown()).length && (await more.count()) > 0; ) {
      before = (await shown()).length
      await more.click()
      await expect.poll(async () => (await more.count()) === 0 || (await shown()).length > before).toBe(true)
    }
  }
  expect(await shown()).toEqual(all)
  expect(await page.getByRole('link', { name: 'To the latest messages' }).count()).toBe(0)
  // What comes now is on the page, too.
  await here.messages.create({ body: 'the latest' })
  await log.getByText('the latest').waitFor()
  // Whoever writes sees what they have written.
  await page.goto(page.url())
  await marked.waitFor()
  await page.getByRole('textbox', { name: 'Message' }).fill('mine')
  await page.getByRole('button', { name: 'Send' }).click()
  await log.getByText('mine').waitFor()
  expect(page.url()).not.toContain('at=')
  // Of a message that is gone the page says so, and leads on.
  await here.messages(found?.sid ?? '').remove()
  await page.goto(`${page.url().split('?')[0]}?at=${found?.sid}`)
  await page.getByRole('alert').getByText('was not found').waitFor()
  await page.getByRole('link', { name: 'To the latest messages' }).click()
  await log.getByText('mine').waitFor()
})

test('a page of messages is found by a message of it', async ({ server, tenant }) => {
  const v1 = tenant.sdk.conversations.v1
  const service = (await v1.configuration().fetch()).defaultChatServiceSid
  const { sid } = await v1.conversations.create()
  const made = []
  for (let i = 0; i < 60; i++) made.push(await v1.conversations(sid).messages.create({ body: `${i}` }))
  const path = (message: string, of = sid, within = service) => `/services/${within}/conversations/${of}/messages/${message}`
  const place = await tenant.admin('GET', path(made[5]?.sid ?? ''))
  expect(place).toMatchObject({ message_sid: made[5]?.sid, index: 5 })
  const page = await tenant.call('GET', place.page_url)
  expect(page.body.messages.map(({ index }: { index: number }) => index)).toEqual(Array.from({ length: 26 }, (_, i) => 25 - i))
  expect((await tenant.admin('GET', path(made[50]?.sid ?? ''))).page_url).not.toContain('PageToken')
  const { sid: other } = await v1.conversations.create()
  const nobody = `IM${'0'.repeat(32)}`
  for (const wrong of [path(nobody), path(made[5]?.sid ?? '', other), path('%20'), path('x'.repeat(300)), path('..%2f..')]) {
    expect((await ask(server, 'GET', wrong)).status, wrong).toBe(404)
  }
  expect((await ask(server, 'GET', path('%00'))).status).toBe(400)
  expect((await ask(server, 'GET', path(made[5]?.sid ?? '', sid, `IS${'0'.repeat(32)}`))).status).toBe(404)
})
