import { expect, test } from 'vitest'
import type { Listener, Notice } from '../storage/database.ts'
import { LeasedCache } from './leased-cache.ts'

/** A cache of the table `keys` with a lease of 1000 ms, and what happens to it. */
function scene(cacheLeaseMs = 1000) {
  let now = 0
  const listeners: Listener[] = []
  const database = {
    capabilities: { engine: 'postgres' as const, soleOwner: false, cacheLeaseMs },
    subscribe: (one: Listener) => void listeners.push(one),
  }
  const cache = new LeasedCache<string>(database, ['keys'], () => now)
  return {
    cache,
    pass: (ms: number) => {
      now += ms
    },
    notice: (...notices: Notice[]) => {
      for (const listener of listeners) listener(notices, now)
    },
  }
}

const changed = (table: string): Notice => ({ topic: 'changed', table, sid: 'SK1', revision: 2 })

test('what is kept is valid for the lease, which counts from before it was read', () => {
  const { cache, pass } = scene()
  const keep = cache.begin()
  pass(400)
  keep('a', 'read')
  pass(599)
  expect(cache.get('a')).toBe('read')
  pass(1)
  expect(cache.get('a')).toBeUndefined()
})

test('a change of its tables, a gap in the notices and new contents of the database clear it; other changes do not', () => {
  const { cache, notice } = scene()
  const clearing: Notice[] = [changed('keys'), { topic: 'missed' }, { topic: 'emptied' }]
  for (const one of clearing) {
    cache.begin()('a', 'read')
    notice(changed('messages'), { topic: 'removal' })
    expect(cache.get('a')).toBe('read')
    notice({ topic: 'removal' }, one)
    expect(cache.get('a')).toBeUndefined()
  }
})

test('what was read before a change is not kept after it', () => {
  const { cache, notice } = scene()
  const [before, keepBefore] = [cache.begin(), cache.begin()]
  before('a', 'old')
  notice(changed('keys'))
  keepBefore('a', 'old')
  expect(cache.get('a')).toBeUndefined()
  cache.begin()('a', 'new')
  expect(cache.get('a')).toBe('new')
})

test('without other processes it is valid until a notice', () => {
  const { cache, pass, notice } = scene(Number.POSITIVE_INFINITY)
  cache.begin()('a', 'read')
  pass(10 ** 12)
  expect(cache.get('a')).toBe('read')
  notice(changed('keys'))
  expect(cache.get('a')).toBeUndefined()
})
