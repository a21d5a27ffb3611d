import { describe, expect, test } from 'vitest'
import { sealedPlaces } from '../../src/storage/sealed.ts'
import { Vault } from '../../src/vault.ts'
import { ask } from '../support/admin.ts'
import { engine, inspect, newDatabase, type TestDatabase } from '../support/databases.ts'
import { parley, type Serving, serve } from '../support/process.ts'
import { sdkFor } from '../support/sdk.ts'
import { adminToken, auth_token, startServer, type TestServer } from '../support/server.ts'
import { catchWebhooks } from '../support/webhook-catcher.ts'

const [before, after, wrong] = ['11', '22', '33'].map((pair) => pair.repeat(32)) as [string, string, string]

/** Every column, `table.column`, in which this key opens something. Whatever there is is tried, also where nothing should be. */
async function openedBy({ config }: TestDatabase, key: string): Promise<string[]> {
  await using database = inspect(config)
  const names =
    engine === 'postgres'
      ? "select table_name as name from information_schema.tables where table_schema = 'public'"
      : "select name from sqlite_master where type = 'table' and name not like 'search%'"
  const vault = new Vault(key)
  const found = new Set<string>()
  for (const { name } of (await database.query(names)) as { name: string }[]) {
    for (const row of (await database.query(`select * from ${name}`)) as Record<string, unknown>[]) {
      for (const [column, value] of Object.entries(row)) {
        const texts = String(value).match(/[A-Za-z0-9+/_-]{36,}={0,2}/g) ?? []
        if (texts.some((text) => vault.openedBy(text.replace(/^sealed~/, '')))) found.add(`${name}.${column}`)
      }
    }
  }
  return [...found].toSorted()
}

/** Stores a secret wherever one can be stored. */
async function fill(server: TestServer, database: TestDatabase, hook: string): Promise<void> {
  const { call, admin, account_sid } = server
  const post = async (path: string, form: Record<string, string>) => {
    const { status, body } = await call('POST', path, form)
    expect([200, 201], JSON.stringify(body)).toContain(status)
    return body
  }
  await post('/v1/Configuration/Webhooks', { PreWebhookUrl: hook, PostWebhookUrl: hook, Filters: 'onConversationAdded' })
  const { sid: service } = await post('/v1/Services', { FriendlyName: 'Other' })
  const webhooks = { PreWebhookUrl: hook, PostWebhookUrl: hook, Filters: 'onConversationAdded' }
  await post(`/v1/Services/${service}/Configuration/Webhooks`, webhooks)
  const told = { headers: { 'x-twilio-webhook-enabled': 'true' } }
  const { sid } = (await call('POST', '/v1/Conversations', { UniqueName: 'room' }, told)).body
  const scoped = { Target: 'webhook', 'Configuration.Url': hook, 'Configuration.Filters': 'onMessageAdded' }
  await post(`/v1/Conversations/${sid}/Webhooks`, scoped)
  await post('/v1/Configuration/Addresses', {
    ...{ Type: 'sms', Address: '+15559990001', 'AutoCreation.Enabled': 'true', 'AutoCreation.Type': 'webhook' },
    ...{ 'AutoCreation.WebhookUrl': hook, 'AutoCreation.WebhookFilters': 'onMessageAdded' },
  })
  await post('/v1/Credentials', { Type: 'apn', Certificate: 'the certificate', PrivateKey: 'the private key' })
  const channel = `/accounts/${account_sid}/channels`
  await admin('PUT', `${channel}/${encodeURIComponent('+15559990002')}`, { url: hook })
  await admin('PUT', `${channel}/${encodeURIComponent('+15559990003')}`, {
    kind: 'twilio',
    settings: { account_sid: `AC${'a'.repeat(32)}`, auth_token: 'a-secret-of-the-carrier' },
  })
  // The key of the audit log is made with the first checkpoint.
  await admin('POST', '/audit/checkpoints')
  await using rows = inspect(database.config)
  await rows.insert('erasures', {
    ...{ id: 'ER1', account_sid, status: 'done', dry_run: 0, messages: 'redact', subject: 'identity', subject_hash: 'x' },
    ...{ pseudonym: 'erased-1', requested_by: 'test', reference: null, sealed: new Vault(before).seal('{}'), step: null },
    ...{
      counts: '{}',
      failures: 0,
      date_retry: null,
      storage: null,
      owner: null,
      date_created: 1,
      date_started: 1,
      date_finished: 1,
    },
  })
}

