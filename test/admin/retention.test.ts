import { hash } from 'node:crypto'
import { readdirSync } from 'node:fs'
import { basename } from 'node:path'
import { request } from 'undici'
import { expect } from 'vitest'
import { mediaFolder } from '../../src/data-folders.ts'
import { ask } from '../support/admin.ts'
import { connected } from '../support/client.ts'
import { newDatabase } from '../support/databases.ts'
import { testWithRows as test } from '../support/fixtures.ts'
import { all_events, enabled, settled } from '../support/hooked.ts'
import { startServer } from '../support/server.ts'
import { newTenant, type Tenant } from '../support/tenant.ts'

const none = {
  closed_conversation_days: null,
  message_days: null,
  media_days: null,
  delivered_days: null,
  failed_days: null,
}

function retentionPath({ account_sid }: Tenant, service?: string): string {
  return `/accounts/${account_sid}${service === undefined ? '' : `/services/${service}`}/retention`
}

/** Moves the account's clock alone: what the installation itself deletes stays. */
async function pass({ admin, account_sid }: Tenant, days: number): Promise<void> {
  await admin('POST', '/clock', { advance: `P${days}D`, account_sid })
}

async function expiredIn({ metricsUrl }: { metricsUrl: string }): Promise<Record<string, number>> {
  const { body } = await request(`${metricsUrl}/metrics`)
  const lines = [...(await body.text()).matchAll(/^parley_expired_total\{kind="(\w+)"\} (\d+)$/gm)]
  return Object.fromEntries(lines.map(([, kind, count]) => [kind, Number(count)]))
}

async function upload({ url, account_sid, auth_token }: Tenant, service: string, content: string): Promise<string> {
  const { body, statusCode } = await request(`${url}/v1/Services/${service}/Media?Filename=a.txt`, {
    method: 'POST',
    headers: {
      authorization: `Basic ${Buffer.from(`${account_sid}:${auth_token}`).toString('base64')}`,
      'content-type': 'text/plain',
    },
    body: content,
  })
  expect(statusCode).toBe(201)
  // The response of an upload.
  return ((await body.json()) as { sid: string }).sid
}

test('nothing expires by default, and a policy is what it was set to', async ({ tenant }) => {
  const path = retentionPath(tenant)
  expect(await tenant.admin('GET', path)).toEqual({ account_sid: tenant.account_sid, ...none })
  expect(await tenant.admin('PUT', path, { message_days: 30, failed_days: 7 })).toEqual({
    account_sid: tenant.account_sid,
    ...none,
    message_days: 30,
    failed_days: 7,
  })
  expect(await tenant.admin('PUT', path, { media_days: 1 })).toEqual({ account_sid: tenant.account_sid, ...none, media_days: 1 })
  await tenant.admin('PUT', path, {})
  expect(await tenant.admin('GET', path)).toEqual({ account_sid: tenant.account_sid, ...none })
})

test('a service says what differs from its account', async ({ tenant }) => {
  const { sid } = await tenant.sdk.conversations.v1.services.create({ friendlyName: 'Support' })
  await tenant.admin('PUT', retentionPath(tenant), { message_days: 30, media_days: 5 })
  const path = retentionPath(tenant, sid)
  const given = { message_days: 'forever', closed_conversation_days: 9 }
  const shown = {
    account_sid: tenant.account_sid,
    service_sid: sid,
    ...none,
    ...given,
    effective: { ...none, media_days: 5, closed_conversation_days: 9 },
  }
  expect(await tenant.admin('PUT', path, given)).toEqual(shown)
  expect(await tenant.admin('GET', path)).toEqual(shown)
})

