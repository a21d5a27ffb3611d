import type { FastifyPluginAsync } from 'fastify'
import { mailBlocksOf } from '../channels/email/blocks.ts'
import type { Email } from '../channels/email/email.ts'
import { envelopeOf } from '../channels/email/envelope.ts'
import type { SentMail } from '../channels/email/outbox.ts'
import { readMail } from '../channels/email/read.ts'
import { MailError, type Taken } from '../channels/email/take.ts'
import { milliseconds } from '../dates.ts'
import type { Installation } from '../installation/open.ts'
import { downloadHeaders } from '../media/headers.ts'
import { accountBySid } from '../storage/lookups.ts'
import { needs, needsInAccount } from './access.ts'
import { notFound } from './replies.ts'
import {
  bodyErrors,
  errors,
  instant,
  list,
  type OperationSchema,
  object,
  path,
  removed,
  response,
  shortText,
  sid,
} from './schemas.ts'

const only = 'Only available with the setting PARLEY_TEST_MODE.'
const tags = ['Mail'] as const

const summary = {
  sid: { type: 'string', description: 'The `channel_message_sid` of its receipt' },
  account_sid: sid('account', 'SID of the account'),
  conversation_sid: sid('conversation', 'SID of the conversation'),
  message_sid: sid('message', 'SID of the message'),
  date: instant,
  return_path: { type: 'string', description: 'Envelope sender: bounces go there' },
  recipient: { type: 'string', description: 'Envelope recipient of this copy' },
  subject: { type: ['string', 'null'] },
  size: { type: 'integer', description: 'In bytes' },
}
const sentMail = object('SentMail', summary)
const mailboxes = { type: 'array', items: object('Mailbox', { address: { type: 'string' }, name: { type: ['string', 'null'] } }) }
const sentMailWithSource = object('SentMailWithSource', {
  ...summary,
  from: mailboxes,
  to: mailboxes,
  cc: mailboxes,
  reply_to: mailboxes,
  message_id: { type: ['string', 'null'] },
  in_reply_to: { type: 'array', items: { type: 'string' } },
  references: { type: 'array', items: { type: 'string' } },
  text: { type: ['string', 'null'] },
  html: { type: ['string', 'null'] },
  attachments: {
    type: 'array',
    items: object('Attachment', {
      filename: { type: ['string', 'null'] },
      content_type: { type: 'string' },
      size: { type: 'integer' },
    }),
  },
  source: { type: 'string', description: 'As it was sent' },
})

