import type { AddressType } from '../../storage/schema.ts'

/** What an address is written like tells its channel. */
const forms: readonly (readonly [AddressType, RegExp])[] = [
  ['sms', /^\+[1-9]\d{1,14}$/],
  ['whatsapp', /^whatsapp:\+?\w{3,64}$/],
  ['messenger', /^messenger:[\w.-]{1,240}$/],
  ['rcs', /^rcs:\S{1,240}$/],
  ['email', /^[^\s@:]+@[^\s@:]+\.[^\s@:]+$/],
]

/** The channel of a person's address, or undefined when it has no known form. */
export function addressType(address: string): AddressType | undefined {
  return forms.find(([, form]) => form.test(address))?.[0]
}

/** The channel of the address that stands for the other side; a short code sends messages too. */
export function proxyType(address: string): AddressType | undefined {
  return /^\d{3,8}$/.test(address) ? 'sms' : addressType(address)
}
