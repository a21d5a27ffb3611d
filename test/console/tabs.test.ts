import type { Page } from 'playwright-core'
import { afterAll, expect } from 'vitest'
import { startServer } from '../support/server.ts'
import { closeBrowser, newVisitor, setHidden, signIn, test } from './support.ts'

afterAll(closeBrowser)

const isStream = (url: string) => new URL(url).pathname === '/admin/v1/events'
const conversationIn = (page: Page, name: string) => page.getByRole('link').filter({ hasText: name })

test('eight tabs follow by one stream; when the one that holds it goes, the next goes on and none misses anything', async () => {
  await using server = await startServer()
  const visitor = await newVisitor(server)
  const first = await visitor.open()
  /** The page and the URL of each stream, in their order. */
  const streams: { readonly page: Page; readonly url: string }[] = []
  first.context().on('request', (request) => {
    if (isStream(request.url())) streams.push({ page: request.frame().page(), url: request.url() })
  })
  await signIn(first)
  await first.getByText('No conversations yet').waitFor()
  const tabs = [first]
  // On HTTP/1.1 the seventh would get no connection for anything.
  while (tabs.length < 8) tabs.push(await visitor.open())
  expect(streams).toHaveLength(1)
  const { conversations } = server.sdk.conversations.v1
  const follow = async (friendlyName: string) => {
    await conversations.create({ friendlyName })
    await Promise.all(tabs.map((page) => conversationIn(page, friendlyName).waitFor()))
  }
  await follow('With all eight')
  for (const round of [1, 2]) {
    const leader = streams.at(-1)?.page as Page
    tabs.splice(tabs.indexOf(leader), 1)
    // While nobody holds the stream, and after that.
    await Promise.all([leader.close(), follow(`As the tab closes ${round}`)])
    await follow(`Without it ${round}`)
    expect(streams).toHaveLength(round + 1)
    // It has gone on where the other one ended.
    expect(new URL(streams.at(-1)?.url ?? '').searchParams.get('last_event_id')).toMatch(/^[0-9a-f]+-\d+$/)
  }
  // One that nobody sees leaves the stream to another, and catches up.
  const hidden = streams.at(-1)?.page as Page
  await setHidden(hidden, true)
  tabs.splice(tabs.indexOf(hidden), 1)
  await follow('While one is hidden')
  expect(streams.at(-1)?.page).not.toBe(hidden)
  await setHidden(hidden, false)
  tabs.push(hidden)
  await follow('With all that are left')
  await conversationIn(hidden, 'While one is hidden').waitFor()
  expect(visitor.errors).toEqual([])
  await visitor.close()
})

test('whoever signs out in one tab is signed out in all, and in again in all', async ({ visitor }) => {
  const [one, two] = [await visitor.open(), await visitor.open('/deliveries?status=failed')]
  await one.getByRole('button', { name: 'Settings' }).click()
  await one.getByRole('button', { name: 'Sign out' }).click()
  await two.getByLabel('Operator token').waitFor()
  await one.getByLabel('Operator token').waitFor()
  await signIn(two)
  await two.getByRole('heading', { name: 'Deliveries' }).waitFor()
  await one.getByRole('heading', { name: 'Conversations' }).waitFor()
})
