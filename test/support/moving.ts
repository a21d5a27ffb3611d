import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { request } from 'undici'
import { type Config, readConfig } from '../../src/config.ts'
import { mediaFolder } from '../../src/data-folders.ts'
import { exportTo } from '../../src/transfer/export-to.ts'
import { type ImportReport, importRecords } from '../../src/transfer/import.ts'
import { newDatabase } from './databases.ts'
import { secretKey } from './file-server.ts'
import { startServer, type TestServer } from './server.ts'

export const movedAccount = `AC${'0a'.repeat(16)}`

type Place = Pick<Config, 'database' | 'dataDir'>

/** Where an installation is: its server can be started and stopped. */
export interface Installed extends AsyncDisposable {
  readonly place: Place
  start(overrides?: Partial<Config>): Promise<TestServer>
}

export async function installedOn(engine: 'sqlite' | 'own'): Promise<Installed> {
  const database = engine === 'own' ? await newDatabase() : newFile()
  return {
    place: database.config,
    start: (overrides = {}) => startServer({ ...database.config, secretKey, account_sid: movedAccount, ...overrides }),
    [Symbol.asyncDispose]: () => database.dispose(),
  }
}

function newFile() {
  const dataDir = mkdtempSync(join(tmpdir(), 'parley-moving-'))
  const config: Place = { database: { engine: 'sqlite', file: join(dataDir, 'parley.db') }, dataDir }
  return { config, dispose: async () => rmSync(dataDir, { recursive: true, force: true }) }
}

/** Exports what an installation holds, whether its server runs or not. */
export async function exported({ place }: Installed, out: string, scope = {}): Promise<string[]> {
  const config = { ...readConfig({}), ...place, secretKey, previousSecretKey: null }
  await exportTo({ config, scope, out, now: 1_900_000_000_000, say: () => {} })
  return readFileSync(join(out, 'records.jsonl'), 'utf8').trimEnd().split('\n')
}

/** Imports the records of a file by a server's API, as the command line does. */
export function imported(server: TestServer, { place }: Installed, file: string): Promise<ImportReport> {
  return importRecords({
    source: file,
    media: { from: join(dirname(file), 'media'), to: mediaFolder(place) ?? '' },
    send: async (records) => (await server.admin('POST', '/import', { records })).results,
    startTimers: async (service_sid) => void (await server.admin('POST', '/import/timers', { service_sid })),
    check: async (records) => (await server.admin('POST', '/import/check', { records })).results,
  })
}

/** Uploads a file to the media of a service. */
async function uploaded(server: TestServer, service_sid: string, content: string): Promise<string> {
  const { username, password } = server.credentials
  const answer = await request(`${server.url}/v1/Services/${service_sid}/Media?FileName=a%20picture.png`, {
    method: 'POST',
    headers: {
      authorization: `Basic ${Buffer.from(`${username}:${password}`).toString('base64')}`,
      'content-type': 'image/png',
    },
    body: content,
  })
  const body = (await answer.body.json()) as { sid: string }
  if (answer.statusCode >= 400) throw new Error(JSON.stringify(body))
  return body.sid
}