/** Makes passes until one has nothing to do, and finishes. Returns how many values were encrypted anew. */
async function rotate(server: { readonly url: string }): Promise<number> {
  let all = 0
  for (;;) {
    let resealed = 0
    let next: string | null = null
    do {
      const { body } = await ask(server, 'POST', '/secret-key/rotation', { after: next })
      resealed += body.resealed
      next = body.next
    } while (next !== null)
    all += resealed
    if (resealed === 0) break
  }
  expect((await ask(server, 'POST', '/secret-key/rotation/finish', {})).body).toMatchObject({ previous: 0, columns: {} })
  return all
}

const declared = sealedPlaces.flatMap(({ table, columns }) => columns.map((column) => `${table}.${column}`)).toSorted()

test('everything that is encrypted is encrypted anew, and then the previous key opens nothing', async () => {
  await using database = await newDatabase()
  await using catcher = await catchWebhooks({ authToken: auth_token })
  const hook = catcher.url('/hook').replace('//', '//user:password-of-the-endpoint@')
  const basic = `Basic ${Buffer.from('user:password-of-the-endpoint').toString('base64')}`
  catcher.reply(({ headers }) =>
    headers.authorization === basic ? {} : { status: 401, headers: { 'www-authenticate': 'Basic realm="hooks"' } },
  )
  const common = { ...database.config, adminToken, auth_token }
  const first = await startServer({ ...common, secretKey: before })
  await fill(first, database, hook)
  const key = (await first.admin('POST', `/accounts/${first.account_sid}/keys`)) as { sid: string; secret: string }
  await first.stop()
  expect(await openedBy(database, before)).toEqual(declared)

  await using second = await startServer({ ...common, secretKey: after, previousSecretKey: before })
  const counted = (await ask(second, 'GET', '/secret-key/rotation')).body
  expect(counted.current).toBe(0)
  expect(Object.keys(counted.columns).toSorted()).toEqual(declared)
  expect(await rotate(second)).toBeGreaterThanOrEqual(declared.length)
  expect(await openedBy(database, before)).toEqual([])
  expect(await openedBy(database, after)).toEqual(declared)
  // Also while the server has it all in memory.
  expect(
    (await second.call('GET', '/v1/Conversations', undefined, { as: { username: key.sid, password: key.secret } })).status,
  ).toBe(200)
  // One act, however many steps it takes.
  const { entries } = (await ask(second, 'GET', '/audit?limit=1000')).body as { entries: { action: string }[] }
  const acts = entries.map(({ action }) => action).filter((action) => action.startsWith('secret_key.'))
  expect(acts.toSorted()).toEqual(['secret_key.rotated', 'secret_key.rotation_finished'])
  await second.stop()

  await using third = await startServer({ ...common, secretKey: after })
  const { body } = await third.call('GET', '/v1/Configuration/Webhooks')
  expect(body.post_webhook_url).toBe(hook)
  expect((await third.call('GET', '/v1/Roles', undefined, { as: { username: key.sid, password: key.secret } })).status).toBe(200)
  const told = { headers: { 'x-twilio-webhook-enabled': 'true' } }
  const { sid } = (await third.call('POST', '/v1/Conversations', {}, told)).body
  const { signed } = await catcher.next(
    ({ params, headers }) => params.ConversationSid === sid && headers.authorization === basic,
  )
  expect(signed).toBe(true)
  const refused = await ask(third, 'GET', '/secret-key/rotation')
  expect([refused.status, refused.body.error]).toEqual([409, expect.stringContaining('no previous secret key is set')])
  await third.stop()
  await expect(startServer({ ...common, secretKey: before })).rejects.toThrow('the secret key is not the one')
})

