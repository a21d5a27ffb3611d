import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { copyInstallationTo } from '../../src/copy/copy.ts'
import { plainProgress } from '../../src/copy/progress.ts'
import { type Inspection, inspect, newDatabase, type TestDatabase } from '../support/databases.ts'
import { secretKey } from '../support/file-server.ts'
import { asking, log } from '../support/hooked.ts'
import { startServer, type TestServer } from '../support/server.ts'
import { catchWebhooks, type WebhookCatcher } from '../support/webhook-catcher.ts'

/*
 * A user name and a password in a webhook URL: used for the request, returned to the account that has set them, encrypted in every
 * row, and shown to no operator.
 */

const username = 'hook-user'
const password = 'a-secret-of-the-endpoint'
const authorization = `Basic ${Buffer.from(`${username}:${password}`).toString('base64')}`
const proxy = '+15559990000'
const mine = '+15559990001'

/** Rows as they are stored, of every table with URLs. */
const tables = ['accounts', 'services', 'addresses', 'channels', 'conversation_webhooks', 'deliveries'] as const

interface Scene {
  readonly server: TestServer
  readonly catcher: WebhookCatcher
  /** With user name and password. */
  url(path: string): string
}

/** Paths whose `GET` returns a URL, by the path of that URL. */
type Paths = Readonly<Record<'account' | 'service' | 'conversation' | 'configured' | 'created', string>>

async function open(database: TestDatabase): Promise<Scene> {
  const server = await startServer({ ...database.config, secretKey })
  const catcher = await catchWebhooks({ authToken: server.auth_token })
  catcher.reply(({ headers }) =>
    headers.authorization === authorization ? {} : { status: 401, headers: { 'www-authenticate': 'Basic realm="hooks"' } },
  )
  return { server, catcher, url: (path) => catcher.url(path).replace('//', `//${username}:${password}@`) }
}

/** Sets a URL wherever one can be set. */
async function setAll({ server, url }: Scene): Promise<Paths> {
  const { call, admin, account_sid } = server
  const post = async (path: string, form: Record<string, string>) => {
    const { status, body } = await call('POST', path, form)
    expect({ status, body }).toMatchObject({ status: path.endsWith('Configuration/Webhooks') ? 200 : 201 })
    return body
  }
  const account = '/v1/Configuration/Webhooks'
  await post(account, { PreWebhookUrl: url('/account-pre'), PostWebhookUrl: url('/account'), Filters: 'onConversationAdded' })
  const { sid: service_sid } = await post('/v1/Services', { FriendlyName: 'Other' })
  const service = `/v1/Services/${service_sid}/Configuration/Webhooks`
  await call('POST', service, { PreWebhookUrl: url('/service-pre'), Filters: 'onConversationAdd' })
  const { sid } = await post('/v1/Conversations', { UniqueName: 'room' })
  const hook = { Target: 'webhook', 'Configuration.Url': url('/conversation'), 'Configuration.Filters': 'onMessageAdded' }
  const { sid: hook_sid } = await post(`/v1/Conversations/${sid}/Webhooks`, hook)
  const configured = await post('/v1/Configuration/Addresses', {
    ...{ Type: 'sms', Address: mine, 'AutoCreation.Enabled': 'true', 'AutoCreation.Type': 'webhook' },
    ...{ 'AutoCreation.WebhookUrl': url('/created'), 'AutoCreation.WebhookFilters': 'onMessageAdded' },
  })
  await admin('PUT', `/accounts/${account_sid}/channels/${encodeURIComponent(proxy)}`, { url: url('/channel') })
  const received = await admin('POST', '/inbound', { from: '+15551230000', to: mine, body: 'hello' })
  return {
    account,
    service,
    conversation: `/v1/Conversations/${sid}/Webhooks/${hook_sid}`,
    configured: `/v1/Configuration/Addresses/${configured.sid}`,
    created: `/v1/Conversations/${received.conversation_sid}/Webhooks`,
  }
}

/** Every URL of an account as its own requests return it. */
async function shown({ server: { call } }: Scene, paths: Paths): Promise<unknown> {
  const get = async (path: string) => (await call('GET', path)).body
  const { pre_webhook_url, post_webhook_url } = await get(paths.account)
  return {
    account: [pre_webhook_url, post_webhook_url],
    service: (await get(paths.service)).pre_webhook_url,
    conversation: (await get(paths.conversation)).configuration.url,
    configured: (await get(paths.configured)).auto_creation.webhook_url,
    created: (await get(paths.created)).webhooks.map((webhook: { configuration: object }) => webhook.configuration),
  }
}

function expected({ url }: Scene) {
  return {
    account: [url('/account-pre'), url('/account')],
    service: url('/service-pre'),
    conversation: url('/conversation'),
    configured: url('/created'),
    created: [expect.objectContaining({ url: url('/created') })],
  }
}

async function stored({ rows }: Inspection): Promise<string> {
  return JSON.stringify(await Promise.all(tables.map((table) => rows(table))))
}

