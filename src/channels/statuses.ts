import type { ReceiptStatus } from '../storage/schema.ts'

/*
 *          ┌──────────────┬─▶ delivered ─▶ read
 *  new ──▶ sent ──────────┴──────────────▶ read
 *   │      └─▶ undelivered, failed ─▶ delivered, read
 *   └────────▶ undelivered, failed ─▶ delivered, read
 *
 * What is delivered or read can no longer fail. Carriers report out of order: what was reported as failed may turn out to have been
 * delivered. A redelivery restarts a failed receipt as well.
 */
export const nextStatuses: Readonly<Record<ReceiptStatus, readonly ReceiptStatus[]>> = {
  sent: ['delivered', 'read', 'undelivered', 'failed'],
  delivered: ['read'],
  read: [],
  undelivered: ['delivered', 'read'],
  failed: ['delivered', 'read'],
}

export const receiptStatuses = ['sent', 'delivered', 'read', 'failed', 'undelivered'] as const satisfies readonly ReceiptStatus[]

/** The form of `channel_message_sid`: `SM…`, `MM…`, `WA…`. Carriers' ids of another form have one made for them. */
export const channelMessageSids = /^[a-zA-Z]{2}[0-9a-fA-F]{32}$/

/** Of a carrier's id of a message. */
export const maxExternalId = 255

/** Whether a carrier's id can be stored and shown. */
export function isExternalId(id: string): boolean {
  return id !== '' && id.length <= maxExternalId && !/\p{Cc}/u.test(id) && id.isWellFormed()
}

/** Returns what a carrier gives as the code of an error; null unless it is a whole number above 0. */
export function errorCodeOf(given: unknown): number | null {
  return typeof given === 'number' && Number.isSafeInteger(given) && given > 0 ? given : null
}

/** The vendor's code for an unknown error. */
export const unknownError = 30008

/** The vendor's code for a sender that has no channel. */
export const noChannelError = 63007
