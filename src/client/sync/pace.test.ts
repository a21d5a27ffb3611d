import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { conversationDocument, messagesList, objectNamed, type SyncObject } from '../../resources/sync-objects.ts'
import { Pace } from './pace.ts'

function objectOf(name: string): SyncObject {
  const object = objectNamed(name)
  if (!object) throw new Error(`no object ${name}`)
  return object
}

const conversation_sid = `CH${'0'.repeat(31)}7`
const list = objectOf(messagesList(conversation_sid))
const document = objectOf(conversationDocument(conversation_sid))

beforeEach(() => {
  vi.useFakeTimers()
  vi.advanceTimersByTime(1000)
})
afterEach(() => {
  vi.useRealTimers()
})

test('while little is sent, a document rests and a list does not', () => {
  const pace = new Pace()
  pace.count(499)
  expect(pace.restsUntil(list)).toBe(performance.now())
  expect(pace.restsUntil(document)).toBeGreaterThan(performance.now())
})

test('while much is sent, both rest until the same time, and 0.5 s after it a list does not rest any more', () => {
  const pace = new Pace()
  pace.count(500)
  const until = pace.restsUntil(list)
  expect(until).toBeGreaterThan(performance.now())
  expect(until).toBeLessThanOrEqual(performance.now() + 200)
  expect(pace.restsUntil(document)).toBe(until)
  vi.advanceTimersByTime(500)
  expect(pace.restsUntil(list)).toBe(performance.now())
})

test('what waits for the same time is run in one turn, in its order, and not before', () => {
  const pace = new Pace()
  const ran: string[] = []
  const until = pace.restsUntil(document)
  pace.wait(list, until, () => ran.push('list'))
  pace.wait(document, until, () => ran.push('document'))
  vi.advanceTimersByTime(until - performance.now() - 1)
  expect(ran).toEqual([])
  expect(vi.getTimerCount()).toBe(1)
  vi.advanceTimersByTime(1)
  expect(ran).toEqual(['list', 'document'])
})
