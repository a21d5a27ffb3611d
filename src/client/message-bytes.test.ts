import { expect, test } from 'vitest'
import { messageOf } from './message-bytes.ts'

test.each([
  [0, '8200'],
  [125, '827d'],
  [126, '827e007e'],
  [65_535, '827effff'],
  [65_536, '827f0000000000010000'],
])('a message of %i bytes begins with its length as RFC 6455 writes it', (length, head) => {
  const content = Buffer.alloc(length, 7)
  const message = messageOf(content)
  expect(message.toString('hex', 0, head.length / 2)).toBe(head)
  expect(message.subarray(head.length / 2).equals(content)).toBe(true)
})
