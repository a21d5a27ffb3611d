import { createHmac, type KeyObject, timingSafeEqual } from 'node:crypto'

/*
 * Return paths (VERP): `support+b.<id>.<mac>@example.com`. A bounce to it is about one message and one recipient, whatever it says
 * otherwise. The id is the SID of the receipt's channel message in base 36, so that it is found by its key; the mac is keyed, so
 * that nobody outside can make one. Lower case only, because servers and people change the case of addresses.
 */

/** RFC 5321: the part of an address before its `@`. */
const maxLocal = 64
const idLength = 25
const macLength = 10
const form = new RegExp(`^b\\.([0-9a-z]{${idLength}})\\.([0-9a-z]{${macLength}})$`)

/** Returns the return path for a channel message SID (`EM` and 32 hex digits); the mailbox itself when it is too long for a tag. */
export function returnPath(mailbox: string, channel_message_sid: string, key: KeyObject): string {
  const at = mailbox.lastIndexOf('@')
  const base = mailbox.slice(0, at).split('+', 1)[0] ?? ''
  const id = BigInt(`0x${channel_message_sid.slice(2)}`)
    .toString(36)
    .padStart(idLength, '0')
  const local = `${base}+b.${id}.${macOf(id, key)}`
  return local.length > maxLocal ? mailbox : `${local}${mailbox.slice(at)}`
}

/** Returns the channel message SID of a return path's tag (what follows the `+`); null unless one of these keys has made it. */
export function channelMessageOf(tag: string, keys: readonly KeyObject[]): string | null {
  const [, id, mac] = form.exec(tag.toLowerCase()) ?? []
  if (id === undefined || mac === undefined) return null
  if (!keys.some((key) => timingSafeEqual(Buffer.from(mac), Buffer.from(macOf(id, key))))) return null
  const hex = parse36(id).toString(16).padStart(32, '0')
  return hex.length === 32 ? `EM${hex}` : null
}

function macOf(id: string, key: KeyObject): string {
  const digest = createHmac('sha256', key).update(id).digest('hex').slice(0, 16)
  return BigInt(`0x${digest}`).toString(36).padStart(13, '0').slice(-macLength)
}

function parse36(id: string): bigint {
  let value = 0n
  for (const digit of id) value = value * 36n + BigInt(Number.parseInt(digit, 36))
  return value
}

/** Takes the tag of an address off: `support+x@example.com` is `support@example.com` with the tag `x`. In lower case. */
export function splitTag(address: string): { readonly mailbox: string; readonly tag: string | null } {
  const lower = address.toLowerCase()
  const at = lower.lastIndexOf('@')
  const plus = lower.indexOf('+')
  if (plus <= 0 || plus > at) return { mailbox: lower, tag: null }
  return { mailbox: `${lower.slice(0, plus)}${lower.slice(at)}`, tag: lower.slice(plus + 1, at) }
}
