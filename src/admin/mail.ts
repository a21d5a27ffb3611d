import type { FastifyPluginAsync } from 'fastify'
import { mailBlocksOf } from '../channels/email/blocks.ts'
import type { Outbox, SentMail } from '../channels/email/outbox.ts'
import { readMail } from '../channels/email/read.ts'
import { milliseconds } from '../dates.ts'
import type { Installation } from '../installation/open.ts'
import { accountBySid } from '../storage/lookups.ts'
import { notFound } from './replies.ts'
import { errors, instant, list, type OperationSchema, object, path, removed, response, sid } from './schemas.ts'

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
  subject: { type: ['string', 'null'] },
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
  response: { 200: response('The mail', sentMailWithSource), ...errors(404) },
}
const clearMail: OperationSchema = {
  operationId: 'clearMail',
  summary: 'Forget the mails that were sent',
  description: only,
  tags,
  response: { 204: removed, ...errors(404) },
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
    ...errors(404),
  },
}
const deleteBlock: OperationSchema = {
  operationId: 'deleteMailBlock',
  summary: 'Send mail to an address again',
  tags,
  params: path({ sid: 'SID of the account', address: 'The mail address' }),
  response: { 204: removed, ...errors(404) },
}

/** Mails that were sent, in test mode, and addresses that get none. */
export function mailRoutes({ database }: Pick<Installation, 'database'>, outbox: Outbox | null): FastifyPluginAsync {
  return async (routes) => {
    if (outbox) {
      routes.get('/mail', { schema: listMail }, async () => ({ mail: outbox.list().map(toJson) }))

      routes.get<{ Params: { mail: string } }>('/mail/:mail', { schema: fetchMail }, async ({ params }, reply) => {
        const mail = outbox.get(params.mail)
        return mail ? withSource(mail) : notFound(reply)
      })

      routes.delete('/mail', { schema: clearMail }, async (_request, reply) => {
        outbox.clear()
        return reply.code(204).send()
      })
    }

    routes.get<{ Params: { sid: string } }>('/accounts/:sid/mail-blocks', { schema: listBlocks }, async ({ params }, reply) => {
      const { sid: account_sid } = params
      if (!(await database.read.one(accountBySid, { sid: account_sid }))) return notFound(reply)
      const rows = await database.read.all(mailBlocksOf, { account_sid })
      return {
        mail_blocks: rows.map(({ address, error_code, reason, date_created }) => {
          return { address, error_code, reason, date_created: milliseconds(date_created) }
        }),
      }
    })

    routes.delete<{ Params: { sid: string; address: string } }>(
      '/accounts/:sid/mail-blocks/:address',
      { schema: deleteBlock },
      async ({ params: { sid: account_sid, address } }, reply) => {
        const found = await database.write('unblockMail', { account_sid, address: address.toLowerCase() })
        return found ? reply.code(204).send() : notFound(reply)
      },
    )
  }
}

function toJson({ id, account_sid, conversation_sid, message_sid, date, from, to, source }: SentMail) {
  const about = { account_sid, conversation_sid, message_sid, date: milliseconds(date) }
  return { sid: id, ...about, return_path: from, recipient: to, size: source.length }
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
