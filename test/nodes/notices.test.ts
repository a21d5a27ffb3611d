import pg from 'pg'
import { expect, test } from 'vitest'
import type { Notice } from '../../src/storage/database.ts'
import { NoticeExchange } from '../../src/storage/postgres/notices.ts'
import { startPostgres } from '../support/postgres.ts'

test('a database that goes away and comes back is listened to again, once, and whoever listens is told of the gap', async () => {
  await using postgres = await startPostgres()
  const received: Notice[] = []
  const failures: Error[] = []
  const exchange = new NoticeExchange(postgres.url, {
    received: (notices) => void received.push(...notices),
    failed: (error) => void failures.push(error),
  })
  await exchange.connect()
  await postgres.stop('immediate')
  // It has tried and failed more than once.
  await expect.poll(() => failures.length).toBeGreaterThan(3)
  await postgres.restart()
  await expect.poll(() => received).toEqual([{ topic: 'missed' }])

  const client = new pg.Client(postgres.url)
  await client.connect()
  const { rows } = await client.query("select pid from pg_stat_activity where application_name = 'parley notices'")
  expect(rows).toHaveLength(1)
  await client.query('select pg_notify($1, $2)', ['parley', `${crypto.randomUUID()}[{"topic":"removal"}]`])
  await expect.poll(() => received).toEqual([{ topic: 'missed' }, { topic: 'removal' }])
  await client.end()
  await exchange.close()
})
