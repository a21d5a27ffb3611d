import type { InboundMedia } from './adapter.ts'

/** Bytes of a message's body, in UTF-8. */
const maxBodyBytes = 32_768

/** Returns a text as either engine can store it. */
export function storable(text: string): string {
  return text.toWellFormed().replaceAll('\0', '')
}

/** Returns as many whole characters as a body holds. */
export function beginningOf(text: string): string {
  return text.slice(0, encoder.encodeInto(text, new Uint8Array(maxBodyBytes)).read)
}

/** Returns a text; of one that no body holds its beginning, and all of it as a file: nothing that people wrote is lost. */
export function fitting(text: string): { readonly text: string; readonly media: readonly InboundMedia[] } {
  const beginning = beginningOf(text)
  if (beginning === text) return { text, media: [] }
  return { text: beginning, media: [{ filename: 'message.txt', content_type: 'text/plain', content: Buffer.from(text) }] }
}

const encoder = new TextEncoder()
