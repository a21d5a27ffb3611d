/**
 * Takes the pictures of docs/console.md: starts a server in test mode, fills it, and photographs the pages in Debian's Chromium
 * (or the browser of PARLEY_TEST_CHROMIUM). Run it when pages have changed, and look at what it has taken.
 */
import { existsSync, mkdirSync, statSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { chromium } from 'playwright-core'
import { buildConsole } from '../console/build.ts'
import { startParley } from '../src/testing.ts'

const folder = fileURLToPath(new URL('../docs/console/', import.meta.url))
const executablePath = process.env.PARLEY_TEST_CHROMIUM ?? '/usr/bin/chromium'
const adminToken = 'operator-token-of-the-pictures'

if (!existsSync(executablePath)) throw new Error(`there is no browser at ${executablePath}: install Debian's package chromium`)
mkdirSync(folder, { recursive: true })
await buildConsole()
await using parley = await startParley({ settings: { PARLEY_ADMIN_TOKEN: adminToken, PARLEY_WEBHOOK_RETRIES: '2' } })
const { v1 } = parley.client().conversations
const ids = await fill()
const browser = await chromium.launch({ executablePath, args: process.getuid?.() === 0 ? ['--no-sandbox'] : [] })

const list = `/services/${ids.service}/conversations`
await take('conversations', list, 'Refund for order 1198')
await take('conversation', `${list}/${ids.conversation}`, 'by its timer')
await take('conversation-dark', `${list}/${ids.conversation}`, 'by its timer', { dark: true, width: 380, height: 720 })
await take('deliveries', '/deliveries', 'onConversationStateUpdated')
await take('delivery', `/deliveries/${ids.delivery}`, 'after a pause of', { height: 640 })
await take('search', '/search?q=voucher', 'voucher')
await take('targets', `/accounts/${parley.account.sid}/targets`, 'Last error')
await take('clock', '/clock', 'Complaint about the delivery')
await take('webhooks', `/services/${ids.service}/webhooks`, 'After a change')
await take('roles', `/services/${ids.service}/roles`, 'channel admin')
await take('privacy', `/accounts/${parley.account.sid}/privacy`, 'Erasure: ticket 4711', { height: 480 })
await browser.close()

/** What a support team has on a quiet morning. */
async function fill() {
  parley.webhooks.reply(({ params: { Body, RetryCount } }) => {
    if (Body?.includes('voucher')) return { status: 500 }
    return { status: Body?.includes('look that up') && Number(RetryCount) < 2 ? 503 : 200 }
  })
  const filters = ['onMessageAdded', 'onParticipantAdded', 'onConversationStateUpdated']
  await v1.configuration.webhooks().update({ postWebhookUrl: parley.webhooks.url, filters, method: 'POST' })
  const { defaultChatServiceSid: service } = await v1.configuration().fetch()
  for (const friendlyName of ['Refund for order 1198', 'Change of address', 'Complaint about the delivery']) {
    const { sid } = await v1.conversations.create({ friendlyName, 'timers.inactive': 'PT4H', 'timers.closed': 'P3D' })
    await v1.conversations(sid).messages.create({ author: 'ann', body: 'Thank you, I will look into it.' })
    if (friendlyName.startsWith('Change')) {
      await v1.conversations(sid).participants.create({ identity: 'bob' })
      await v1.conversations(sid).messages.create({ author: 'bob', body: 'It is 5 Mill Lane now.' })
      await v1.conversations(sid).update({ state: 'closed' })
    }
  }
  const enabled = { xTwilioWebhookEnabled: 'true' } as const
  const { sid } = await v1.conversations.create({
    friendlyName: 'Order 1234: where is my parcel?',
    uniqueName: 'order-1234',
    attributes: '{"order":1234,"priority":"high"}',
    'timers.inactive': 'PT1H',
    'timers.closed': 'P2D',
  })
  const here = v1.conversations(sid)
  await here.participants.create({ 'messagingBinding.address': '+15551234567', 'messagingBinding.proxyAddress': '+15557654321' })
  await here.participants.create({ identity: 'ann', ...enabled })
  await here.messages.create({ author: '+15551234567', body: 'Hello, my parcel should have come on Monday.', ...enabled })
  await parley.clock.advance('PT65M')
  await here.messages.create({ author: 'ann', body: 'Good morning! Let me look that up for you.', ...enabled })
  await here.messages.create({ author: 'ann', body: 'It arrives today. Here is a voucher: SORRY-10', ...enabled })
  // Those of the conversation wait for one that is tried again.
  const pending = async () => (await operator('GET', '/deliveries?status=pending')).deliveries.length
  while ((await pending()) > 0) await sleep(100)
  await parley.clock.advance('PT2M')
  const { deliveries } = await operator('GET', `/deliveries?conversation_sid=${sid}`)
  const delivery = deliveries.find(({ attempts }) => attempts.length > 1)?.id
  await erase({ identity: 'bob', reference: 'ticket 4711' })
  await erase({ address: '+15551234567', reference: 'ticket 4720', dry_run: true })
  return { service, conversation: sid, delivery }
}

async function erase(whom: object) {
  const path = `/accounts/${parley.account.sid}/erasures`
  const { id } = await operator('POST', path, whom)
  while ((await operator('GET', `${path}/${id}`)).status !== 'done') await sleep(100)
}

/** What of responses is used here. */
interface Reply {
  readonly id: string
  readonly status: string
  readonly deliveries: readonly { readonly id: string; readonly attempts: readonly unknown[] }[]
}

async function operator(method: string, path: string, body?: object): Promise<Reply> {
  const response = await fetch(`${parley.url}/admin/v1${path}`, {
    method,
    headers: { authorization: `Bearer ${adminToken}`, 'content-type': 'application/json' },
    ...(body && { body: JSON.stringify(body) }),
  })
  if (!response.ok) throw new Error(`${path}: ${response.status} ${await response.text()}`)
  return (await response.json()) as Reply
}

interface Looks {
  readonly dark?: boolean
  readonly width?: number
  readonly height?: number
}

async function take(name: string, path: string, ready: string, { dark, width = 1100, height = 700 }: Looks = {}): Promise<void> {
  const context = await browser.newContext({ viewport: { width, height }, colorScheme: dark ? 'dark' : 'light' })
  const page = await context.newPage()
  await page.goto(`${parley.url}/console${path}`)
  await page.getByLabel('Operator token').fill(adminToken)
  await page.getByRole('button', { name: 'Sign in' }).click()
  await page.locator('main').getByText(ready).filter({ visible: true }).first().waitFor()
  await page.mouse.move(0, 0)
  await page.waitForLoadState('networkidle')
  const file = `${folder}${name}.png`
  await page.screenshot({ path: file })
  console.log(`${Math.ceil(statSync(file).size / 1024)} KB  ${file}`)
  await context.close()
}
