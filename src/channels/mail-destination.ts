import { projectedAddress } from '../resources/conversations/email-binding.ts'
import { elapse } from '../resources/conversations/lifecycle.ts'
import { openWithoutProxy } from '../resources/conversations/participants/group-mms.ts'
import type { Reader } from '../storage/database.ts'
import { conversationBySid, participantByAddress, participantsOfConversation } from '../storage/lookups.ts'
import type { ConversationRow } from '../storage/schema.ts'
import { shape } from '../storage/shapes.ts'
import { externalIdsOfAccount } from './external-ids.ts'

/** What a mail says of where it belongs, besides its sender and mailbox. Plain data. */
export interface MailFacts {
  /** The conversation's own address, in lower case, when the mail was sent to that; else null. */
  readonly tagged: string | null
  /** The Message-IDs that it answers, the nearest first. */
  readonly answers: readonly string[]
  /** Its other recipients, without the operator's own mailboxes. */
  readonly others: readonly MailPerson[]
  /** Whether it may open a conversation. */
  readonly opens: boolean
}

export interface MailPerson {
  readonly address: string
  readonly level: 'to' | 'cc'
  readonly name: string | null
}

/** The conversation that a mail belongs to, and who joins it by the mail. */
export interface MailHome {
  readonly service_sid: string
  readonly conversation_sid: string
  /** The sender; null when they join. */
  readonly participant_sid: string | null
  readonly joining: readonly MailPerson[]
}

/** Message-IDs of a chain that are looked up. */
const maxAnswers = 20
/** The most participants of a conversation that have an address. */
const maxNonChat = 50

const byTag = shape<{ email_tag: string }>()((db, a) =>
  db.selectFrom('conversations').selectAll().where('email_tag', '=', a.email_tag).limit(2),
)

/** Returns the conversation whose own mail address this is, in lower case. */
export async function conversationOfAddress(read: Reader, address: string): Promise<ConversationRow | undefined> {
  const tag = /\+([0-9a-f]{20})@/.exec(address)?.[1]
  if (tag === undefined) return undefined
  const found = await read.all(byTag, { email_tag: tag })
  return found.find((row) => projectedAddress(row)?.toLowerCase() === address)
}

/**
 * Returns the open conversation that a mail belongs to: the one whose own address it was sent to, else that of a mail which it answers,
 * if its sender is in it, else one of its sender and mailbox. Message-IDs alone prove nothing: they are in every copy of a mail.
 * `address`, `mailbox`: in lower case.
 */
export async function mailHome(
  read: Reader,
  { account_sid, now }: { readonly account_sid: string; readonly now: number },
  { address, mailbox }: { readonly address: string; readonly mailbox: string },
  facts: MailFacts,
): Promise<MailHome | undefined> {
  const isOpen = (row: ConversationRow) => row.account_sid === account_sid && (elapse(row, now) ?? row).state !== 'closed'
  const tagged = facts.tagged === null ? undefined : await conversationOfAddress(read, facts.tagged)
  if (tagged && isOpen(tagged)) return homeIn(read, tagged, address, facts)
  const hasMailbox = (row: ConversationRow) => row.email_address?.toLowerCase() === mailbox
  for (const externalId of facts.answers.slice(0, maxAnswers)) {
    for (const { service_sid, conversation_sid } of await read.all(externalIdsOfAccount, {
      account_sid,
      external_id: externalId,
    })) {
      const row = await read.one(conversationBySid, { service_sid: service_sid ?? '', sid: conversation_sid ?? '' })
      if (!row || !isOpen(row) || !hasMailbox(row)) continue
      const home = await homeIn(read, row, address, facts)
      if (home.participant_sid !== null) return home
    }
  }
  for (const { service_sid, conversation_sid } of await openWithoutProxy(read, account_sid, address)) {
    const row = await read.one(conversationBySid, { service_sid, sid: conversation_sid })
    if (row && isOpen(row) && hasMailbox(row)) return homeIn(read, row, address, facts)
  }
  return undefined
}

async function homeIn(read: Reader, row: ConversationRow, address: string, { others }: MailFacts): Promise<MailHome> {
  const { service_sid, sid: conversation_sid } = row
  const sender = await read.one(participantByAddress, { service_sid, conversation_sid, address })
  const members = await read.all(participantsOfConversation, { service_sid, conversation_sid })
  const taken = members.filter((one) => one.address !== null)
  const room = maxNonChat - taken.length - (sender ? 0 : 1)
  const addresses = new Set([address, ...taken.map((one) => one.address)])
  const joining = others.filter((one) => !addresses.has(one.address.toLowerCase())).slice(0, Math.max(0, room))
  return { service_sid, conversation_sid, participant_sid: sender?.sid ?? null, joining }
}
