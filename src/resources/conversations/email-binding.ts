import type { ConversationRow } from '../../storage/schema.ts'

type EmailBinding = Pick<ConversationRow, 'sid' | 'email_address'>

/**
 * Returns the address to which mail for this conversation is sent: the mailbox with a plus tag that stands for the conversation
 * (documented by example). A mailbox with a tag of its own stays as it is. Null without a mailbox.
 */
export function projectedAddress({ sid, email_address }: EmailBinding): string | null {
  if (email_address === null) return null
  const at = email_address.lastIndexOf('@')
  const mailbox = email_address.slice(0, Math.max(0, at))
  if (mailbox === '' || mailbox.includes('+')) return email_address
  // The random digits of the SID: the same for the life of the conversation.
  return `${mailbox}+${sid.slice(-20).toLowerCase()}${email_address.slice(at)}`
}
