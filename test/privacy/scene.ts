import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, onTestFinished } from 'vitest'
import type { Table } from '../../src/storage/rows.ts'
import { outside } from '../mail/outside.ts'
import { catchMail } from '../mail/smtp-catcher.ts'
import { ask } from '../support/admin.ts'
import { registerBinding } from '../support/bindings.ts'
import { inspect, newDatabase } from '../support/databases.ts'
import { type FileServer, secretKey } from '../support/file-server.ts'
import { standIn } from '../support/http-stand-in.ts'
import { startServer } from '../support/server.ts'
import type { Tenant } from '../support/tenant.ts'
import { catchWebhooks } from '../support/webhook-catcher.ts'

/** Nothing that any other row of a test could hold. */
export const alice = {
  identity: 'alice.zwingli',
  name: 'Alix Zwinglimann',
  number: '+15550107788',
  mail: 'alix.zw@zwingli-mail.example',
} as const

/** What only Alice has said or given. */
export const hers = ['markerchatbody', 'markerattributes', 'markersms', 'markerwhatsapp', 'markermail', 'markerfile'] as const

/** Whatever names Alice, however it is spelt, and the words by which she is searched. */
const words = ['zwinglimann', alice.number.slice(1)]
export const strings: readonly string[] = [alice.identity, alice.name, alice.number, alice.mail, ...words, ...hers]

/** What she is named by, one request for each. */
export const ways = [{ identity: alice.identity }, { address: alice.number }, { address: alice.mail.toUpperCase() }] as const

const smsLine = '+15559990001'
const whatsappLine = 'whatsapp:+15559990002'
const mailbox = 'support@parley-box.example'

/** A server whose files a test reads, with a carrier that is out of order, and catchers of webhooks and mail. */
export async function startScene() {
  const database = await newDatabase()
  const relay = await catchMail()
  const carrier = await standIn(async () => ({ status: 503, body: {} }))
  const catcher = await catchWebhooks()
  const mailListen = { host: '127.0.0.1', port: 0 }
  const server = await startServer({ ...database.config, secretKey, mailRelay: relay.url, mailListen })
  const rows = inspect(database.config)
  const world = outside(server.mailPort ?? expect.unreachable())
  onTestFinished(async () => {
    world.close()
    await rows.close()
    await server.stop()
    await relay.close()
    await catcher.close()
    await carrier[Symbol.asyncDispose]()
    await database.dispose()
  })
  const files: FileServer = { ...server, insert: rows.insert, rows: rows.rows, holds: rows.holds }
  return { server, rows, world, catcher, carrier, files, folder: database.config.dataDir ?? '' }
}

export type PrivacyScene = Awaited<ReturnType<typeof startScene>>

/** Whether a file of the installation, or on PostgreSQL a row, holds a text, in whatever case. */
export async function holds({ rows, folder }: Pick<PrivacyScene, 'rows' | 'folder'>, text: string): Promise<boolean> {
  const inFiles = readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .some(({ parentPath, name }) => {
      const bytes = readFileSync(join(parentPath, name))
      return bytes.includes(text) || bytes.toString('latin1').toLowerCase().includes(text.toLowerCase())
    })
  return inFiles || rows.holds(text)
}

/** Alice has been everywhere: by chat, SMS, WhatsApp and mail, with bob in each conversation. Returns what there is. */
export async function populate({ world, catcher, carrier, files }: PrivacyScene, tenant: Tenant, box = mailbox) {
  const { v1 } = tenant.sdk.conversations
  await v1.configuration.webhooks().update({ postWebhookUrl: catcher.url(), method: 'POST', filters: [...events] })
  const [service] = await v1.services.list()
  const service_sid = service?.sid ?? expect.unreachable()
  const webhooks = { xTwilioWebhookEnabled: 'true' as const }

  const { sid: chat } = await v1.conversations.create({ ...webhooks, friendlyName: 'Chat' })
  await v1
    .conversations(chat)
    .participants.create({ ...webhooks, identity: alice.identity, attributes: '{"m":"markerattributes"}' })
  await v1.conversations(chat).participants.create({ ...webhooks, identity: 'bob' })
  await v1.users(alice.identity).update({ friendlyName: alice.name, attributes: '{"m":"markerattributes"}' })
  const binding = await registerBinding(files, tenant, {
    service_sid,
    identity: alice.identity,
    endpoint: 'markerattributes-device',
  })
  const file = await upload(tenant, service_sid, 'markerfile of alice')
  const said = await v1.conversations(chat).messages.create({
    ...webhooks,
    author: alice.identity,
    body: 'markerchatbody',
    mediaSid: file,
    attributes: '{"m":"markerattributes"}',
  })
  const answered = await v1.conversations(chat).messages.create({ ...webhooks, author: 'bob', body: 'bob says' })
  await v1
    .conversations(chat)
    .participants.create({ 'messagingBinding.address': '+15558880001', 'messagingBinding.proxyAddress': smsLine })

  // She has left this one.
  const { sid: left } = await v1.conversations.create({ friendlyName: 'Left' })
  await v1.conversations(left).participants.create({ identity: alice.identity })
  await v1.conversations(left).messages.create({ author: alice.identity, body: 'markerchatbody of old' })
  await v1.conversations(left).participants(alice.identity).remove()

  const sms = await texted(tenant, alice.number, smsLine, 'markersms')
  const whatsapp = await texted(tenant, `whatsapp:${alice.number}`, whatsappLine, 'markerwhatsapp')
  for (const sid of [sms, whatsapp]) {
    await v1.conversations(sid).participants.create({ identity: 'bob' })
    await v1.conversations(sid).messages.create({ ...webhooks, author: 'bob', body: 'bob answers' })
  }
  // Nobody takes this one yet.
  await tenant.admin('PUT', `/accounts/${tenant.account_sid}/channels/${smsLine}`, { url: carrier.url })
  await v1.conversations(sms).messages.create({ ...webhooks, author: 'bob', body: 'bob is waiting' })
  await v1.conversations(chat).messages.create({ ...webhooks, author: alice.identity, body: 'markerchatbody pending' })

  await v1.addressConfigurations.create({
    type: 'email',
    address: box,
    'autoCreation.enabled': true,
    'autoCreation.type': 'default',
  })
  await world.send({
    from: `${alice.name} <${alice.mail}>`,
    to: box,
    headers: { Cc: 'carol@other.example', Subject: 'markermail subject', 'Message-ID': `<1-${box}@zwingli-mail.example>` },
    text: 'markermail body',
  })
  const letters = await v1.conversations.list()
  const mail = letters.find(({ bindings }) => bindings !== null && 'email' in bindings)?.sid ?? expect.unreachable()
  const tag = await v1.conversations(mail).fetch()
  await world.send({
    from: 'Carol <carol@other.example>',
    to: (tag.bindings as { email: { projected_address: string } }).email.projected_address,
    headers: {
      Cc: `${alice.name} <${alice.mail}>`,
      'Message-ID': `<2-${box}@other.example>`,
      'In-Reply-To': `<1-${box}@zwingli-mail.example>`,
    },
    text: `carol answers\n\nOn Monday ${alice.name} <${alice.mail}> wrote:\n> markermail body\n`,
  })
  await expect.poll(async () => (await v1.conversations(mail).messages.list()).length).toBe(2)
  await settled(tenant)
  return { service_sid, chat, left, sms, whatsapp, mail, binding, said: said.sid, answered: answered.sid }
}

