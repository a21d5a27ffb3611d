import { pino } from 'pino'
import { describe, expect, test } from 'vitest'
import { readConfig } from '../../src/config.ts'
import { explainErrors } from '../../src/installation/explain-errors.ts'
import { start } from '../../src/main.ts'
import { newDatabase } from '../support/databases.ts'
import { hasPgbouncer, startPgbouncer } from '../support/pgbouncer.ts'
import { startServer } from '../support/server.ts'

const log = pino({ level: 'silent' })

// The rows of the table in docs/operations.md.
describe.runIf(hasPgbouncer)('PgBouncer', () => {
  test.each([
    ['transaction', '100'],
    ['statement', '100'],
    ['transaction', '1'],
  ])('pool_mode = %s is refused before anything is written (%s connections)', async (pool_mode, default_pool_size) => {
    await using database = await newDatabase({ untouched: true })
    const given = { pool_mode, default_pool_size }
    await using pooler = await startPgbouncer(database.env.PARLEY_DATABASE_URL, given)
    const config = readConfig({ ...database.env, PARLEY_DATABASE_URL: pooler.url, PORT: '0' })
    await expect(explainErrors(config, () => start(config, { log }))).rejects.toThrow(/transaction mode|statement/)
    // A server that connects directly finds an empty database.
    await using server = await startServer(database.config)
    expect(server.account_sid).toMatch(/^AC/)
  })

  test('pool_mode = session works', async () => {
    await using database = await newDatabase()
    await using pooler = await startPgbouncer(database.env.PARLEY_DATABASE_URL, { pool_mode: 'session' })
    await using server = await startServer({ ...database.config, database: { engine: 'postgres', url: pooler.url } })
    for (let n = 0; n < 20; n++) {
      expect(await server.call('POST', '/v1/Conversations', { UniqueName: `one-${n}` })).toMatchObject({ status: 201 })
    }
    expect((await server.call('GET', '/v1/Conversations/one-7')).status).toBe(200)
    const moved = await fetch(`${server.url}/readyz`)
    expect(moved.status).toBe(200)
  })
})
