import type { FastifyPluginAsync, FastifyReply, FastifyRequest } from 'fastify'
import { allOperators, allOperatorTokens } from '../accounts/operators.ts'
import { newOperatorToken } from '../api/operator-tokens.ts'
import { callerOf } from '../api/rights.ts'
import { milliseconds, parseInstant } from '../dates.ts'
import type { Installation } from '../installation/open.ts'
import { parseStored } from '../json.ts'
import { type OperatorRole, operatorRoles } from '../operator-roles.ts'
import { newSid } from '../sids.ts'
import { accountBySid, operatorBySid, operatorTokensOf } from '../storage/lookups.ts'
import type { OperatorRow, OperatorTokenRow } from '../storage/schema.ts'
import { needs } from './access.ts'
import { notFound } from './replies.ts'
import {
  bodyErrors,
  errors,
  givenSid,
  instant,
  list,
  type OperationSchema,
  object,
  path,
  removed,
  response,
  shortText,
  shownName,
  sid,
} from './schemas.ts'

interface Given {
  readonly name?: string
  readonly role?: OperatorRole
  readonly text?: boolean
  readonly accounts?: readonly string[] | null
}

interface OfOperator {
  Params: { sid: string }
}

/** An operator has few accounts, or all: the search goes through them one by one. */
const maxAccounts = 50

const date = { type: ['string', 'null'], format: 'date-time' } as const
const accounts = {
  type: ['array', 'null'],
  items: { type: 'string', pattern: givenSid('account').pattern },
  minItems: 1,
  maxItems: maxAccounts,
  uniqueItems: true,
  description: 'SIDs of the accounts that there are for the operator; null: all',
}
const name = { ...shownName, minLength: 1, maxLength: 64 }
const role = { type: 'string', enum: operatorRoles }
const text = { type: 'boolean', description: 'Whether a viewer sees the texts of messages; the other roles have their own rule' }
const expires = {
  date_expires: { ...shortText, description: 'When the token ends, as an ISO 8601 date; by default never' },
}

const token = object('OperatorToken', {
  id: { type: 'string', description: 'The part of the token that is no secret' },
  date_expires: { ...date, description: 'Null: never' },
  date_used: { ...date, description: 'Of the last use, to within a minute' },
  date_created: instant,
})
const operator = object('Operator', {
  sid: sid('operator', 'SID of the operator'),
  name: { type: 'string' },
  role,
  text,
  accounts: { ...accounts, items: sid('account', 'SID of an account') },
  tokens: { type: 'array', items: token },
  date_created: instant,
  date_updated: instant,
})
const withToken = object('OperatorWithToken', {
  ...operator.properties,
  token: { type: 'string', description: 'The new token, shown only once' },
})
const ofOperator = path({ sid: 'SID of the operator' })
const tags = ['Operators'] as const

const listOperators: OperationSchema = {
  operationId: 'listOperators',
  summary: 'List the operators',
  tags,
  response: { 200: response('The operators, the oldest first', list('OperatorList', 'operators', operator)), ...errors() },
}
const createOperator: OperationSchema = {
  operationId: 'createOperator',
  summary: 'Create an operator',
  description: 'The token is shown only once; the server keeps a hash of it.',
  tags,
  body: {
    title: 'NewOperator',
    type: 'object',
    properties: { name, role, text, accounts, ...expires },
    required: ['name', 'role'],
    additionalProperties: false,
  },
  response: { 201: response('The operator and their token', withToken), ...bodyErrors(409) },
}
const fetchOperator: OperationSchema = {
  operationId: 'fetchOperator',
  summary: 'Fetch an operator',
  tags,
  params: ofOperator,
  response: { 200: response('The operator', operator), ...errors(400, 404) },
}
const updateOperator: OperationSchema = {
  operationId: 'updateOperator',
  summary: 'Rename an operator, or change what they may do',
  description:
    'It counts from the next request on. Nobody changes what they may do themselves, and the last admin of all accounts stays one.',
  tags,
  params: ofOperator,
  body: {
    title: 'OperatorChanges',
    type: 'object',
    properties: { name, role, text, accounts },
    additionalProperties: false,
    minProperties: 1,
  },
  response: { 200: response('The updated operator', operator), ...bodyErrors(404, 409) },
}
const deleteOperator: OperationSchema = {
  operationId: 'deleteOperator',
  summary: 'Delete an operator',
  description: 'Their tokens and sessions end at once. Nobody deletes themselves, and the last admin of all accounts stays.',
  tags,
  params: ofOperator,
  response: { 204: removed, ...bodyErrors(404, 409) },
}
const rotateToken: OperationSchema = {
  operationId: 'rotateOperatorToken',
  summary: 'Give an operator another token',
  description:
    'The old one stays valid until it is ended, so that programs can change over; there are two at most. Browsers are signed out ' +
    'everywhere.',
  tags,
  params: ofOperator,
  body: {
    title: 'OperatorTokenRotation',
    type: ['object', 'null'],
    properties: { ...expires, end_old: { type: 'boolean', description: 'True ends the old tokens at once' } },
    additionalProperties: false,
  },
  response: { 201: response('The operator and the new token', withToken), ...bodyErrors(404, 409) },
}
const endToken: OperationSchema = {
  operationId: 'deleteOperatorToken',
  summary: 'End a token of an operator',
  description: 'It is refused from the next request on, on every node.',
  tags,
  params: path({ sid: 'SID of the operator', id: 'Id of the token' }),
  response: { 204: removed, ...bodyErrors(404) },
}