test('a key that is missing or wrong is a sentence, before anything is written', async () => {
  await using database = await newDatabase()
  const common = { ...database.config, adminToken, auth_token }
  await (await startServer({ ...common, secretKey: before })).stop()
  await expect(startServer({ ...common, secretKey: after })).rejects.toThrow('set PARLEY_SECRET_KEY_PREVIOUS to the one before')
  await expect(startServer({ ...common, secretKey: after, previousSecretKey: wrong })).rejects.toThrow(
    'the secret key is not the',
  )
  {
    await using begun = await startServer({ ...common, secretKey: after, previousSecretKey: before })
    await ask(begun, 'POST', '/secret-key/rotation', {})
    for (const cursor of ['', '!', 'bnVsbA', Buffer.from('{"place":99,"after":null}').toString('base64url')]) {
      expect((await ask(begun, 'POST', '/secret-key/rotation', { after: cursor })).status).toBe(400)
    }
    const nul = Buffer.from('{"place":0,"after":{"name":"\\u0000"}}').toString('base64url')
    expect((await ask(begun, 'POST', '/secret-key/rotation', { after: nul })).status).toBe(400)
  }
  // From the first step on the new key alone is not enough, nor is the old one.
  await expect(startServer({ ...common, secretKey: after })).rejects.toThrow('is being replaced')
  await expect(startServer({ ...common, secretKey: after, previousSecretKey: wrong })).rejects.toThrow('is being replaced')
  await expect(startServer({ ...common, secretKey: before })).rejects.toThrow('the secret key is not the one')
  await using again = await startServer({ ...common, secretKey: after, previousSecretKey: before })
  await rotate(again)
  await again.stop()
  await (await startServer({ ...common, secretKey: after })).stop()
})

test('sessions of the console, links to media and pages go on while both keys count, and end with the previous one', async () => {
  await using database = await newDatabase()
  const common = { ...database.config, adminToken, auth_token }
  const first = await startServer({ ...common, secretKey: before })
  const { defaultChatServiceSid: service } = await first.sdk.conversations.v1.configuration().fetch()
  for (const identity of ['ann', 'bob']) await first.sdk.conversations.v1.users.create({ identity })
  const own = { 'sec-fetch-site': 'same-origin' }
  const signedIn = await fetch(`${first.url}/admin/v1/session`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', ...own },
    body: JSON.stringify({ token: adminToken }),
  })
  const cookie = signedIn.headers.getSetCookie()[0]?.split(';')[0] ?? ''
  const page = new URL((await first.call('GET', '/v1/Users?PageSize=1')).body.meta.next_page_url)
  const headers = { 'content-type': 'text/plain' }
  const media = await first.call('POST', `/v1/Services/${service}/Media`, 'bytes', { check: false, headers })
  const link = new URL(media.body.links.content_direct_temporary)
  await first.stop()

  const works = async ({ url, call }: TestServer) => [
    (await fetch(`${url}/admin/v1/accounts`, { headers: { cookie, ...own } })).status,
    (await fetch(url + link.pathname + link.search)).status,
    (await call('GET', page.pathname + page.search)).status,
  ]
  {
    await using both = await startServer({ ...common, secretKey: after, previousSecretKey: before })
    expect(await works(both)).toEqual([200, 200, 200])
    await rotate(both)
    expect(await works(both)).toEqual([200, 200, 200])
    const out = await fetch(`${both.url}/admin/v1/session`, { method: 'DELETE', headers: { cookie, ...own } })
    // The cookie of the previous key goes as well.
    expect(out.headers.getSetCookie().some((gone) => gone.startsWith(`${cookie.split('=')[0]}=;`))).toBe(true)
  }
  await using one = await startServer({ ...common, secretKey: after })
  expect(await works(one)).toEqual([401, 403, 400])
})

