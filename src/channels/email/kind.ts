import { createHmac, type KeyObject } from 'node:crypto'
import type { Readable } from 'node:stream'
import { buffer } from 'node:stream/consumers'
import { parseStored } from '../../json.ts'
import type { MailHead } from '../../resources/conversations/messages/mail.ts'
import type { Reader } from '../../storage/database.ts'
import { messageBySid } from '../../storage/lookups.ts'
import type { ExternalIdRow, MailBlockRow } from '../../storage/schema.ts'
import { type Accepted, type ChannelIo, type ChannelKind, type Outbound, RefusedError } from '../adapter.ts'
import { lastReceived } from '../external-ids.ts'
import { noChannelError } from '../statuses.ts'
import { mailBlock } from './blocks.ts'
import { compose } from './compose.ts'
import type { Outbox } from './outbox.ts'
import { isAddress } from './parse.ts'
import { enhancedStatus, errorCodeFor, isDead, type Relay } from './relay.ts'
import { returnPath } from './tokens.ts'

export interface MailKindOptions {
  /** Rows as they are now. */
  readonly committed: Reader
  /** Of return paths. */
  readonly key: KeyObject
  /** Null in test mode without a relay: mails are caught, and count as delivered. */
  readonly relay: Relay | null
  /** Null outside test mode. */
  readonly outbox: Outbox | null
  readonly block: (row: MailBlockRow) => Promise<void>
}

/** Of messages that a program has written: the author by whom the API sends when none is named. */
const automaticAuthor = 'system'

/** Mail: carried by the installation's relay, not by a channel of one address. */
export function mailKind(options: MailKindOptions): ChannelKind<Record<never, never>> {
  return {
    name: 'email',
    description: 'Sends mail through the mail server that PARLEY_MAIL_RELAY names',
    serves: ['email'],
    settings: {},
    can: {
      text_length: Number.MAX_SAFE_INTEGER,
      media: { types: ['*/*'], bytes: Number.MAX_SAFE_INTEGER, count: 100 },
      subject: true,
    },
    send: (_settings, out, io) => send(options, out, io),
  }
}

async function send(options: MailKindOptions, out: Outbound, io: ChannelIo): Promise<Accepted> {
  const head = await sendable(options, out)
  const externalId = receiptSid(out, options.key)
  const envelope = { from: returnPath(head.from.address, externalId, options.key), to: out.to }
  const { relay, outbox } = options
  if (outbox) {
    const source = await withFiles(out, (files) => buffer(composed(head, out, files)))
    const { account: account_sid, conversation: conversation_sid, message: message_sid } = out.sids
    const about = { account_sid, conversation_sid, message_sid, subject: head.subject }
    outbox.add({ id: externalId, ...about, date: io.now(), ...envelope, source })
  }
  if (!relay) return { external_id: externalId, status: 'delivered', response: 'caught by test mode' }
  try {
    const { response } = await withFiles(out, (files) => relay.send(envelope, composed(head, out, files)))
    return { external_id: externalId, status: 'sent', response_status: 250, response }
  } catch (error) {
    const status = error instanceof RefusedError ? enhancedStatus(error.answer.response) : null
    if (isDead(status)) await options.block(blockFor(out, status, io.now()))
    throw error
  }
}

/** Returns the headers of a mail that may be sent. Throws RefusedError. */
async function sendable({ committed }: MailKindOptions, out: Outbound): Promise<MailHead> {
  const { mail, to, sids } = out
  if (!mail) throw new RefusedError(noChannelError, 'the conversation has no Bindings.Email.Address to send from')
  if (!isAddress(mail.from.address)) {
    throw new RefusedError(noChannelError, "the conversation's Bindings.Email.Address is none that mail can be sent from")
  }
  if (!isAddress(to)) throw new RefusedError(errorCodeFor('5.1.3'), 'the address is none that mail can be sent to')
  const block = await committed.one(mailBlock, { account_sid: sids.account, address: to.toLowerCase() })
  if (block) {
    throw new RefusedError(block.error_code, 'the address gets no more mail: a server has said that it does not exist', {
      status: 'undelivered',
    })
  }
  if (isAutomatic(out) && (await wroteAutomatically(committed, out))) {
    throw new RefusedError(errorCodeFor('5.7.0'), 'an automatic mail is not sent in answer to an automatic one')
  }
  // Participants may have addresses that no mail can be sent to: they are no reason to send none to the others.
  const named = (people: MailHead['to']) => people.filter(({ address }) => isAddress(address))
  return { ...mail, to: named(mail.to), cc: named(mail.cc) }
}

function isAutomatic({ author }: Outbound): boolean {
  return author.identity === automaticAuthor
}

/** Whether the last mail of the recipient was an automatic one: two programs must not answer each other. */
async function wroteAutomatically(read: Reader, { sids }: Outbound): Promise<boolean> {
  const { service: service_sid, conversation: conversation_sid, participant: participant_sid } = sids
  const last: ExternalIdRow | undefined = await read.one(lastReceived, {
    conversation_sid,
    participant_sid,
    message_index: Number.MAX_SAFE_INTEGER,
  })
  if (!last) return false
  const message = await read.one(messageBySid, { service_sid, conversation_sid, sid: last.message_sid ?? '' })
  const metadata = parseStored<{ data?: { automatic?: unknown } }>(message?.channel_metadata ?? '{}')
  return typeof metadata.data?.automatic === 'string'
}

/** The same at each attempt, so that a bounce finds the receipt whichever of them was received. */
function receiptSid({ sids }: Outbound, key: KeyObject): string {
  return `EM${createHmac('sha256', key).update(`${sids.message} ${sids.participant}`).digest('hex').slice(0, 32)}`
}

type Files = readonly { filename: string | null; content_type: string; content: Readable }[]

/** Opens the attachments for as long as `work` reads them. */
async function withFiles<T>({ media }: Outbound, work: (files: Files) => Promise<T>): Promise<T> {
  const opened = await Promise.allSettled(
    media.map(async (one) => ({ filename: one.filename, content_type: one.content_type, content: await one.open() })),
  )
  const files = opened.flatMap((one) => (one.status === 'fulfilled' ? [one.value] : []))
  try {
    for (const one of opened) if (one.status === 'rejected') throw one.reason
    return await work(files)
  } finally {
    for (const { content } of files) content.destroy()
  }
}

function composed(head: MailHead, out: Outbound, files: Files): Readable {
  const text = out.text ?? (out.html === null ? '' : null)
  return compose({ ...head, subject: head.subject ?? '', text, html: out.html, automatic: isAutomatic(out) }, files)
}

function blockFor({ to, sids }: Outbound, status: string | null, now: number): MailBlockRow {
  return {
    account_sid: sids.account,
    address: to.toLowerCase(),
    error_code: errorCodeFor(status),
    reason: `SMTP ${status}`,
    date_created: now,
  }
}
