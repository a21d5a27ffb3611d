import type { FastifyPluginAsync } from 'fastify'
import { isCheckpoint } from '../audit/checkpoints.ts'
import { type AuditPage, readEntries } from '../audit/entries.ts'
import { entryToJson } from '../audit/entry.ts'
import { makeCheckpoint } from '../audit/keeper.ts'
import { verifyLog } from '../audit/verify.ts'
import { parseInstant } from '../dates.ts'
import type { Installation } from '../installation/open.ts'
import type { AuditEntryRow } from '../storage/schema.ts'
import { needs } from './access.ts'
import { bodyErrors, errors, instant, type OperationSchema, object, response, shortText } from './schemas.ts'

interface Query {
  readonly account_sid?: string
  readonly actor_id?: string
  readonly action?: string
  readonly target_sid?: string
  readonly outcome?: AuditEntryRow['outcome']
  readonly from?: string
  readonly to?: string
  readonly before?: number
  readonly after?: number
  readonly limit: number
}

const tags = ['Audit log'] as const
const outcomes = ['success', 'refused', 'failed'] as const
const nullableText = { type: ['string', 'null'] } as const
const nullableInteger = { type: ['integer', 'null'] } as const
const changed = { type: ['object', 'null'], description: 'Only what has changed. `hmac:…` stands for a text' } as const
const seq = { type: 'integer', minimum: 0, maximum: Number.MAX_SAFE_INTEGER } as const

const entry = object('AuditEntry', {
  seq: { type: 'integer', description: '1, 2, 3 … without a gap, over all nodes' },
  id: { type: 'string' },
  at: instant,
  actor: object('AuditActor', {
    type: { type: 'string', enum: ['operator', 'key', 'account', 'client', 'cli', 'system'] },
    id: { type: 'string' },
    name: { type: 'string' },
  }),
  from: object('AuditOrigin', { address: nullableText, agent: nullableText, interface: { type: 'string' } }),
  action: { type: 'string', description: 'Such as `api_key.created`' },
  target: object('AuditTarget', { type: nullableText, sid: nullableText }),
  account_sid: nullableText,
  outcome: { type: 'string', enum: outcomes },
  code: { type: ['integer', 'null'], description: 'Of the error: a code of `/v1` where there is one, else the status' },
  before: changed,
  after: changed,
  count: { type: 'integer', description: 'How many like this one it stands for' },
  request_id: nullableText,
  node: { type: 'string' },
  version: { type: 'string', description: 'Of Parley' },
  hash: { type: 'string', description: 'SHA-256 over the hash before and the canonical JSON of the entry without `hash`' },
})
// Only an error leaves its code out.
const described = { ...entry, required: [...entry.required, 'code'] }

const listEntries: OperationSchema = {
  operationId: 'listAuditEntries',
  summary: 'List what operators have done',
  description:
    'All filters together. Newest first, or with `after` in order: follow `next_before` or `next_after` until it is null.',
  tags,
  querystring: {
    type: 'object',
    properties: {
      account_sid: { ...shortText, description: 'Only acts in this account' },
      actor_id: { ...shortText, description: 'Only those of this actor' },
      action: { ...shortText, description: 'Only acts of this name' },
      target_sid: { ...shortText, description: 'Only acts on this' },
      outcome: { enum: outcomes },
      from: { ...shortText, description: 'From this instant on; a date alone is its beginning, UTC' },
      to: { ...shortText, description: 'Up to this instant; a date alone is its end, UTC' },
      before: { ...seq, description: 'Only those before this `seq`' },
      after: { ...seq, description: 'Only those after this `seq`, in order' },
      limit: { type: 'integer', minimum: 1, maximum: 1000, default: 50 },
    },
    additionalProperties: false,
  },
  response: {
    200: response(
      'The entries',
      object('AuditEntryList', {
        entries: { type: 'array', items: described },
        next_before: { ...nullableInteger, description: 'Null on the last page' },
        next_after: { ...nullableInteger, description: 'Null on the last page, and without `after`' },
      }),
    ),
    ...errors(400),
  },
}

const verification: OperationSchema = {
  operationId: 'verifyAuditLog',
  summary: 'Verify the audit log',
  description:
    'Walks the whole chain: that no entry was changed, moved, added or removed, and that it agrees with all checkpoints. Give one that ' +
    'was kept elsewhere to find out, too, whether the log and its checkpoints were cut off or written anew.',
  tags,
  body: {
    title: 'AuditVerification',
    type: ['object', 'null'],
    properties: { checkpoint: { type: 'string', maxLength: 1000, description: 'As signed, from outside' } },
    additionalProperties: false,
  },
  response: {
    200: response(
      'What was found',
      object('VerifiedAuditLog', {
        ok: { type: 'boolean' },
        entries: { type: 'integer' },
        removed: { type: 'integer', description: 'How many are gone because of their age' },
        checkpoints: { type: 'integer' },
        bad: { ...nullableInteger, description: 'The `seq` of the first entry that is not as it was written' },
        finding: { type: 'string', description: 'The same as a sentence' },
      }),
    ),
    ...bodyErrors(),
  },
}