/** Something of every kind that is exported, in states of every kind. Returns the SID of its second service and of a credential. */
export async function fill(server: TestServer): Promise<{ service_sid: string; credential_sid: string }> {
  const made = async (path: string, form: Record<string, string> | [string, string][] = {}) => {
    const { status, body } = await server.call('POST', `/v1${path}`, form)
    if (status >= 400) throw new Error(`${path}: ${JSON.stringify(body)}`)
    return body
  }
  const service = await made('/Services', { FriendlyName: 'Ünï 🦜' })
  const at = `/Services/${service.sid}`
  const role = await made(`${at}/Roles`, [
    ['FriendlyName', 'reader'],
    ['Type', 'conversation'],
    ['Permission', 'leaveConversation'],
    ['Permission', 'editOwnMessage'],
  ])
  await made(`${at}/Configuration`, { ReachabilityEnabled: 'true', DefaultConversationRoleSid: role.sid })
  await made(`${at}/Configuration/Notifications`, { 'NewMessage.Enabled': 'true', 'NewMessage.Template': 'Hi' })
  await made(`${at}/Configuration/Webhooks`, [
    ['PreWebhookUrl', 'http://user:secret@127.0.0.1:9/pre'],
    ['Method', 'GET'],
    ['Filters', 'onUserAdded'],
  ])
  const credential = await made('/Credentials', { Type: 'fcm', FriendlyName: 'push', Secret: '{"a":"b"}' })
  await made('/Configuration', { DefaultInactiveTimer: 'P1D', DefaultClosedTimer: 'P30D' })
  await made('/Configuration/Webhooks', { PostWebhookUrl: 'http://me:pw@127.0.0.1:9/post' })
  await made('/Configuration/Addresses', { Type: 'sms', Address: '+15550001111', FriendlyName: 'desk' })
  await made('/Configuration/Addresses', [
    ['Type', 'whatsapp'],
    ['Address', 'whatsapp:+15550002222'],
    ['AutoCreation.Enabled', 'true'],
    ['AutoCreation.Type', 'webhook'],
    ['AutoCreation.WebhookUrl', 'http://u:p@127.0.0.1:9/auto'],
    ['AutoCreation.WebhookFilters', 'onMessageAdded'],
    ['AutoCreation.ConversationServiceSid', service.sid],
  ])
  for (const family of ['', at]) {
    await made(`${family}/Users`, { Identity: 'ada', FriendlyName: 'Ada L.', Attributes: '{"n": 1}' })
    await made(`${family}/Users`, { Identity: 'a name with spaces/slash' })
    for (const [n, state] of ['active', 'inactive', 'closed', 'active'].entries()) {
      const conversation = await made(`${family}/Conversations`, {
        FriendlyName: `Number ${n}`,
        UniqueName: `unique-${n}`,
        Attributes: '{"topic":"ünï 🦜"}',
        'Timers.Inactive': 'PT10M',
        'Timers.Closed': 'PT1H',
        ...(n === 3 && { 'Bindings.Email.Address': 'desk@example.com', 'Bindings.Email.Name': 'Desk' }),
      })
      const inside = `${family}/Conversations/${conversation.sid}`
      await made(`${inside}/Participants`, { Identity: 'ada', Attributes: '{"x":[]}' })
      await made(`${inside}/Participants`, {
        'MessagingBinding.Address': `+1555100${n}${family.length % 10}`,
        'MessagingBinding.ProxyAddress': '+15550001111',
      })
      if (n === 3) {
        await made(`${inside}/Participants`, {
          'MessagingBinding.Address': 'Bob@Example.com',
          'MessagingBinding.Level': 'cc',
          'MessagingBinding.Name': 'Bob',
        })
      }
      const sids: string[] = []
      for (let i = 0; i < 4; i++) {
        const message = await made(`${inside}/Messages`, {
          Author: i % 2 ? 'ada' : 'system',
          Body: `Message ${i} 🦜`,
          Subject: 'About',
        })
        sids.push(message.sid)
      }
      await server.call('DELETE', `/v1${inside}/Messages/${sids[1]}`)
      await server.call('DELETE', `/v1${inside}/Messages/${sids[3]}`)
      await made(`${inside}/Messages/${sids[0]}`, { Body: 'changed', Attributes: '{"edited":true}' })
      const service_sid = conversation.chat_service_sid
      await made(`${inside}/Messages`, { MediaSid: await uploaded(server, service_sid, `picture ${n % 2}`) })
      await made(`${inside}/Participants/ada`, { LastReadMessageIndex: '2' })
      if (n === 0) {
        const from = `+1555100${n}${family.length % 10}`
        await server.admin('POST', '/inbound', { from, to: '+15550001111', body: 'From outside', external_id: from })
      }
      await made(`${inside}/Webhooks`, [
        ['Target', 'webhook'],
        ['Configuration.Url', 'http://x:y@127.0.0.1:9/hook'],
        ['Configuration.Method', 'get'],
        ['Configuration.Filters', 'onMessageAdded'],
      ])
      await made(`${inside}/Webhooks`, [
        ['Target', 'trigger'],
        ['Configuration.Url', 'http://127.0.0.1:9/trigger'],
        ['Configuration.Triggers', 'help'],
      ])
      if (state !== 'active') await made(inside, { State: state })
    }
  }
  const account = `/accounts/${movedAccount}`
  await server.admin('PUT', `${account}/contents/${hostedSid('HX', 1)}`, {
    friendly_name: 'Greeting',
    variables: { 1: 'you' },
    types: { 'twilio/text': { body: 'Hello {{1}} 🦜' } },
  })
  await server.admin('PUT', `${account}/channels/+15550009999`, {
    kind: 'webhook',
    settings: { url: 'http://user:password@127.0.0.1:9/' },
  })
  // Messages to addresses without a channel are delivered to nobody, and have receipts.
  await server.advance('PT1S')
  return { service_sid: service.sid, credential_sid: credential.sid }
}

