import { expect, test } from 'vitest'
import { officialOperations } from '../support/contract.ts'
import { expectEqual, hostedToken, ownToken, settled, startMirrored } from '../support/mirror.ts'
import { tour } from '../support/tour.ts'

test('the official client gets through every official operation, and both sides are the same afterwards', async () => {
  await using scene = await startMirrored()
  const { mirror, hosted, wall } = scene
  // Devices register themselves on the hosted side.
  const succeeded = await tour({ ...mirror, insert: hosted.insert }, ownToken)
  const official = officialOperations().map(({ operationId }) => operationId)
  expect(official.filter((id) => !succeeded.has(id))).toEqual([])
  expect(succeeded.size).toBe(103)
  await settled(mirror)
  await expectEqual(mirror)
  const header = `Basic ${Buffer.from(`${mirror.account_sid}:${hostedToken}`).toString('base64')}`
  expect([...new Set(wall.requests.map(({ authorization }) => authorization))]).toEqual([header])
  // Nothing is announced by the side that follows.
  expect(await mirror.rows('deliveries')).toEqual([])
})
