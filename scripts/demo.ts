/**
 * A complete example in one run: a support chat, a conversation by mail, one with timers, their webhooks, and a server that is killed
 * and restarted. Starts a server process on a temporary database; exits 1 when anything differs from what is expected.
 */
import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { join } from 'node:path'
import { setTimeout } from 'node:timers/promises'
import type { Twilio } from 'twilio'
import { request } from 'undici'
import { outside } from '../test/mail/outside.ts'
import { catchMail } from '../test/mail/smtp-catcher.ts'
import { freePort } from '../test/support/postgres.ts'
import { type Serving, serve, folder as temporaryFolder } from '../test/support/process.ts'
import { sdkFor } from '../test/support/sdk.ts'
import { type Caught, catchWebhooks } from '../test/support/webhook-catcher.ts'

interface Server {
  readonly url: string
  readonly serving: Serving
  readonly sdk: Twilio
}

const account_sid = `AC${randomBytes(16).toString('hex')}`
const auth_token = randomBytes(16).toString('hex')
const adminToken = randomBytes(16).toString('hex')
/** A bound against hanging; every step takes much less. */
const patience_ms = 60_000

using folder = temporaryFolder()
await using catcher = await catchWebhooks({ authToken: auth_token })
const relay = await catchMail()
const mail_port = await freePort()
let server = await startServer()

try {
  await demo()
  say('Everything happened as expected.')
} catch (error) {
  console.error(`\nNot as expected: ${error instanceof Error ? error.message : error}`)
  process.exitCode = 1
} finally {
  await server.serving.end('SIGKILL')
  await relay.close()
}

async function demo(): Promise<void> {
  say(`A server on ${server.url}, its database in a new file.`)
  await chat(server)
  await mail(server)
  const earlier = catcher.requests.length
  const service = await server.sdk.conversations.v1.services.create({ friendlyName: 'Helpdesk' })
  const filters = ['onConversationStateUpdated', 'onConversationUpdated', 'onConversationAdded']
  const hooks = { postWebhookUrl: catcher.url('/events'), method: 'POST', filters }
  await server.sdk.conversations.v1.services(service.sid).configuration.webhooks().update(hooks)
  say(`Service ${service.sid} sends ${filters.join(', ')} to ${hooks.postWebhookUrl}.`)

  const timers = { 'timers.inactive': 'PT1M', 'timers.closed': 'PT10M' }
  const all = server.sdk.conversations.v1.services(service.sid).conversations
  const { sid, state, timers: due } = await all.create({ friendlyName: 'Order 1234', ...timers })
  say(`Conversation ${sid} is ${state}; ${JSON.stringify(due)}`)

  say('Ten minutes pass.')
  await advance(server, 'PT10M')
  for (const [from, to] of [
    ['active', 'inactive'],
    ['inactive', 'closed'],
  ] as const) {
    const event = await catcher.next()
    show(event)
    const { EventType, ConversationSid, StateFrom, StateTo, Reason } = event.params
    assert.deepEqual([event.signed, event.method], [true, 'POST'], 'the official package accepts the signature')
    assert.deepEqual(
      [EventType, ConversationSid, StateFrom, StateTo, Reason],
      ['onConversationStateUpdated', sid, from, to, 'TIMER'],
      `the timer took the conversation from ${from} to ${to}`,
    )
  }
  await expectClosed(server, service.sid, sid)
  await untilRecorded(server)

  say('kill -9, and a new server on the same database.')
  await server.serving.end('SIGKILL')
  server = await startServer()
  await expectClosed(server, service.sid, sid)
  assert.equal(catcher.requests.length - earlier, 2, 'each event was sent once, and no other')
  await server.serving.end('SIGTERM')
}

