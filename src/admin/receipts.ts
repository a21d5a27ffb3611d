import type { FastifyPluginAsync } from 'fastify'
import { channelMessageSids, receiptStatuses } from '../channels/receipts.ts'
import type { Installation } from '../installation/open.ts'
import type { ReceiptStatus } from '../storage/schema.ts'
import { bodyErrors, type OperationSchema, object, response, shortText } from './schemas.ts'

interface ReceiptBody {
  account_sid?: string
  channel_message_sid: string
  status: ReceiptStatus
  error_code?: number | null
}

/** The official clients parse it to a 32-bit integer. */
const maxErrorCode = 2 ** 31 - 1

const channel_message_sid = {
  type: 'string',
  pattern: channelMessageSids.source,
  description: 'SID that the channel gave the message when it accepted it',
} as const

const reportReceipt: OperationSchema = {
  operationId: 'reportReceipt',
  summary: 'Report the status of a message in its channel',
  description: 'A status that precedes the known one changes nothing.',
  tags: ['Channels'],
  body: {
    title: 'Receipt',
    type: 'object',
    properties: {
      account_sid: { ...shortText, description: 'By default the first account' },
      channel_message_sid,
      status: { enum: receiptStatuses },
      error_code: { type: ['integer', 'null'], minimum: 0, maximum: maxErrorCode, description: 'For `failed` and `undelivered`' },
    },
    required: ['channel_message_sid', 'status'],
    additionalProperties: false,
  },
  response: {
    200: response(
      'The known status of the message',
      object('KnownReceipt', {
        channel_message_sid,
        status: { type: 'string', enum: receiptStatuses },
        error_code: { type: 'integer', description: '0 unless the message has failed' },
      }),
    ),
    ...bodyErrors(404),
  },
}

/**
 * The status of messages in a channel. The channel may report it as soon as Parley has read the response that contains the SID;
 * an earlier report is refused with 404 and may be repeated.
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
      const row = await database.write('reportStatus', { account_sid, report, now: clock.now(account_sid) })
      if (!row) return reply.code(404).send({ error: `there is no message with channel_message_sid ${body.channel_message_sid}` })
      return { channel_message_sid: row.channel_message_sid, status: row.status, error_code: row.error_code }
    })
  }
}
