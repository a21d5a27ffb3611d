import { describe, expect, test } from 'vitest'
import type { BaseRow } from './declare.ts'
import { fillPage, maxPageBytes } from './filled-page.ts'

interface TextRow extends BaseRow {
  readonly text: string
}

/** So many rows with a text of so many characters each. */
function stored(count: number, chars: number): TextRow[] {
  return Array.from({ length: count }, (_, i) => ({
    sid: String(i),
    text: 'x'.repeat(chars),
    date_created: 0,
    date_updated: 0,
    revision: 1,
  }))
}

/** Fills a page from these rows; returns it with the sizes of what was read. */
async function fill(size: number, rows: readonly TextRow[], backward = false) {
  const reads: number[] = []
  const page = await fillPage(size, {
    read: async (last, limit) => {
      const begin = last ? rows.findIndex(({ sid }) => sid === last.sid) + 1 : 0
      reads.push(limit)
      return rows.slice(begin, begin + limit)
    },
    write: (row) => JSON.stringify(row),
    backward,
  })
  const shown = (JSON.parse(`[${page.json}]`) as TextRow[]).map(({ sid }) => Number(sid))
  return { ...page, shown, reads }
}

describe('a page', () => {
  test('of an ordinary size is one read', async () => {
    const { shown, more, reads } = await fill(50, stored(60, 500))
    expect([shown.length, more, reads]).toEqual([50, true, [51]])
  })

  test.for([0, 1, 99, 100, 101, 250, 999, 1000])('has all of %i rows, and nothing follows', async (count) => {
    const { shown, more } = await fill(1000, stored(count, 10))
    expect(shown).toEqual(Array.from({ length: count }, (_, i) => i))
    expect(more).toBe(false)
  })

  test.for([1, 99, 100, 101, 200, 1000])('of %i rows ends there when others follow', async (size) => {
    const { shown, more } = await fill(size, stored(size + 1, 10))
    expect([shown.length, more]).toEqual([size, true])
  })

  test('read backward is shown in order', async () => {
    const { shown, first, last } = await fill(300, stored(250, 10), true)
    expect(shown).toEqual(Array.from({ length: 250 }, (_, i) => 249 - i))
    expect([first?.sid, last?.sid]).toEqual(['0', '249'])
  })

  test('ends when it is large, and is read in small parts', async () => {
    const rows = stored(1000, 32_768)
    const { json, shown, more, last, reads } = await fill(1000, rows)
    expect(json.length).toBeGreaterThanOrEqual(maxPageBytes)
    expect(json.length).toBeLessThan(maxPageBytes * 1.2)
    expect(more).toBe(true)
    expect(last?.sid).toBe(String(shown.at(-1)))
    expect(Math.max(...reads)).toBeLessThanOrEqual(101)
  })

  test.for([false, true])('ends by its bytes, whatever its characters take (backward: %s)', async (backward) => {
    // Each 10,000 bytes and a few: groups of five until a million.
    for (const text of ['x'.repeat(10_000), 'é'.repeat(5000), '€'.repeat(3333), '\u{1f600}'.repeat(2500)]) {
      const rows = stored(300, 0).map((row) => ({ ...row, text }))
      const { json, shown } = await fill(1000, rows, backward)
      expect(shown.length).toBe(100)
      expect(Buffer.byteLength(json)).toBeGreaterThan(maxPageBytes)
    }
  })

  test('of rows that are each too large for a page has the first few', async () => {
    const { shown, more } = await fill(50, stored(6, 2 * maxPageBytes))
    expect([shown, more]).toEqual([[0, 1, 2, 3, 4], true])
  })

  test.for([
    ['many rows', 1000, 500],
    ['one read of large rows', 60, 20_000],
  ] as const)('of %s lets others have their turn between its parts', async ([, count, chars]) => {
    const filling = fill(count, stored(count, chars))
    let over = false
    void filling.finally(() => {
      over = true
    })
    let immediates = 0
    while (!over) {
      await new Promise(setImmediate)
      immediates++
    }
    expect(immediates).toBeGreaterThan(4)
    await filling
  })
})