/** A support chat: two people, messages, receipts, a timer, a message that reactivates it, a timer that closes it. */
async function chat(server: Server): Promise<void> {
  const service = await server.sdk.conversations.v1.services.create({ friendlyName: 'Support chat' })
  const filters = ['onParticipantAdded', 'onMessageAdded', 'onDeliveryUpdated', 'onConversationStateUpdated']
  const hooks = server.sdk.conversations.v1.services(service.sid).configuration.webhooks()
  await hooks.update({ postWebhookUrl: catcher.url('/chat'), method: 'POST', filters })
  const all = server.sdk.conversations.v1.services(service.sid).conversations
  const { sid } = await all.create({ friendlyName: 'Order 1234', 'timers.inactive': 'PT5M', 'timers.closed': 'PT1H' })
  const { participants, messages } = all(sid)
  const withWebhooks = { xTwilioWebhookEnabled: 'true' } as const

  // Nobody carries the messages of this number: they count as delivered.
  await admin(server, 'PUT', `/accounts/${account_sid}/channels/+15557654321`, { kind: 'loopback' })
  await participants.create({ identity: 'alice', ...withWebhooks })
  await expectEvent('onParticipantAdded', { Identity: 'alice' })
  await participants.create({
    'messagingBinding.address': '+15551234567',
    'messagingBinding.proxyAddress': '+15557654321',
    ...withWebhooks,
  })
  await expectEvent('onParticipantAdded', { 'MessagingBinding.Address': '+15551234567' })

  const hello = await messages.create({ author: 'alice', body: 'Your order is on its way.', ...withWebhooks })
  assert.equal(hello.index, 0, 'the first message has index 0')
  await expectEvent('onMessageAdded', { Author: 'alice', Index: '0' })
  await expectEvent('onDeliveryUpdated', { MessageSid: hello.sid, Status: 'sent' })
  await expectEvent('onDeliveryUpdated', { MessageSid: hello.sid, Status: 'delivered' })
  const [receipt] = await all(sid).messages(hello.sid).deliveryReceipts.list()
  assert.equal(receipt?.status, 'delivered', 'the text message has arrived')
  say(`Message ${hello.index} has one receipt: ${receipt?.status}.`)

  say('Five minutes of silence.')
  await advance(server, 'PT5M')
  await expectEvent('onConversationStateUpdated', { StateFrom: 'active', StateTo: 'inactive', Reason: 'TIMER' })
  await messages.create({ author: '+15551234567', body: 'Thank you!', ...withWebhooks })
  await expectEvent('onMessageAdded', { Author: '+15551234567', Index: '1' })
  await expectEvent('onConversationStateUpdated', { StateFrom: 'inactive', StateTo: 'active', Reason: 'EVENT' })
  say('The reply made the conversation active; an hour of silence closes it.')
  await advance(server, 'PT1H')
  await expectEvent('onConversationStateUpdated', { StateTo: 'inactive', Reason: 'TIMER' })
  await expectEvent('onConversationStateUpdated', { StateFrom: 'inactive', StateTo: 'closed', Reason: 'TIMER' })
  await expectClosed(server, service.sid, sid)
}

/** A mail opens a conversation, an agent answers, and the reply comes back into it. */
async function mail({ sdk }: Server): Promise<void> {
  const ann = outside(mail_port)
  const box = 'support@example.com'
  const { conversations, addressConfigurations } = sdk.conversations.v1
  await addressConfigurations.create({
    type: 'email',
    address: box,
    'autoCreation.enabled': true,
    'autoCreation.type': 'default',
  })
  say(`Ann sends a mail to ${box}, by SMTP on port ${mail_port}.`)
  await ann.send({ to: box, headers: { Subject: 'My order' }, text: 'Where is it?' })
  const [opened] = await conversations.list({ limit: 1 })
  assert(opened, 'the mail has opened a conversation')
  const { messages } = conversations(opened.sid)
  await messages.create({ author: 'alice', body: 'On its way.' })
  const answer = await relay.next()
  const [replyTo] = answer.mail.reply_to
  assert.equal(answer.mail.subject, 'Re: My order', 'the answer is in the thread')
  assert.equal(replyTo?.address, opened.bindings.email.projected_address, 'replies come to the conversation')
  say(`The answer leaves through the relay, to ${answer.to}, replies to ${replyTo?.address}.`)
  await ann.send({
    to: replyTo?.address ?? '',
    text: 'It is here!\n\nOn Thursday, 26 November 2026, Support wrote:\n> On its way.',
  })
  ann.close()
  const bodies = (await messages.list()).map(({ author, body }) => `${author}: ${body}`)
  assert.deepEqual(bodies, ['ann@example.org: Where is it?', 'alice: On its way.', 'ann@example.org: It is here!'])
  for (const line of bodies) console.log(`  ${line}`)
}

