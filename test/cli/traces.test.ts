import { once } from 'node:events'
import { createServer as createTcpServer } from 'node:net'
import { expect, test } from 'vitest'
import { type CollectedSpan, startCollector } from '../support/collector.ts'
import { newDatabase } from '../support/databases.ts'
import { folder, type Serving, serve } from '../support/process.ts'
import { sdkFor } from '../support/sdk.ts'
import { catchWebhooks } from '../support/webhook-catcher.ts'

const adminToken = 'operator-token-of-the-tests'
const account = { PARLEY_ACCOUNT_SID: `AC${'a'.repeat(32)}`, PARLEY_AUTH_TOKEN: '0123456789abcdef0123456789abcdef' }
const authorization = `Basic ${Buffer.from(`${account.PARLEY_ACCOUNT_SID}:${account.PARLEY_AUTH_TOKEN}`).toString('base64')}`

/** In everything that must not reach a collector. */
const mark = 'confidential'

const traceId = '0af7651916cd43dd8448eb211c80319c'
const caller = 'b7ad6b7169203331'

function traced(endpoint: string, more: Readonly<Record<string, string>> = {}): Readonly<Record<string, string>> {
  return {
    ...account,
    PARLEY_ADMIN_TOKEN: adminToken,
    OTEL_EXPORTER_OTLP_ENDPOINT: endpoint,
    OTEL_BSP_SCHEDULE_DELAY: '50',
    ...more,
  }
}

const sdkOf = ({ url }: Pick<Serving, 'url'>) => sdkFor({ url }, account.PARLEY_ACCOUNT_SID, account.PARLEY_AUTH_TOKEN)

function post(server: Pick<Serving, 'url'>, path: string, form: Record<string, string>, headers: Record<string, string> = {}) {
  return fetch(server.url + path, {
    method: 'POST',
    headers: { authorization, 'x-twilio-webhook-enabled': 'true', ...headers },
    body: new URLSearchParams(form),
  })
}

/** The parts of a `traceparent`. */
function contextOf(header: string | string[] | undefined) {
  const [, trace, span, flags] = /^00-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})$/.exec(String(header)) ?? []
  return { trace, span, flags }
}

const nameOf = ({ name, kind, parentSpanId, traceId }: CollectedSpan) => ({ name, kind, parentSpanId, traceId })

test('a request, its pre-action webhook, its commit and its deliveries are one trace, which the webhooks continue', async () => {
  await using database = await newDatabase()
  await using collector = await startCollector()
  await using catcher = await catchWebhooks({ authToken: account.PARLEY_AUTH_TOKEN })
  catcher.reply(({ params }) => ({ status: params.EventType === 'onMessageAdded' ? 503 : 200 }))
  const env = { ...database.env, ...traced(collector.url, { OTEL_RESOURCE_ATTRIBUTES: 'deployment.environment=drill' }) }
  await using server = await serve({ env })
  const { conversations, configuration } = sdkOf(server).conversations.v1
  await configuration.webhooks().update({
    preWebhookUrl: catcher.url('/pre'),
    postWebhookUrl: catcher.url('/post'),
    filters: ['onMessageAdd', 'onMessageAdded'],
  })
  const { sid } = await conversations.create({ uniqueName: `${mark} room`, friendlyName: mark })
  const sent = await post(
    server,
    `/v1/Conversations/${encodeURIComponent(`${mark} room`)}/Messages`,
    { Author: `${mark}@example.org`, Body: mark },
    { traceparent: `00-${traceId}-${caller}-01` },
  )
  expect(sent.status).toBe(201)
  const before = await catcher.next(({ params }) => params.EventType === 'onMessageAdd')
  const after = await catcher.next(({ params }) => params.EventType === 'onMessageAdded')

  const request = await collector.one('CreateConversationMessage')
  expect(request).toMatchObject({ traceId, parentSpanId: caller, kind: 2, status: {} })
  expect(request.attributes).toEqual({
    'http.request.method': 'POST',
    'http.route': '/v1/Conversations/:parent0/Messages',
    'http.response.status_code': 201,
    'parley.account': account.PARLEY_ACCOUNT_SID,
    'parley.request': sent.headers.get('twilio-request-id'),
  })
  const preAction = await collector.one('pre-action onMessageAdd')
  expect(nameOf(preAction)).toMatchObject({ traceId, parentSpanId: request.spanId, kind: 3 })
  const commit = collector.spans.find((span) => span.name === 'commit' && span.traceId === traceId)
  expect(commit).toMatchObject({ parentSpanId: request.spanId, kind: 1 })
  const delivery = await collector.one('webhook onMessageAdded')
  expect(nameOf(delivery)).toMatchObject({ traceId, parentSpanId: commit?.spanId, kind: 3 })
  expect(delivery).toMatchObject({ status: { code: 2 }, attributes: { 'http.response.status_code': 503, 'parley.tries': 0 } })
  // The receiver's own spans become children of the attempt.
  expect(contextOf(before.headers.traceparent)).toEqual({ trace: traceId, span: preAction.spanId, flags: '01' })
  expect(contextOf(after.headers.traceparent)).toEqual({ trace: traceId, span: delivery.spanId, flags: '01' })
  expect([before.signed, after.signed]).toEqual([true, true])
  expect(after.params).not.toHaveProperty('traceparent')
  for (const { startTimeUnixNano, endTimeUnixNano } of collector.spans) {
    expect(BigInt(endTimeUnixNano)).toBeGreaterThanOrEqual(BigInt(startTimeUnixNano))
  }
  expect(collector.resource()).toMatchObject({ 'service.name': 'parley', 'deployment.environment': 'drill' })

  // Whoever looks at the delivery sees its parameters alone.
  const log = await fetch(`${server.url}/admin/v1/deliveries?conversation_sid=${sid}`, {
    headers: { authorization: `Bearer ${adminToken}` },
  })
  expect(JSON.stringify(await log.json())).not.toContain('traceparent')
  const { stdout } = await server.end('SIGTERM')
  expect(stdout).toContain(`"trace":"${traceId}"`)
  expect(collector.text()).not.toMatch(new RegExp(`${mark}|example\\.org|127\\.0\\.0\\.1`))
})