test('what is in mails and proofs outlives every key', () => {
  const first = new Vault(before)
  const mail = (vault: Vault) => vault.deriveAll('mail').map((key) => key.export().toString('hex'))
  const second = new Vault(after)
  second.restoreRetired(new Vault(after, before).retire())
  expect(mail(second)).toEqual([...mail(new Vault(after)), ...mail(first)])
  const both = new Vault(wrong, after)
  both.restoreRetired(new Vault(after, before).retire())
  const third = new Vault(wrong)
  third.restoreRetired(both.retire())
  expect(mail(third)).toEqual([...mail(new Vault(wrong)), ...mail(new Vault(after)), ...mail(first)])
  expect(second.deriveAll('page tokens')).toHaveLength(1)
})

describe('processes', () => {
  const account_sid = `AC${'d'.repeat(32)}`
  const settings = { PARLEY_ACCOUNT_SID: account_sid, PARLEY_AUTH_TOKEN: auth_token, PARLEY_ADMIN_TOKEN: adminToken }
  const quiet = {
    ...settings,
    PARLEY_LOG_LEVEL: 'silent',
    PARLEY_WEBHOOK_ALLOW_PRIVATE: 'true',
    PARLEY_MAX_CONCURRENT_REQUESTS: '0',
  }
  const keysAre = (key: string, previous?: string) => ({
    PARLEY_SECRET_KEY: key,
    ...(previous !== undefined && { PARLEY_SECRET_KEY_PREVIOUS: previous }),
  })

  test('a server under load loses nothing, is killed in the middle, and a second run finishes', async () => {
    await using database = await newDatabase()
    const env = { ...database.env, ...quiet }
    const first = await serve({ env: { ...env, ...keysAre(before) } })
    const { secret } = (await ask(first, 'POST', `/accounts/${account_sid}/keys`, {})).body
    const old = new Vault(before)
    await using rows = inspect(database.config)
    // So many batches that the kill is in the middle.
    for (let i = 0; i < 1200; i++) {
      const sid = `SK${i.toString(16).padStart(32, '0')}`
      const dates = { date_created: 1, date_updated: 1 }
      await rows.insert('api_keys', { sid, account_sid, friendly_name: '', secret: old.seal(secret), policy: null, ...dates })
    }
    await first.end('SIGTERM')

    let server: Serving = await serve({ env: { ...env, ...keysAre(after, before) } })
    const acknowledged: { sid: string; hook: string }[] = []
    const keys: { username: string; password: string }[] = []
    let stopping = false
    const load = async (name: string) => {
      for (let i = 0; !stopping; i++) {
        const hook = `http://user:${name}${i}@127.0.0.1:9/`
        const { v1 } = sdkFor(server, account_sid, auth_token).conversations
        try {
          const { sid } = await v1.conversations.create({ uniqueName: `${name}-${i}` })
          const configured = { 'configuration.url': hook, 'configuration.filters': ['onMessageAdded'] }
          await v1.conversations(sid).webhooks.create({ target: 'webhook', ...configured })
          acknowledged.push({ sid, hook })
          const made = (await ask(server, 'POST', `/accounts/${account_sid}/keys`, {})).body
          keys.push({ username: made.sid, password: made.secret })
        } catch (error) {
          // Nobody answers while it is down; anything that is an answer must be a success.
          if (error instanceof Error && 'status' in error && error.status !== undefined) throw error
          await new Promise((resolve) => setImmediate(resolve))
        }
      }
    }
    const loads = ['a', 'b', 'c'].map(load)
    await expect.poll(() => keys.length).toBeGreaterThan(3)
    let next: string | null = null
    let resealed = 0
    do {
      const { body } = await ask(server, 'POST', '/secret-key/rotation', { after: next })
      resealed += body.resealed
      next = body.next
    } while (resealed < 400 && next !== null)
    await server.end('SIGKILL')
    server = await serve({ env: { ...env, ...keysAre(after, before) } })
    const port = new URL(server.url).port
    const command = (...args: string[]) =>
      parley(['rotate-key', ...args], { env: { ...env, ...keysAre(after, before), PORT: port } })
    const half = await command('--check')
    expect(half.stdout).toMatch(/with the previous key {3}[1-9]\d*\n {2}api_keys\.secret {2}[1-9]/)
    const done = await command()
    expect(done).toMatchObject({ code: 0, stderr: '' })
    expect(done.stdout).toMatch(
      /^pass 1: [1-9]\d* values .*Nothing needs the previous key any more: remove PARLEY_SECRET_KEY_PREVIOUS/s,
    )
    expect((await command('--check')).stdout).toMatch(/with the previous key {3}0\n$/)
    stopping = true
    await Promise.all(loads)
    expect(await openedBy(database, before)).toEqual([])
    await server.end('SIGTERM')

    await using last = await serve({ env: { ...env, ...keysAre(after) } })
    const { v1 } = sdkFor(last, account_sid, auth_token).conversations
    for (const { sid, hook } of acknowledged) {
      const [webhook] = await v1.conversations(sid).webhooks.list()
      expect(webhook?.configuration.url).toBe(hook)
    }
    const old_keys = [0, 599, 1199].map((i) => ({ username: `SK${i.toString(16).padStart(32, '0')}`, password: secret }))
    for (const { username, password } of [...keys, ...old_keys]) {
      const client = sdkFor(last, account_sid, '', { keySid: username, keySecret: password })
      expect((await client.conversations.v1.configuration().fetch()).accountSid).toBe(account_sid)
    }
  })

  test('a key in a file is replaced by one that the command makes', async () => {
    await using database = await newDatabase()
    const env = { ...database.env, ...quiet }
    await (await serve({ env })).end('SIGTERM')
    const command = (...args: string[]) => parley(['rotate-key', ...args], { env })
    expect((await command()).stderr).toMatch(/^parley: no previous secret key is set/)
    const made = await command('--generate')
    expect(made).toMatchObject({ code: 0, stderr: '' })
    expect(made.stdout).toMatch(/There is a new key in .*\.key; the one before is in .*\.key-previous/)
    expect((await command('--generate')).stderr).toMatch(/^parley: .*key-previous is there: the key is being replaced already/)
    // Also while no server runs.
    const done = await command()
    expect(done.stdout).toMatch(/remove .*\.key-previous and restart/)
    expect((await parley(['rotate-key', '--generate'], { env: { ...env, ...keysAre(before) } })).stderr).toMatch(
      /^parley: the secret key is not in a file/,
    )
    await using server = await serve({ env })
    expect((await ask(server, 'GET', '/secret-key/rotation')).body.previous).toBe(0)
  })

  test.runIf(engine === 'postgres')(
    'nodes open what the others encrypt while they get the new key one after the other',
    async () => {
      await using database = await newDatabase()
      const env = { ...database.env, ...quiet }
      await using one = await serve({ env: { ...env, ...keysAre(before, after) } })
      await using two = await serve({ env: { ...env, ...keysAre(after, before) } })
      const crosses = async (from: Serving, to: Serving) => {
        const { sid, secret } = (await ask(from, 'POST', `/accounts/${account_sid}/keys`, {})).body
        const client = sdkFor(to, account_sid, '', { keySid: sid, keySecret: secret })
        return (await client.conversations.v1.configuration().fetch()).accountSid
      }
      expect([await crosses(one, two), await crosses(two, one)]).toEqual([account_sid, account_sid])
      // The one that still encrypts with the key before is seen: a pass finds what it has made meanwhile.
      await rotate(two)
      expect([await crosses(one, two), await crosses(two, one)]).toEqual([account_sid, account_sid])
      expect((await ask(two, 'POST', '/secret-key/rotation/finish', {})).body).toMatchObject({
        previous: 1,
        columns: { 'api_keys.secret': 1 },
      })
      await one.end('SIGTERM')
      await using three = await serve({ env: { ...env, ...keysAre(after, before) } })
      expect(await crosses(three, two)).toBe(account_sid)
      await rotate(three)
      expect(await crosses(two, three)).toBe(account_sid)
      expect(await openedBy(database, before)).toEqual([])
    },
  )
})