describe('credentials in webhook URLs', () => {
  let database: TestDatabase
  let scene: Scene
  let behind: Inspection
  let paths: Paths

  beforeAll(async () => {
    database = await newDatabase()
    scene = await open(database)
    behind = inspect(database.config)
    paths = await setAll(scene)
  })
  afterAll(async () => {
    await behind.close()
    await scene.catcher.close()
    await scene.server.stop()
    await database.dispose()
  })

  test('are returned to the account as it gave them', async () => {
    expect(await shown(scene, paths)).toEqual(expected(scene))
    expect((await scene.server.call('POST', paths.account, {})).body.post_webhook_url).toBe(scene.url('/account'))
  })

  test('are sent to every kind of endpoint, with a signature over the URL without them', async () => {
    const { server, catcher } = scene
    const service = paths.service.split('/Configuration')[0]
    const binding = { 'MessagingBinding.Address': '+15551230001', 'MessagingBinding.ProxyAddress': proxy }
    await server.call('POST', '/v1/Conversations/room/Participants', binding)
    await server.call('POST', '/v1/Conversations/room/Messages', { Body: 'hi' }, asking)
    await server.call('POST', '/v1/Conversations', {}, asking)
    expect((await server.call('POST', `${service}/Conversations`, {}, asking)).status).toBe(201)
    for (const path of ['/account', '/service-pre', '/conversation', '/created', '/channel']) {
      const { signed, url } = await catcher.next((caught) => caught.path === path && caught.headers.authorization !== undefined)
      expect({ path, signed, url }).toEqual({ path, signed: true, url: catcher.url(path) })
    }
  })

  test('are in no row and in no file', async () => {
    expect(await stored(behind)).not.toContain(password)
    expect(await stored(behind)).not.toContain(username)
    expect(await behind.holds(password)).toBe(false)
    // The host is there for whoever asks the database.
    expect(await stored(behind)).toContain(new URL(scene.catcher.url()).host)
  })

  test('are not shown to the operator', async () => {
    const { server, catcher } = scene
    const { channels } = await server.admin('GET', `/accounts/${server.account_sid}/channels`)
    expect(channels).toEqual([expect.objectContaining({ url: catcher.url('/channel') })])
    const urls = (await log(server)).map(({ url }) => url)
    expect(urls).toContain(catcher.url('/conversation'))
    expect(urls.join()).not.toContain('@')
  })

  test('count for the longest URL as they were given', async () => {
    const webhook = (url: string) => ({ Target: 'webhook', 'Configuration.Url': url, 'Configuration.Filters': 'onMessageAdded' })
    const longest = scene.url('/').padEnd(512, 'x')
    const { body } = await scene.server.call('POST', '/v1/Conversations/room/Webhooks', webhook(longest))
    expect(body.configuration.url).toBe(longest)
    const longer = await scene.server.call('POST', '/v1/Conversations/room/Webhooks', webhook(`${longest}x`))
    expect(longer.body).toMatchObject({ code: 50372 })
    await scene.server.call('DELETE', `/v1/Conversations/room/Webhooks/${body.sid}`)
  })

  test('can be opened in a copy', async () => {
    await using copy = await newDatabase({ untouched: true })
    await using origin = await newDatabase()
    const first = await open(origin)
    const there = await setAll(first)
    const urls = await shown(first, there)
    await first.server.stop()
    await copyInstallationTo({
      from: origin.config,
      to: copy.config,
      allowMissingFiles: false,
      progress: plainProgress(() => {}),
    })
    const second = await open(copy)
    expect(await shown(second, there)).toEqual(urls)
    await first.catcher.close()
    await second.catcher.close()
    await second.server.stop()
  })
})

test('URLs that an earlier version stored in the clear are used as they are, and sealed', async () => {
  await using database = await newDatabase()
  const before = await open(database)
  const paths = await setAll(before)
  await before.server.stop()
  {
    await using behind = inspect(database.config)
    await makeClear(behind)
    expect(await stored(behind)).toContain(password)
  }
  const server = await startServer({ ...database.config, secretKey })
  const after = { ...before, server }
  await using behind = inspect(database.config)
  expect(await shown(after, paths)).toEqual(expected(after))
  await expect.poll(() => behind.query("select value from installation where name = 'webhook_urls_sealed'")).toHaveLength(1)
  expect(await stored(behind)).not.toContain(password)
  expect(await shown(after, paths)).toEqual(expected(after))
  await server.call('POST', '/v1/Conversations/room/Messages', { Body: 'hi' }, asking)
  const { signed } = await after.catcher.next(
    ({ path, headers }) => path === '/conversation' && headers.authorization !== undefined,
  )
  expect(signed).toBe(true)
  await after.catcher.close()
  await server.stop()
})

/** Undoes the sealing of every URL, as a version that does not know of it would have stored them. */
async function makeClear({ rows, query }: Inspection): Promise<void> {
  const columns = {
    ...{ accounts: ['pre_webhook_url', 'post_webhook_url'], services: ['pre_webhook_url', 'post_webhook_url'] },
    ...{ addresses: ['auto_creation'], channels: ['url'], conversation_webhooks: ['url'], deliveries: ['url'] },
  }
  for (const table of tables) {
    for (const row of (await rows(table)) as unknown as Record<string, string | null>[]) {
      for (const column of columns[table]) {
        const clear = row[column]?.replace(/sealed~[\w-]+@/, `${username}:${password}@`)
        if (clear) await query(`update ${table} set ${column} = '${clear}' where ${column} = '${row[column]}'`)
      }
    }
  }
  await query("delete from installation where name = 'webhook_urls_sealed'")
}
