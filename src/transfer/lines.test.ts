import fc from 'fast-check'
import { expect, test } from 'vitest'
import { type Line, linesIn } from './lines.ts'

async function linesOf(chunks: Iterable<Uint8Array>): Promise<Line[]> {
  const lines: Line[] = []
  const source = async function* () {
    yield* chunks
  }
  for await (const line of linesIn(source())) lines.push(line)
  return lines
}

function cut(bytes: Uint8Array, at: readonly number[]): Uint8Array[] {
  const places = [0, ...at.map((n) => n % (bytes.length + 1)).toSorted((a, b) => a - b), bytes.length]
  return places.slice(1).map((end, i) => bytes.subarray(places[i], end))
}

const json = fc.jsonValue().map((value) => Buffer.from(`${JSON.stringify(value)}\n`))
const strange = fc.constantFrom(
  '',
  '\n',
  '\r\n',
  '\0',
  '{',
  '}\n',
  '[[[',
  '"\\ud800"\n',
  '\ufeff{}\n',
  '1e999\n',
  '\x1f\x8b\x08\n',
)
const piece = fc.oneof(
  json,
  fc.uint8Array({ maxLength: 40 }),
  strange.map((text) => Buffer.from(text)),
)

test('bytes of any kind are lines with a value or a fault, wherever they are cut', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(piece, { maxLength: 12 }), fc.array(fc.nat(), { maxLength: 12 }), async (pieces, places) => {
      const bytes = Buffer.concat(pieces)
      const whole = await linesOf([bytes])
      expect(await linesOf(cut(bytes, places))).toEqual(whole)
      expect(whole.length).toBeLessThanOrEqual(bytes.filter((byte) => byte === 0x0a).length + 1)
      for (const line of whole) expect('value' in line || line.fault.startsWith('it ')).toBe(true)
      // Numbers grow, and those of empty lines are left out.
      for (const [i, { number }] of whole.entries()) expect(number).toBeGreaterThan(whole[i - 1]?.number ?? 0)
    }),
    { numRuns: 120 },
  )
})

test('a line of a gigabyte is one fault, of which nothing is kept, and the next line is read', async () => {
  const block = Buffer.alloc(1_048_576, 'x')
  const chunks = function* () {
    for (let i = 0; i < 1024; i++) yield block
    yield Buffer.from('\n{"kind":"end"}\n')
  }
  const before = process.memoryUsage().arrayBuffers
  expect(await linesOf(chunks())).toEqual([
    { number: 1, end: expect.any(Number), fault: 'it is longer than 1048576 bytes' },
    { number: 2, end: expect.any(Number), bytes: 14, value: { kind: 'end' } },
  ])
  expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(64 * 1_048_576)
})

test('a file is read on from the end of any line, as if what comes before had been read', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(piece, { maxLength: 8 }), fc.array(fc.nat(), { maxLength: 6 }), fc.nat(), async (pieces, at, n) => {
      const bytes = Buffer.concat(pieces)
      const lines = await linesOf(cut(bytes, at))
      const line = lines[n % Math.max(1, lines.length)]
      if (!line) return
      expect(line.end).toBeLessThanOrEqual(bytes.length)
      const rest = async function* () {
        yield* cut(bytes.subarray(line.end), at)
      }
      const read: Line[] = []
      for await (const next of linesIn(rest(), { line: line.number, offset: line.end })) read.push(next)
      expect(read).toEqual(lines.filter(({ number }) => number > line.number))
    }),
    { numRuns: 200 },
  )
})