/** Operators and their tokens. Dates are by the system clock, which decides when a token ends. */
export function operatorRoutes({ database, log }: Pick<Installation, 'database' | 'log'>): FastifyPluginAsync {
  const { read } = database
  const config = needs('manage', 'installation')

  const shown = async (row: OperatorRow) => toJson(row, await read.all(operatorTokensOf, { operator_sid: row.sid }))
  const unknownAccount = async (sids: readonly string[] | null = null) => {
    const rows = await Promise.all((sids ?? []).map((sid) => read.one(accountBySid, { sid })))
    return sids?.find((_, at) => rows[at] === undefined)
  }
  const note = (request: FastifyRequest, operator_sid: string, what: string) =>
    log.info({ operator: operator_sid, by: callerOf(request).id }, what)

  return async (routes) => {
    routes.get('/operators', { schema: listOperators, config }, async () => {
      const [rows, tokens] = await Promise.all([read.all(allOperators, {}), read.all(allOperatorTokens, {})])
      const byOperator = Map.groupBy(tokens, ({ operator_sid }) => operator_sid)
      return { operators: rows.map((row) => toJson(row, byOperator.get(row.sid) ?? [])) }
    })

    routes.post<{ Body: Given & { name: string; role: OperatorRole; date_expires?: string } }>(
      '/operators',
      { schema: createOperator, config },
      async (request, reply) => {
        const { body } = request
        const now = Date.now()
        const date_expires = endOf(body.date_expires, now)
        if (date_expires === undefined) return badEnd(reply)
        const unknown = await unknownAccount(body.accounts)
        if (unknown) return reply.code(400).send({ error: `there is no account ${unknown}` })
        const operator_sid = newSid('operator', now)
        const made = newOperatorToken(operator_sid, now, date_expires)
        const row: OperatorRow = {
          sid: operator_sid,
          name: body.name,
          role: body.role,
          text: body.text ? 1 : 0,
          accounts: storedAccounts(body.accounts ?? null),
          sessions: 0,
          date_created: now,
          date_updated: now,
        }
        if (!(await database.write('createOperator', { operator: row, token: made.row }))) return taken(reply, body.name)
        note(request, operator_sid, 'an operator was created')
        return reply.code(201).send({ ...toJson(row, [made.row]), token: made.token })
      },
    )

    routes.get<OfOperator>('/operators/:sid', { schema: fetchOperator, config }, async ({ params: { sid } }, reply) => {
      const row = await read.one(operatorBySid, { sid })
      return row ? shown(row) : notFound(reply)
    })

    routes.post<OfOperator & { Body: Given }>('/operators/:sid', { schema: updateOperator, config }, async (request, reply) => {
      const { body, params } = request
      const { name: newName, role: newRole } = body
      const isOwn = callerOf(request).id === params.sid
      if (isOwn && Object.keys(body).some((key) => key !== 'name')) {
        return reply.code(403).send({ error: 'nobody changes what they may do themselves' })
      }
      const unknown = await unknownAccount(body.accounts)
      if (unknown) return reply.code(400).send({ error: `there is no account ${unknown}` })
      const changes = {
        ...(newName !== undefined && { name: newName }),
        ...(newRole !== undefined && { role: newRole }),
        ...columnsOf(body),
      }
      const outcome = await database.write('updateOperator', { sid: params.sid, ...changes, date_updated: Date.now() })
      if (outcome === 'no operator') return notFound(reply)
      if (outcome === 'taken') return taken(reply, newName ?? '')
      if (outcome === 'last admin') return lastAdmin(reply)
      note(request, params.sid, 'an operator was changed')
      return shown(outcome)
    })

    routes.delete<OfOperator>('/operators/:sid', { schema: deleteOperator, config }, async (request, reply) => {
      const { sid: operator_sid } = request.params
      if (callerOf(request).id === operator_sid) return reply.code(403).send({ error: 'nobody deletes themselves' })
      const outcome = await database.write('deleteOperator', { sid: operator_sid })
      if (outcome === 'no operator') return notFound(reply)
      if (outcome === 'last admin') return lastAdmin(reply)
      note(request, operator_sid, 'an operator was deleted')
      return reply.code(204).send()
    })

    routes.post<OfOperator & { Body: { date_expires?: string; end_old?: boolean } | null }>(
      '/operators/:sid/rotate',
      { schema: rotateToken, config },
      async (request, reply) => {
        const now = Date.now()
        const date_expires = endOf(request.body?.date_expires, now)
        if (date_expires === undefined) return badEnd(reply)
        const made = newOperatorToken(request.params.sid, now, date_expires)
        const outcome = await database.write('rotateOperatorToken', { token: made.row, endsOld: request.body?.end_old ?? false })
        if (outcome === 'no operator') return notFound(reply)
        if (outcome === 'two tokens') {
          return reply.code(409).send({ error: 'the operator has two tokens: end the old one first, or rotate with end_old' })
        }
        note(request, request.params.sid, 'an operator was given another token')
        const row = await read.one(operatorBySid, { sid: request.params.sid })
        return row ? reply.code(201).send({ ...(await shown(row)), token: made.token }) : notFound(reply)
      },
    )

    routes.delete<{ Params: { sid: string; id: string } }>(
      '/operators/:sid/tokens/:id',
      { schema: endToken, config },
      async (request, reply) => {
        const { sid: operator_sid, id } = request.params
        if (!(await database.write('deleteOperatorToken', { operator_sid, id }))) return notFound(reply)
        note(request, operator_sid, 'a token of an operator was ended')
        return reply.code(204).send()
      },
    )
  }
}

