import { Writable } from 'node:stream'
import { pino } from 'pino'
import { expect, test, vi } from 'vitest'
import { inspect, newDatabase } from '../support/databases.ts'
import { postgresOnly } from '../support/only.ts'
import { startServer } from '../support/server.ts'

postgresOnly('nodes that start at once', () => {
  test('nodes that begin the index of the search at once make it once, and none complains', async () => {
    await using database = await newDatabase()
    const count = 300
    {
      await using before = await startServer({ ...database.config, search: false })
      for (let i = 0; i < count; i += 50) {
        const names = Array.from({ length: 50 }, (_, j) => `Older ${i + j}`)
        await Promise.all(names.map((friendlyName) => before.sdk.conversations.v1.conversations.create({ friendlyName })))
      }
    }
    const lines: string[] = []
    const stream = new Writable({ write: (line, _, done) => done(void lines.push(String(line))) })
    const log = pino({ level: 'warn' }, stream)
    const [first, ...others] = await Promise.all([
      startServer(database.config, { log }),
      startServer(database.config, { log }),
      startServer(database.config, { log }),
    ])
    await vi.waitFor(async () => expect((await first.admin('GET', '/search?q=older')).complete).toBe(true), {
      timeout: 60_000,
    })
    await using inside = inspect(database.config)
    expect((await inside.rows('search_documents')).filter(({ sid }) => sid.startsWith('CH'))).toHaveLength(count)
    await Promise.all([first, ...others].map((node) => node.stop()))
    expect(lines).toEqual([])
  })
})
