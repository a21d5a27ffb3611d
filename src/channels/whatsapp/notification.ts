import { isJsonObject, parseJsonObject } from '../../json.ts'
import type { ReceiptStatus } from '../../storage/schema.ts'
import type { StatusEvent } from '../adapter.ts'
import { errorCodeOf } from '../statuses.ts'

/*
 * What Meta posts: entries of changes, each about one number of the app, with messages or statuses. All of it is read with suspicion:
 * Meta adds fields and kinds without notice.
 */

export type Fields = Readonly<Record<string, unknown>>

/** What has happened at one number. */
export interface Change {
  readonly phone_number_id: string
  /** The number itself in digits; null if it is not told. */
  readonly number: string | null
  readonly messages: readonly Fields[]
  readonly statuses: readonly StatusEvent[]
  /** Errors of the number, not of a message. */
  readonly errors: readonly number[]
  /** The names of the senders, by their id. */
  readonly names: ReadonlyMap<string, string>
}

/** Returns the changes in a webhook's body; undefined when it is no JSON object. */
export function parseNotification(body: Buffer): readonly Change[] | undefined {
  const parsed = parseJsonObject(body.toString())
  return parsed && objects(parsed.entry).flatMap((entry) => objects(entry.changes).flatMap(changeOf))
}

function changeOf({ field, value }: Fields): Change[] {
  if (field !== 'messages' || !isJsonObject(value)) return []
  const metadata = fields(value.metadata)
  const phoneNumberId = text(metadata.phone_number_id)
  if (phoneNumberId === null) return []
  const digits = text(metadata.display_phone_number)?.replace(/\D/g, '')
  return [
    {
      phone_number_id: phoneNumberId,
      number: digits || null,
      messages: objects(value.messages),
      statuses: objects(value.statuses).flatMap(statusOf),
      errors: objects(value.errors).map(({ code }) => errorCodeOf(code) ?? 0),
      names: namesOf(objects(value.contacts)),
    },
  ]
}

function namesOf(contacts: readonly Fields[]): Map<string, string> {
  const names = new Map<string, string>()
  for (const { wa_id, user_id, profile } of contacts) {
    const name = text(fields(profile).name) ?? text(fields(profile).username)
    for (const id of [text(wa_id), text(user_id)]) if (id !== null && name !== null) names.set(id, name)
  }
  return names
}

/** What Meta's statuses mean for a receipt; `played` is said of voice messages. */
const statuses: Readonly<Record<string, ReceiptStatus>> = {
  sent: 'sent',
  delivered: 'delivered',
  read: 'read',
  played: 'read',
  failed: 'failed',
}

function statusOf({ id, status, errors }: Fields): StatusEvent[] {
  const externalId = text(id)
  const word = text(status) ?? ''
  const known = Object.hasOwn(statuses, word) ? statuses[word] : undefined
  if (externalId === null || known === undefined) return []
  const [error] = objects(errors)
  return [
    { kind: 'status', external_id: externalId, status: known, error_code: known === 'failed' ? errorCodeOf(error?.code) : null },
  ]
}

/** Returns the objects of a list; none for anything else. */
export function objects(value: unknown): readonly Fields[] {
  return Array.isArray(value) ? value.filter(isJsonObject) : []
}

/** Returns the members of an object; none for anything else. */
export function fields(value: unknown): Fields {
  return isJsonObject(value) ? value : {}
}

/** Returns a text that is not empty, else null. */
export function text(value: unknown): string | null {
  return typeof value === 'string' && value !== '' ? value : null
}
