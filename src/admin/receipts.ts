import type { FastifyPluginAsync } from 'fastify'
import { channel_message_sids, type ReceiptStatus, receipt_statuses } from '../channels/receipts.ts'
import type { Installation } from '../installation/open.ts'

interface ReceiptBody {
  account_sid?: string
  channel_message_sid: string
  status: ReceiptStatus
  error_code?: number
}

const receipt = {
  body: {
    type: 'object',
    properties: {
      account_sid: { type: 'string', maxLength: 256 },
      channel_message_sid: { type: 'string', pattern: channel_message_sids.source },
      status: { enum: receipt_statuses },
      error_code: { type: 'integer', minimum: 0 },
    },
    required: ['channel_message_sid', 'status'],
    additionalProperties: false,
  },
} as const

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
    routes.post<{ Body: ReceiptBody }>('/receipts', { schema: receipt }, async ({ body }, reply) => {
      const { account_sid = account.sid, ...reported } = body
      const answer = { ...reported, error_code: reported.error_code || null }
      const row = await database.write('reportStatus', { account_sid, answer, now: clock.now() })
      if (!row) return reply.code(404).send({ error: `no message was handed over as ${body.channel_message_sid}` })
      return { channel_message_sid: row.channel_message_sid, status: row.status, error_code: row.error_code }
    })
  }
}
