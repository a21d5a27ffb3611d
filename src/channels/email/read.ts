import { contentOf, type MailContent } from './content.ts'
import { type Dsn, parseDsn } from './dsn.ts'
import { type ParsedMail, parseMail } from './parse.ts'

/** A mail as it is acted upon: plain data, which goes between threads. */
export interface ReadMail extends Omit<ParsedMail, 'text' | 'html' | 'parts'> {
  readonly content: MailContent
  /** Null when the mail is no bounce. */
  readonly dsn: Dsn | null
}

/** Takes a mail apart and sorts what is in it. Never throws. */
export async function readMail(raw: Uint8Array): Promise<ReadMail> {
  return readParsed(await parseMail(raw))
}

export function readParsed(mail: ParsedMail): ReadMail {
  const { text: _text, html: _html, parts: _parts, ...known } = mail
  return { ...known, content: contentOf(mail), dsn: parseDsn(mail) }
}
