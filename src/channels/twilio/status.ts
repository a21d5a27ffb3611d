import type { ReceiptStatus } from '../../storage/schema.ts'

/** What the carrier's statuses mean for a receipt. Those before `sent` say nothing new. */
const statuses: Readonly<Record<string, ReceiptStatus>> = {
  sent: 'sent',
  delivered: 'delivered',
  read: 'read',
  undelivered: 'undelivered',
  failed: 'failed',
  canceled: 'failed',
}

/** Returns the status of the receipt; undefined for one that changes nothing (queued, accepted, scheduled, sending …). */
export function reportedStatus(status: string): ReceiptStatus | undefined {
  return Object.hasOwn(statuses, status) ? statuses[status] : undefined
}
