import type { Page } from 'playwright-core'
import { afterAll, expect } from 'vitest'
import { startServer } from '../support/server.ts'
import { closeBrowser, expectLooks, newVisitor, signIn, test } from './support.ts'

afterAll(closeBrowser)

const [ann, bob, ours] = ['+15551234567', '+15559876543', '+15557654321']
const png = Buffer.from(
  'iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==',
  'base64',
)
const hostile = 'Hi <img src=x onerror="window.pwned=1">'

async function write(page: Page, fields: Record<string, string>, way?: string) {
  if (way !== undefined) await page.getByLabel('Write a').selectOption({ label: way })
  for (const [label, text] of Object.entries(fields)) await page.getByLabel(label, { exact: true }).fill(text)
  await page.getByRole('button', { name: 'Send', exact: true }).click()
}

test('a customer writes by each road, and sees what comes back', async () => {
  await using server = await startServer({ testMode: true })
  const v1 = server.sdk.conversations.v1
  const service = (await v1.configuration().fetch()).defaultChatServiceSid
  const visitor = await newVisitor(server)
  const page = await visitor.open(`/services/${service}/simulator`)
  await signIn(page)
  // Nobody takes it yet.
  await write(page, { From: ann, To: ours, Text: hostile })
  await page.getByRole('alert').waitFor()
  const created = { 'autoCreation.enabled': true, 'autoCreation.type': 'default' } as const
  for (const [type, address] of [
    ['sms', ours],
    ['whatsapp', `whatsapp:${ours}`],
    ['email', 'support@example.com'],
  ] as const) {
    await v1.addressConfigurations.create({ type, address, ...created })
  }
  const settings = { status: 'sent' }
  for (const address of [ours, `whatsapp:${ours}`]) {
    await server.admin('PUT', `/accounts/${server.account_sid}/channels/${address}`, { kind: 'loopback', settings })
  }
  await write(page, {})
  await page.getByRole('link', { name: 'a new conversation' }).waitFor()
  const phone = page.getByRole('region', { name: `The phone of ${ann}` })
  await phone.getByRole('article', { name: 'Written' }).getByText(hostile).waitFor()
  const [conversation] = await v1.conversations.list()
  const here = v1.conversations(conversation?.sid ?? '')
  // What comes back is there without a reload, and its carrier reports what it likes.
  await here.messages.create({ author: 'alice', body: hostile })
  const answer = phone.getByRole('article', { name: 'By alice' })
  await answer.getByText(hostile).waitFor()
  const receipt = async () => (await here.messages.list()).map(({ delivery }) => delivery).at(-1)
  await answer.getByRole('button', { name: 'undelivered' }).click()
  await page.getByLabel('Error code').fill('30005')
  await page.getByRole('button', { name: 'Report', exact: true }).click()
  await answer.getByText('error 30005').waitFor()
  expect(await receipt()).toMatchObject({ undelivered: 'all' })
  await answer.getByRole('button', { name: 'delivered', exact: true }).click()
  await answer.getByRole('button', { name: 'read', exact: true }).click()
  await expect.poll(() => answer.getByRole('button').count()).toBe(0)
  expect(await receipt()).toMatchObject({ read: 'all' })
  // A deep link: the phone is as it was.
  await page.reload()
  await answer.getByText('read').waitFor()
  expect(new URL(page.url()).searchParams.get('as')).toBe(ann)
  expect(await page.evaluate("'pwned' in window")).toBe(false)

  // A picture.
  await page.getByLabel('Write a').selectOption({ label: 'picture message (MMS)' })
  await page.getByLabel('Files').setInputFiles({ name: 'dot.png', mimeType: 'image/png', buffer: png })
  await write(page, { From: ann, To: ours, Text: 'See' })
  await phone.getByRole('img', { name: 'dot.png' }).waitFor()
  await page.getByRole('link', { name: 'the conversation' }).waitFor()

  // A group: the others see what one of them writes.
  await write(page, { From: ann, To: `${ours}, ${bob}`, Text: 'Hello everybody' }, 'group picture message')
  await page.getByRole('link', { name: 'a new conversation' }).waitFor()
  await page.goto(`${server.url}/console/services/${service}/simulator?by=group&as=${encodeURIComponent(bob)}`)
  const other = page.getByRole('region', { name: `The phone of ${bob}` })
  await other
    .getByRole('article', { name: `By ${ann}` })
    .getByText('Hello everybody')
    .waitFor()

  // WhatsApp, with the name that it tells.
  await write(page, { From: ann, To: ours, Text: 'Hi', 'Profile name': 'Ann' }, 'WhatsApp message')
  await page.getByRole('link', { name: 'a new conversation' }).waitFor()
  const whatsapp = (await v1.conversations.list()).map(({ sid }) => sid)
  const bindings = await Promise.all(whatsapp.map((sid) => v1.conversations(sid).participants.list()))
  expect(bindings.flat().map(({ messagingBinding }) => messagingBinding?.address)).toContain(`whatsapp:${ann}`)

  // A mail with an attachment: what comes back is caught.
  await page.getByLabel('Write a').selectOption({ label: 'mail' })
  await page.getByLabel('Files').setInputFiles({ name: 'Größe "1".png', mimeType: 'image/png', buffer: png })
  const mail = { From: 'ann@example.org', To: 'support@example.com', Subject: 'Größe 🚀: wo bleibt meine Bestellung?' }
  await write(page, { ...mail, Text: 'Guten Tag, wie groß ist es?' })
  const mailbox = page.getByRole('region', { name: 'The phone of ann@example.org' })
  await mailbox.getByText('Guten Tag, wie groß ist es?').first().waitFor()
  await mailbox.getByText('Größe 🚀: wo bleibt meine Bestellung?').waitFor()
  await mailbox.getByRole('link', { name: 'Größe "1".png' }).waitFor()
  const { messages } = await server.admin('GET', `/threads?service_sid=${service}&address=ann@example.org`)
  await v1.conversations(messages[0].conversation_sid).messages.create({ author: 'alice', body: 'So groß' })
  await mailbox.getByRole('article', { name: 'By alice' }).getByText('So groß').waitFor()
  await mailbox.getByRole('link', { name: 'The mail as it was sent' }).click()
  await page.getByRole('heading', { name: 'Re: Größe' }).waitFor()
  // Nobody has the mailbox.
  await page.goto(`${server.url}/console/services/${service}/simulator?by=email`)
  await write(page, { From: 'ann@example.org', To: 'nobody@example.com', Text: 'Hello?' })
  await page.getByRole('alert').waitFor()
  expect(visitor.errors).toEqual([])
  await expectLooks(server, [
    [`/services/${service}/simulator`, 'is shown here'],
    [`/services/${service}/simulator?as=${encodeURIComponent(ann)}&to=${encodeURIComponent(ours)}`, 'Hi <img'],
    [`/services/${service}/simulator?by=email&as=ann@example.org`, 'So groß'],
    [`/services/${service}/simulator?by=nonsense&as=${'x'.repeat(200)}`, 'Nothing yet'],
    [`/services/IS${'0'.repeat(32)}/simulator`, 'was not found'],
  ])
  await visitor.close()
})
