import type { KeyObject } from 'node:crypto'
import type { DNSResolver } from 'mailauth'
import type { Clock } from '../../clock.ts'
import { ApiError, isFailure } from '../../errors.ts'
import { addressType } from '../../resources/conversations/address-formats.ts'
import type { Database } from '../../storage/database.ts'
import type { channelCommands } from '../commands.ts'
import { InboundMediaError } from '../inbound-media.ts'
import { InboundError, type Incoming, type Received } from '../incoming.ts'
import type { MailPerson } from '../mail-destination.ts'
import { type Authentication, type Connection, isForged, trustedResults } from './authentication.ts'
import { type Automatic, automaticKind } from './automatic.ts'
import { mailBlock, type mailBlockCommands } from './blocks.ts'
import { takeReturned } from './bounce.ts'
import { type Headers, headersOf } from './headers.ts'
import { answersOf, digestId, storedId } from './ids.ts'
import { type Mailbox, type Route, routeOf } from './mailboxes.ts'
import { isAddress, mailboxesIn } from './parse.ts'
import type { ReadMail } from './read.ts'
import type { MailReader } from './reader.ts'
import type { SenderCap } from './sender-cap.ts'

/** A mail as it came, whichever way. */
export interface RawMail {
  /** The reverse path: empty for a bounce; null when the way in has lost it. */
  readonly from: string | null
  /** Envelope recipients. */
  readonly to: readonly string[]
  readonly raw: Uint8Array
  /** Where it was received from by SMTP. */
  readonly connection?: Connection
}

/** What became of a mail at one of its recipients. */
export type Taken =
  | { readonly outcome: 'received'; readonly received: Received }
  /** A bounce, or another report about a mail that was sent. */
  | { readonly outcome: 'reported' }
  /** An automatic mail without an open conversation, or one from ourselves. */
  | { readonly outcome: 'dropped'; readonly why: string }

/** A mail is not taken. `code`: SMTP reply; 4xx: it may be taken later. */
export class MailError extends Error {
  override readonly name = 'MailError'
  readonly code = 'PARLEY_MAIL'
  readonly replyCode: number

  /** `message`: with its enhanced status code (RFC 3463), as it is sent. */
  constructor(replyCode: number, message: string) {
    super(message)
    this.replyCode = replyCode
  }
}

export interface TakeOptions {
  readonly database: Database<typeof channelCommands & typeof mailBlockCommands>
  readonly clock: Clock
  /** Of return paths. */
  /** By which return paths are accepted. */
  readonly keys: readonly KeyObject[]
  readonly reader: Pick<MailReader, 'read' | 'check'>
  readonly cap: SenderCap
  readonly receive: (incoming: Incoming) => Promise<Received>
  readonly maxBytes: number
  readonly auth: 'off' | 'mark' | 'reject'
  /** Name of the server whose headers count; null: none. */
  readonly trust: string | null
  /** For tests, which do not ask the DNS. */
  readonly resolver?: DNSResolver
}

/** People of a mail who join its conversation, besides the sender. */
const maxOthers = 49
/** Envelope recipients of one mail. */
const maxRecipients = 100

/**
 * Takes a mail in, for each of its recipients. Resolves when all of it is on disk. Throws MailError when it is not taken: when it may
 * be taken later, parts of it may have been, and they are not taken twice.
 */
export async function take(options: TakeOptions, mail: RawMail): Promise<readonly Taken[]> {
  const { database, maxBytes, keys, reader } = options
  if (mail.raw.length > maxBytes) throw new MailError(552, `5.3.4 the mail has more than ${maxBytes} bytes`)
  if (mail.raw.length === 0) throw new MailError(550, '5.6.0 the mail is empty')
  if (mail.to.length > maxRecipients) throw new MailError(452, '4.5.3 too many recipients')
  try {
    const routes = await Promise.all(mail.to.map((address) => routeOf(database.read, address, keys)))
    const known = routes.filter((route) => route !== null)
    if (known.length === 0) throw new MailError(550, '5.1.1 no such mailbox here')
    const read = await reader.read(mail.raw)
    const checked = { ...read, authentication: await authenticationOf(options, mail, read) }
    const taken: Taken[] = []
    const refused: MailError[] = []
    // One after the other: of two recipients that lead to one conversation the second finds the mail there.
    for (const route of known) {
      const result = await takeAt(options, mail, checked, route).catch(refusal)
      if (result instanceof MailError) refused.push(result)
      else taken.push(result)
    }
    const [first] = refused.toSorted((a, b) => a.replyCode - b.replyCode)
    if (first && (taken.length === 0 || first.replyCode < 500)) throw first
    return taken
  } catch (error) {
    throw refusal(error)
  }
}

