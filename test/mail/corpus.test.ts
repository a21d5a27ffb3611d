import { readdirSync, readFileSync } from 'node:fs'
import { describe, expect, test } from 'vitest'
import { automaticKind } from '../../src/channels/email/automatic.ts'
import { contentOf } from '../../src/channels/email/content.ts'
import { parseDsn } from '../../src/channels/email/dsn.ts'
import { htmlToText } from '../../src/channels/email/html.ts'
import { parseMail } from '../../src/channels/email/parse.ts'

/** What a person who looks at the mail would say of it. An absent key says nothing. */
interface Expected {
  readonly subject?: string | null
  readonly name?: string
  readonly address?: string | null
  readonly to?: readonly string[]
  readonly reply_to?: string
  readonly visible?: string
  readonly visible_has?: string
  readonly quoted?: boolean
  readonly history?: string
  readonly html_has?: string
  readonly media?: readonly string[]
  readonly automatic?: string | null
  readonly dsn?: readonly (readonly [string | null, string, string])[] | null
  readonly original?: string
  readonly well_formed?: true
}

const folder = new URL('corpus/', import.meta.url)
const cases: Readonly<Record<string, Expected>> = JSON.parse(readFileSync(new URL('cases.json', folder), 'utf8'))

test('every mail of the corpus has its expectations', () => {
  const mails = readdirSync(folder).flatMap((name) => (name.endsWith('.eml') ? [name.slice(0, -4)] : []))
  expect(mails.sort()).toEqual(Object.keys(cases).sort())
  expect(mails.length).toBeGreaterThan(60)
})

describe('corpus', () => {
  test.for(Object.entries(cases))('%s', async ([name, expected]) => {
    const mail = await parseMail(readFileSync(new URL(`${name}.eml`, folder)))
    const content = contentOf(mail)
    const textOf = (category: string, type: RegExp) => {
      const file = content.files.find((one) => one.category === category && type.test(one.content_type))
      return file ? Buffer.from(file.content).toString('utf8') : null
    }
    const history = textOf('history', /./)
    const dsn = parseDsn(mail)
    const seen = {
      subject: mail.subject,
      name: mail.from?.name,
      address: mail.from?.address ?? null,
      to: mail.to.map(({ address }) => address),
      reply_to: mail.reply_to[0]?.address,
      visible: content.text ?? '',
      quoted: history !== null,
      history: history === null ? null : (htmlToText(history).split('\n').at(-1) ?? '').replace(/^> /, ''),
      media: content.files.flatMap(({ category, filename }) => (category === 'media' ? [filename] : [])),
      automatic: automaticKind(mail, null, false),
      dsn: dsn === null ? null : dsn.recipients.map(({ recipient, action, status }) => [recipient, action, status]),
      original: dsn?.message_id,
    }
    const { visible_has, html_has, well_formed, ...exact } = expected
    expect(seen).toMatchObject(exact)
    expect(mail.unparsed).toBeNull()
    if (visible_has !== undefined) expect(content.text).toContain(visible_has)
    if (html_has !== undefined) expect(textOf('body', /html/)).toContain(html_has)
    expect(JSON.stringify([mail.text, mail.html, content.text, mail.subject])).not.toContain('\\u0000')
    if (well_formed) expect(content.text?.isWellFormed()).toBe(true)
  })
})