const events = [
  ...['onConversationAdded', 'onMessageAdded', 'onMessageUpdated', 'onMessageRemoved', 'onParticipantAdded'],
  ...['onParticipantUpdated', 'onParticipantRemoved', 'onUserAdded', 'onUserUpdated', 'onDeliveryUpdated'],
]

async function texted({ admin, account_sid, sdk }: Tenant, from: string, to: string, body: string): Promise<string> {
  const { v1 } = sdk.conversations
  const type = from.startsWith('whatsapp') ? 'whatsapp' : 'sms'
  await v1.addressConfigurations.create({ type, address: to, 'autoCreation.enabled': true, 'autoCreation.type': 'default' })
  const content = Buffer.from(`markerfile by ${type} ${account_sid}`).toString('base64')
  const media = [{ content, content_type: 'text/plain', filename: 'note.txt' }]
  const external_id = `${from} ${account_sid}`
  const inbound = { account_sid, from, to, body, media, external_id, profile_name: alice.name }
  return (await admin('POST', '/inbound', inbound)).conversation_sid
}

async function upload({ url, credentials }: Tenant, service_sid: string, text: string): Promise<string> {
  const { username, password } = credentials
  const response = await fetch(`${url}/v1/Services/${service_sid}/Media?Filename=markerfile.txt`, {
    method: 'POST',
    body: text,
    headers: {
      authorization: `Basic ${Buffer.from(`${username}:${password}`).toString('base64')}`,
      'content-type': 'text/plain',
    },
  })
  expect(response.status).toBe(201)
  return ((await response.json()) as { sid: string }).sid
}

/** All webhooks have been delivered. */
async function settled({ admin }: Tenant): Promise<void> {
  const pending = async () => {
    const { deliveries } = await admin('GET', '/deliveries?status=pending&limit=1000')
    return deliveries.filter(({ kind }: { kind: string }) => kind === 'webhook')
  }
  await expect.poll(pending).toEqual([])
}

/** Everything of some rows, by table, but for their order. */
export async function rowsOf(
  { rows }: Pick<PrivacyScene, 'rows'>,
  of: (row: Readonly<Record<string, unknown>>, table: Table) => boolean,
): Promise<Readonly<Record<string, readonly object[]>>> {
  const tables: Table[] = [
    'users',
    'participants',
    'messages',
    'receipts',
    'media',
    'bindings',
    'deliveries',
    'external_ids',
    'conversations',
    'addresses',
    'roles',
    'services',
    'mail_blocks',
    'mutations',
    'tombstones',
  ]
  const found: Record<string, readonly object[]> = {}
  for (const table of tables) {
    const all = (await rows.rows(table)).map((row): Record<string, unknown> => ({ ...row }))
    // The carrier is tried again and again.
    if (table === 'deliveries') for (const row of all) Object.assign(row, { attempts: '', due: 0 })
    found[table] = all.filter((row) => of(row, table)).toSorted((a, b) => (JSON.stringify(a) < JSON.stringify(b) ? -1 : 1))
  }
  return found
}

/** Has somebody erased, and waits until it is done. */
export async function erase(tenant: Pick<Tenant, 'url' | 'account_sid'>, body: object) {
  const path = `/accounts/${tenant.account_sid}/erasures`
  const made = await ask(tenant, 'POST', path, body)
  expect(made).toMatchObject({ status: 202, body: { status: 'waiting' } })
  await expect.poll(async () => (await ask(tenant, 'GET', `${path}/${made.body.id}`)).body.status).toBe('done')
  return (await ask(tenant, 'GET', `${path}/${made.body.id}`)).body
}
