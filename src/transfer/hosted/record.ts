import { createHash } from 'node:crypto'
import type { Kind } from '../../records/format.ts'
import { HostedError, type Json } from './client.ts'

/** One line of a file of records: docs/moving.md describes it. */
export interface HostedRecord {
  readonly kind: Kind
  readonly account_sid: string
  readonly chat_service_sid?: string
  readonly conversation_sid?: string
  readonly message_sid?: string
  /** As the API sent it, without what depends on the host. */
  readonly resource: Json
  /** What is known besides. */
  readonly extra?: Json
}

/** Returns a resource without what depends on the host. */
export function withoutLinks({ url: _url, links: _links, ...rest }: Json): Json {
  return rest
}

/** Returns the same text for the same content: what has changed since an earlier pass has another. */
export function hashOf(value: unknown): string {
  return createHash('sha256').update(JSON.stringify(value)).digest('base64url').slice(0, 22)
}

/** Returns a member that has to be a text; the empty text where the hosted side sent none. */
export function textOf(json: Json, key: string): string {
  const value = json[key]
  return typeof value === 'string' ? value : ''
}

/** Returns the SID of a row, which becomes part of paths. Throws HostedError where it has none. */
export function sidOf(row: Json, key = 'sid'): string {
  const sid = textOf(row, key)
  if (!/^[A-Z]{2}[0-9a-f]{32}$/i.test(sid)) throw new HostedError(`a row without a ${key}`, 200)
  return sid
}
