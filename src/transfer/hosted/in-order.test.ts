import { expect, it } from 'vitest'
import { inOrder } from './in-order.ts'

async function* listOf<T>(items: readonly T[]): AsyncGenerator<T> {
  yield* items
}

it('yields source by source, and reads a few at once, each a little ahead', async () => {
  const begun: number[] = []
  let produced = 0
  const sources = [0, 1, 2, 3, 4].map(
    (source) =>
      async function* () {
        begun.push(source)
        for (let i = 0; i < 10; i++) {
          produced++
          yield `${source}.${i}`
        }
      },
  )
  const yielded: unknown[] = []
  for await (const item of inOrder(listOf(sources), 3)) {
    yielded.push(item)
    await new Promise(setImmediate)
    // What is read and not yielded yet: at most two and one under way of each that runs.
    expect(produced - yielded.length).toBeLessThanOrEqual(9)
    if (yielded.length === 1) expect(begun).toEqual([0, 1, 2])
  }
  expect(yielded).toEqual([0, 1, 2, 3, 4].flatMap((source) => Array.from({ length: 10 }, (_, i) => `${source}.${i}`)))
})

it('throws what a source throws, when its turn comes', async () => {
  const sources = [
    () => listOf(['a', 'b']),
    async function* () {
      yield 'c'
      throw new Error('broken')
    },
  ]
  const yielded: unknown[] = []
  await expect(
    (async () => {
      for await (const item of inOrder(listOf(sources), 2)) yielded.push(item)
    })(),
  ).rejects.toThrow('broken')
  expect(yielded).toEqual(['a', 'b', 'c'])
})

it('ends the sources when it is left early', async () => {
  let isEnded = false
  const source = async function* () {
    try {
      for (;;) yield 1
    } finally {
      isEnded = true
    }
  }
  for await (const _ of inOrder(listOf([source]), 2)) break
  expect(isEnded).toBe(true)
})
