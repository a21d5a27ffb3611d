import { afterAll, expect } from 'vitest'
import { violationsOf } from '../support/console.ts'
import { closeBrowser, hostile, newVisitor, signIn, test, wider } from './support.ts'

afterAll(closeBrowser)

test('every page passes axe in light and dark, and fits a width of 360', async ({ server, catcher, tenant }) => {
  const v1 = tenant.sdk.conversations.v1
  await v1.configuration.webhooks().update({ postWebhookUrl: catcher.url(), filters: ['onMessageAdded'] })
  const service = (await v1.configuration().fetch()).defaultChatServiceSid
  const { sid } = await v1.conversations.create({
    friendlyName: `A long name without any space: ${'x'.repeat(200)}`,
    attributes: JSON.stringify({ text: 'y'.repeat(300) }),
    'timers.inactive': 'PT1H',
    'timers.closed': 'P2D',
  })
  await v1.conversations
    .create({ friendlyName: 'Closed one' })
    .then(({ sid }) => v1.conversations(sid).update({ state: 'closed' }))
  const here = v1.conversations(sid)
  await here.participants.create({ identity: 'ann' })
  await here.participants.create({ 'messagingBinding.address': '+15551234567', 'messagingBinding.proxyAddress': '+15557654321' })
  await here.messages.create({ author: 'ann', body: `z${'z'.repeat(300)}`, xTwilioWebhookEnabled: 'true' })
  await here.messages.create({ body: 'Hello\nthere' })
  await catcher.next()
  const { deliveries } = await tenant.admin('GET', `/deliveries?conversation_sid=${sid}`)
  const list = `/services/${service}/conversations`
  const pages: [path: string, ready: string][] = [
    [list, 'Closed one'],
    [`${list}?name=nothing`, 'No conversation matches'],
    [`${list}/${sid}`, 'Hello'],
    ['/deliveries', '200 in'],
    ...deliveries.map(({ id }: { id: string }): [string, string] => [`/deliveries/${id}`, 'Attempts']),
    ['/clock', 'Due next'],
    ['/search?q=hello', 'there'],
    [`/CH${'0'.repeat(32)}`, 'was not found'],
  ]
  for (const dark of [false, true]) {
    const visitor = await newVisitor(server, { width: 360, dark })
    const page = await visitor.open()
    await page.getByLabel('Operator token').waitFor()
    expect(await violationsOf(page), 'signing in').toEqual([])
    await signIn(page)
    await page.getByRole('heading', { name: 'Conversations' }).waitFor()
    for (const [path, ready] of pages) {
      await page.goto(`${server.url}/console${path}`)
      await page.getByText(ready).first().waitFor()
      for (const summary of await page.locator('summary').all()) {
        if (!(await summary.evaluate((element) => element.closest('details')?.open))) await summary.click()
      }
      expect(await violationsOf(page), `${path}, ${dark ? 'dark' : 'light'}`).toEqual([])
      expect(await page.evaluate(wider), path).toEqual([])
    }
    await page.keyboard.press('Control+k')
    await page.getByRole('dialog').getByRole('option').first().waitFor()
    expect(await violationsOf(page), 'commands').toEqual([])
    await page.keyboard.press('Escape')
    await page.getByRole('button', { name: 'Settings' }).click()
    expect(await violationsOf(page), 'settings').toEqual([])
    await visitor.close()
  }
})

