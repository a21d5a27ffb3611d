import { expect, test } from 'vitest'
import { officialOperations } from '../support/contract.ts'
import { startFileServer } from '../support/file-server.ts'
import { tour } from '../support/tour.ts'

test('the official client gets through every one of the 103 official operations', async () => {
  await using server = await startFileServer()
  const succeeded = await tour(server)
  const official = officialOperations().map(({ operationId }) => operationId)
  const missing = official.filter((id) => !succeeded.has(id))
  expect(missing, `not answered with an official success: ${missing.join(', ')}`).toEqual([])
  expect([...succeeded].sort()).toEqual([...official].sort())
  expect(succeeded.size).toBe(103)
})
