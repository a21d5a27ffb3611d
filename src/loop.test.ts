import { expect, onTestFinished, test } from 'vitest'
import { Loop } from './loop.ts'

test.each(Array.from({ length: 12 }, (_, i) => i))(
  'a nudge %i turns of the queue after a run leads to another',
  async (turns) => {
    let runs = 0
    const errors: unknown[] = []
    const loop = new Loop(
      async () => {
        runs++
        if (runs === 1) nudgeAfter(turns)
        return 3_600_000
      },
      (error) => errors.push(error),
    )
    function nudgeAfter(left: number): void {
      if (left === 0) loop.nudge()
      else queueMicrotask(() => nudgeAfter(left - 1))
    }
    onTestFinished(() => loop.stop())
    loop.start()
    await new Promise((resolve) => setImmediate(resolve))
    expect([runs, errors]).toEqual([2, []])
  },
)
