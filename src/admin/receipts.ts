import type { FastifyPluginAsync } from 'fastify'
import type { StatusReport } from '../channels/receipts.ts'
import { channelMessageSids, maxExternalId, receiptStatuses } from '../channels/statuses.ts'
import type { Installation } from '../installation/open.ts'
import { canonicalAddress } from '../resources/conversations/address-formats.ts'
import type { ReceiptStatus } from '../storage/schema.ts'
import { needsInGivenAccount } from './access.ts'
import { bodyErrors, type OperationSchema, object, response, shortText } from './schemas.ts'

interface ReceiptBody {
  account_sid?: string
  channel_message_sid?: string
  external_id?: string
  address?: string
  status: ReceiptStatus
  error_code?: number | null
}

/** The official clients parse it to a 32-bit integer. */
const maxErrorCode = 2 ** 31 - 1

const channel_message_sid = {
  type: 'string',
  pattern: channelMessageSids.source,
  description: 'SID of the message in its channel, as its receipt has it',
} as const
const externalId = {
  type: 'string',
  minLength: 1,
  maxLength: maxExternalId,
  description: 'How the carrier calls the message, as it said when it accepted it',
} as const

const reportReceipt: OperationSchema = {
  operationId: 'reportReceipt',
  summary: 'Report the status of a message in its channel',
  description:
    'A status that precedes the known one changes nothing. One with `external_id` and `address` that comes before Parley has recorded ' +
    'that the message was accepted is kept for a minute.',
  tags: ['Channels'],
  body: {
    title: 'Receipt',
    type: 'object',
    properties: {
      account_sid: { ...shortText, description: 'By default the first account' },
      channel_message_sid,
      external_id: externalId,
      address: { ...shortText, description: 'Address of the channel, with `external_id`; by default that of any of the account' },
      status: { enum: receiptStatuses },
      error_code: { type: ['integer', 'null'], minimum: 0, maximum: maxErrorCode, description: 'For `failed` and `undelivered`' },
    },
    required: ['status'],
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
    202: response(
      'The message is not known yet',
      object('EarlyReceipt', { external_id: externalId, status: { type: 'string', enum: receiptStatuses } }),
    ),
    ...bodyErrors(404),
  },
}

/**
 * The status of messages in a channel. The channel may report it as soon as Parley has read the response that contains the SID;
 * an earlier report is refused with 404 and may be repeated, but for one that names the channel, too: it is kept.
 */
export function receiptRoutes({
  database,
  clock,
  account,
}: Pick<Installation, 'database' | 'clock' | 'account'>): FastifyPluginAsync {
  return async (routes) => {
    routes.post<{ Body: ReceiptBody }>(
      '/receipts',
      { schema: reportReceipt, config: needsInGivenAccount('act', account.sid) },
      async ({ body }, reply) => {
        const { account_sid = account.sid, status } = body
        const message = messageOf(body)
        if (!message) return reply.code(400).send({ error: 'either channel_message_sid or external_id is required' })
        const report = { message, status, error_code: body.error_code || null }
        const row = await database.write('reportStatus', { account_sid, report, now: clock.now(account_sid) })
        if (row === 'early') return reply.code(202).send({ external_id: body.external_id, status })
        if (!row) {
          const [name, value] = Object.entries(message)[0] ?? []
          return reply.code(404).send({ error: `there is no message with ${name} ${value}` })
        }
        return { channel_message_sid: row.channel_message_sid, status: row.status, error_code: row.error_code }
      },
    )
  }
}

function messageOf({ channel_message_sid, external_id, address }: ReceiptBody): StatusReport['message'] | null {
  if ((channel_message_sid === undefined) === (external_id === undefined)) return null
  if (channel_message_sid !== undefined) return { channel_message_sid }
  return { external_id: external_id ?? '', channel: address === undefined ? null : canonicalAddress(address) }
}
