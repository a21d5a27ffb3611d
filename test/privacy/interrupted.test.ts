import { expect, test } from 'vitest'
import type { MessageRow } from '../../src/storage/schema.ts'
import { ask } from '../support/admin.ts'
import { engine, inspect, newDatabase } from '../support/databases.ts'
import { serve } from '../support/process.ts'
import { sdkFor } from '../support/sdk.ts'
import { adminToken } from '../support/server.ts'

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
