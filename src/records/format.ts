import { isJsonObject } from '../json.ts'
import { isSid, type SidKind } from '../sids.ts'

/*
 * The records that installations exchange: docs/moving.md describes them. A file is a header and then one record a line.
 */

export const formatVersion = 1

/** The longest line that is read, in bytes of UTF-8. */
export const maxLineBytes = 1_048_576

const resourceKinds = [
  'service',
  'role',
  'configuration',
  'notification',
  'webhook',
  'credential',
  'address',
  'user',
  'binding',
  'conversation',
  'participant',
  'message',
  'receipt',
  'conversation_webhook',
] as const

/** What is no resource of the API v1. */
const plainKinds = ['content', 'mail_block', 'external_id', 'channel'] as const

/** In the order in which records of one batch are applied: each kind refers to earlier ones only. */
export const kinds = [...resourceKinds, ...plainKinds] as const

export type ResourceKind = (typeof resourceKinds)[number]
export type PlainKind = (typeof plainKinds)[number]
export type Kind = ResourceKind | PlainKind

export function isPlain(kind: Kind): kind is PlainKind {
  return plainKinds.some((plain) => plain === kind)
}

export type Json = Readonly<Record<string, unknown>>

/** One line of a file, with its form checked: the envelope's SIDs are of their kinds. */
export interface RecordLine {
  readonly kind: Kind
  readonly account_sid: string
  /** Null for what belongs to the account. */
  readonly chat_service_sid: string | null
  /** Null for what does not belong to a conversation. */
  readonly conversation_sid: string | null
  /** Of a receipt; else null. */
  readonly message_sid: string | null
  /** As the REST API v1 returns it. */
  readonly resource: Json
  /** What the API does not show. */
  readonly extra: Json
}

/** Something is wrong with a record: the message says what, without its text. */
export class RecordError extends Error {
  override readonly name = 'RecordError'
}

/** Where a record of each kind is. */
type Within = 'account' | 'account or service' | 'service' | 'conversation' | 'message'

export const within: Readonly<Record<Kind, Within>> = {
  service: 'service',
  role: 'service',
  configuration: 'account or service',
  notification: 'service',
  webhook: 'account or service',
  credential: 'account',
  address: 'account',
  user: 'service',
  binding: 'service',
  conversation: 'service',
  participant: 'conversation',
  message: 'conversation',
  receipt: 'message',
  conversation_webhook: 'conversation',
  content: 'account',
  mail_block: 'account',
  external_id: 'account',
  channel: 'account',
}

const depths: Readonly<Record<Within, number>> = {
  account: 0,
  'account or service': 0,
  service: 1,
  conversation: 2,
  message: 3,
}

/** Returns a parsed line as a record. Throws RecordError. */
export function recordOf(value: unknown): RecordLine {
  if (!isJsonObject(value)) throw new RecordError('it is not a JSON object')
  const kind = kinds.find((known) => known === value.kind)
  if (!kind) throw new RecordError(`its kind is not one of ${kinds.join(', ')}`)
  const depth = depths[within[kind]]
  const { resource, extra = {} } = value
  if (!isJsonObject(resource)) throw new RecordError('resource must be an object')
  if (!isJsonObject(extra)) throw new RecordError('extra must be an object')
  return {
    kind,
    account_sid: envelopeSid(value, 'account_sid', 'account'),
    chat_service_sid:
      depth >= 1 || (within[kind] === 'account or service' && isGiven(value.chat_service_sid))
        ? envelopeSid(value, 'chat_service_sid', 'service')
        : null,
    conversation_sid: depth >= 2 ? envelopeSid(value, 'conversation_sid', 'conversation') : null,
    message_sid: depth >= 3 ? envelopeSid(value, 'message_sid', 'message') : null,
    resource,
    extra,
  }
}

function isGiven(value: unknown): boolean {
  return value !== undefined && value !== null
}

function envelopeSid(value: Json, key: string, kind: SidKind): string {
  const sid = value[key]
  if (typeof sid !== 'string' || !isSid(kind, sid)) throw new RecordError(`${key} must be a SID of its kind`)
  return sid
}

/** Throws RecordError when a file does not begin as this version can read it. */
export function checkHeader(value: unknown): void {
  if (!isJsonObject(value) || value.kind !== 'header') throw new RecordError('the first line is not a header')
  if (value.format !== formatVersion) {
    throw new RecordError(`it has format ${String(value.format).slice(0, 20)}; this version reads format ${formatVersion}`)
  }
}
