import type { KeyObject } from 'node:crypto'
import { sql } from 'kysely'
import { timeOf } from '../../sids.ts'
import type { Reader } from '../../storage/database.ts'
import type { AddressRow, ConversationRow } from '../../storage/schema.ts'
import { shape } from '../../storage/shapes.ts'
import { conversationOfAddress } from '../mail-destination.ts'
import { channelMessageOf, splitTag } from './tokens.ts'

/** Where mail to an address goes. */
export type Route =
  /** A return path: of one copy of a mail that was sent. */
  | { readonly kind: 'returned'; readonly channel_message_sid: string; readonly mailbox: Mailbox | null }
  | {
      readonly kind: 'mailbox'
      readonly mailbox: Mailbox
      /** The conversation's own address, in lower case, when it is that. */
      readonly tagged: string | null
    }

export interface Mailbox {
  readonly account_sid: string
  /** As it is configured. */
  readonly address: string
}

const configured = shape<{ address: string }>()((db, a) =>
  db
    .selectFrom('addresses')
    .selectAll()
    .where(sql<string>`lower(address)`, '=', a.address)
    .where('type', '=', 'email')
    .orderBy('sid')
    .limit(1),
)

const bound = shape<{ address: string }>()((db, a) =>
  db
    .selectFrom('conversations')
    .selectAll()
    .where('email_address', 'is not', null)
    .where(sql<string>`lower(email_address)`, '=', a.address)
    .orderBy('date_mailbox')
    .orderBy('sid')
    .limit(1),
)

/**
 * Returns where mail to an address goes; null when nobody here has it. Mailboxes are those of address configurations and of
 * conversations. What follows a `+` may be the tag of a conversation or of a return path; any other belongs to the mailbox.
 */
export async function routeOf(read: Reader, given: string, keys: readonly KeyObject[]): Promise<Route | null> {
  const address = given.toLowerCase()
  const { mailbox, tag } = splitTag(address)
  const channel_message_sid = tag === null ? null : channelMessageOf(tag, keys)
  if (channel_message_sid !== null) {
    return { kind: 'returned', channel_message_sid, mailbox: await mailboxAt(read, mailbox) }
  }
  // First: whoever has got a mail knows this address, and another account could configure it as a mailbox.
  const own = await conversationOfAddress(read, address)
  if (own?.email_address) {
    return { kind: 'mailbox', mailbox: { account_sid: own.account_sid, address: own.email_address }, tagged: address }
  }
  const exact = await mailboxAt(read, address)
  if (exact) return { kind: 'mailbox', mailbox: exact, tagged: null }
  if (tag === null) return null
  const base = await mailboxAt(read, mailbox)
  return base && { kind: 'mailbox', mailbox: base, tagged: null }
}

/**
 * Returns the account that has a mailbox: the first that has configured it or has a conversation with it, so that no other account
 * gets its mail. `address`: in lower case.
 */
async function mailboxAt(read: Reader, address: string): Promise<Mailbox | null> {
  const row: AddressRow | undefined = await read.one(configured, { address })
  const conversation: ConversationRow | undefined = await read.one(bound, { address })
  const boundSince = conversation?.date_mailbox ?? Number.POSITIVE_INFINITY
  // A configuration has no other date: its address never changes.
  if (row && timeOf(row.sid) <= boundSince) return { account_sid: row.account_sid, address: row.address }
  return conversation?.email_address ? { account_sid: conversation.account_sid, address: conversation.email_address } : null
}
