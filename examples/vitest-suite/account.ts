import { test as base, inject } from 'vitest'
import { joinParley, type TestAccount } from '../../src/testing.ts'

interface Fixtures {
  /** An account of its own: no other test sees what it holds, moves its clock or receives its webhooks. */
  account: TestAccount
}

export const test = base.extend<Fixtures>({
  // biome-ignore lint/correctness/noEmptyPattern: vitest reads from it which fixtures this one needs
  account: async ({}, use) => {
    await using account = await joinParley(inject('parley'))
    await use(account)
  },
})
