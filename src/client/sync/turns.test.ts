import { expect, test } from 'vitest'
import { Turns } from './turns.ts'

const turn = () => new Promise<void>((resolve) => setImmediate(resolve))

test('so many run at a time, in the order in which they came, and each gets its result', async () => {
  const turns = new Turns(2)
  const begun: number[] = []
  let running = 0
  let most = 0
  const work = Array.from({ length: 7 }, (_, i) =>
    turns.run(async () => {
      begun.push(i)
      running++
      most = Math.max(most, running)
      await turn()
      running--
      return i
    }),
  )
  expect(turns.waiting).toBe(5)
  expect(await Promise.all(work)).toEqual([0, 1, 2, 3, 4, 5, 6])
  expect(begun).toEqual([0, 1, 2, 3, 4, 5, 6])
  expect(most).toBe(2)
  expect(turns.waiting).toBe(0)
})

test('others have a turn of the loop in between, although the work never waits for anything', async () => {
  const turns = new Turns(1)
  const seen: string[] = []
  const work = Promise.all(Array.from({ length: 5 }, (_, i) => turns.run(async () => void seen.push(`work ${i}`))))
  for (let i = 0; i < 5; i++) {
    await turn()
    seen.push('other')
  }
  await work
  // Without it all of the work would be done first.
  expect(seen.indexOf('other')).toBeLessThan(seen.indexOf('work 2'))
  expect(seen.filter((what) => what !== 'other')).toEqual(['work 0', 'work 1', 'work 2', 'work 3', 'work 4'])
})

test('work that fails gives its place to the next', async () => {
  const turns = new Turns(1)
  const failing = turns.run(async () => {
    throw new Error('no')
  })
  await expect(failing).rejects.toThrow('no')
  expect(await turns.run(async () => 'yes')).toBe('yes')
})

test('of what has waited so many begin in each turn, although more places are free', async () => {
  const turns = new Turns(4, 2)
  const seen = new Set<number>()
  let begun = 0
  const work = Promise.all(Array.from({ length: 10 }, () => turns.run(async () => void begun++)))
  while (begun < 10) {
    seen.add(begun)
    await turn()
  }
  await work
  expect([...seen]).toEqual([4, 6, 8])
  expect(await turns.run(async () => 'and after them')).toBe('and after them')
})
