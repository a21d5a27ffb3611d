import type { ConversationRow } from '../../storage/schema.ts'

type EmailBinding = Pick<ConversationRow, 'email_address' | 'email_tag'>

/** RFC 5321: the characters before the `@`. */
const maxLocal = 64

/**
 * Returns the address to which mail for this conversation is sent: the mailbox with a plus tag that stands for the conversation
 * (documented by example). A mailbox with a tag of its own, or one that is too long for a tag, stays as it is. Null without a mailbox.
 */
export function projectedAddress({ email_address, email_tag }: EmailBinding): string | null {
  if (email_address === null || email_tag === null) return email_address
  const at = email_address.lastIndexOf('@')
  const mailbox = email_address.slice(0, Math.max(0, at))
  const local = `${mailbox}+${email_tag}`
  return mailbox === '' || mailbox.includes('+') || local.length > maxLocal ? email_address : `${local}${email_address.slice(at)}`
}

/** Returns since when a conversation has its mailbox, which is `address` from now on. Another mailbox is had from now. */
export function mailboxSince(
  before: Pick<ConversationRow, 'email_address' | 'date_mailbox'>,
  address: string | null,
  now: number,
): number | null {
  if (address === null) return null
  return address.toLowerCase() === before.email_address?.toLowerCase() ? before.date_mailbox : now
}