const listMail: OperationSchema = {
  operationId: 'listMail',
  summary: 'List the mails that were sent',
  description: `${only} The latest are kept in memory, one copy for each recipient; the newest comes first.`,
  tags,
  response: { 200: response('The mails', list('SentMailList', 'mail', sentMail)), ...errors(404) },
}
const fetchMail: OperationSchema = {
  operationId: 'fetchMail',
  summary: 'Fetch a mail that was sent',
  description: only,
  tags,
  params: path({ mail: 'SID of the mail, as the list has it' }),
  response: { 200: response('The mail', sentMailWithSource), ...errors(400, 404) },
}
const ofMail = path({ mail: 'SID of the mail' })
const file = (type: string, description: string) => ({ description, content: { [type]: { schema: { type: 'string' } } } })
const fetchSource: OperationSchema = {
  operationId: 'fetchMailSource',
  summary: 'Download a mail that was sent, as it was sent',
  description: only,
  tags,
  params: ofMail,
  response: { 200: file('message/rfc822', 'The bytes of the mail'), ...errors(400, 404) },
}
const fetchAttachment: OperationSchema = {
  operationId: 'fetchMailAttachment',
  summary: 'Download an attachment of a mail that was sent',
  description: only,
  tags,
  params: path({ mail: 'SID of the mail', index: 'Which one, in the order of `attachments`, from 0' }),
  response: { 200: file('*/*', 'The bytes of the attachment, with its type'), ...errors(400, 404) },
}
const clearMail: OperationSchema = {
  operationId: 'clearMail',
  summary: 'Forget the mails that were sent',
  description: only,
  tags,
  response: { 204: removed, ...errors(404) },
}
const takeMail: OperationSchema = {
  operationId: 'takeMail',
  summary: 'Hand in a mail',
  description:
    'The body is the mail as it came (RFC 5322), with the content type `message/rfc822`. Use it behind a mail server, or for providers ' +
    'that post mails as they are. The response comes once the mail is on disk. When it is 5xx, hand the mail in again: what was received ' +
    'already is not received twice.',
  tags,
  consumes: ['message/rfc822'],
  querystring: {
    type: 'object',
    properties: {
      from: { ...shortText, description: 'Envelope sender; empty for a bounce. By default that of `Return-Path`' },
      to: {
        anyOf: [shortText, { type: 'array', items: shortText, maxItems: 100 }],
        description: 'Envelope recipient, or several. By default those of `Delivered-To`, `X-Original-To`, `To` and `Cc`',
      },
    },
    additionalProperties: false,
  },
  response: {
    201: response(
      'What became of it at each recipient',
      object('TakenMail', {
        results: {
          type: 'array',
          items: object('TakenMailResult', {
            outcome: { type: 'string', enum: ['received', 'duplicate', 'reported', 'dropped'] },
            why: { type: ['string', 'null'], description: 'With `dropped`' },
            account_sid: { type: ['string', 'null'] },
            conversation_sid: { type: ['string', 'null'] },
            message_sid: { type: ['string', 'null'] },
          }),
        },
      }),
    ),
    ...bodyErrors(422),
  },
}
const listBlocks: OperationSchema = {
  operationId: 'listMailBlocks',
  summary: 'List the addresses that get no more mail',
  description: 'A mail server has said that they do not exist. A mail from such an address unblocks it.',
  tags,
  params: path({ sid: 'SID of the account' }),
  response: {
    200: response(
      'The addresses',
      list(
        'MailBlockList',
        'mail_blocks',
        object('MailBlock', {
          address: { type: 'string' },
          error_code: { type: 'integer', description: 'Of the receipts of messages to it' },
          reason: { type: 'string' },
          date_created: instant,
        }),
      ),
    ),
    ...errors(400, 404),
  },
}
const deleteBlock: OperationSchema = {
  operationId: 'deleteMailBlock',
  summary: 'Send mail to an address again',
  tags,
  params: path({ sid: 'SID of the account', address: 'The mail address' }),
  response: { 204: removed, ...errors(400, 404) },
}

interface Handed {
  Querystring: { from?: string; to?: string | string[] }
  Body: Buffer
}

