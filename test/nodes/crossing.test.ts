import { expect, test } from 'vitest'
import type { Database } from '../../src/storage/database.ts'
import { openDatabase } from '../../src/storage/open.ts'
import { rowsBy } from '../../src/storage/rows.ts'
import type { ServiceRow } from '../../src/storage/schema.ts'
import type { CrossingCommands } from '../support/crossing-commands.ts'
import { newDatabase } from '../support/databases.ts'

const module = new URL('../support/crossing-commands.ts', import.meta.url)
const serviceBySid = rowsBy('services', ['sid'])

function service(sid: string): ServiceRow {
  return {
    sid,
    account_sid: 'AC',
    friendly_name: '',
    pre_webhook_url: null,
    post_webhook_url: null,
    webhook_method: null,
    webhook_filters: null,
    default_conversation_creator_role_sid: '',
    default_conversation_role_sid: '',
    default_chat_service_role_sid: '',
    reachability_enabled: 0,
    notifications: '{}',
    date_created: 0,
    date_updated: 0,
    revision: 0,
  }
}

test('two nodes and two commands of one batch hold rows crosswise: none waits for ever, each counts once', async () => {
  await using place = await newDatabase()
  const failures: Error[] = []
  const open = (): Promise<Database<CrossingCommands>> =>
    openDatabase(place.config.database, { commands: module, failed: (error) => void failures.push(error) })
  const nodes = [await open(), await open()]
  const [one, other] = nodes as [Database<CrossingCommands>, Database<CrossingCommands>]
  await Promise.all(['a', 'b', 'c'].map((sid) => one.write('make', service(sid))))

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