/** Returns what a way in replies to an error. Throws what is a defect. */
function refusal(error: unknown): MailError {
  if (error instanceof MailError) return error
  if (error instanceof InboundError) {
    return error.statusCode === 404
      ? new MailError(550, '5.7.1 the mailbox takes no new conversations')
      : new MailError(550, '5.7.1 the mail is refused')
  }
  if (error instanceof InboundMediaError) {
    return error.temporary ? new MailError(452, '4.3.1 no room for the mail') : new MailError(552, '5.2.2 no room for the mail')
  }
  if (error instanceof ApiError) {
    return isFailure(error)
      ? new MailError(451, '4.3.0 try again later')
      : new MailError(550, `5.7.1 refused (${error.entry.code})`)
  }
  throw error
}

function hasOneAuthor(headers: Headers): boolean {
  const given = headersOf(headers, 'from')
  return given.length === 1 && mailboxesIn(given[0]).length === 1
}

/** With what is known about where it comes from. */
type CheckedMail = ReadMail & { readonly authentication: Authentication | null }

/** Returns the results of SPF, DKIM and DMARC; null when they are not asked for. Throws MailError for a forged mail. */
async function authenticationOf(
  { auth, trust, reader, resolver }: TakeOptions,
  { raw, from, connection }: RawMail,
  { headers, dsn }: ReadMail,
): Promise<Authentication | null> {
  if (auth === 'off') return null
  // Without one author DMARC has no domain to ask (RFC 7489, 6.6.1). A bounce is from nobody, and joins nothing.
  if (auth === 'reject' && dsn === null && !hasOneAuthor(headers)) {
    throw new MailError(550, '5.7.1 the mail must have one sender in one From header')
  }
  const trusted = trust === null ? null : trustedResults(headers, trust)
  const found = trusted ?? (await reader.check(raw, { sender: from ?? '', connection: connection ?? null }, resolver))
  if ('unchecked' in found) {
    const { unchecked: result } = found
    if (auth === 'mark') return { spf: null, dkim: result, dmarc: result, policy: null }
    throw result === 'temperror'
      ? new MailError(451, '4.7.0 the mail cannot be checked now: try again later')
      : new MailError(550, '5.7.1 the headers of the mail are too large to be checked')
  }
  // Without the connection SPF is missing, and DMARC may fail for that alone.
  if (auth === 'reject' && isForged(found) && (trusted || connection)) {
    throw new MailError(550, '5.7.1 the domain of the sender wants mail refused that it has not sent (DMARC)')
  }
  return found
}

async function takeAt(options: TakeOptions, mail: RawMail, read: CheckedMail, route: Route): Promise<Taken> {
  const automatic = automaticKind(read, mail.from, options.trust !== null)
  if (route.kind === 'returned' || read.dsn) {
    const reported = await takeReturned(options, read, route)
    if (reported === 'reported') return { outcome: 'reported' }
    // An auto-responder writes to the return path: its mail belongs to the conversation of what it answers.
    if (reported) return takeInto(options, mail, read, { automatic, tagged: reported.tagged, mailbox: reported.mailbox })
    if (read.dsn) return { outcome: 'dropped', why: 'a report about no mail of ours' }
  }
  return takeInto(options, mail, read, {
    automatic,
    tagged: route.kind === 'mailbox' ? route.tagged : null,
    mailbox: route.mailbox,
  })
}

interface Place {
  readonly automatic: Automatic | null
  readonly tagged: string | null
  readonly mailbox: Mailbox | null
}

