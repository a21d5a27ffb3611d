import type { FastifyPluginAsync } from 'fastify'
import { milliseconds } from '../dates.ts'
import type { Installation } from '../installation/open.ts'
import { parseStored } from '../json.ts'
import { textError } from '../resources/conversations/messages/content.ts'
import { isSid } from '../sids.ts'
import { accountBySid, contentOfAccount } from '../storage/lookups.ts'
import type { ContentRow } from '../storage/schema.ts'
import { shape } from '../storage/shapes.ts'
import { needsInAccount } from './access.ts'
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

interface OfContent {
  Params: { sid: string; content: string }
}

interface ContentBody {
  friendly_name?: string | null
  variables?: Readonly<Record<string, string>>
  types: Readonly<Record<string, object>>
}

const contentsOf = shape<{ account_sid: string }>()((db, a) =>
  db.selectFrom('contents').selectAll().where('account_sid', '=', a.account_sid).orderBy('sid'),
)

// Maps with free keys: the checker of responses takes objects with declared properties as closed.
const variables = {
  type: 'object',
  additionalProperties: { type: 'string', maxLength: 256 },
  description: 'Values for variables that a message leaves out',
} as const
const types = {
  type: 'object',
  additionalProperties: { type: 'object', additionalProperties: true },
  description: 'Content by type, such as `{"twilio/text":{"body":"Hello {{1}}"}}`',
} as const
const content = object('Content', {
  sid: sid('content', 'SID of the template'),
  account_sid: sid('account', 'SID of its account'),
  friendly_name: { type: ['string', 'null'] },
  variables,
  types,
  date_created: instant,
  date_updated: instant,
})
const ofAccount = path({ sid: 'SID of the account' })
const ofContent = path({ sid: 'SID of the account', content: 'SID of the template: HX and 32 hex digits' })
const tags = ['Content templates'] as const

const listContents: OperationSchema = {
  operationId: 'listContents',
  summary: 'List the content templates of an account',
  tags,
  params: ofAccount,
  response: { 200: response('The templates', list('ContentList', 'contents', content)), ...errors(400, 404) },
}
const fetchContent: OperationSchema = {
  operationId: 'fetchContent',
  summary: 'Fetch a content template',
  tags,
  params: ofContent,
  response: { 200: response('The template', content), ...errors(400, 404) },
}
const setContent: OperationSchema = {
  operationId: 'setContent',
  summary: 'Register a content template, or replace it',
  description: 'A message with its SID as `ContentSid` has the text of the template as its body, with the variables replaced.',
  tags,
  params: ofContent,
  body: {
    title: 'ContentTemplate',
    type: 'object',
    properties: { friendly_name: { ...shortText, type: ['string', 'null'] }, variables, types: { ...types, minProperties: 1 } },
    required: ['types'],
    additionalProperties: false,
  },
  response: { 200: response('The template', content), ...bodyErrors(404) },
}
const deleteContent: OperationSchema = {
  operationId: 'deleteContent',
  summary: 'Delete a content template',
  description: 'Messages that were sent with it keep their text.',
  tags,
  params: ofContent,
  response: { 204: removed, ...bodyErrors(404) },
}

/** Content templates, which on Twilio are another product. */
export function contentRoutes({ database, clock }: Pick<Installation, 'database' | 'clock'>): FastifyPluginAsync {
  return async (routes) => {
    routes.get<{ Params: { sid: string } }>(
      '/accounts/:sid/contents',
      { schema: listContents, config: needsInAccount('read') },
      async ({ params: { sid } }, reply) => {
        if (!(await database.read.one(accountBySid, { sid }))) return notFound(reply)
        return { contents: (await database.read.all(contentsOf, { account_sid: sid })).map(toJson) }
      },
    )

    routes.get<OfContent>(
      '/accounts/:sid/contents/:content',
      { schema: fetchContent, config: needsInAccount('read') },
      async ({ params }, reply) => {
        const row = await database.read.one(contentOfAccount, { account_sid: params.sid, sid: params.content })
        return row ? toJson(row) : notFound(reply)
      },
    )

    routes.put<OfContent & { Body: ContentBody }>(
      '/accounts/:sid/contents/:content',
      { schema: setContent, config: needsInAccount('manage') },
      async ({ params, body }, reply) => {
        if (!isSid('content', params.content)) {
          return reply.code(400).send({ error: `${params.content} is not HX and 32 hex digits` })
        }
        const error = textError(body.types)
        if (error) return reply.code(400).send({ error })
        const now = clock.now(params.sid)
        const row = await database.write('setContent', {
          account_sid: params.sid,
          sid: params.content,
          friendly_name: body.friendly_name ?? null,
          variables: JSON.stringify(body.variables ?? {}),
          types: JSON.stringify(body.types),
          date_created: now,
          date_updated: now,
        })
        // Only its account can be missing: the template itself would have been made.
        return row ? toJson(row) : notFound(reply, [params.sid])
      },
    )

    routes.delete<OfContent>(
      '/accounts/:sid/contents/:content',
      { schema: deleteContent, config: needsInAccount('manage') },
      async ({ params }, reply) => {
        const removed = await database.write('removeContent', { account_sid: params.sid, sid: params.content })
        return removed ? reply.code(204).send() : notFound(reply)
      },
    )
  }
}

function toJson(row: ContentRow) {
  return {
    sid: row.sid,
    account_sid: row.account_sid,
    friendly_name: row.friendly_name,
    variables: parseStored<object>(row.variables),
    types: parseStored<object>(row.types),
    date_created: milliseconds(row.date_created),
    date_updated: milliseconds(row.date_updated),
  }
}