/** Expects the next event to be of this type, signed, with these parameters. */
async function expectEvent(type: string, params: Readonly<Record<string, string>>): Promise<void> {
  const event = await catcher.next()
  show(event)
  assert.equal(event.signed, true, 'the official package accepts the signature')
  assert.deepEqual(
    { EventType: event.params.EventType, ...pick(event.params, Object.keys(params)) },
    { EventType: type, ...params },
  )
}

function pick(from: Readonly<Record<string, string>>, names: readonly string[]): Record<string, string | undefined> {
  return Object.fromEntries(names.map((name) => [name, from[name]]))
}

/** A closed conversation can be read but not changed. */
async function expectClosed({ sdk }: Server, service_sid: string, sid: string): Promise<void> {
  const conversation = sdk.conversations.v1.services(service_sid).conversations(sid)
  const { state } = await conversation.fetch()
  assert.equal(state, 'closed', 'the conversation is closed')
  const refusal = await conversation.update({ friendlyName: 'Again' }).then(
    () => null,
    (error: { status: number; code: number; message: string }) => error,
  )
  assert.deepEqual([refusal?.status, refusal?.code], [400, 50377], 'an update of a closed conversation is refused')
  say(`It is ${state}; an update is refused: ${refusal?.status}, ${refusal?.code}, ${refusal?.message}`)
}

async function advance(server: Server, duration: string): Promise<void> {
  await admin(server, 'POST', '/clock', { advance: duration })
}

/** Waits until all results are recorded: a delivery without a result is sent again after a crash. */
async function untilRecorded(server: Server): Promise<void> {
  const until = performance.now() + patience_ms
  for (;;) {
    const { deliveries } = (await admin(server, 'GET', '/deliveries')) as { deliveries: { status: string }[] }
    if (deliveries.every(({ status }) => status === 'delivered'))
      return say(`The delivery log lists ${deliveries.length} delivered events.`)
    assert(performance.now() < until, 'the deliveries are recorded')
    await setTimeout(20)
  }
}

async function admin({ url }: Server, method: 'GET' | 'POST' | 'PUT', path: string, json?: object): Promise<unknown> {
  const { statusCode, body } = await request(`${url}/admin/v1${path}`, {
    method,
    headers: { authorization: `Bearer ${adminToken}`, ...(json && { 'content-type': 'application/json' }) },
    body: json ? JSON.stringify(json) : null,
  })
  const text = await body.text()
  assert.equal(statusCode, 200, text)
  return JSON.parse(text)
}

async function startServer(): Promise<Server> {
  const serving = await serve({
    env: {
      PARLEY_DATABASE_URL: `sqlite:${join(folder.path, 'parley.db')}`,
      PARLEY_ACCOUNT_SID: account_sid,
      PARLEY_AUTH_TOKEN: auth_token,
      PARLEY_ADMIN_TOKEN: adminToken,
      PARLEY_TEST_CLOCK: 'true',
      PARLEY_MAIL_RELAY: relay.url,
      PARLEY_MAIL_LISTEN: `127.0.0.1:${mail_port}`,
      PARLEY_LOG_LEVEL: 'error',
    },
  })
  return { url: serving.url, serving, sdk: sdkFor(serving, account_sid, auth_token) }
}

function say(text: string): void {
  console.log(`\n${text}`)
}

function show({ method, path, signed, params }: Caught): void {
  console.log(`\n  ${method} ${path}, signature ${signed ? 'valid' : 'NOT valid'}`)
  const width = Math.max(...Object.keys(params).map((name) => name.length))
  for (const [name, value] of Object.entries(params)) console.log(`    ${name.padEnd(width)}  ${value}`)
}
