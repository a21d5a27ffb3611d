import { expect, test } from 'vitest'
import { ResponseCache } from './response-cache.ts'

const row = (n: number) => ({ sid: `CH${n}`, body: `row ${n}`.padEnd(1000), validUntil: 100 })

/** Asks for a row, which is not there. */
function ask(cache: ResponseCache, n: number): void {
  cache.set(`/${n}`, row(n))
}

/** A cache of a hundred rows that has no room left. */
function full() {
  const cache = new ResponseCache(100 * 1300)
  for (let n = 0; n < 200; n++) for (const _time of [1, 2]) ask(cache, n)
  return cache
}

test('a row is kept that is asked for again', () => {
  const cache = new ResponseCache()
  ask(cache, 1)
  expect(cache.get('/1', 99)).toBeUndefined()
  ask(cache, 1)
  expect(cache.get('/1', 99)).toBe(row(1).body)
  expect(cache.get('/1', 100)).toBeUndefined()
})

test('a full one makes room for it', () => {
  const cache = full()
  expect(cache.get('/0', 0)).toBeUndefined()
  for (const times of [1, 2]) {
    ask(cache, 1000)
    expect(cache.get('/1000', 0), `${times}`).toBe(times === 1 ? undefined : row(1000).body)
  }
  expect(cache.get('/199', 0)).toBe(row(199).body)
})

test('that it was asked for once is forgotten when many others have been', () => {
  const cache = new ResponseCache()
  ask(cache, 1000)
  for (let n = 2000; n < 60_000; n++) ask(cache, n)
  ask(cache, 1000)
  expect(cache.get('/1000', 0)).toBeUndefined()
})

test('a change of the row removes it, and it has to be asked for no more often than others', () => {
  const cache = full()
  cache.invalidate([{ topic: 'changed', table: 'conversations', sid: 'CH199', revision: 2 }])
  expect(cache.get('/199', 0)).toBeUndefined()
  expect(cache.get('/198', 0)).toBe(row(198).body)
  ask(cache, 199)
  expect(cache.get('/199', 0)).toBe(row(199).body)
})
