import type { FastifyPluginAsync } from 'fastify'
import { receiptStatuses } from '../channels/statuses.ts'
import { milliseconds } from '../dates.ts'
import type { Installation } from '../installation/open.ts'
import { shownMedia } from '../media/rows.ts'
import { canonicalAddress } from '../resources/conversations/address-formats.ts'
import { isSid } from '../sids.ts'
import type { Reader } from '../storage/database.ts'
import { serviceBySid } from '../storage/lookups.ts'
import type { MessageRow, ParticipantRow, ReceiptStatus } from '../storage/schema.ts'
import { shape } from '../storage/shapes.ts'
import { needsInQueriedService } from './access.ts'
import { notFound } from './replies.ts'
import { errors, instant, type OperationSchema, object, response, shortText, sid } from './schemas.ts'

interface Query {
  service_sid: string
  address: string
  proxy_address?: string
  limit?: number
}

/** The conversations of one address that are looked at, and the messages of one. */
const maxConversations = 20
const maxMessages = 200

const text = { type: ['string', 'null'] } as const

const readThread: OperationSchema = {
  operationId: 'readThread',
  summary: 'Read what somebody with an address has written and been sent',
  description:
    `The latest first, of the latest ${maxConversations} conversations of the address and the latest ${maxMessages} messages of each. A ` +
    'message that is still on its way is not there yet. Members of a group MMS see what the others have written.',
  tags: ['Channels'],
  querystring: {
    type: 'object',
    properties: {
      service_sid: { ...shortText, description: 'The service of the conversations' },
      address: { ...shortText, minLength: 1, description: 'The address, such as +15551234567 or ann@example.org' },
      proxy_address: { ...shortText, description: 'Only what was exchanged with this address of yours' },
      limit: { type: 'integer', minimum: 1, maximum: 100, default: 50 },
    },
    required: ['service_sid', 'address'],
    additionalProperties: false,
  },
  response: {
    200: response(
      'The messages',
      object('Thread', {
        messages: {
          type: 'array',
          items: object('ThreadMessage', {
            conversation_sid: sid('conversation', 'SID of the conversation'),
            participant_sid: sid('participant', 'SID of whoever has the address'),
            message_sid: sid('message', 'SID of the message'),
            direction: { type: 'string', enum: ['written', 'received'], description: 'As somebody with the address sees it' },
            author: { type: 'string' },
            subject: text,
            body: text,
            media: {
              type: 'array',
              items: object('ThreadMedia', {
                sid: sid('media', 'SID of the file'),
                filename: text,
                content_type: { type: 'string' },
                size: { type: 'integer' },
              }),
            },
            receipt: {
              anyOf: [
                { type: 'null' },
                object('ThreadReceipt', {
                  channel_message_sid: { type: 'string', description: 'By which `POST /receipts` changes it' },
                  status: { type: 'string', enum: receiptStatuses },
                  error_code: { type: 'integer', description: '0 unless the message has failed' },
                }),
              ],
              description: 'Null unless it was sent by a channel',
            },
            date_created: instant,
          }),
        },
      }),
    ),
    ...errors(400, 404),
  },
}

type Member = Pick<ParticipantRow, 'conversation_sid' | 'sid' | 'proxy_address'>

interface MemberArgs {
  readonly service_sid: string
  readonly address: string
}

const membersWith = shape<MemberArgs>()((db, a) =>
  db
    .selectFrom('participants')
    .select(['conversation_sid', 'sid', 'proxy_address'])
    .where('service_sid', '=', a.service_sid)
    .where('address', '=', a.address)
    .orderBy('conversation_sid', 'desc')
    .limit(maxConversations),
)

interface MessageArgs {
  readonly service_sid: string
  readonly conversation_sid: string
  readonly participant_sid: string
  /** 1: what members of a group without a proxy address write is seen, too. */
  readonly group: number
  readonly limit: number
}

