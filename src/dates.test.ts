import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { milliseconds, parseDuration, parseInstant, plusDuration, seconds, secondsOrNull } from './dates.ts'
import { Temporal } from './temporal.ts'

const dayMs = 86_400_000
const firstMs = Date.parse('0000-01-01T00:00:00Z')
const lastMs = Date.parse('9999-12-31T23:59:59.999Z')
/** Every instant that a body can show. */
const instant = fc.integer({ min: firstMs, max: lastMs })

describe('parseInstant', () => {
  test.each([
    ['2026-03-04T05:06:07Z', '2026-03-04T05:06:07.000Z'],
    ['2026-03-04T05:06:07z', '2026-03-04T05:06:07.000Z'],
    ['2026-03-04t05:06:07Z', '2026-03-04T05:06:07.000Z'],
    ['2026-03-04 05:06:07Z', '2026-03-04T05:06:07.000Z'],
    ['2026-03-04T05:06:07', '2026-03-04T05:06:07.000Z'],
    ['2026-03-04T05:06', '2026-03-04T05:06:00.000Z'],
    ['2026-03-04T05:06:07.1Z', '2026-03-04T05:06:07.100Z'],
    ['2026-03-04T05:06:07,1Z', '2026-03-04T05:06:07.100Z'],
    ['2026-03-04T05:06:07.999999999Z', '2026-03-04T05:06:07.999Z'],
    ['1969-12-31T23:59:59.9999Z', '1969-12-31T23:59:59.999Z'],
    ['2026-03-04T05:06:07+00:00', '2026-03-04T05:06:07.000Z'],
    ['2026-03-04T05:06:07+05:30', '2026-03-03T23:36:07.000Z'],
    ['2026-03-04T05:06:07+0530', '2026-03-03T23:36:07.000Z'],
    ['2026-03-04T05:06:07+05', '2026-03-04T00:06:07.000Z'],
    ['2026-03-04T05:06:07-08:00', '2026-03-04T13:06:07.000Z'],
    ['2024-02-29', '2024-02-29T00:00:00.000Z'],
    ['0000-01-01', '0000-01-01T00:00:00.000Z'],
    ['9999-12-31T23:59:59.999Z', '9999-12-31T23:59:59.999Z'],
  ])('%s is %s', (text, expected) => {
    expect(milliseconds(parseInstant(text) as number)).toBe(expected)
  })

  test.each([
    '',
    ' ',
    'x',
    '0',
    '1700000000',
    '2026',
    '2026-03',
    '2026-3-4',
    '20260304',
    '20260304T050607Z',
    '26-03-04',
    '02026-03-04',
    '+002026-03-04',
    '-000001-01-01',
    '2026-00-01',
    '2026-13-01',
    '2026-02-30',
    '2025-02-29',
    '1900-02-29',
    '2026-03-04Z',
    '2026-03-04+01:00',
    '2026-03-04T',
    '2026-03-04T25:00:00Z',
    '2026-03-04T05:60:00Z',
    '2026-03-04T05:06:61Z',
    '2026-03-04T05:06:07+24:00',
    '2026-03-04T05:06:07+05:60',
    '2026-03-04T05:06:07 05:00',
    '2026-03-04T05:06:07ZZ',
    '2026-03-04T05:06:07Z ',
    ' 2026-03-04T05:06:07Z',
    '2026-03-04T05:06:07Z\n',
    '2026-03-04\n',
    '2026-03-04\0',
    '٢٠٢٦-٠٣-٠٤',
    'Wed, 04 Mar 2026 05:06:07 GMT',
    '2026-03-04T05:06:07[UTC]',
    '2026-03-04T05:06:07Z[UTC]',
    '2026-03-04T05:06:07+05:00[Asia/Karachi]',
    '2026-03-04T05:06:07[u-ca=hebrew]',
    '2026-03-04T05:06:07+05:00:30',
  ])('%j is no instant', (text) => {
    expect(parseInstant(text)).toBeUndefined()
    expect(parseInstant(text, true)).toBeUndefined()
  })

  test('reads back every instant that is ever shown', () => {
    fc.assert(
      fc.property(instant, (ms) => {
        expect(parseInstant(milliseconds(ms))).toBe(ms)
        expect(parseInstant(seconds(ms))).toBe(Math.floor(ms / 1000) * 1000)
      }),
    )
  })

  test('the offset is taken off, whatever it is', () => {
    const inside = fc.integer({ min: firstMs + dayMs, max: lastMs - dayMs })
    fc.assert(
      fc.property(inside, fc.integer({ min: -23 * 60 - 59, max: 23 * 60 + 59 }), (ms, offsetMin) => {
        const local = milliseconds(ms + offsetMin * 60_000).slice(0, -1)
        const [hours, minutes] = [Math.floor(Math.abs(offsetMin) / 60), Math.abs(offsetMin) % 60].map((n) =>
          String(n).padStart(2, '0'),
        )
        expect(parseInstant(`${local}${offsetMin < 0 ? '-' : '+'}${hours}:${minutes}`)).toBe(ms)
      }),
    )
  })

  test('a bare date is its first millisecond or its last', () => {
    fc.assert(
      fc.property(instant, (ms) => {
        const date = milliseconds(ms).slice(0, 10)
        const midnight = Math.floor(ms / dayMs) * dayMs
        expect([parseInstant(date), parseInstant(date, true)]).toEqual([midnight, midnight + dayMs - 1])
      }),
    )
    expect(parseInstant('9999-12-31', true)).toBe(lastMs)
  })

  test('of anything but a bare date the end of the day is not taken', () => {
    for (const text of ['2026-03-04T00:00:00Z', '2026-03-04T05:06', '2026-03-04T05:06:07.5+01:00']) {
      expect(parseInstant(text, true)).toBe(parseInstant(text))
    }
  })

  test('what lies outside the years 0 to 9999 in UTC is no instant: no body could show it', () => {
    for (const text of [
      '0000-01-01T00:00:00+00:01',
      '0000-01-01T00:00:00+14:00',
      '9999-12-31T23:59:59-00:01',
      '9999-12-31T23:59:59-12:00',
    ]) {
      expect([text, parseInstant(text)]).toEqual([text, undefined])
    }
  })

  test('any text gives a whole number of milliseconds or nothing, and never throws', () => {
    const piece = fc.oneof(
      fc.constantFrom('2026', '-', '01', '31', 'T', ':', '59', 'Z', '+', '.', '[', ']', ' ', '\0', '9999', '0000'),
      fc.string({ maxLength: 3 }),
    )
    fc.assert(
      fc.property(
        fc.oneof(
          fc.string(),
          fc.array(piece, { maxLength: 14 }).map((pieces) => pieces.join('')),
        ),
        fc.boolean(),
        (text, endOfDay) => {
          const ms = parseInstant(text, endOfDay)
          if (ms !== undefined) expect(Number.isSafeInteger(ms)).toBe(true)
        },
      ),
      { numRuns: 2000 },
    )
  })
})

