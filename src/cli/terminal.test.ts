import fc from 'fast-check'
import { expect, test, vi } from 'vitest'
import { printable, printRow } from './terminal.ts'

const acting = /[\p{Cc}\u2028\u2029\u202a-\u202e\u2066-\u2069]/u

test('whatever others have chosen, a terminal is sent no control character', () => {
  const hostile = fc.string({ unit: fc.oneof(fc.constantFrom('\u001b', '\u009b', '\n', '\r', '\u202e', '\u2066'), fc.string()) })
  fc.assert(fc.property(hostile, (text) => !acting.test(printable(text))))
})

test('any other text is shown as it is', () => {
  for (const text of ['', 'Ördér 50% + 1', '😀 👩‍👩‍👧', 'שלום', '\\u001b']) expect(printable(text)).toBe(text)
  expect(printable('\u001b[31mred\n')).toBe('\\u001b[31mred\\u000a')
})

test('JSON that is printed stays JSON of the same meaning', () => {
  const value = fc.record({ text: fc.string({ unit: 'binary' }) })
  fc.assert(
    fc.property(value, (given) => {
      expect(JSON.parse(printable(JSON.stringify(given)))).toStrictEqual({ ...given })
    }),
  )
})

test('a row is one line', () => {
  const log = vi.spyOn(console, 'log').mockImplementation(() => {})
  printRow('AC1', 'two\nlines', null, 7)
  expect(log.mock.calls).toEqual([['AC1  two\\u000alines  -  7']])
  log.mockRestore()
})
