import { expect, test } from 'vitest'
import { ResponseCache } from './response-cache.ts'

const row = (n: number) => ({ sid: `CH${n}`, body: `row ${n}`.padEnd(1000), validUntil: 100 })

/** A cache of a hundred rows that has no room left. */
function full() {
  const cache = new ResponseCache(100 * 1300)
  for (let n = 0; n < 200; n++) cache.set(`/${n}`, row(n))
  return cache
}

test('a cache with room keeps what is asked for once', () => {
  const cache = new ResponseCache()
  cache.set('/1', row(1))
  expect(cache.get('/1', 99)).toBe(row(1).body)
  expect(cache.get('/1', 100)).toBeUndefined()
})

test('a full one keeps what is asked for again, and what it has meanwhile', () => {
  const cache = full()
  expect(cache.get('/1', 0)).toBe(row(1).body)
  for (const times of [1, 2]) {
    cache.set('/1000', row(1000))
    expect(cache.get('/1000', 0), `${times}`).toBe(times === 1 ? undefined : row(1000).body)
  }
})

test('that it was asked for once is forgotten when many others have been', () => {
  const cache = full()
  cache.set('/1000', row(1000))
  for (let n = 2000; n < 22_000; n++) cache.set(`/${n}`, row(n))
  cache.set('/1000', row(1000))
  expect(cache.get('/1000', 0)).toBeUndefined()
})

test('a change of the row removes it, and it has to be asked for no more often than others', () => {
  const cache = full()
  cache.set('/1', row(1))
  cache.invalidate([{ topic: 'changed', table: 'conversations', sid: 'CH1', revision: 2 }])
  expect(cache.get('/1', 0)).toBeUndefined()
  expect(cache.get('/2', 0)).toBe(row(2).body)
  cache.set('/1', row(1))
  expect(cache.get('/1', 0)).toBe(row(1).body)
})