test('conversations that were closed long enough ago go with everything in them; others stay', async ({ server, tenant }) => {
  const { conversations } = tenant.sdk.conversations.v1
  const [old, open, recent] = [
    await conversations.create({ uniqueName: 'old' }),
    await conversations.create({ uniqueName: 'open' }),
    await conversations.create({ uniqueName: 'recent' }),
  ]
  await conversations(old.sid).participants.create({ identity: 'alice' })
  await conversations(old.sid).messages.create({ body: 'Hello' })
  await conversations(old.sid).update({ state: 'closed' })
  await pass(tenant, 6)
  await conversations(recent.sid).update({ state: 'closed' })
  const before = await expiredIn(server)
  await tenant.admin('PUT', retentionPath(tenant), { closed_conversation_days: 10 })
  await pass(tenant, 4)
  await expect.poll(async () => (await conversations.list()).map(({ sid }) => sid).toSorted()).toEqual([open.sid, recent.sid])
  await expect(conversations(old.sid).fetch()).rejects.toMatchObject({ status: 404 })
  await expect
    .poll(async () => (await server.rows('messages')).filter(({ conversation_sid }) => conversation_sid === old.sid))
    .toEqual([])
  const rows = await server.rows('participants')
  expect(rows.filter(({ conversation_sid }) => conversation_sid === old.sid)).toEqual([])
  await expect.poll(() => expiredIn(server)).toMatchObject({ conversations: (before.conversations ?? 0) + 1 })
  await pass(tenant, 6)
  await expect.poll(async () => (await conversations.list()).map(({ sid }) => sid)).toEqual([open.sid])
})

test('old messages go, in closed conversations too, and apps see it; indexes are not used again', async ({ tenant }) => {
  const { conversations } = tenant.sdk.conversations.v1
  const [first, closed] = [await conversations.create(), await conversations.create()]
  await conversations(first.sid).participants.create({ identity: 'alice' })
  await conversations(closed.sid).messages.create({ body: 'In a closed one' })
  await conversations(closed.sid).update({ state: 'closed' })
  await conversations(first.sid).messages.create({ body: 'Old' })
  await pass(tenant, 2)
  await conversations(first.sid).messages.create({ body: 'New' })
  const imported = new Date(tenant.clock.now(tenant.account_sid) - 30 * 86_400_000)
  await conversations(first.sid).messages.create({ body: 'Imported', dateCreated: imported })
  const alice = await connected(tenant, 'alice')
  const app = await alice.getConversationBySid(first.sid)
  // The SDK tells of messages that it has shown.
  expect((await app.getMessages()).items).toHaveLength(3)
  const seen: (string | null)[] = []
  app.on('messageRemoved', ({ body }) => seen.push(body))
  await tenant.admin('PUT', retentionPath(tenant), { message_days: 1 })
  await expect.poll(async () => (await conversations(first.sid).messages.list()).map(({ body }) => body)).toEqual(['New'])
  await expect.poll(() => seen.toSorted()).toEqual(['Imported', 'Old'])
  await expect.poll(() => conversations(closed.sid).messages.list()).toEqual([])
  expect(await app.getMessagesCount()).toBe(1)
  expect((await conversations(first.sid).messages.create({ body: 'Next' })).index).toBe(3)
})

test('a service that keeps messages keeps them, although its account does not; other accounts are not touched', async ({
  server,
  tenant,
}) => {
  const other = await newTenant(server)
  const v1 = tenant.sdk.conversations.v1
  const { sid: service } = await v1.services.create({ friendlyName: 'Archive' })
  const kept = v1.services(service).conversations
  const { sid: keptSid } = await kept.create({})
  await kept(keptSid).messages.create({ body: 'Kept' })
  const { sid } = await v1.conversations.create()
  await v1.conversations(sid).messages.create({ body: 'Not kept' })
  const { sid: otherSid } = await other.sdk.conversations.v1.conversations.create()
  await other.sdk.conversations.v1.conversations(otherSid).messages.create({ body: 'Of another account' })
  await tenant.admin('PUT', retentionPath(tenant, service), { message_days: 'forever' })
  await tenant.admin('PUT', retentionPath(tenant), { message_days: 1 })
  await pass(tenant, 3)
  await pass(other, 3)
  await expect.poll(() => v1.conversations(sid).messages.list()).toEqual([])
  expect(await kept(keptSid).messages.list()).toHaveLength(1)
  expect(await other.sdk.conversations.v1.conversations(otherSid).messages.list()).toHaveLength(1)
})

