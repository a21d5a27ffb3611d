import { expect, test } from 'vitest'
import { belongings } from '../../src/privacy/belongings.ts'
import { notBegun, startOf } from '../../src/privacy/erasures.ts'
import { personOf } from '../../src/privacy/person.ts'
import type { MessageRow } from '../../src/storage/schema.ts'
import { Vault } from '../../src/vault.ts'
import { ask } from '../support/admin.ts'
import { engine, inspect, newDatabase } from '../support/databases.ts'
import { secretKey } from '../support/file-server.ts'
import { serve } from '../support/process.ts'
import { sdkFor } from '../support/sdk.ts'
import { adminToken, startServer } from '../support/server.ts'

const account_sid = `AC${'d'.repeat(32)}`
const auth_token = 'aTokenOfTheErasureTests'
const identity = 'alice.zwingli'

/** So many batches that the end is not reached before the kill. */
const count = engine === 'sqlite' ? 8000 : 3000

test('a server that is killed in the middle of an erasure goes on where it was, as does another node, and counts nothing twice', async () => {
  await using database = await newDatabase()
  const env = {
    ...database.env,
    PARLEY_ACCOUNT_SID: account_sid,
    PARLEY_AUTH_TOKEN: auth_token,
    PARLEY_ADMIN_TOKEN: adminToken,
    PARLEY_LOG_LEVEL: 'silent',
  }
  await using first = await serve({ env })
  const { v1 } = sdkFor(first, account_sid, auth_token).conversations
  const { sid } = await v1.conversations.create({})
  for (const member of [identity, 'bob']) await v1.conversations(sid).participants.create({ identity: member })
  await v1.conversations(sid).messages.create({ author: 'bob', body: 'bob says' })
  await v1.conversations(sid).messages.create({ author: identity, body: 'marker' })
  await using rows = inspect(database.config)
  const [bobs, model] = (await rows.rows('messages')).toSorted((a, b) => a.message_index - b.message_index) as [
    MessageRow,
    MessageRow,
  ]
  const more = Array.from({ length: count - 1 }, (_, i): MessageRow => {
    return { ...model, sid: `IM${i.toString(16).padStart(32, '0')}`, message_index: i + 2 }
  })
  // One transaction for all of them, where a file is written.
  if (engine === 'sqlite') await rows.query('begin')
  for (const row of more) await rows.insert('messages', row)
  if (engine === 'sqlite') await rows.query('commit')

  const other = engine === 'postgres' ? await serve({ env }) : null
  const path = `/accounts/${account_sid}/erasures`
  const { id } = (await ask(first, 'POST', path, { identity })).body
  await expect.poll(async () => (await ask(first, 'GET', `${path}/${id}`)).body.counts.messages_redacted).toBeGreaterThan(0)
  await first.end('SIGKILL')
  const [half] = await rows.rows('erasures')
  expect(half).toMatchObject({ status: 'running', date_finished: null })
  // What it has left says neither who it is about nor what was erased.
  expect(JSON.stringify(half)).not.toContain(identity)

  await using second = other ?? (await serve({ env }))
  await expect.poll(async () => (await ask(second, 'GET', `${path}/${id}`)).body.status).toBe('done')
  const { counts } = (await ask(second, 'GET', `${path}/${id}`)).body
  expect(counts).toMatchObject({ messages_redacted: count, messages_deleted: 0, participants: 1, users: 1 })
  const left = await rows.rows('messages')
  expect(left.filter(({ body, author }) => body === 'marker' || author === identity)).toEqual([])
  expect(left.filter(({ author }) => author === 'bob')).toEqual([bobs])
  expect(await rows.rows('erasures')).toEqual([expect.objectContaining({ sealed: null, owner: null, step: null })])
  await second.end('SIGTERM')
})

const table = belongings.findIndex((one) => one.table === 'messages')
const behindAll = { conversation_sid: '~', sid: '~', service_sid: '~' }
const other = engine === 'sqlite' ? 'postgres' : 'sqlite'

test.each([
  ['goes on at its place', { place: { engine, pass: 0, table, key: behindAll } }, 'marker'],
  ['starts the table anew at a place of the other engine', { place: { engine: other, pass: 0, table, key: behindAll } }, ''],
  ['starts the table anew at a place of a program that did not say where it is', { after: behindAll }, ''],
  [
    'starts the table anew when such a program has gone on since',
    { after: null, pass: 1, rows: 1, place: { engine, pass: 0, table, key: behindAll } },
    '',
  ],
])('an erasure %s', async (_, place, body) => {
  const { erasure, messages } = await goneOn({ place: null, ...place }, 0)
  expect(erasure.status).toBe('done')
  expect(messages).toEqual([expect.objectContaining({ body })])
})

test.each([
  ['goes on counting', { place: { engine, pass: 0, table, key: null } }, 8],
  ['counts anew behind a place of a program that did not say where it is', { after: behindAll }, 1],
])('a dry run %s', async (_, place, count) => {
  const { erasure } = await goneOn({ place: null, ...place }, 1)
  expect(erasure).toMatchObject({ status: 'done', counts: { messages_redacted: count } })
})

/** Has a server go on with an erasure that has come to the messages, of which it has counted seven. Returns what becomes of it and of the only message. */
async function goneOn(progress: object, dry_run: 0 | 1) {
  const { config } = await newDatabase()
  const start = () => startServer({ ...config, secretKey, account_sid })
  const before = await start()
  const { sid } = await before.sdk.conversations.v1.conversations.create({})
  await before.sdk.conversations.v1.conversations(sid).messages.create({ author: identity, body: 'marker' })
  await before.stop()
  await using rows = inspect(config)
  const id = `ER${'1'.repeat(32)}`
  await rows.insert('erasures', {
    ...notBegun,
    id,
    account_sid,
    status: 'waiting',
    step: 'messages',
    counts: '{"messages_redacted":7}',
    dry_run,
    messages: 'redact',
    subject: 'identity',
    subject_hash: '',
    pseudonym: 'erased-1',
    requested_by: 'console',
    reference: null,
    sealed: new Vault(secretKey).seal(JSON.stringify({ ...startOf(personOf(account_sid, { identity })), table, ...progress })),
    date_created: 1,
    date_finished: null,
  })
  const after = await start()
  const path = `/accounts/${account_sid}/erasures/${id}`
  await expect.poll(async () => (await after.admin('GET', path)).status).toBe('done')
  const erasure = await after.admin('GET', path)
  const messages = await after.sdk.conversations.v1.conversations(sid).messages.list()
  await after.stop()
  return { erasure, messages }
}
