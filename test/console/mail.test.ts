import { readFile } from 'node:fs/promises'
import { afterAll, expect } from 'vitest'
import { startServer } from '../support/server.ts'
import type { Tenant } from '../support/tenant.ts'
import { catchWebhooks } from '../support/webhook-catcher.ts'
import { closeBrowser, expectLooks, newVisitor, signIn, test } from './support.ts'

afterAll(closeBrowser)

const attachment = Buffer.from([0, 255, 13, 10, 46, 13, 10, 128])

/** Returns media of a message that carry what a mail has: its HTML, or an attachment. */
async function upload(tenant: Tenant, service: string, query: string, type: string, bytes: string | Uint8Array<ArrayBuffer>) {
  const { username, password } = tenant.credentials
  const response = await fetch(`${tenant.url}/v1/Services/${service}/Media?${query}`, {
    method: 'POST',
    headers: { authorization: `Basic ${btoa(`${username}:${password}`)}`, 'content-type': type },
    body: bytes,
  })
  return ((await response.json()) as { sid: string }).sid
}

test('mail that leaves is caught and shown as its reader sees it; nothing of it runs', async () => {
  await using server = await startServer({ testMode: true })
  await using outside = await catchWebhooks({ authToken: server.auth_token })
  const visitor = await newVisitor(server)
  const list = await visitor.open('/mail')
  await signIn(list)
  await list.getByText('No mail yet').waitFor()
  const support = { 'Bindings.Email.Address': 'support@example.com' }
  const { body: made } = await server.call('POST', '/v1/Conversations', support)
  const here = `/v1/Conversations/${made.sid}`
  await server.call('POST', `${here}/Participants`, {
    'MessagingBinding.Address': 'ann@example.org',
    'MessagingBinding.Type': 'email',
  })
  const html = `<h1>With colours</h1><script>parent.pwned=1;top.pwned=2</script><img src="${outside.url()}" onerror="top.pwned=3">
    <form action="${outside.url()}"><button>Go</button></form><style>@import url(${outside.url()});</style>`
  const page = await upload(server, made.chat_service_sid, 'Category=body', 'text/html', html)
  const file = await upload(
    server,
    made.chat_service_sid,
    'Filename=%3Cimg%20src%3Dx%20onerror%3Dpwned%3D4%3E.html',
    'text/html',
    attachment,
  )
  const Subject = 'Order <img src=x onerror="window.pwned=5">'
  await server.call('POST', `${here}/Messages`, { Author: 'alice', Body: 'In plain words', Subject, MediaSid: page })
  // The list that is open has it.
  await list.getByRole('link', { name: Subject }).click()
  await list.getByRole('heading', { name: Subject }).waitFor()
  await list.frameLocator('iframe').getByText('With colours').waitFor()
  expect(await list.locator('iframe').getAttribute('sandbox')).toBe('')
  for (const summary of await list.locator('summary').all()) await summary.click()
  await list.getByText('In plain words').first().waitFor()
  await list.locator('pre').getByText('Reply-To: ').first().waitFor()
  expect(await list.evaluate("'pwned' in window")).toBe(false)
  const saved = async (name: string) => {
    const [download] = await Promise.all([list.waitForEvent('download'), list.getByRole('link', { name }).click()])
    return { name: download.suggestedFilename(), bytes: await readFile(await download.path()) }
  }
  const attached = { Author: 'alice', Body: `See ${'x'.repeat(300)}`, Subject: 'Attached', MediaSid: file }
  await server.call('POST', `${here}/Messages`, attached)
  await list.goto(`${server.url}/console/mail`)
  await list.getByRole('link', { name: 'Attached' }).click()
  await list.getByRole('heading', { name: 'Attached' }).waitFor()
  const [{ sid }] = (await server.admin('GET', '/mail')).mail
  const source = await saved('Download the source')
  expect(source.name).toBe(`${sid}.eml`)
  expect(source.bytes.toString()).toContain('To: ann@example.org')
  expect((await saved('onerror')).bytes).toEqual(attachment)
  const response = await list.request.get(`${server.url}/admin/v1/mail/${sid}/attachments/0`)
  expect(response.headers()).toMatchObject({
    'content-type': 'application/octet-stream',
    'content-disposition': expect.stringMatching(/^attachment/),
    'content-security-policy': "default-src 'none'; sandbox",
  })
  for (const path of [
    `${sid}/attachments/1`,
    `${sid}/attachments/-1`,
    `${sid}/attachments/x`,
    'EM0/source',
    'EM0/attachments/0',
  ]) {
    expect((await list.request.get(`${server.url}/admin/v1/mail/${path}`)).status()).toBe(404)
  }
  expect(await list.evaluate("'pwned' in window")).toBe(false)
  // What the frame tried was refused, and nothing else.
  const blocked = visitor.errors.filter((error) => error.includes('about:srcdoc'))
  expect(blocked.length).toBeGreaterThan(0)
  expect(visitor.errors).toEqual(blocked)
  expect(outside.requests).toEqual([])
  await list.reload()
  await list.getByRole('link', { name: made.sid }).click()
  await list.getByRole('article', { name: 'Message 1 by alice' }).waitFor()
  await expectLooks(server, [
    ['/mail', 'Order'],
    [`/mail/${sid}`, 'Download the source'],
    ['/mail/EM0', 'was not found'],
  ])
  await list.goto(`${server.url}/console/mail`)
  await list.getByRole('button', { name: 'Forget all' }).click()
  await list.getByRole('button', { name: 'Forget', exact: true }).click()
  await list.getByText('No mail yet').waitFor()
  await visitor.close()
})

test('a server outside of test mode says that it catches none', async ({ visitor }) => {
  const page = await visitor.open('/mail')
  await page.getByText('This server catches no mail').waitFor()
})
