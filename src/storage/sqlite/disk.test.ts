import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { isNearlyFull } from './disk.ts'

test('a disk that does not say what is free on it is not taken for a full one', () => {
  expect(isNearlyFull(join(tmpdir(), 'no such folder', 'parley.db'))).toBe(false)
  // It has no blocks, as have those of some programs.
  if (process.platform === 'linux') expect(isNearlyFull('/proc/version')).toBe(false)
})