test('a file goes with its last row; its message stays and names it', async () => {
  const database = await newDatabase()
  const started = await startServer(database.config)
  try {
    const { services } = started.sdk.conversations.v1
    const { sid: service } = await services.create({ friendlyName: 'Files' })
    const { conversations } = services(service)
    const { sid } = await conversations.create({})
    const media = await upload(started, service, 'old')
    const message = await conversations(sid).messages.create({ mediaSid: media })
    const twice = await upload(started, service, 'kept')
    const files = () =>
      readdirSync(mediaFolder(database.config) ?? '', { recursive: true, encoding: 'utf8' })
        .map((file) => basename(file))
        .filter((name) => /^[0-9a-f]{64}$/.test(name))
    expect(files().toSorted()).toEqual([hash('sha256', 'old', 'hex'), hash('sha256', 'kept', 'hex')].toSorted())
    await started.admin('PUT', retentionPath(started), { media_days: 3 })
    const statusOf = async (sid: string) =>
      (await started.call('GET', `/v1/Services/${service}/Media/${sid}`, undefined, { check: false })).status
    await conversations(sid).messages.create({ mediaSid: twice })
    await pass(started, 2)
    // The same bytes once more: their file is shared.
    const again = await upload(started, service, 'kept')
    await conversations(sid).messages.create({ mediaSid: again })
    await pass(started, 1)
    await expect.poll(() => statusOf(media)).toBe(404)
    await expect.poll(() => statusOf(twice)).toBe(404)
    expect(await statusOf(again)).toBe(200)
    await expect.poll(files).toEqual([hash('sha256', 'kept', 'hex')])
    expect((await conversations(sid).messages(message.sid).fetch()).media).toMatchObject([{ sid: media, filename: 'a.txt' }])
  } finally {
    await started.stop()
    await database.dispose()
  }
})

test('of the delivery log, what has failed stays longer, and what is pending always', async ({ server, tenant, catcher }) => {
  const { conversations, configuration } = tenant.sdk.conversations.v1
  await configuration.webhooks().update({ postWebhookUrl: catcher.url(), filters: all_events })
  catcher.reply(({ params }) => ({ status: params.UniqueName === 'fails' ? 500 : 200 }))
  await conversations.create({ uniqueName: 'works', ...enabled })
  await conversations.create({ uniqueName: 'fails', ...enabled })
  await settled(tenant)
  const statuses = async () =>
    (await server.rows('deliveries')).filter(({ account_sid }) => account_sid === tenant.account_sid).map(({ status }) => status)
  expect((await statuses()).toSorted()).toEqual(['delivered', 'failed'])
  await tenant.admin('PUT', retentionPath(tenant), { delivered_days: 1, failed_days: 4 })
  await pass(tenant, 2)
  await expect.poll(statuses).toEqual(['failed'])
  await pass(tenant, 2)
  await expect.poll(statuses).toEqual([])
})

test('no webhook is sent of what expires', async ({ tenant, catcher }) => {
  const { conversations, configuration } = tenant.sdk.conversations.v1
  const { sid } = await conversations.create()
  await conversations(sid).messages.create({ body: 'Private' })
  await conversations(sid).update({ state: 'closed' })
  await configuration.webhooks().update({ postWebhookUrl: catcher.url(), preWebhookUrl: catcher.url(), filters: all_events })
  await tenant.admin('PUT', retentionPath(tenant), { message_days: 1 })
  await pass(tenant, 2)
  await expect.poll(() => conversations(sid).messages.list()).toEqual([])
  await tenant.admin('PUT', retentionPath(tenant), { closed_conversation_days: 1 })
  await expect.poll(() => conversations.list()).toEqual([])
  // A later one comes after what would have been sent before.
  await conversations.create({ uniqueName: 'later', ...enabled })
  await settled(tenant)
  expect(catcher.requests.map(({ params }) => params.EventType)).toEqual(['onConversationAdd', 'onConversationAdded'])
})

