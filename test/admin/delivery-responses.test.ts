import { expect } from 'vitest'
import { erase } from '../privacy/scene.ts'
import { ask } from '../support/admin.ts'
import { startFileServer } from '../support/file-server.ts'
import { testWithRows as test, testOn } from '../support/fixtures.ts'
import { enabled, gate, log, settled } from '../support/hooked.ts'

test('a delivery shows its request, and what was responded to each attempt', async ({ tenant, catcher, server }) => {
  const v1 = tenant.sdk.conversations.v1
  catcher.reply(() => ({
    status: 400,
    body: `{"why":"größer"}${'x'.repeat(10_000)}`,
    headers: { 'x-reason': 'too large', 'set-cookie': 'session=let-me-in', 'content-type': 'application/json' },
  }))
  await v1.configuration.webhooks().update({ postWebhookUrl: catcher.url('/hook'), filters: ['onConversationAdded'] })
  await v1.conversations.create({ friendlyName: 'Room', ...enabled })
  await settled(tenant)
  const [{ id = '' } = {}] = await log(tenant)
  const shown = await tenant.admin('GET', `/deliveries/${id}`)
  const [attempt] = shown.attempts
  expect(shown.attempts).toHaveLength(1)
  expect(attempt).toMatchObject({ status: 400, error: 'HTTP 400', response: null, response_truncated: true })
  expect(attempt.response_headers).toEqual(
    expect.arrayContaining([
      { name: 'x-reason', value: 'too large' },
      { name: 'set-cookie', value: '(hidden)' },
      { name: 'content-type', value: 'application/json' },
    ]),
  )
  expect(attempt.response_body).toMatch(/^\{"why":"größer"\}x+$/)
  expect(Buffer.byteLength(attempt.response_body)).toBe(8192)
  expect(JSON.stringify([shown, await server.rows('deliveries')])).not.toContain('let-me-in')
  const [caught] = catcher.requests
  for (const { name, value } of shown.request_headers) expect([name, caught?.headers[name.toLowerCase()]]).toEqual([name, value])
  expect(shown.request_headers.map(({ name }: { name: string }) => name)).toContain('X-Twilio-Signature')
  // A list is read without them.
  const page = await tenant.admin('GET', `/deliveries?account_sid=${tenant.account_sid}`)
  expect(JSON.stringify(page)).not.toContain('response_body')
  // Another one begins without.
  catcher.reply(() => ({ hangUp: true }))
  const again = await tenant.admin('POST', `/deliveries/${id}/redeliver`)
  await settled(tenant)
  expect((await tenant.admin('GET', `/deliveries/${again.id}`)).attempts).toMatchObject([
    { status: null, response_headers: null, response_body: null, response_truncated: false },
  ])
})

test('who may not read texts sees no response, and who may not act no signature', async ({ tenant, catcher, server }) => {
  const v1 = tenant.sdk.conversations.v1
  catcher.reply(() => ({ body: 'a private answer' }))
  await v1.configuration.webhooks().update({ postWebhookUrl: catcher.url(), filters: ['onConversationAdded'] })
  await v1.conversations.create({ ...enabled })
  await settled(tenant)
  const [{ id = '' } = {}] = await log(tenant)
  const as = async (role: string, given: object) => {
    const { token } = (await ask(server, 'POST', '/operators', { name: `${role} ${JSON.stringify(given)}`, role, ...given })).body
    return (await ask(server, 'GET', `/deliveries/${id}`, undefined, token)).body
  }
  const signature = (shown: { request_headers: { name: string; value: string }[] }) =>
    shown.request_headers.find(({ name }) => name === 'X-Twilio-Signature')?.value
  const viewer = await as('viewer', {})
  expect([signature(viewer), viewer.attempts[0].response_headers, viewer.attempts[0].response_body]).toEqual([
    '(hidden)',
    null,
    null,
  ])
  const reader = await as('viewer', { text: true })
  expect([signature(reader), reader.attempts[0].response_body]).toEqual(['(hidden)', 'a private answer'])
  expect(signature(await as('support', {}))).toBe(catcher.requests[0]?.headers['x-twilio-signature'])
})

test('an erasure takes what was responded about the person', async ({ tenant, catcher }) => {
  const v1 = tenant.sdk.conversations.v1
  catcher.reply(({ params }) => ({ body: params.FriendlyName === 'Other' ? 'Call +15550001111, please' : 'Miss Smith' }))
  await v1.configuration.webhooks().update({ postWebhookUrl: catcher.url(), filters: ['onConversationAdded'] })
  const made = await Promise.all(
    ['Hers', 'Other', 'Unrelated'].map((friendlyName) => v1.conversations.create({ friendlyName, ...enabled })),
  )
  await settled(tenant)
  const [hers] = made
  await v1.conversations(hers?.sid ?? '').participants.create({
    'messagingBinding.address': '+15550001111',
    'messagingBinding.proxyAddress': '+15550002222',
  })
  const bodies = async () => {
    const deliveries = await log(tenant)
    const shown = await Promise.all(deliveries.map(({ id }) => tenant.admin('GET', `/deliveries/${id}`)))
    return Object.fromEntries(shown.map(({ params, attempts }) => [params.FriendlyName, attempts[0].response_body]))
  }
  expect(await bodies()).toEqual({ Hers: 'Miss Smith', Other: 'Call +15550001111, please', Unrelated: 'Miss Smith' })
  const done = await erase(tenant, { address: '+15550001111' })
  expect(done.counts).toMatchObject({ responses: 2 })
  expect(await bodies()).toEqual({ Hers: null, Other: null, Unrelated: 'Miss Smith' })
})

const testWithRetries = testOn(() => startFileServer({ webhookRetries: 1 }))

testWithRetries('what was erased during an attempt does not come back with its result', async ({ tenant, catcher }) => {
  const v1 = tenant.sdk.conversations.v1
  using held = gate()
  let asked = 0
  catcher.reply(() => {
    asked++
    return asked === 1 ? { status: 503, body: 'Call +15550001111, please' } : { delayUntil: held.opened }
  })
  await v1.configuration.webhooks().update({ postWebhookUrl: catcher.url(), filters: ['onConversationAdded'] })
  const { sid } = await v1.conversations.create({ ...enabled })
  await v1.conversations(sid).participants.create({
    'messagingBinding.address': '+15550001111',
    'messagingBinding.proxyAddress': '+15550002222',
  })
  const attempts = async () => {
    const [{ id = '' } = {}] = await log(tenant)
    return (await tenant.admin('GET', `/deliveries/${id}`)).attempts
  }
  await expect.poll(attempts).toMatchObject([{ response_body: 'Call +15550001111, please' }])
  await tenant.advance('PT10S')
  await expect.poll(() => asked).toBe(2)
  expect((await erase(tenant, { address: '+15550001111' })).counts).toMatchObject({ responses: 1 })
  held.open()
  await settled(tenant)
  expect(await attempts()).toMatchObject([{ status: 503, response_body: null, response_headers: null }, {}])
})
