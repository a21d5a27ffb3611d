import type { FastifyPluginAsync } from 'fastify'
import type { Installation } from '../installation/open.ts'
import { issuerOf, tokenFrom } from '../model/pages.ts'
import { messages } from '../resources/conversations/messages/message.ts'
import { accountBySid, conversationBySid, messageBySid, serviceBySid } from '../storage/lookups.ts'
import { needsInService } from './access.ts'
import { notFound } from './replies.ts'
import { errors, type OperationSchema, object, path, response, sid } from './schemas.ts'

/** Messages of the page, and how many of them are later than the one that is looked for. */
const pageSize = 50
const later = 20
const behindSids = 'IMg'
/** That of the list. */
const order = { by: 'message_index', direction: 'desc', where: [] } as const

interface Place {
  readonly service: string
  readonly sid: string
  readonly message: string
}

const locateMessage: OperationSchema = {
  operationId: 'locateMessage',
  summary: 'Find the page of messages that a message is on',
  description:
    'However long the conversation is. The page is one of the list of `/v1`, the latest first, and leads to those before and after it.',
  tags: ['Conversations'],
  params: path({ service: 'SID of the service', sid: 'SID of the conversation', message: 'SID of the message' }),
  response: {
    200: response(
      'Where it is',
      object('MessagePlace', {
        message_sid: sid('message', 'SID of the message'),
        index: { type: 'integer' },
        page_url: { type: 'string', description: 'The path of the page' },
      }),
    ),
    ...errors(400, 404),
  },
}

/** Where a message is among those of its conversation. */
export function messageRoutes({ database: { read }, vault }: Pick<Installation, 'database' | 'vault'>): FastifyPluginAsync {
  const secrets = vault.deriveAll('page tokens')
  return async (routes) => {
    routes.get<{ Params: Place }>(
      '/services/:service/conversations/:sid/messages/:message',
      { schema: locateMessage, config: needsInService('text', 'service') },
      async ({ params }, reply) => {
        const service = await read.one(serviceBySid, { sid: params.service })
        const account = service && (await read.one(accountBySid, { sid: service.account_sid }))
        const at = { service_sid: params.service, conversation_sid: params.sid }
        const conversation = service && (await read.one(conversationBySid, { service_sid: params.service, sid: params.sid }))
        const message = conversation && (await read.one(messageBySid, { ...at, sid: params.message }))
        if (!account || !message) return notFound(reply, [params.service, params.sid, params.message])
        const query = new URLSearchParams({ Order: 'desc', PageSize: String(pageSize) })
        const key = message.message_index + later
        // What is not so far back is on the first page, which goes on with what comes.
        if (key < conversation.last_message_index) {
          const issuer = issuerOf(secrets, messages, { account, service, parents: [conversation] }, order)
          query.set('PageToken', tokenFrom(issuer, { key, sid: behindSids }))
        }
        const page_url = `/v1/Services/${service.sid}/Conversations/${conversation.sid}/Messages?${query}`
        return { message_sid: message.sid, index: message.message_index, page_url }
      },
    )
  }
}
