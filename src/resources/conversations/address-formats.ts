import type { AddressType } from '../../storage/schema.ts'

/** The format of an address determines its channel. */
const forms: readonly (readonly [AddressType, RegExp])[] = [
  ['sms', /^\+[1-9]\d{1,14}$/],
  // A number, or the id of somebody who has hidden theirs: `US.13491208655302741918`.
  ['whatsapp', /^whatsapp:(?:\+?\w{3,64}|[A-Z]{2}\.(?:ENT\.)?\w{1,128})$/],
  ['messenger', /^messenger:[\w.-]{1,240}$/],
  ['rcs', /^rcs:\S{1,240}$/],
  ['email', /^[^\s@:]+@[^\s@:]+\.[^\s@:]+$/],
]

/** Returns the channel of an address, or undefined when it has no known format. */
export function addressType(address: string): AddressType | undefined {
  return forms.find(([, form]) => form.test(address))?.[0]
}

/** Returns the channel of a proxy address, which may also be a short code. */
export function proxyType(address: string): AddressType | undefined {
  return /^\d{3,8}$/.test(address) ? 'sms' : addressType(address)
}

/** Whether a given text is neither empty nor a mail address. */
export function isNoMailbox(given: string): boolean {
  return given !== '' && addressType(given) !== 'email'
}

/** The form in which addresses are compared: mail addresses without case (observed: they find each other). */
export function canonicalAddress(address: string): string {
  return addressType(address) === 'email' ? address.toLowerCase() : address
}