async function takeInto(options: TakeOptions, mail: RawMail, read: CheckedMail, place: Place): Promise<Taken> {
  const from = read.from?.address ?? mail.from ?? ''
  if (!isAddress(from) || addressType(from) !== 'email') return { outcome: 'dropped', why: 'it has no sender' }
  const { cap, clock } = options
  const { mailbox, automatic } = place
  if (!mailbox) throw new MailError(550, '5.1.1 no such mailbox here')
  const { account_sid } = mailbox
  if (await isOwn(options, account_sid, from)) return { outcome: 'dropped', why: 'its sender is a mailbox of ours' }
  if (!cap.admits(`${account_sid} ${from.toLowerCase()}`, clock.now(account_sid))) {
    throw new MailError(450, '4.7.1 too many mails from this sender: try again later')
  }
  const others = await othersOf(options, account_sid, read, from)
  try {
    const received = await options.receive(incomingOf({ mail, read, from, mailbox, place, others }))
    await unblock(options, account_sid, from)
    return { outcome: 'received', received }
  } catch (error) {
    const isHomeless = error instanceof InboundError && error.statusCode === 404
    if (isHomeless && automatic !== null) return { outcome: 'dropped', why: `automatic: ${automatic}` }
    throw error
  }
}

/** Whether an address is a mailbox of the account: a mail from it would come back for ever. Those of other accounts are people. */
async function isOwn({ database, keys }: TakeOptions, account_sid: string, address: string): Promise<boolean> {
  return (await routeOf(database.read, address, keys))?.mailbox?.account_sid === account_sid
}

function incomingOf({
  mail,
  read,
  from,
  mailbox,
  place: { automatic, tagged },
  others,
}: {
  readonly mail: RawMail
  readonly read: CheckedMail
  readonly from: string
  readonly mailbox: Mailbox
  readonly place: Place
  readonly others: readonly MailPerson[]
}): Incoming {
  const { content } = read
  const source = { filename: 'mail.eml', content_type: 'message/rfc822', content: mail.raw, category: 'source' as const }
  return {
    account_sid: mailbox.account_sid,
    from,
    to: [mailbox.address],
    subject: read.subject,
    body: content.text ?? (content.files.length > 0 ? null : ''),
    media: [...content.files, source],
    attributes: null,
    profile_name: nameOf(read),
    metadata: metadataOf(read, automatic),
    // Its channel is its conversation.
    external: { channel: '', external_id: storedId(read.message_id ?? digestId(mail.raw)) },
    mail: { tagged, answers: answersOf(read), others, opens: automatic === null },
  }
}

/** observed: a sender who wants answers elsewhere is called `First Last (reply-to: other@example.com)`. */
function nameOf({ from, reply_to }: ReadMail): string | null {
  const name = from?.name ?? null
  const [reply] = reply_to
  if (!reply || reply.address.toLowerCase() === from?.address.toLowerCase()) return name
  return `${name ?? ''} (reply-to: ${reply.address})`.trim().slice(0, 256)
}

/** observed: the keys of a mail's metadata. `automatic` and the others are Parley's own. */
function metadataOf(
  { message_id, in_reply_to, references, content, unparsed, authentication }: CheckedMail,
  automatic: Automatic | null,
) {
  return {
    message_id,
    in_reply_to: in_reply_to.length > 0 ? in_reply_to.join(' ') : null,
    references: references.length > 0 ? references.join(' ') : null,
    ...(automatic !== null && { automatic }),
    ...(authentication && { authentication }),
    ...(content.omitted > 0 && { omitted_parts: content.omitted }),
    ...(unparsed !== null && { unparsed }),
  }
}

/** Returns the other people of a mail, without the operator's own mailboxes. */
async function othersOf(
  options: TakeOptions,
  account_sid: string,
  { to, cc }: ReadMail,
  from: string,
): Promise<readonly MailPerson[]> {
  const people = new Map<string, MailPerson>()
  const add = (level: 'to' | 'cc', list: ReadMail['to']) => {
    for (const { address, name } of list) {
      const key = address.toLowerCase()
      if (key !== from.toLowerCase() && addressType(address) === 'email' && !people.has(key))
        people.set(key, { address, level, name })
    }
  }
  add('to', to)
  add('cc', cc)
  const asked = [...people.values()].slice(0, maxOthers)
  const own = await Promise.all(asked.map(({ address }) => isOwn(options, account_sid, address)))
  return asked.filter((_, i) => !own[i])
}

/** Who writes from an address has it. */
async function unblock({ database }: TakeOptions, account_sid: string, from: string): Promise<void> {
  const key = { account_sid, address: from.toLowerCase() }
  if (await database.read.one(mailBlock, key)) await database.write('unblockMail', key)
}
