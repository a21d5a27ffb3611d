import type { Readable } from 'node:stream'
import MailComposer from 'nodemailer/lib/mail-composer'
import { oneLine } from './headers.ts'
import { isAddress, type Mailbox } from './parse.ts'

/** A mail to be sent: the same bytes each time it is composed. */
export interface OutgoingMail {
  readonly from: Mailbox
  readonly reply_to: string | null
  readonly to: readonly Mailbox[]
  readonly cc: readonly Mailbox[]
  readonly subject: string
  readonly text: string | null
  readonly html: string | null
  /** With angle brackets, as the following. */
  readonly message_id: string
  readonly in_reply_to: string | null
  /** The chain, the oldest first. */
  readonly references: readonly string[]
  /** Epoch ms. */
  readonly date: number
  /** Whether no person wrote it: other programs must not answer then. */
  readonly automatic: boolean
}

export interface OutgoingFile {
  readonly filename: string | null
  readonly content_type: string
  readonly content: Readable
}

/** Some servers refuse more than 4 KB of headers: the first and the last of a chain suffice. */
const maxReferences = 1500

/** Returns the bytes of a mail as a stream. Nothing given can add a header, a recipient or a part. Throws for an invalid address. */
export function compose(mail: OutgoingMail, files: readonly OutgoingFile[]): Readable {
  for (const { address } of [mail.from, ...mail.to, ...mail.cc]) {
    if (!isAddress(address)) throw new Error(`not a mail address: ${address}`)
  }
  const composer = new MailComposer({
    from: mailbox(mail.from),
    to: mail.to.map(mailbox),
    cc: mail.cc.map(mailbox),
    ...(mail.reply_to !== null && { replyTo: mailbox({ name: mail.from.name, address: mail.reply_to }) }),
    subject: oneLine(mail.subject),
    ...(mail.text !== null && { text: mail.text }),
    ...(mail.html !== null && { html: mail.html }),
    messageId: mail.message_id,
    ...(mail.in_reply_to !== null && { inReplyTo: mail.in_reply_to }),
    references: [...referencesFor(mail)],
    date: new Date(mail.date),
    ...(mail.automatic && { headers: { 'Auto-Submitted': 'auto-generated', 'X-Auto-Response-Suppress': 'OOF, AutoReply' } }),
    attachments: files.map(({ filename, content_type, content }) => ({
      filename: filename === null ? false : oneLine(filename),
      contentType: content_type,
      contentDisposition: 'attachment',
      content,
    })),
    // A boundary that is drawn anew would make other bytes at each attempt and for each recipient.
    baseBoundary: boundaryOf(mail.message_id),
    disableFileAccess: true,
    disableUrlAccess: true,
    xMailer: false,
  })
  return composer.compile().createReadStream()
}

function mailbox({ name, address }: Mailbox) {
  return { name: oneLine(name ?? ''), address }
}

/** Letters and digits of the Message-ID: they occur in no text by chance. */
function boundaryOf(messageId: string): string {
  return messageId.replace(/[^A-Za-z0-9]/g, '').slice(0, 48)
}

/**
 * Returns `References`: the mail's own id, by which replies are recognised although a relay has given the mail another Message-ID,
 * and the chain, shortened in the middle.
 */
export function referencesFor({ message_id, references }: Pick<OutgoingMail, 'message_id' | 'references'>): readonly string[] {
  const [first, ...more] = references.filter((id) => id !== message_id)
  if (first === undefined) return [message_id]
  let left = maxReferences - first.length - message_id.length - 2
  const last: string[] = []
  for (const id of more.toReversed()) {
    left -= id.length + 1
    if (left < 0) break
    last.unshift(id)
  }
  return [message_id, first, ...last]
}
