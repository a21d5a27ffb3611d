import { expect, test } from 'vitest'
import type { Database } from '../../src/storage/database.ts'
import { openDatabase } from '../../src/storage/open.ts'
import { rowsBy } from '../../src/storage/rows.ts'
import type { CrossingCommands } from '../support/crossing-commands.ts'
import { newDatabase } from '../support/databases.ts'
import { newService } from '../support/rows.ts'

const module = new URL('../support/crossing-commands.ts', import.meta.url)
const serviceBySid = rowsBy('services', ['sid'])

test('two nodes and two commands of one batch hold rows crosswise: none waits for ever, each counts once', async () => {
  await using place = await newDatabase()
  const failures: Error[] = []
  const open = (): Promise<Database<CrossingCommands>> =>
    openDatabase(place.config.database, { commands: module, failed: (error) => void failures.push(error) })
  const nodes = [await open(), await open()]
  const [one, other] = nodes as [Database<CrossingCommands>, Database<CrossingCommands>]
  await Promise.all(['a', 'b', 'c'].map((sid) => one.write('make', newService(sid))))

  const orders = [
    ['a', 'b', 'c'],
    ['c', 'b', 'a'],
    ['b', 'a', 'c'],
  ]
  // On each node at a time, some against the order of the others.
  const writes = Array.from({ length: 6 }, (_, i) => {
    const node = i % 2 === 0 ? one : other
    return node.write('countUp', orders[i % orders.length] as string[])
  })
  const settled = await Promise.allSettled(writes)
  const counted = settled.filter(({ status }) => status === 'fulfilled').length
  // Whoever was not let through in time was told so, and has counted nothing.
  for (const sid of ['a', 'b', 'c']) expect((await one.read.one(serviceBySid, { sid }))?.revision).toBe(counted)
  expect(counted).toBeGreaterThan(0)
  expect(failures).toHaveLength(writes.length - counted)
  await Promise.all(nodes.map((node) => node.close()))
})
