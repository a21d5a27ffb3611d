import { expect, test } from 'vitest'
import { newDatabase } from '../support/databases.ts'
import { startServer } from '../support/server.ts'

test('moves of the clock at once on two nodes add up, and both nodes stand where they lead', async () => {
  await using database = await newDatabase()
  await using one = await startServer(database.config)
  await using other = await startServer(database.config)
  const minuteMs = 60_000
  const from = one.clock.now()
  await Promise.all([one.advance('PT1M'), other.advance('PT2M'), one.advance('PT3M'), other.advance('PT4M')])
  for (const node of [one, other]) {
    const { offset_ms } = await node.admin('GET', '/clock')
    expect(offset_ms).toBeGreaterThan(9 * minuteMs)
  }
  expect(from).toBeLessThan(one.clock.now() - 9 * minuteMs)
})