test('the caller decides whether it is traced; a malformed context begins a trace of its own', async () => {
  await using collector = await startCollector()
  await using catcher = await catchWebhooks()
  await using server = await serve({ env: { ...traced(collector.url), PARLEY_DATABASE_URL: 'sqlite::memory:' } })
  await sdkOf(server)
    .conversations.v1.configuration.webhooks()
    .update({
      postWebhookUrl: catcher.url('/post'),
      filters: ['onConversationAdded'],
    })
  await post(server, '/v1/Conversations', {}, { traceparent: `00-${traceId}-${caller}-00` })
  const untraced = await catcher.next()
  expect(contextOf(untraced.headers.traceparent)).toMatchObject({ trace: traceId, flags: '00' })
  for (const traceparent of ['00-0-0-01', `00-${'0'.repeat(32)}-${caller}-01`, 'x'.repeat(5000), `${traceId}`]) {
    expect((await post(server, '/v1/Conversations', {}, { traceparent })).status).toBe(201)
    const own = contextOf((await catcher.next()).headers.traceparent)
    expect(own).toMatchObject({ flags: '01', trace: expect.not.stringMatching(/^0+$|^0af7/) })
  }
  await server.end('SIGTERM')
  const requests = collector.spans.filter(({ name }) => name === 'CreateConversation')
  expect(requests).toHaveLength(4)
  expect(requests.map(({ parentSpanId }) => parentSpanId ?? '')).toEqual(['', '', '', ''])
  expect(collector.spans.some((span) => span.traceId === traceId)).toBe(false)
})

test('the trace goes on after a restart: the row of a delivery carries it', async () => {
  using place = folder()
  await using collector = await startCollector()
  await using catcher = await catchWebhooks()
  const env = { ...traced(collector.url), PARLEY_DATABASE_URL: `sqlite:${place.file('parley.db')}` }
  const gate = Promise.withResolvers<void>()
  catcher.reply(() => ({ hangUp: true, delayUntil: gate.promise }))
  {
    await using first = await serve({ env })
    await sdkOf(first)
      .conversations.v1.configuration.webhooks()
      .update({
        postWebhookUrl: catcher.url('/post'),
        filters: ['onConversationAdded'],
      })
    await post(first, '/v1/Conversations', {}, { traceparent: `00-${traceId}-${caller}-01` })
    await catcher.next()
    await first.end('SIGKILL')
  }
  catcher.reply(() => ({}))
  gate.resolve()
  await using second = await serve({ env })
  const again = await catcher.next()
  expect(contextOf(again.headers.traceparent).trace).toBe(traceId)
  await second.end('SIGTERM')
  expect(collector.spans.find(({ name }) => name === 'webhook onConversationAdded')).toMatchObject({ traceId })
})

test.each(['nobody listens', 'it never answers'])('a collector where %s neither delays nor breaks anything', async (how) => {
  await using database = await newDatabase()
  // Accepts connections, and says nothing.
  const silent = createTcpServer(() => {})
  await once(silent.listen(0, '127.0.0.1'), 'listening')
  const address = silent.address()
  const port = how === 'nobody listens' ? 1 : typeof address === 'object' ? address?.port : 0
  const env = { ...database.env, ...traced(`http://127.0.0.1:${port}`) }
  await using server = await serve({ env })
  const { conversations } = sdkOf(server).conversations.v1
  const made = await Promise.all(Array.from({ length: 50 }, () => conversations.create()))
  expect(new Set(made.map(({ sid }) => sid)).size).toBe(50)
  expect(await server.end('SIGTERM')).toMatchObject({ code: 0, signal: null })
  silent.close()
})

test('without the variables nothing is sent, nor where a switch decides against them', async () => {
  await using collector = await startCollector()
  await using catcher = await catchWebhooks()
  for (const env of [{ OTEL_EXPORTER_OTLP_ENDPOINT: '' }, { PARLEY_TRACES: 'false' }, { OTEL_SDK_DISABLED: 'true' }]) {
    await using server = await serve({
      env: { ...traced(collector.url), PARLEY_DATABASE_URL: 'sqlite::memory:', ...env },
    })
    await sdkOf(server)
      .conversations.v1.configuration.webhooks()
      .update({
        postWebhookUrl: catcher.url('/post'),
        filters: ['onConversationAdded'],
      })
    await post(server, '/v1/Conversations', {}, { traceparent: `00-${traceId}-${caller}-01` })
    expect((await catcher.next()).headers).not.toHaveProperty('traceparent')
    await server.end('SIGTERM')
  }
  expect(collector.spans).toEqual([])
})
