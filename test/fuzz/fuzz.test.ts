import { expect, test } from 'vitest'
import { fuzz } from '../../fuzz/run.ts'
import { failureText } from '../../fuzz/tally.ts'
import { engine, newDatabase } from '../support/databases.ts'

const seed = 20_260
const count = engine === 'sqlite' ? 20_000 : 5_000

test(`${count} hostile requests find nothing`, async () => {
  await using database = await newDatabase()
  // How long a busy machine takes says nothing: only a hang shows.
  const report = await fuzz({ seed, from: 0, count, lanes: 16, database: database.env, health_ms: 5_000 })
  expect(report.tally.failures.map((failure) => failureText(failure, seed)).join('\n')).toBe('')
  expect(report.faults).toEqual([])
  expect(report.tally.requests).toBe(count)
  expect(report.tally.of(200)).toBeGreaterThan(count / 5)
}, 400_000)