export const hostedSid = (prefix: string, n: number) => prefix + n.toString(16).padStart(32, '0')
export const hostedService = hostedSid('IS', 1)
const [creator, member, user] = [hostedSid('RL', 1), hostedSid('RL', 2), hostedSid('RL', 3)]
const dates = { date_created: '2026-01-01T00:00:00Z', date_updated: '2026-01-01T00:00:00Z' }

/** A file as one who reads a hosted account writes it: without anything in `extra` that may be left out. */
export function* hostedLines(conversations: number, messages: number): Generator<object> {
  const counts: Record<string, number> = {}
  const line = (kind: string, more: object) => {
    counts[kind] = (counts[kind] ?? 0) + 1
    return { kind, account_sid: movedAccount, chat_service_sid: hostedService, ...more }
  }
  const roles = {
    default_conversation_creator_role_sid: creator,
    default_conversation_role_sid: member,
    default_chat_service_role_sid: user,
  }
  yield { kind: 'header', format: 1, parley: 'reader', exported_at: '2026-01-02T00:00:00.000Z' }
  yield line('service', { resource: { sid: hostedService, friendly_name: 'Hosted', ...dates }, extra: roles })
  for (const [role, type] of [
    [creator, 'conversation'],
    [member, 'conversation'],
    [user, 'service'],
  ]) {
    yield line('role', { resource: { sid: role, friendly_name: role, type, permissions: ['editOwnMessage'], ...dates } })
  }
  yield line('configuration', { resource: { ...roles, reachability_enabled: false, url: 'https://example.com', links: {} } })
  yield line('user', {
    resource: { sid: hostedSid('US', 1), identity: 'ada', attributes: '{}', role_sid: user, friendly_name: null, ...dates },
  })
  for (let c = 1; c <= conversations; c++) {
    const conversation_sid = hostedSid('CH', c)
    yield line('conversation', {
      resource: {
        sid: conversation_sid,
        messaging_service_sid: hostedSid('MG', 1),
        friendly_name: `Number ${c}`,
        unique_name: null,
        attributes: '{}',
        state: 'active',
        timers: {},
        bindings: {},
        ...dates,
      },
    })
    yield line('participant', {
      conversation_sid,
      resource: {
        sid: hostedSid('MB', c),
        identity: 'ada',
        attributes: '{}',
        messaging_binding: null,
        role_sid: member,
        last_read_message_index: null,
        last_read_timestamp: null,
        ...dates,
      },
    })
    for (let m = 0; m < messages; m++) {
      yield line('message', {
        conversation_sid,
        resource: {
          sid: hostedSid('IM', c * 1000 + m),
          index: m * 2,
          author: 'ada',
          body: `Message ${m} of ${c}`,
          media: null,
          attributes: '{}',
          participant_sid: hostedSid('MB', c),
          delivery: null,
          content_sid: null,
          date_created: '2026-01-03T00:00:00Z',
          date_updated: '2026-01-03T00:00:00Z',
        },
      })
    }
  }
  yield { kind: 'end', counts }
}

/** Returns the text of a file. */
export function textOf(lines: Iterable<object>): string {
  return [...lines].map((line) => `${JSON.stringify(line)}\n`).join('')
}
