import type { FastifyPluginAsync } from 'fastify'
import { channelMessageSids, receiptStatuses } from '../channels/receipts.ts'
import type { Installation } from '../installation/open.ts'
import type { ReceiptStatus } from '../storage/schema.ts'
import { bodyErrors, type OperationSchema, object, response, short_text } from './schemas.ts'

interface ReceiptBody {
  account_sid?: string
  channel_message_sid: string
  status: ReceiptStatus
  error_code?: number
}

/** What official clients read into an integer. */
const max_error_code = 2 ** 31 - 1

const channel_message_sid = {
  type: 'string',
  pattern: channelMessageSids.source,
  description: 'What the channel called the message when it took it',
} as const

const reportReceipt: OperationSchema = {
  operationId: 'reportReceipt',
  summary: 'Report how a message fares in its channel',
  description: 'A report that is older than what is known already changes nothing.',
  tags: ['Channels'],
  body: {
    title: 'Receipt',
    type: 'object',
    properties: {
      account_sid: { ...short_text, description: 'The first account when absent' },
      channel_message_sid,
      status: { enum: receiptStatuses },
      error_code: { type: 'integer', minimum: 0, maximum: max_error_code, description: 'For `failed` and `undelivered`' },
    },
    required: ['channel_message_sid', 'status'],
    additionalProperties: false,
  },
  response: {
    200: response(
      'How the message is known to fare now',
      object('KnownReceipt', {
        channel_message_sid,
        status: { type: 'string', enum: receiptStatuses },
        error_code: { type: 'integer', description: '0 when it has not failed' },
      }),
    ),
    ...bodyErrors(404),
  },
}

/**
 * How messages fare in a channel. It may report on a message as soon as its own response with the SID has been read; a report
 * that comes too early gets 404 and may be repeated.
 */
export function receiptRoutes({
  database,
  clock,
  account,
}: Pick<Installation, 'database' | 'clock' | 'account'>): FastifyPluginAsync {
  return async (routes) => {
    routes.post<{ Body: ReceiptBody }>('/receipts', { schema: reportReceipt }, async ({ body }, reply) => {
      const { account_sid = account.sid, ...reported } = body
      const report = { ...reported, error_code: reported.error_code || null }
      const row = await database.write('reportStatus', { account_sid, report, now: clock.now() })
      if (!row) return reply.code(404).send({ error: `no message was handed over as ${body.channel_message_sid}` })
      return { channel_message_sid: row.channel_message_sid, status: row.status, error_code: row.error_code }
    })
  }
}
