import pg from 'pg'
import { expect, test } from 'vitest'
import { newDatabase } from '../support/databases.ts'
import { startServer } from '../support/server.ts'
import { newTenant } from '../support/tenant.ts'

test('a conversation of another account is not waited for, whatever is done with it', async () => {
  await using database = await newDatabase()
  await using server = await startServer(database.config)
  const [owner, stranger] = [await newTenant(server), await newTenant(server)]
  const { sid, chat_service_sid } = (await owner.call('POST', '/v1/Conversations', { UniqueName: 'room' })).body
  const client = new pg.Client(database.env.PARLEY_DATABASE_URL)
  await client.connect()
  try {
    await client.query('begin')
    const held = await client.query('select sid from conversations where sid = $1 for no key update', [sid])
    expect(held.rowCount).toBe(1)
    for (const name of [sid, 'room']) {
      const path = `/v1/Services/${chat_service_sid}/Conversations/${name}/Messages`
      expect(await stranger.call('POST', path, { Body: 'Hi' })).toMatchObject({ status: 404, body: { code: 20404 } })
    }
  } finally {
    await client.end()
  }
  expect((await owner.call('POST', `/v1/Conversations/${sid}/Messages`, { Body: 'Hi' })).status).toBe(201)
})
