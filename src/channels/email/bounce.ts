import type { Clock } from '../../clock.ts'
import { projectedAddress } from '../../resources/conversations/email-binding.ts'
import type { Database, Reader } from '../../storage/database.ts'
import { conversationBySid, participantBySid } from '../../storage/lookups.ts'
import { rowsBy } from '../../storage/rows.ts'
import type { ReceiptRow } from '../../storage/schema.ts'
import type { channelCommands } from '../commands.ts'
import { externalIdsOfAccount } from '../external-ids.ts'
import type { mailBlockCommands } from './blocks.ts'
import type { Dsn, RecipientStatus } from './dsn.ts'
import { storedId } from './ids.ts'
import type { Mailbox, Route } from './mailboxes.ts'
import type { ReadMail } from './read.ts'
import { errorCodeFor, isDead } from './relay.ts'

export interface BounceOptions {
  readonly database: Database<typeof channelCommands & typeof mailBlockCommands>
  readonly clock: Clock
}

const receiptsByChannelMessage = rowsBy('receipts', ['channel_message_sid'])
const receiptsOfMessage = rowsBy('receipts', ['service_sid', 'conversation_sid', 'message_sid'])

/**
 * Does what a report says about a mail that was sent: its receipt moves, and an address that does not exist gets no more mail.
 * Returns the conversation's own address and mailbox when the mail came to a return path and is no report; null when it is about no
 * mail of ours.
 */
export async function takeReturned(
  options: BounceOptions,
  { dsn }: ReadMail,
  route: Route,
): Promise<'reported' | { readonly tagged: string; readonly mailbox: Mailbox } | null> {
  const { read } = options.database
  if (route.kind === 'returned') {
    const [receipt] = await read.all(receiptsByChannelMessage, { channel_message_sid: route.channel_message_sid })
    if (!receipt) return dsn ? reportEarly(options, dsn, route) : null
    if (!dsn) return homeOf(read, receipt)
    // The return path tells which copy it is about, whatever the report calls the recipient.
    const [status] = dsn.recipients
    if (status) await report(options, receipt, status, true)
    return 'reported'
  }
  return dsn && (await reportByMessageId(options, dsn, route.mailbox)) ? 'reported' : null
}

/** The next server was quicker than the record of the sending: the report is kept for a minute. */
async function reportEarly(
  { database, clock }: BounceOptions,
  { recipients: [recipient] }: Dsn,
  { channel_message_sid: externalId, mailbox }: Extract<Route, { kind: 'returned' }>,
): Promise<'reported'> {
  const change = recipient && changeOf(recipient)
  if (!change || !mailbox) return 'reported'
  const { account_sid } = mailbox
  // Mail has no channel of its own.
  const report = { message: { external_id: externalId, channel: '' }, ...change }
  await database.write('reportStatus', { account_sid, report, now: clock.now(account_sid) })
  return 'reported'
}

/** Returns the change of a receipt; undefined while nothing is certain: delayed, relayed, expanded. */
function changeOf({ action, status }: RecipientStatus) {
  if (action === 'failed') return { status: 'undelivered' as const, error_code: errorCodeFor(status) }
  return action === 'delivered' ? { status: 'delivered' as const, error_code: null } : undefined
}

async function homeOf(read: Reader, { service_sid, conversation_sid }: ReceiptRow) {
  const row = await read.one(conversationBySid, { service_sid, sid: conversation_sid })
  const tagged = row && projectedAddress(row)?.toLowerCase()
  if (!row?.email_address || tagged === undefined) return null
  return { tagged, mailbox: { account_sid: row.account_sid, address: row.email_address } }
}

/** Servers that write to the mailbox, not to the return path, name the mail. Everybody who has it can: it blocks no address. */
async function reportByMessageId(
  options: BounceOptions,
  { message_id, recipients }: Dsn,
  mailbox: Mailbox | null,
): Promise<boolean> {
  if (message_id === null || !mailbox) return false
  const { read } = options.database
  const { account_sid } = mailbox
  const rows = await read.all(externalIdsOfAccount, { account_sid, external_id: storedId(message_id) })
  const sent = rows.find(({ direction, message_sid }) => direction === 'out' && message_sid !== null)
  if (!sent) return false
  const path = { service_sid: sent.service_sid ?? '', conversation_sid: sent.conversation_sid ?? '' }
  let found = false
  for (const receipt of await read.all(receiptsOfMessage, { ...path, message_sid: sent.message_sid ?? '' })) {
    const to = await read.one(participantBySid, { ...path, sid: receipt.participant_sid })
    const status = recipients.find(({ recipient }) => recipient !== null && recipient === to?.address)
    if (status) await report(options, receipt, status, false)
    found ||= status !== undefined
  }
  return found
}

async function report(
  { database, clock }: BounceOptions,
  receipt: ReceiptRow,
  recipient: RecipientStatus,
  proven: boolean,
): Promise<void> {
  const change = changeOf(recipient)
  if (!change) return
  const { account_sid, channel_message_sid, service_sid, conversation_sid, participant_sid } = receipt
  const now = clock.now(account_sid)
  await database.write('reportStatus', { account_sid, report: { message: { channel_message_sid }, ...change }, now })
  const { status } = recipient
  if (!proven || change.error_code === null || !isDead(status)) return
  const to = await database.read.one(participantBySid, { service_sid, conversation_sid, sid: participant_sid })
  if (!to?.address) return
  const row = { account_sid, address: to.address, error_code: change.error_code, reason: `bounce ${status}`, date_created: now }
  await database.write('blockMail', row)
}