/** Mails that were sent, in test mode, mails that are handed in, and addresses that get none. */
export function mailRoutes(
  { database }: Pick<Installation, 'database'>,
  email: Pick<Email, 'outbox' | 'take' | 'maxBytes'> | null,
): FastifyPluginAsync {
  return async (routes) => {
    const outbox = email?.outbox
    if (email) {
      const { maxBytes } = email
      routes.addContentTypeParser('message/rfc822', { parseAs: 'buffer', bodyLimit: maxBytes }, (_request, body, done) =>
        done(null, body),
      )
      routes.post<Handed>(
        '/mail',
        { schema: takeMail, config: needs('act', 'installation'), bodyLimit: maxBytes },
        async ({ query, body }, reply) => {
          if (!Buffer.isBuffer(body))
            return reply.code(415).send({ error: 'the body must be a mail, with the content type message/rfc822' })
          const lost = await envelopeOf(body)
          const from = query.from ?? lost.from
          const to = query.to === undefined ? lost.to : [query.to].flat()
          try {
            return await reply.code(201).send({ results: (await email.take({ from, to, raw: body })).map(takenToJson) })
          } catch (error) {
            if (!(error instanceof MailError)) throw error
            return reply.code(error.replyCode < 500 ? 503 : 422).send({ error: error.message })
          }
        },
      )
    }

    if (outbox) {
      routes.get('/mail', { schema: listMail, config: needs('text', 'installation') }, async () => ({
        mail: outbox.list().map(toJson),
      }))

      routes.get<{ Params: { mail: string } }>(
        '/mail/:mail',
        { schema: fetchMail, config: needs('text', 'installation') },
        async ({ params }, reply) => {
          const mail = outbox.get(params.mail)
          return mail ? withSource(mail) : notFound(reply)
        },
      )

      routes.get<{ Params: { mail: string } }>(
        '/mail/:mail/source',
        { schema: fetchSource, config: needs('text', 'installation') },
        async ({ params }, reply) => {
          const mail = outbox.get(params.mail)
          if (!mail) return notFound(reply)
          return reply.headers(downloadHeaders('message/rfc822', `${mail.id}.eml`)).send(mail.source)
        },
      )

      routes.get<{ Params: { mail: string; index: string } }>(
        '/mail/:mail/attachments/:index',
        { schema: fetchAttachment, config: needs('text', 'installation') },
        async ({ params }, reply) => {
          const mail = outbox.get(params.mail)
          const found = mail && /^\d{1,9}$/.test(params.index) && (await attachmentsOf(mail))[Number(params.index)]
          if (!found) return notFound(reply)
          return reply.headers(downloadHeaders(found.content_type, found.filename)).send(Buffer.from(found.content))
        },
      )

      routes.delete('/mail', { schema: clearMail, config: needs('act', 'installation') }, async (_request, reply) => {
        outbox.clear()
        return reply.code(204).send()
      })
    }

    routes.get<{ Params: { sid: string } }>(
      '/accounts/:sid/mail-blocks',
      { schema: listBlocks, config: needsInAccount('read') },
      async ({ params }, reply) => {
        const { sid: account_sid } = params
        if (!(await database.read.one(accountBySid, { sid: account_sid }))) return notFound(reply)
        const rows = await database.read.all(mailBlocksOf, { account_sid })
        return {
          mail_blocks: rows.map(({ address, error_code, reason, date_created }) => {
            return { address, error_code, reason, date_created: milliseconds(date_created) }
          }),
        }
      },
    )

    routes.delete<{ Params: { sid: string; address: string } }>(
      '/accounts/:sid/mail-blocks/:address',
      { schema: deleteBlock, config: needsInAccount('act') },
      async ({ params: { sid: account_sid, address } }, reply) => {
        const found = await database.write('unblockMail', { account_sid, address: address.toLowerCase() })
        return found ? reply.code(204).send() : notFound(reply)
      },
    )
  }
}

function takenToJson(taken: Taken) {
  const received = taken.outcome === 'received' ? taken.received : null
  return {
    outcome: received?.duplicate ? 'duplicate' : taken.outcome,
    why: taken.outcome === 'dropped' ? taken.why : null,
    account_sid: received?.account_sid ?? null,
    conversation_sid: received?.conversation_sid ?? null,
    message_sid: received?.message_sid ?? null,
  }
}

async function attachmentsOf({ source }: SentMail) {
  return (await readMail(source)).content.files.filter(({ category }) => category === 'media')
}

function toJson({ id, account_sid, conversation_sid, message_sid, date, from, to, subject, source }: SentMail) {
  const about = { account_sid, conversation_sid, message_sid, date: milliseconds(date) }
  return { sid: id, ...about, return_path: from, recipient: to, subject, size: source.length }
}

async function withSource(mail: SentMail) {
  const { from, to, cc, reply_to, subject, message_id, in_reply_to, references, content } = await readMail(mail.source)
  const textOf = (type: string) => {
    const found = content.files.find((one) => one.category === 'body' && one.content_type === type)
    return found ? Buffer.from(found.content).toString('utf8') : null
  }
  const attachments = content.files.flatMap(({ category, filename, content_type, content }) =>
    category === 'media' ? [{ filename, content_type, size: content.length }] : [],
  )
  return {
    ...toJson(mail),
    ...{ from: from ? [from] : [], to, cc, reply_to, subject, message_id, in_reply_to, references },
    ...{ text: textOf('text/plain'), html: textOf('text/html'), attachments },
    source: mail.source.toString('utf8'),
  }
}
