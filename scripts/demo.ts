/**
 * What Parley is for, in one run: a support chat, a conversation with timers, their webhooks, and a server that is killed in
 * between. Starts a server process of its own on a temporary database; exits 1 when anything is not as told.
 */
import assert from 'node:assert/strict'
import { type ChildProcess, spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { setTimeout } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import type { Twilio } from 'twilio'
import { request } from 'undici'
import { sdkFor } from '../test/support/sdk.ts'
import { type Caught, catchWebhooks } from '../test/support/webhook-catcher.ts'

interface Server {
  readonly url: string
  readonly child: ChildProcess
  readonly sdk: Twilio
}

const account_sid = `AC${randomBytes(16).toString('hex')}`
const auth_token = randomBytes(16).toString('hex')
const admin_token = randomBytes(16).toString('hex')
const patience_ms = 20_000

const folder = mkdtempSync(join(tmpdir(), 'parley-demo-'))
const catcher = await catchWebhooks({ authToken: auth_token })
const started = new Set<ChildProcess>()

try {
  await demo()
  say('All of it was as told.')
} catch (error) {
  console.error(`\nNot as told: ${error instanceof Error ? error.message : error}`)
  process.exitCode = 1
} finally {
  for (const child of started) await end(child, 'SIGKILL')
  await catcher.close()
  rmSync(folder, { recursive: true, force: true })
}

async function demo(): Promise<void> {
  let server = await startServer()
  say(`A server on ${server.url}, its database in a new file.`)
  await chat(server)
  const told = catcher.requests.length
  const service = await server.sdk.conversations.v1.services.create({ friendlyName: 'Helpdesk' })
  const filters = ['onConversationStateUpdated', 'onConversationUpdated', 'onConversationAdded']
  const hooks = { postWebhookUrl: catcher.url('/events'), method: 'POST', filters }
  await server.sdk.conversations.v1.services(service.sid).configuration.webhooks().update(hooks)
  say(`Service ${service.sid} tells ${hooks.postWebhookUrl} of ${filters.join(', ')}.`)

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
  await recorded(server)

  say('kill -9, and a new server on the same database.')
  await end(server.child, 'SIGKILL')
  server = await startServer()
  await expectClosed(server, service.sid, sid)
  assert.equal(catcher.requests.length - told, 2, 'each event was told once, and no other')
  await end(server.child, 'SIGTERM')
}

/** A support chat: two people, messages, a timer that parks it, a message that wakes it, receipts, a timer that ends it. */
async function chat(server: Server): Promise<void> {
  const service = await server.sdk.conversations.v1.services.create({ friendlyName: 'Support chat' })
  const filters = ['onParticipantAdded', 'onMessageAdded', 'onDeliveryUpdated', 'onConversationStateUpdated']
  const hooks = server.sdk.conversations.v1.services(service.sid).configuration.webhooks()
  await hooks.update({ postWebhookUrl: catcher.url('/chat'), method: 'POST', filters })
  const all = server.sdk.conversations.v1.services(service.sid).conversations
  const { sid } = await all.create({ friendlyName: 'Order 1234', 'timers.inactive': 'PT5M', 'timers.closed': 'PT1H' })
  const { participants, messages } = all(sid)
  const told = { xTwilioWebhookEnabled: 'true' } as const

  await participants.create({ identity: 'alice', ...told })
  await expectEvent('onParticipantAdded', { Identity: 'alice' })
  await participants.create({
    'messagingBinding.address': '+15551234567',
    'messagingBinding.proxyAddress': '+15557654321',
    ...told,
  })
  await expectEvent('onParticipantAdded', { 'MessagingBinding.Address': '+15551234567' })

  const hello = await messages.create({ author: 'alice', body: 'Your order is on its way.', ...told })
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
  await messages.create({ author: '+15551234567', body: 'Thank you!', ...told })
  await expectEvent('onMessageAdded', { Author: '+15551234567', Index: '1' })
  await expectEvent('onConversationStateUpdated', { StateFrom: 'inactive', StateTo: 'active', Reason: 'EVENT' })
  say('The answer woke the conversation; an hour of silence ends it.')
  await advance(server, 'PT1H')
  await expectEvent('onConversationStateUpdated', { StateTo: 'inactive', Reason: 'TIMER' })
  await expectEvent('onConversationStateUpdated', { StateFrom: 'inactive', StateTo: 'closed', Reason: 'TIMER' })
  await expectClosed(server, service.sid, sid)
}

/** The next event is this one, signed, with these parameters. */
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

/** Closed is final: it can be read, and no more be changed. */
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

/** A delivery that was answered but not yet recorded when the server dies is sent once more: here none shall be. */
async function recorded(server: Server): Promise<void> {
  const until = performance.now() + patience_ms
  for (;;) {
    const { deliveries } = (await admin(server, 'GET', '/deliveries')) as { deliveries: { status: string }[] }
    if (deliveries.every(({ status }) => status === 'delivered'))
      return say(`The delivery log has ${deliveries.length} delivered.`)
    assert(performance.now() < until, 'the deliveries are recorded')
    await setTimeout(20)
  }
}

async function admin({ url }: Server, method: 'GET' | 'POST', path: string, asked?: object): Promise<unknown> {
  const { statusCode, body } = await request(`${url}/admin/v1${path}`, {
    method,
    headers: { authorization: `Bearer ${admin_token}`, ...(asked && { 'content-type': 'application/json' }) },
    body: asked ? JSON.stringify(asked) : null,
  })
  const text = await body.text()
  assert.equal(statusCode, 200, text)
  return JSON.parse(text)
}

async function startServer(): Promise<Server> {
  const program = fileURLToPath(new URL('../src/cli/parley.ts', import.meta.url))
  const inherited = Object.entries(process.env).filter(([name]) => !name.startsWith('PARLEY_'))
  const child = spawn(process.execPath, [program, 'serve'], {
    env: {
      ...Object.fromEntries(inherited),
      HOST: '127.0.0.1',
      PORT: '0',
      PARLEY_DATABASE_URL: `sqlite:${join(folder, 'parley.db')}`,
      PARLEY_ACCOUNT_SID: account_sid,
      PARLEY_AUTH_TOKEN: auth_token,
      PARLEY_ADMIN_TOKEN: admin_token,
      PARLEY_TEST_CLOCK: 'true',
      PARLEY_LOG_LEVEL: 'error',
    },
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  started.add(child)
  const url = await listening(child)
  return { url, child, sdk: sdkFor({ url }, account_sid, auth_token) }
}

/** The address that the server says it listens on. */
function listening(child: ChildProcess): Promise<string> {
  const { promise, resolve, reject } = Promise.withResolvers<string>()
  const giveUp = new AbortController()
  setTimeout(patience_ms, null, giveUp).then(
    () => reject(new Error('the server did not start in time')),
    () => {},
  )
  child.once('exit', (code) => reject(new Error(`the server ended with ${code}`)))
  if (child.stdout) {
    createInterface(child.stdout).on('line', (line) => {
      const url = /^Parley listens on (\S+)$/.exec(line)?.[1]
      if (url) resolve(url)
    })
  }
  return promise.finally(() => giveUp.abort())
}

async function end(child: ChildProcess, signal: NodeJS.Signals): Promise<void> {
  started.delete(child)
  if (child.exitCode !== null || child.signalCode !== null) return
  const gone = once(child, 'exit')
  child.kill(signal)
  await gone
}

function say(text: string): void {
  console.log(`\n${text}`)
}

function show({ method, path, signed, params }: Caught): void {
  console.log(`\n  ${method} ${path}, signature ${signed ? 'valid' : 'NOT valid'}`)
  const width = Math.max(...Object.keys(params).map((name) => name.length))
  for (const [name, value] of Object.entries(params)) console.log(`    ${name.padEnd(width)}  ${value}`)
}
