import fc from 'fast-check'
import { expect, test } from 'vitest'
import type { RequestLine } from '../api/surface.ts'
import { directLog } from './log.ts'
import { requestWriter } from './request-line.ts'

/** A log of the server, with the lines that it has written. */
function keptLog() {
  const lines: string[] = []
  const out = { write: (line: string) => lines.push(line) > 0 }
  return { lines, log: directLog(out as unknown as NodeJS.WritableStream) }
}

const hex = (length: number) => fc.string({ unit: fc.constantFrom(...'0123456789abcdef'), minLength: length, maxLength: length })
const optional = <T>(given: fc.Arbitrary<T>) => fc.option(given, { nil: undefined })

const anyLine: fc.Arbitrary<RequestLine> = fc.record({
  method: fc.constantFrom('GET', 'POST', 'DELETE', 'OPTIONS', 'M-SEARCH'),
  path: fc.string({ unit: 'binary' }),
  status: fc.integer({ min: 100, max: 599 }),
  ms: fc.double({ min: 0, max: 1e9, noNaN: true }).map((ms) => Math.round(ms * 1000) / 1000),
  account: optional(hex(32).map((digits) => `AC${digits}`)),
  operation: optional(fc.constantFrom('FetchConversation', 'ListServiceConversationMessage')),
  // An interface has any name.
  from: fc.oneof(fc.ipV4(), fc.ipV6(), fc.string()),
  request: hex(32).map((digits) => `RQ${digits}`),
  trace: optional(hex(32)),
})

/** Without the time, which passes between two lines. */
const timeless = (line: string | undefined) => line?.replace(/"time":\d+/, '"time":0')

test('the line of a request is what the logger itself would have written', () => {
  const { lines, log } = keptLog()
  const write = requestWriter(log)
  fc.assert(
    fc.property(anyLine, (line) => {
      lines.length = 0
      write(line)
      log.info(line, 'request')
      expect(lines).toHaveLength(2)
      expect(timeless(lines[0])).toBe(timeless(lines[1]))
      expect(JSON.parse(lines[0] ?? '')).toMatchObject({ level: 30, path: line.path, from: line.from })
      expect(lines[0]).toMatch(/^\{"level":30,"time":\d{13},.*\}\n$/)
    }),
  )
})
