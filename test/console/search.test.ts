import { afterAll, expect } from 'vitest'
import { violationsOf } from '../support/console.ts'
import { closeBrowser, test } from './support.ts'

afterAll(closeBrowser)

const hostile = '<img src=x onerror="window.pwned=1"> zebra <mark>"; </mark><script>window.pwned=2</script>'

test('the search field leads to what is found in all accounts, marked as text, at a URL that can be kept', async ({
  server,
  tenant,
  visitor,
}) => {
  const v1 = tenant.sdk.conversations.v1
  const { sid } = await v1.conversations.create({ friendlyName: 'Zebra crossing' })
  const here = v1.conversations(sid)
  await here.participants.create({ identity: 'zebra.fan' })
  await here.messages.create({ author: 'zebra.fan', body: hostile })
  const other = await server.admin('POST', '/accounts', { friendly_name: 'Elsewhere' })
  const as = { username: other.sid, password: other.auth_token }
  await tenant.call('POST', '/v1/Conversations', { FriendlyName: 'Another zebra' }, { as })

  const page = await visitor.open()
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
  await page.getByLabel('Where').selectOption(tenant.account_sid)
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
})