/** The window has the index; what of it the member sees is chosen afterwards. */
const messagesSeen = shape<MessageArgs>()((db, a) =>
  db
    .selectFrom(
      db
        .selectFrom('messages')
        .selectAll()
        .where('conversation_sid', '=', a.conversation_sid)
        .where('service_sid', '=', a.service_sid)
        .orderBy('message_index', 'desc')
        .limit(maxMessages)
        .as('m'),
    )
    .leftJoin('receipts as r', (join) =>
      join
        .onRef('r.conversation_sid', '=', 'm.conversation_sid')
        .onRef('r.message_sid', '=', 'm.sid')
        .onRef('r.service_sid', '=', 'm.service_sid')
        .on('r.participant_sid', '=', a.participant_sid),
    )
    .leftJoin('participants as p', (join) =>
      join
        .onRef('p.conversation_sid', '=', 'm.conversation_sid')
        .onRef('p.sid', '=', 'm.participant_sid')
        .onRef('p.service_sid', '=', 'm.service_sid'),
    )
    .select([
      'm.sid',
      'm.conversation_sid',
      'm.participant_sid',
      'm.author',
      'm.subject',
      'm.body',
      'm.media',
      'm.date_created',
      'r.channel_message_sid',
      'r.status',
      'r.error_code',
    ])
    .where((eb) =>
      eb.or([
        eb('m.participant_sid', '=', a.participant_sid),
        eb('r.sid', 'is not', null),
        eb.and([eb(eb.val(a.group), '=', 1), eb('p.address', 'is not', null), eb('p.proxy_address', 'is', null)]),
      ]),
    )
    .orderBy('m.message_index', 'desc')
    .limit(a.limit),
)

interface Seen
  extends Pick<MessageRow, 'sid' | 'conversation_sid' | 'participant_sid' | 'author' | 'subject' | 'body' | 'media'> {
  readonly date_created: number
  readonly channel_message_sid: string | null
  readonly status: ReceiptStatus | null
  readonly error_code: number | null
}

/** What somebody outside has on their phone, or in their mailbox. */
export function threadRoutes({ database: { read } }: Pick<Installation, 'database'>): FastifyPluginAsync {
  return async (routes) => {
    routes.get<{ Querystring: Query }>(
      '/threads',
      { schema: readThread, config: needsInQueriedService('text') },
      async ({ query }, reply) => {
        const { service_sid, limit = 50 } = query
        if (!isSid('service', service_sid) || !(await read.one(serviceBySid, { sid: service_sid }))) {
          return notFound(reply, [service_sid])
        }
        const address = canonicalAddress(query.address)
        const members = await read.all(membersWith, { service_sid, address })
        const proxy = query.proxy_address
        // Members of a group and of mail conversations have none of their own.
        const wanted = members.filter(({ proxy_address }) => proxy === undefined || [proxy, null].includes(proxy_address))
        return { messages: await threadOf(read, service_sid, wanted, limit) }
      },
    )
  }
}

/** A conversation that began earlier may have the later message. */
async function threadOf(read: Reader, service_sid: string, members: readonly Member[], limit: number) {
  const found: { readonly row: Seen; readonly participant_sid: string }[] = []
  for (const { conversation_sid, sid: participant_sid, proxy_address } of members) {
    const args = { service_sid, conversation_sid, participant_sid, group: proxy_address === null ? 1 : 0, limit }
    found.push(...(await read.all(messagesSeen, args)).map((row) => ({ row, participant_sid })))
  }
  const latest = found.sort((a, b) => Number(b.row.date_created) - Number(a.row.date_created)).slice(0, limit)
  return latest.map(({ row, participant_sid }) => toJson(row, participant_sid))
}

function toJson(row: Seen, participant_sid: string) {
  const { channel_message_sid, status, error_code } = row
  return {
    conversation_sid: row.conversation_sid,
    participant_sid,
    message_sid: row.sid,
    direction: row.participant_sid === participant_sid ? 'written' : 'received',
    author: row.author,
    subject: row.subject,
    body: row.body,
    media: shownMedia(row.media).map(({ sid, filename, content_type, size }) => ({ sid, filename, content_type, size })),
    receipt: status === null ? null : { channel_message_sid, status, error_code },
    date_created: milliseconds(row.date_created),
  }
}