test('nothing that people write runs, wherever it is shown', async ({ server, tenant, catcher }) => {
  const visitor = await newVisitor(server)
  const first = await visitor.open()
  await signIn(first)
  await first.getByRole('heading', { name: 'Conversations' }).waitFor()
  const v1 = tenant.sdk.conversations.v1
  await v1.configuration.webhooks().update({ postWebhookUrl: catcher.url(), filters: ['onMessageAdded', 'onParticipantAdded'] })
  const service = (await v1.configuration().fetch()).defaultChatServiceSid
  await tenant.admin('POST', `/accounts/${tenant.account_sid}`, { friendly_name: hostile[0] })
  const upload = async (name: string, content_type: string, body: string): Promise<string> => {
    const path = `/v1/Services/${service}/Media?${new URLSearchParams({ Filename: name })}`
    const made = await tenant.call('POST', path, body, { headers: { 'content-type': content_type }, check: false })
    return made.body.sid
  }
  const mail = `<h1>A mail with colours</h1><script>top.pwned=10;parent.pwned=11</script><img src="${catcher.url()}" onerror="top.pwned=12">
    <form action="${catcher.url()}"><button>Go</button></form><style>@import url(${catcher.url()});</style><meta http-equiv="refresh" content="0;url=${catcher.url()}">`
  const svg = '<svg xmlns="http://www.w3.org/2000/svg" onload="parent.pwned=6"><script>parent.pwned=7</script></svg>'
  const files = [
    await upload('a"onerror="window.pwned=8.svg', 'image/svg+xml', svg),
    await upload('<script>window.pwned=9</script>.html', 'text/html', mail),
    await upload('lies.png', 'image/png', svg),
  ]
  const { sid } = await v1.conversations.create({
    friendlyName: hostile.join(' ').slice(0, 256),
    attributes: JSON.stringify(hostile),
    xTwilioWebhookEnabled: 'true',
  })
  const here = v1.conversations(sid)
  for (const [i, text] of hostile.entries()) {
    const identity = text.slice(0, 200)
    await here.participants.create({ identity, attributes: JSON.stringify({ text }), xTwilioWebhookEnabled: 'true' })
    await here.messages.create({
      author: identity,
      body: text,
      attributes: JSON.stringify({ text }),
      xTwilioWebhookEnabled: 'true',
    })
    if (files[i]) await here.messages.create({ author: identity, mediaSid: files[i] })
  }
  await here.webhooks.create({
    target: 'webhook',
    'configuration.url': `${catcher.url()}?${encodeURI(hostile[0] ?? '')}`,
    'configuration.filters': ['onMessageAdded'],
  })
  const { deliveries } = await tenant.admin('GET', `/deliveries?conversation_sid=${sid}`)
  const list = `/services/${service}/conversations`
  const page = await visitor.open(`${list}/${sid}`)
  await page.getByText('lies.png').first().waitFor()
  for (const closed of await page.getByRole('button', { name: 'Details' }).all()) await closed.click()
  for (const summary of await page.locator('summary').all()) await summary.click()
  await page.getByRole('button', { name: 'Show the page' }).click()
  await page.frameLocator('iframe').getByText('A mail with colours').waitFor()
  await page.getByRole('button', { name: 'Edit' }).first().click()
  await page.getByRole('dialog').waitFor()
  await page.keyboard.press('Escape')
  expect(await page.evaluate("'pwned' in window")).toBe(false)
  // Files open without this server's rights.
  for (const link of await page.locator('figcaption a').all()) {
    const href = await link.getAttribute('href')
    const response = await page.request.get(`${server.url}${href}`)
    expect(response.headers()['content-security-policy']).toContain('sandbox')
  }
  for (const path of [list, `${list}?name=${encodeURIComponent(hostile[0] ?? '')}`, '/deliveries', '/clock']) {
    await page.goto(`${server.url}/console${path}`)
    await page.getByRole('heading', { level: 1 }).waitFor()
    await page.waitForLoadState('load')
    expect(await page.evaluate("'pwned' in window"), path).toBe(false)
  }
  for (const { id } of deliveries) {
    await page.goto(`${server.url}/console/deliveries/${id}`)
    await page.getByRole('heading', { name: 'Parameters' }).waitFor()
    expect(await page.evaluate("'pwned' in window"), id).toBe(false)
  }
  // What the frame of the mail tried was refused, and nothing else.
  const [refused, other] = [true, false].map((is) => visitor.errors.filter((error) => /about:srcdoc/.test(error) === is))
  expect(refused?.length).toBeGreaterThan(0)
  expect(other).toEqual([])
  expect(catcher.requests.filter(({ params }) => !params.EventType)).toEqual([])
  await visitor.close()
})
