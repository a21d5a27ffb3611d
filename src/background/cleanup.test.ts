import { expect, test } from 'vitest'
import type { registrationCommands } from '../client/registrations.ts'
import { SystemClock } from '../clock.ts'
import type { removalCommands } from '../model/removals.ts'
import { type Database, onlyNode, onlySlot } from '../storage/database.ts'
import { Cleanup } from './cleanup.ts'

type Commands = ReturnType<typeof removalCommands> & typeof registrationCommands

/** A database in which there is always more to remove. */
function endless(): Database<Commands> & { readonly batches: string[] } {
  const batches: string[] = []
  const write = async (name: string) => {
    batches.push(name)
    await new Promise(setImmediate)
    return name === 'removeSome' ? true : 500
  }
  const unused = () => Promise.reject(new Error('nothing is read'))
  return {
    batches,
    write: write as Database<Commands>['write'],
    publish: () => {},
    subscribe: () => {},
    capabilities: { engine: 'sqlite', soleOwner: true, cacheLeaseMs: Number.POSITIVE_INFINITY },
    read: { one: unused, all: unused, hold: unused },
    slots: onlySlot,
    nodes: onlyNode(),
    failing: () => false,
    sizes: unused,
    waiting: () => 0,
    scrub: async () => true,
    usage: async () => ({ bytes: 0, pool: null }),
    close: async () => {},
  }
}

test('a stop waits for the batch under way, not for all that there is to remove', async () => {
  const database = endless()
  const failed: unknown[] = []
  const cleanup = new Cleanup({
    clock: new SystemClock(),
    database,
    deliveryRetentionMs: 0,
    tombstoneRetentionMs: 0,
    onError: (error) => failed.push(error),
  })
  cleanup.start()
  await expect.poll(() => database.batches.length).toBeGreaterThan(2)
  const begun = database.batches.length
  await cleanup.stop()
  expect(database.batches.length - begun).toBeLessThan(2)
  expect(failed).toEqual([])
})
