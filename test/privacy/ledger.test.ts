import { readFileSync, writeFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import { ledgerFile } from '../../src/data-folders.ts'
import { inspect, newDatabase } from '../support/databases.ts'
import { secretKey } from '../support/file-server.ts'
import { startServer } from '../support/server.ts'
import { erase } from './scene.ts'

const account_sid = `AC${'e'.repeat(32)}`
const [identity, number] = ['alice.zwingli', '+15551230000']

const replaced = { secretKey: '5'.repeat(64), previousSecretKey: secretKey }

test.each([
  ['', {}],
  [', also with a secret key that was replaced since', replaced],
])('who was erased is erased again when an older database is restored, before the server is reached%s', async (_, since) => {
  const database = await newDatabase()
  const start = (keys = {}) => startServer({ ...database.config, secretKey, account_sid, ...keys })
  const file = ledgerFile(database.config) ?? expect.unreachable()
  let server = await start()
  const { v1 } = server.sdk.conversations
  const { sid } = await v1.conversations.create({})
  await v1.conversations(sid).participants.create({ identity })
  await v1.conversations(sid).participants.create({ identity: 'bob' })
  await v1.conversations(sid).participants.create({
    'messagingBinding.address': number,
    'messagingBinding.proxyAddress': '+15559990000',
  })
  await v1.conversations(sid).messages.create({ author: identity, body: 'marker of alice' })
  await v1.conversations(sid).messages.create({ author: number, body: 'marker of the number' })
  await v1.conversations(sid).messages.create({ author: 'bob', body: 'bob says' })
  const rows = inspect(database.config)
  const tables = ['users', 'participants', 'messages', 'conversations'] as const
  const backup = await Promise.all(tables.map((table) => rows.rows(table)))
  const first = await erase(server, { identity })
  const second = await erase(server, { address: `whatsapp:${number}`, messages: 'delete' })
  const never = await erase(server, { identity: 'nobody.is.called.so' })
  await erase(server, { identity: 'bob', dry_run: true })
  const listed = readFileSync(file, 'utf8')
  for (const text of [identity, number, 'bob', 'nobody']) expect(listed).not.toContain(text)
  expect(listed.split('\n').filter((line) => line !== '')).toHaveLength(3)
  await server.stop()

  // An older database, with the rows as they were. The ledger has been cut off by a crash since.
  writeFileSync(file, `${listed}{"id":"ER`)
  for (const [i, table] of tables.entries()) {
    await rows.query(`delete from ${table}`)
    for (const row of backup[i] ?? []) await rows.insert(table, row)
  }
  for (const table of ['erasures', 'tombstones']) await rows.query(`delete from ${table}`)
  server = await start(since)
  const messages = await server.sdk.conversations.v1.conversations(sid).messages.list()
  expect(messages.map(({ author, body }) => [author, body])).toEqual([
    [first.pseudonym, ''],
    ['bob', 'bob says'],
  ])
  const { erasures } = await server.admin('GET', `/accounts/${account_sid}/erasures`)
  expect(erasures).toHaveLength(3)
  expect(erasures).toEqual(
    expect.arrayContaining([
      expect.objectContaining({ id: first.id, status: 'done', requested_by: 'ledger', subject_hash: first.subject_hash }),
      expect.objectContaining({ id: second.id, status: 'done', requested_by: 'ledger', messages: 'delete' }),
      expect.objectContaining({ id: never.id, status: 'done', requested_by: 'ledger' }),
    ]),
  )

  // What is written later is new data, and an erasure goes behind what a crash has left of a line.
  await server.sdk.conversations.v1.conversations(sid).messages.create({ author: identity, body: 'back again' })
  await server.stop()
  server = await start(since)
  const later = await server.sdk.conversations.v1.conversations(sid).messages.list()
  expect(later.map(({ body }) => body)).toEqual(['', 'bob says', 'back again'])
  await erase(server, { identity })
  expect(
    readFileSync(file, 'utf8')
      .split('\n')
      .filter((line) => line.endsWith('}')),
  ).toHaveLength(4)
  await server.stop()
  await rows.close()
  await database.dispose()
})
