import { setImmediate as turn } from 'node:timers/promises'
import { expect, test } from 'vitest'
import { Watch } from '../../bench/stalls/watch.ts'

test('a turn that takes long is seen, and forgotten at the next start', async () => {
  const watch = new Watch()
  watch.start()
  await turn()
  const start_us = process.threadCpuUsage().user
  while (process.threadCpuUsage().user - start_us < 40_000);
  await turn()
  const { held_ms, clock_ms } = watch.stop()
  expect(held_ms).toBeGreaterThan(30)
  expect(clock_ms).toBeGreaterThanOrEqual(held_ms - 1)
  watch.start()
  await turn()
  expect(watch.stop().held_ms).toBeLessThan(30)
})
