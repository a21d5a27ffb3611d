import { headerOf, messageIdsIn } from './headers.ts'
import { clean, cut, type ParsedMail } from './parse.ts'
import { enhancedStatus } from './relay.ts'

/** What a delivery status notification (RFC 3464) says about one recipient. */
export interface RecipientStatus {
  /** In lower case; null when the notification does not say. */
  readonly recipient: string | null
  readonly action: 'failed' | 'delayed' | 'delivered' | 'relayed' | 'expanded'
  /** Enhanced status code (RFC 3463) such as `5.1.1`; null without one. */
  readonly status: string | null
}

export interface Dsn {
  readonly recipients: readonly RecipientStatus[]
  /** Message-ID of the mail that the notification is about. */
  readonly message_id: string | null
}

const maxRecipients = 100
const maxReport = 64 * 1024
const maxReason = 500

/**
 * Parses a bounce: the status part of a report, else what older programs say in headers (`X-Failed-Recipients`) or in their text.
 * Null when the mail is none. It is read once, up to 64 KB of each part.
 */
export function parseDsn(mail: ParsedMail): Dsn | null {
  const status = mail.parts.find(({ content_type }) => /^message\/(?:global-)?delivery-status$/.test(content_type))
  const messageId = originalId(mail)
  if (status) return { recipients: statusesIn(textOf(status.content)), message_id: messageId }
  const failed = headerOf(mail.headers, 'x-failed-recipients')
  if (failed === undefined) return informal(mail, messageId)
  const text = firstReason(mail.text ?? '')
  const recipients = failed
    .split(',')
    .slice(0, maxRecipients)
    .map((one) => one.trim().toLowerCase())
  return {
    recipients: recipients.map((recipient) => ({ recipient, action: 'failed', status: enhancedStatus(text) })),
    message_id: messageId,
  }
}

/** Returns the groups of a report: the first is about the mail, each of the others about a recipient. */
function statusesIn(report: string): RecipientStatus[] {
  const groups = report.split(/\n[ \t]*\n+/).map(fieldsOf)
  const about = groups.filter(
    (fields) => fields.has('final-recipient') || fields.has('original-recipient') || fields.has('action'),
  )
  return about.slice(0, maxRecipients).flatMap((fields) => {
    const action = actions.find(
      (known) =>
        known ===
        fields
          .get('action')
          ?.toLowerCase()
          .split(/[\s;(]/)[0],
    )
    if (!action) return []
    const recipient = addressIn(fields.get('original-recipient')) ?? addressIn(fields.get('final-recipient'))
    const diagnostic = fields.get('diagnostic-code')?.replace(/^[\w-]+\s*;\s*/, '') ?? null
    const status = enhancedStatus(fields.get('status')) ?? enhancedStatus(diagnostic)
    return [{ recipient, action, status }]
  })
}

const actions = ['failed', 'delayed', 'delivered', 'relayed', 'expanded'] as const

function fieldsOf(group: string): Map<string, string> {
  const fields = new Map<string, string>()
  let last: string | undefined
  for (const line of group.split('\n')) {
    const [, name, value] = /^([A-Za-z][\w-]{0,60})[ \t]*:(.*)$/.exec(line) ?? []
    if (name !== undefined && value !== undefined) {
      last = name.toLowerCase()
      if (!fields.has(last)) fields.set(last, value.trim())
    } else if (last !== undefined && /^[ \t]/.test(line)) fields.set(last, `${fields.get(last)} ${line.trim()}`)
  }
  return fields
}

/** `rfc822; ann@example.org`, as which some write `<ann@example.org>`. */
function addressIn(field: string | undefined): string | null {
  const given = field
    ?.replace(/^[\w-]+\s*;/, '')
    .trim()
    .replace(/^<|>$/g, '')
  return given?.includes('@') ? cut(given.toLowerCase(), 254) : null
}

/** Mail servers without reports (qmail, old Postfix, some Exchange) say it in words; they are recognised by sender and form. */
function informal(mail: ParsedMail, messageId: string | null): Dsn | null {
  const isDaemon = /^(?:mailer-daemon|postmaster|mail-daemon)@/i.test(mail.from?.address ?? '')
  const text = (mail.text ?? '').slice(0, maxReport)
  if (
    !isDaemon ||
    !/undeliver|not be delivered|could ?n[o']t be delivered|wasn't able to deliver|delivery.{0,20}fail|returned mail|unzustellbar|nicht zugestellt/i.test(
      `${mail.subject} ${text}`,
    )
  )
    return null
  const recipient = /^\s*<?([^\s<>@]{1,64}@[^\s<>@:]{1,190})>?:?\s*$/m.exec(text)?.[1]?.toLowerCase() ?? null
  return { recipients: [{ recipient, action: 'failed', status: enhancedStatus(firstReason(text)) }], message_id: messageId }
}

/** Returns the line of a text that has the answer of the other server. */
function firstReason(text: string): string | null {
  const line = text
    .slice(0, maxReport)
    .split('\n')
    .find((one) => /\b[45]\d\d[ -]|\b[45]\.\d{1,3}\.\d{1,3}\b/.test(one))
  return line === undefined ? null : cut(line.trim(), maxReason)
}

/** Returns the Message-ID in the returned mail or its headers, which come as a part or, from older programs, in the text. */
function originalId(mail: ParsedMail): string | null {
  const returned = mail.parts.find(({ content_type }) =>
    /^(?:message\/(?:global|rfc822)(?:-headers)?|text\/rfc822-headers)$/.test(content_type),
  )
  const text = returned ? textOf(returned.content) : (mail.text ?? '').slice(0, maxReport)
  const header = /^message-id:[ \t]*(?:\n[ \t]+)?(<[^<>\s]{1,996}>)/im.exec(text)?.[1]
  return header ?? messageIdsIn(headerOf(mail.headers, 'references')).at(-1) ?? mail.in_reply_to[0] ?? null
}

function textOf(content: Uint8Array): string {
  return clean(Buffer.from(content.subarray(0, maxReport)).toString('utf8')).replaceAll('\r\n', '\n')
}
