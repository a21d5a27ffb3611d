import { afterAll, beforeEach, expect, test } from 'vitest'
import { startParley } from '../../src/testing.ts'

// A server of its own, which starts each test from the same seed.
const parley = await startParley({ seed: new URL('seed.yaml', import.meta.url) })
const { conversations } = parley.client().conversations.v1
const order = conversations('order-1234')

beforeEach(() => parley.reset())
afterAll(() => parley.stop())

test('a text message from outside finds its conversation', async () => {
  const { conversation_sid, created } = await parley.inbound({ from: '+15551234567', to: '+15557654321', body: 'Thanks!' })
  expect({ conversation_sid, created }).toEqual({ conversation_sid: 'CH00000000000000000000000000000001', created: false })
  expect((await order.messages.list()).map(({ body }) => body)).toEqual(['Your parcel is on its way.', 'Thanks!'])
})

test('nothing of the test before is left', async () => {
  expect(await order.messages.list()).toHaveLength(1)
  await parley.clock.advance('PT1H')
  expect((await order.fetch()).state).toBe('inactive')
})
