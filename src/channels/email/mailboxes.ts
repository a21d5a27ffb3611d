import type { KeyObject } from 'node:crypto'
import { sql } from 'kysely'
import type { Reader } from '../../storage/database.ts'
import type { AddressRow, ConversationRow } from '../../storage/schema.ts'
import { shape } from '../../storage/shapes.ts'
import { conversationOfAddress } from '../mail-destination.ts'
import { channelMessageOf, splitTag } from './tokens.ts'

/** Where mail to an address goes. */
export type Route =
  /** A return path: of one copy of a mail that was sent. */
  | { readonly kind: 'returned'; readonly channel_message_sid: string; readonly mailboxes: readonly Mailbox[] }
  | {
      readonly kind: 'mailbox'
      /** Of accounts that have it, usually one. */
      readonly mailboxes: readonly Mailbox[]
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
    .limit(10),
)

const bound = shape<{ address: string }>()((db, a) =>
  db
    .selectFrom('conversations')
    .selectAll()
    .where('email_address', 'is not', null)
    .where(sql<string>`lower(email_address)`, '=', a.address)
    .limit(1),
)

/**
 * Returns where mail to an address goes; null when nobody here has it. Mailboxes are those of address configurations and of
 * conversations. What follows a `+` may be the tag of a conversation or of a return path; any other belongs to the mailbox.
 */
export async function routeOf(read: Reader, given: string, key: KeyObject): Promise<Route | null> {
  const address = given.toLowerCase()
  const { mailbox, tag } = splitTag(address)
  const channel_message_sid = tag === null ? null : channelMessageOf(tag, key)
  if (channel_message_sid !== null) {
    return { kind: 'returned', channel_message_sid, mailboxes: await mailboxesAt(read, mailbox) }
  }
  const exact = await mailboxesAt(read, address)
  if (exact.length > 0) return { kind: 'mailbox', mailboxes: exact, tagged: null }
  if (tag === null) return null
  const own = await conversationOfAddress(read, address)
  if (own?.email_address) {
    return { kind: 'mailbox', mailboxes: [{ account_sid: own.account_sid, address: own.email_address }], tagged: address }
  }
  const base = await mailboxesAt(read, mailbox)
  return base.length > 0 ? { kind: 'mailbox', mailboxes: base, tagged: null } : null
}

/** `address`: in lower case. */
async function mailboxesAt(read: Reader, address: string): Promise<Mailbox[]> {
  const rows: AddressRow[] = await read.all(configured, { address })
  if (rows.length > 0) return rows.map((row) => ({ account_sid: row.account_sid, address: row.address }))
  const conversation: ConversationRow | undefined = await read.one(bound, { address })
  return conversation?.email_address ? [{ account_sid: conversation.account_sid, address: conversation.email_address }] : []
}