describe('seconds and milliseconds', () => {
  test('are what a Date says, of every instant', () => {
    fc.assert(
      fc.property(fc.integer({ min: firstMs - dayMs, max: lastMs + dayMs }), (ms) => {
        expect(milliseconds(ms)).toBe(new Date(ms).toISOString())
        if (ms >= firstMs && ms <= lastMs) expect(seconds(ms)).toBe(`${new Date(ms).toISOString().slice(0, -5)}Z`)
      }),
    )
    expect(() => milliseconds(Number.NaN)).toThrow(RangeError)
  })

  test('show UTC, in whole seconds rounded down, or with three decimals', () => {
    const ms = Date.UTC(2026, 2, 4, 5, 6, 7, 999)
    expect([seconds(ms), milliseconds(ms)]).toEqual(['2026-03-04T05:06:07Z', '2026-03-04T05:06:07.999Z'])
    expect([seconds(-1), seconds(0)]).toEqual(['1969-12-31T23:59:59Z', '1970-01-01T00:00:00Z'])
    expect([secondsOrNull(0), secondsOrNull(null)]).toEqual(['1970-01-01T00:00:00Z', null])
  })

  test('of days in any order are the text of the runtime, cut to seconds', () => {
    // Days that are 512 apart take turns in the same place of the table.
    const days = fc.array(fc.tuple(fc.integer({ min: -3, max: 3 }), fc.nat(dayMs - 1)), { minLength: 2 })
    fc.assert(
      fc.property(instant, days, (start, offsets) => {
        for (const [day, ms] of offsets) {
          const at = Math.min(lastMs, Math.max(firstMs, start + day * 512 * dayMs + ms))
          expect(seconds(at)).toBe(`${new Date(at).toISOString().slice(0, -5)}Z`)
        }
      }),
    )
  })

  test('have one form for every instant there is', () => {
    fc.assert(
      fc.property(instant, (ms) => {
        expect(seconds(ms)).toMatch(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/)
        expect(milliseconds(ms)).toMatch(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/)
      }),
    )
  })
})