test('a dry run counts what a run would delete, and deletes nothing', async ({ tenant }) => {
  const { conversations } = tenant.sdk.conversations.v1
  const { sid } = await conversations.create()
  for (let i = 0; i < 3; i++) await conversations(sid).messages.create({ body: `${i}` })
  await conversations(sid).update({ state: 'closed' })
  await pass(tenant, 5)
  const nothing = { closed_conversations: 0, messages: 0, media: 0, delivered: 0, failed: 0, complete: true }
  const dryRun = (body?: object) => tenant.admin('POST', `${retentionPath(tenant)}/dry-run`, body)
  expect(await dryRun()).toEqual(nothing)
  expect(await dryRun({ message_days: 5 })).toEqual({ ...nothing, messages: 3 })
  expect(await dryRun({ message_days: 6, closed_conversation_days: 2 })).toEqual({ ...nothing, closed_conversations: 1 })
  expect(await conversations(sid).messages.list()).toHaveLength(3)
  await tenant.admin('PUT', retentionPath(tenant), { message_days: 6 })
  expect(await dryRun()).toEqual(nothing)
  await tenant.admin('PUT', retentionPath(tenant), { message_days: 5 })
  await expect.poll(() => conversations(sid).messages.list()).toEqual([])
  expect(await dryRun()).toEqual(nothing)
})

test.for([
  ['{"message_days":0}', /message_days/],
  ['{"message_days":-1}', /message_days/],
  ['{"message_days":1.5}', /message_days/],
  ['{"message_days":"7"}', /message_days/],
  ['{"message_days":36501}', /message_days/],
  ['{"message_days":"forever"}', /message_days/],
  ['{"messages":7}', /messages is not a field of this request/],
  ['[]', /the body/],
  ['7', /the body/],
  ['{"delivered_days":8}', /delivered_days must be at most 7: .*PARLEY_DELIVERY_LOG_DAYS/],
  ['{"delivered_days":3,"failed_days":2}', /failed_days must be at least delivered_days \(3\)/],
  ['{"failed_days":2}', /failed_days must be at least delivered_days \(7\)/],
] as const)('%s is refused, and changes nothing', async ([body, error], { tenant }) => {
  for (const [method, path] of [
    ['PUT', retentionPath(tenant)],
    ['POST', `${retentionPath(tenant)}/dry-run`],
  ] as const) {
    const answer = await ask(tenant, method, path, body)
    expect(answer.status).toBe(400)
    expect(answer.body.error).toMatch(error)
  }
  expect(await tenant.admin('GET', retentionPath(tenant))).toMatchObject(none)
})

test('accounts and services that there are not, or that are of another account, are 404; a deleted one leaves no policy', async ({
  server,
  tenant,
}) => {
  const other = await newTenant(server)
  const { sid } = await other.sdk.conversations.v1.services.create({ friendlyName: 'Theirs' })
  const nobody = `AC${'0'.repeat(32)}`
  for (const path of [`/accounts/${nobody}/retention`, retentionPath(tenant, sid), retentionPath(tenant, 'IS1')]) {
    expect((await ask(tenant, 'GET', path)).status).toBe(404)
    expect((await ask(tenant, 'PUT', path, '{"message_days":1}')).status).toBe(404)
    expect((await ask(tenant, 'POST', `${path}/dry-run`, '{"message_days":1}')).status).toBe(404)
  }
  const policies = async () => (await server.rows('retention')).filter(({ account_sid }) => account_sid === other.account_sid)
  await other.admin('PUT', retentionPath(other), { message_days: 1 })
  await other.admin('PUT', retentionPath(other, sid), { message_days: 2 })
  expect(await policies()).toHaveLength(2)
  await other.sdk.conversations.v1.services(sid).remove()
  await expect.poll(policies).toHaveLength(1)
  await other.admin('DELETE', `/accounts/${other.account_sid}`)
  expect(await policies()).toEqual([])
})
