import { createHash } from 'node:crypto'
import { maxExternalId } from '../statuses.ts'
import type { ReadMail } from './read.ts'

/** The Message-IDs that a mail answers, the nearest first. */
export function answersOf({ in_reply_to, references }: Pick<ReadMail, 'in_reply_to' | 'references'>): readonly string[] {
  return [...new Set([...in_reply_to, ...references.toReversed()])].map(storedId)
}

/** A Message-ID as it is stored: longer ones by their digest. */
export function storedId(id: string): string {
  return id.length <= maxExternalId ? id : `<${createHash('sha256').update(id).digest('hex')}@long>`
}

/** Returns an id for a mail without one: the same each time it comes. */
export function digestId(raw: Uint8Array): string {
  return `<${createHash('sha256').update(raw).digest('hex')}@none>`
}
