import { expect, test } from 'vitest'
import { addressType } from './address-formats.ts'

test.each([
  ['whatsapp:+15551234567', 'whatsapp'],
  ['whatsapp:US.13491208655302741918', 'whatsapp'],
  ['whatsapp:US.ENT.11815799212886844830', 'whatsapp'],
  ['whatsapp:US.', undefined],
  ['whatsapp:us.1349', undefined],
  ['whatsapp:US.13.49', undefined],
  [`whatsapp:US.${'1'.repeat(129)}`, undefined],
])('%s is an address of type %s', (address, type) => {
  expect(addressType(address)).toBe(type)
})