const signing: OperationSchema = {
  operationId: 'signAuditCheckpoint',
  summary: 'Sign where the audit log stands',
  description: 'Keep the checkpoint where nobody who owns the database can change it. Its form is that of C2SP tlog-checkpoint.',
  tags,
  body: { title: 'NoFields', type: ['object', 'null'], properties: {}, additionalProperties: false },
  response: {
    201: response(
      'The checkpoint',
      object('AuditCheckpoint', {
        checkpoint: { type: 'string' },
        verifier: { type: 'string', description: 'The key by which others verify it' },
      }),
    ),
    ...bodyErrors(409),
  },
}

const reading: OperationSchema = {
  operationId: 'recordExport',
  summary: 'Record that data is taken',
  description:
    'Used by `parley export` and `parley backup`, which read the database past the server: the request does nothing but leave an entry in the audit log.',
  tags,
  body: {
    title: 'RecordedExport',
    type: 'object',
    properties: {
      backup: { type: 'boolean', description: 'All of it, as files' },
      account_sid: { ...shortText, description: 'Only this account' },
      service_sid: { ...shortText, description: 'Only this service' },
      conversation_sid: { ...shortText, description: 'Only this conversation' },
    },
    additionalProperties: false,
  },
  response: { 204: { type: 'null', description: 'It is recorded' }, ...bodyErrors() },
}

/** The audit log. */
export function auditRoutes({ audit, clock, database, log, signer }: Installation): FastifyPluginAsync {
  return async (routes) => {
    routes.get<{ Querystring: Query }>(
      '/',
      { schema: listEntries, config: needs('audit', 'installation') },
      async ({ query }, reply) => {
        const { from: since, to: until, before, after, limit, ...equal } = query
        if (before !== undefined && after !== undefined)
          return reply.code(400).send({ error: 'give either before or after, not both' })
        // The validator takes 1e999 for an integer.
        const odd = Object.entries({ before, after, limit }).find(([, value = 0]) => !Number.isSafeInteger(value))
        if (odd) return reply.code(400).send({ error: `${odd[0]} must be an integer` })
        const from = since === undefined ? undefined : parseInstant(since)
        const to = until === undefined ? undefined : parseInstant(until, true)
        if (since !== undefined && from === undefined) return reply.code(400).send({ error: noDate('from') })
        if (until !== undefined && to === undefined) return reply.code(400).send({ error: noDate('to') })
        // What was refused here a moment ago is to be seen.
        await audit.flush()
        const dates = { ...(from !== undefined && { from }), ...(to !== undefined && { to }) }
        const page: AuditPage = {
          limit: limit + 1,
          ...(after === undefined ? { before: before ?? Number.MAX_SAFE_INTEGER } : { after }),
        }
        const rows = await readEntries(database.read, { ...equal, ...dates }, page)
        const last = rows.length > limit ? (rows[limit - 1]?.seq ?? null) : null
        const entries = rows.slice(0, limit).map((row) => ({ ...entryToJson(row), hash: row.hash }))
        return { entries, next_before: after === undefined ? last : null, next_after: after === undefined ? null : last }
      },
    )

    routes.post<{ Body: { checkpoint?: string } | null }>(
      '/verify',
      { schema: verification, config: needs('audit', 'installation') },
      async ({ body }, reply) => {
        const against = body?.checkpoint ?? null
        // Nothing of the log is wrong when somebody names the wrong file. A note that another key has signed is a finding: who writes
        // the log anew may replace its key, too.
        if (against !== null && !isCheckpoint(against)) {
          return reply
            .code(400)
            .send({ error: 'the text has not the form of a checkpoint: give what `parley audit checkpoint` has printed' })
        }
        const verified = await verifyLog(database, await signer(), against)
        if (!verified.ok) {
          audit.conclude({ outcome: 'failed', code: null })
          log.error(verified, 'the audit log is not as it was written')
        }
        return verified
      },
    )

    routes.post('/exports', { schema: reading, config: needs('audit', 'installation') }, async (_request, reply) =>
      reply.code(204).send(),
    )

    routes.post('/checkpoints', { schema: signing, config: needs('audit', 'installation') }, async (_request, reply) => {
      const signed = ({ seq }: { seq: number }, checkpoint: string) =>
        log.info({ seq, checkpoint }, 'checkpoint of the audit log')
      const checkpoint = await makeCheckpoint({ database, clock, signer, signed })
      if (checkpoint === null) return reply.code(409).send({ error: 'the audit log has no entries yet' })
      return reply.code(201).send({ checkpoint, verifier: (await signer()).verifier })
    })
  }
}

function noDate(name: string): string {
  return `${name} must be an ISO 8601 date, such as 2030-01-01 or 2030-01-01T00:00:00Z`
}
