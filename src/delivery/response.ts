import type { IncomingHttpHeaders } from 'node:http'
import { LRUCache } from 'lru-cache'
import { parseStored } from '../json.ts'
import type { DeliveryRow } from '../storage/schema.ts'
import type { SendResult } from './client.ts'

/** What the delivery log keeps of the response to one attempt. */
export interface KeptResponse {
  /** In the order in which they came; what may be a secret is hidden. */
  readonly headers: readonly (readonly [name: string, value: string])[]
  readonly body: string
  /** Set when there was more than is kept. */
  readonly truncated?: true
}

/** Bounds of one response. */
const maxHeaders = 32
const maxHeaderBytes = 4096
const maxBodyBytes = 8192

/** Headers whose values let somebody in, or may do. */
const secret =
  /cookie|authorization|authentication|token|secret|passw|(?:api|access|private)[-_]?key|^x-key$|session|signature|credential|(?:^|[-_])(?:auth|csrf|jwt|otp|pass|pwd|xsrf)(?:[-_]|$)/i
/** The same of parameters of the URLs in headers, besides. */
const secretParameter = /^(?:code|key|sig|state|ticket)$/i
/** In place of the value of a header. */
export const hidden = '(hidden)'

const encoder = new TextEncoder()
const room = new Uint8Array(maxBodyBytes)

/** Returns the JSON of `DeliveryRow.responses` after one more attempt: an entry for each of them, null where nothing was responded. */
export function withResponse({ responses }: Pick<DeliveryRow, 'responses'>, earlier: number, result: SendResult): string | null {
  const kept = keptOf(result)
  if (kept === null && responses === null) return null
  const all = responsesOf({ responses })
  return JSON.stringify([...Array.from({ length: earlier }, (_, i) => all[i] ?? null), kept])
}

/** Returns the responses to the attempts of a delivery, as they were made. */
export function responsesOf({ responses }: Pick<DeliveryRow, 'responses'>): readonly (KeptResponse | null)[] {
  return responses === null ? [] : parseStored<readonly (KeptResponse | null)[]>(responses)
}

function keptOf({ kind, headers = {}, body }: SendResult): KeptResponse | null {
  if (kind !== 'answered') return null
  const all = pairsOf(headers)
  const kept = bounded(all)
  const text = cut(body, maxBodyBytes)
  return {
    headers: kept,
    body: text,
    ...((kept.length < all.length || text.length < body.length) && { truncated: true as const }),
  }
}

function pairsOf(headers: IncomingHttpHeaders): (readonly [string, string])[] {
  const pairs: (readonly [string, string])[] = []
  for (const [name, given = []] of Object.entries(headers)) {
    for (const value of typeof given === 'string' ? [given] : given) pairs.push([name, shown(name, value)])
  }
  return pairs
}

/** By name, of those that came lately: to ask the pattern takes half of what a response takes. */
const secretNames = new LRUCache<string, boolean>({ max: 1000 })

function isSecret(name: string): boolean {
  const known = secretNames.get(name)
  if (known !== undefined) return known
  const found = secret.test(name)
  if (name.length <= 64) secretNames.set(name, found)
  return found
}

function shown(name: string, value: string): string {
  if (isSecret(name)) return hidden
  // Most have neither, and the patterns need one of them.
  if (!/[@=]/.test(value)) return value
  // An address may have a user name and a password in it, or what stands for them among its parameters.
  return value
    .replaceAll(/[/\\]{2}[^/\\?#\s]*@/g, '//')
    .replaceAll(/([?&#;])([^?&#;=\s]+)=[^?&#;\s<>"',]+/g, (all, before, key) =>
      secret.test(key) || secretParameter.test(key) ? `${before}${key}=${hidden}` : all,
    )
}

/** Returns the first headers, as far as there is room for them. */
function bounded(headers: readonly (readonly [string, string])[]): (readonly [string, string])[] {
  let left = maxHeaderBytes
  return headers.slice(0, maxHeaders).filter(([name, value]) => {
    left -= Buffer.byteLength(name) + Buffer.byteLength(value)
    return left >= 0
  })
}

/** Returns the beginning of a text, and no part of a character. */
function cut(text: string, maxBytes: number): string {
  if (text.length * 3 <= maxBytes) return text
  return text.slice(0, encoder.encodeInto(text, room.subarray(0, maxBytes)).read)
}
