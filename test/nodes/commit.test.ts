import { describe, expect, test } from 'vitest'
import { openDatabase } from '../../src/storage/open.ts'
import { rowsBy } from '../../src/storage/rows.ts'
import type { CrossingCommands } from '../support/crossing-commands.ts'
import { newDatabase } from '../support/databases.ts'
import { newService } from '../support/rows.ts'
import { startProxy } from '../support/tcp-proxy.ts'

/** Their commits are sent after the last writes, and behind them in the same packet. */
const counts = ['countUp', 'countOn'] as const

const commands = new URL('../support/crossing-commands.ts', import.meta.url)
const serviceBySid = rowsBy('services', ['sid'])

/** A database behind a network that can be cut, with a service to count in. */
async function counting() {
  const place = await newDatabase()
  const { database: location } = place.config
  if (location.engine !== 'postgres') throw new Error('only a server can be cut off')
  const network = await startProxy(location.url)
  const failures: Error[] = []
  const failed = (error: Error) => void failures.push(error)
  const database = await openDatabase<CrossingCommands>({ engine: 'postgres', url: network.url }, { commands, failed })
  await database.write('make', newService('IS1'))
  return {
    network,
    database,
    failures,
    /** Opens the same database once more. */
    async another() {
      const database = await openDatabase<CrossingCommands>(location, { commands, failed })
      return { database, [Symbol.asyncDispose]: () => database.close() }
    },
    count: async () => (await database.read.one(serviceBySid, { sid: 'IS1' }))?.revision,
    async [Symbol.asyncDispose]() {
      await database.close()
      await network[Symbol.asyncDispose]()
      await place.dispose()
    },
  }
}

describe.each(counts)('%s', (count) => {
  test('a write whose commit took effect, though the answer to it was lost, succeeds', async () => {
    await using on = await counting()
    const lost = on.network.cutAt('commit', 'after')
    const written = on.database.write(count, ['IS1'])
    await lost
    await written
    expect(await on.count()).toBe(1)
    expect(on.failures).toEqual([])
  })

  test('a write whose commit never arrived is made again, once', async () => {
    await using on = await counting()
    const lost = on.network.cutAt('commit', 'before')
    const written = on.database.write(count, ['IS1'])
    await lost
    await written
    expect(await on.count()).toBe(1)
    expect(on.failures).toEqual([])
  })

  test('the same for a whole batch: each is counted once', async () => {
    await using on = await counting()
    for (const when of ['after', 'before'] as const) {
      const before = (await on.count()) ?? 0
      const lost = on.network.cutAt('commit', when)
      const written = Array.from({ length: 20 }, () => on.database.write(count, ['IS1']))
      await lost
      await Promise.all(written)
      expect(await on.count()).toBe(before + 20)
    }
  })
})

test('a refusal is a refusal, though the connection is lost when what was written before it is to be undone', async () => {
  await using on = await counting()
  // In its batch, and when it runs alone.
  const lost = [1, 2].map(() => on.network.cutAt('rollback', 'before'))
  const written = on.database.write('countThenRefuse', 'IS1')
  await Promise.all([...lost, expect(written).rejects.toMatchObject({ kind: 'uniqueNameTaken' })])
  expect(await on.count()).toBe(0)
  expect(on.failures).toEqual([])
})

test('a commit that is sent behind writes takes no effect where one of them takes none', async () => {
  await using on = await counting()
  await using other = await on.another()
  const databases = [on.database, other.database]
  await Promise.all(databases.flatMap((database) => Array.from({ length: 4 }, () => database.write('raceOn', 'IS1'))))
  expect(await on.count()).toBe(8)
  expect(on.failures).toEqual([])
})