/** Returns when a token ends, in epoch ms; null: never; undefined: what is given is no instant to come. */
function endOf(given: string | undefined, now: number): number | null | undefined {
  if (given === undefined) return null
  const end = parseInstant(given)
  return end !== undefined && end > now ? end : undefined
}

function badEnd(reply: FastifyReply): FastifyReply {
  return reply.code(400).send({ error: 'date_expires must be an ISO 8601 date to come, such as 2030-01-01' })
}

function taken(reply: FastifyReply, given: string): FastifyReply {
  return reply.code(409).send({ error: `there is an operator ${given} already` })
}

function lastAdmin(reply: FastifyReply): FastifyReply {
  return reply.code(409).send({ error: 'this is the last admin of all accounts: make another one first' })
}

function columnsOf({ text, accounts }: Pick<Given, 'text' | 'accounts'>) {
  return {
    ...(text !== undefined && { text: text ? 1 : 0 }),
    ...(accounts !== undefined && { accounts: storedAccounts(accounts) }),
  }
}

function storedAccounts(accounts: readonly string[] | null): string | null {
  return accounts && JSON.stringify(accounts)
}

function toJson(row: OperatorRow, tokens: readonly OperatorTokenRow[]) {
  const date = (ms: number | null) => (ms === null ? null : milliseconds(ms))
  const oldestFirst = tokens.toSorted((a, b) => a.date_created - b.date_created || (a.id < b.id ? -1 : 1))
  return {
    sid: row.sid,
    name: row.name,
    role: row.role,
    text: row.text === 1,
    accounts: row.accounts === null ? null : parseStored<string[]>(row.accounts),
    tokens: oldestFirst.map(({ id, date_expires, date_used, date_created }) => {
      return { id, date_expires: date(date_expires), date_used: date(date_used), date_created: milliseconds(date_created) }
    }),
    date_created: milliseconds(row.date_created),
    date_updated: milliseconds(row.date_updated),
  }
}