describe('parseDuration', () => {
  test.each([
    'PT0S',
    'P0D',
    'PT1S',
    'PT0.001S',
    'PT1.5M',
    'PT90M',
    'PT36H',
    'P1D',
    'P2W',
    'P1M',
    'P1Y',
    'P1Y2M3W4DT5H6M7.8S',
    'P1DT2H30M',
  ])('%s is a duration', (text) => {
    expect(parseDuration(text)).toBeDefined()
    expect(parseDuration(text)?.sign).toBeGreaterThanOrEqual(0)
  })

  test.each([
    '',
    ' ',
    'P',
    'PT',
    'P1',
    'PT1',
    '1M',
    'T1M',
    'PM',
    'P1S',
    'P1H',
    'P1DT',
    'PT1D',
    'P1D1Y',
    'PT1S1M',
    'PT1M1M',
    'P1W2W',
    'P0Y1M0M',
    'PT1s1S',
    'P1.5D',
    'PT1.5H1M',
    'PT.5S',
    '-PT1M',
    '-PT0S',
    'PT-1M',
    'P-1D',
    '\u2212PT1M',
    ' PT1M',
    'PT1M ',
    'PT1M\n',
    'PT1M\0',
    'PT1e3S',
    'PTInfinityS',
    'PT٥M',
    '60',
    'one minute',
    'P99999999999999999999Y',
    `PT${'9'.repeat(1000)}S`,
  ])('%j is none', (text) => {
    expect(parseDuration(text)).toBeUndefined()
    expect(plusDuration(0, text) ?? 0).toBeLessThanOrEqual(0)
  })

  test('any text is a duration that is not negative, or none, and never throws', () => {
    const piece = fc.oneof(
      fc.constantFrom('P', 'T', '1', '0', '.', 'Y', 'M', 'W', 'D', 'H', 'S', '-', '+', '999999999999'),
      fc.string({ maxLength: 2 }),
    )
    fc.assert(
      fc.property(
        fc.oneof(
          fc.string(),
          fc.array(piece, { maxLength: 10 }).map((pieces) => pieces.join('')),
        ),
        (text) => {
          const sign = parseDuration(text)?.sign
          expect([undefined, 0, 1]).toContain(sign)
        },
      ),
      { numRuns: 2000 },
    )
  })
})

describe('plusDuration', () => {
  test('weeks, days, hours, minutes and seconds are as long as they are, days of daylight saving too', () => {
    const part = fc.nat(1000)
    fc.assert(
      fc.property(fc.integer({ min: 0, max: Date.UTC(2100, 0) }), part, part, part, part, part, (ms, w, d, h, m, s) => {
        const length = ((((w * 7 + d) * 24 + h) * 60 + m) * 60 + s) * 1000
        expect(plusDuration(ms, `P${w}W${d}DT${h}H${m}M${s}S`)).toBe(ms + length)
      }),
    )
  })

  test('any duration ends when Temporal says so', () => {
    const part = fc.oneof(fc.constant(0), fc.nat(40), fc.nat(10_000_000))
    const parts = fc.tuple(fc.constantFrom('', '-'), part, part, part, part, part, part, part, fc.nat(999_999_999))
    fc.assert(
      fc.property(
        fc.integer({ min: -dayMs * 400, max: Date.UTC(2100, 0) }),
        parts,
        (ms, [sign, y, mo, w, d, h, m, s, fraction]) => {
          const text = `${sign}P${y}Y${mo}M${w}W${d}DT${h}H${m}M${s}.${String(fraction).padStart(9, '0')}S`
          let sum: number | undefined
          try {
            sum = Temporal.Instant.fromEpochMilliseconds(ms).toZonedDateTimeISO('UTC').add(text).epochMilliseconds
          } catch {}
          expect(plusDuration(ms, text)).toBe(sum !== undefined && sum <= lastMs ? sum : undefined)
        },
      ),
      { numRuns: 1000 },
    )
  })

  test.each([
    ['2026-01-31T12:00:00.000Z', 'P1M', '2026-02-28T12:00:00.000Z'],
    ['2024-01-31T12:00:00.000Z', 'P1M', '2024-02-29T12:00:00.000Z'],
    ['2024-02-29T00:00:00.000Z', 'P1Y', '2025-02-28T00:00:00.000Z'],
    ['2024-02-29T00:00:00.000Z', 'P4Y', '2028-02-29T00:00:00.000Z'],
    ['2026-01-31T00:00:00.000Z', 'P1M1D', '2026-03-01T00:00:00.000Z'],
    ['2026-11-30T23:00:00.000Z', 'P3MT2H', '2027-03-01T01:00:00.000Z'],
    ['2026-03-29T00:30:00.000Z', 'P1D', '2026-03-30T00:30:00.000Z'],
    ['2026-01-01T00:00:00.000Z', 'PT1.5H', '2026-01-01T01:30:00.000Z'],
    ['2026-01-01T00:00:00.000Z', 'PT0.0019S', '2026-01-01T00:00:00.001Z'],
    ['2026-01-01T00:00:00.000Z', 'PT0S', '2026-01-01T00:00:00.000Z'],
  ])('%s plus %s is %s', (from, duration, expected) => {
    expect(milliseconds(plusDuration(Date.parse(from), duration) as number)).toBe(expected)
  })

  test('the last instant that a body can show can be reached, not passed', () => {
    expect(plusDuration(lastMs - 1000, 'PT1S')).toBe(lastMs)
    expect(plusDuration(lastMs - 999, 'PT1S')).toBeUndefined()
    for (const long of ['P8000Y', 'P300000Y', 'P4000000M', 'P200000000D', 'PT9007199254740991S']) {
      expect([long, plusDuration(Date.UTC(2026, 0), long)]).toEqual([long, undefined])
    }
  })

  test('what is no duration adds nothing: undefined', () => {
    for (const text of ['', 'x', 'PT', '10']) expect(plusDuration(0, text)).toBeUndefined()
  })
})
