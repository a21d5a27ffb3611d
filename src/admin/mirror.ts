import type { FastifyPluginAsync } from 'fastify'
import { ConfigError } from '../config-error.ts'
import type { Installation } from '../installation/open.ts'
import type { Mirror } from '../mirror/mirror.ts'
import { forgetMirrors } from '../mirror/open.ts'
import type { MirrorStatus } from '../mirror/status.ts'
import { needs } from './access.ts'
import { bodyErrors, errors, type OperationSchema, object, response, sid } from './schemas.ts'

const tags = ['Moving'] as const

const date = { type: ['string', 'null'], format: 'date-time' } as const
const count = (description: string) => ({ type: 'integer', description })

const difference = object('MirrorDifference', {
  resource: { type: 'string', description: 'Name of the resource' },
  sid: { type: 'string', description: 'Its SID; the path of settings' },
  is: { enum: ['missing here', 'missing there', 'different'] },
  keys: { type: 'array', items: { type: 'string' }, description: 'What is different in it' },
  target: { type: 'string', description: 'What is read again because of it' },
})

const mirror = object('Mirror', {
  account_sid: sid('account', 'The account that follows'),
  url: { type: 'string', description: 'Where the hosted API is' },
  state: { enum: ['following', 'switching', 'switched'] },
  open_writes: count('Writes whose outcome is not known yet'),
  to_read: count('What is still to be read from the hosted side'),
  failing: {
    type: 'array',
    description: 'What could not be read or stored, and why; at most 100',
    items: object('MirrorFailure', {
      target: { type: 'string' },
      attempts: { type: 'integer' },
      error: { type: ['string', 'null'] },
    }),
  },
  lag_ms: count('For how long the oldest of these waits'),
  date_passed: { ...date, description: 'When the last pass over all lists began' },
  date_switched: date,
  job: { enum: ['compare', 'pass', 'switch', null], description: 'What it is busy with besides' },
  job_error: { type: ['string', 'null'], description: 'Why the last of them has ended in vain' },
  reads: {
    description: 'What reads of programs have shown since the server was started; null unless `--reads compare`',
    anyOf: [
      { type: 'null' },
      object('MirrorReads', {
        compared: count('Reads that were made on both sides'),
        skipped: count('Reads that were not: pages but the first, failures, and what came while too many were being compared'),
        different: count('How many of those compared were not the same'),
        differences: {
          type: 'array',
          description: 'The last 100 rows that were not the same, the latest first',
          items: object('MirrorReadDifference', {
            operation: { type: 'string', description: 'The read' },
            sid: { type: 'string', description: 'Of the row' },
            is: { enum: ['missing here', 'missing there', 'different'] },
            keys: { type: 'array', items: { type: 'string' }, description: 'What is different in it' },
          }),
        },
      }),
    ],
  },
  report: {
    description: 'What the last comparison has found',
    anyOf: [
      { type: 'null' },
      object('MirrorReport', {
        date: { type: 'string', format: 'date-time' },
        rows: count('Rows that were compared'),
        count: count('How many are not the same'),
        differences: { type: 'array', items: difference, description: 'The first 1,000' },
      }),
    ],
  },
})

const fetchMirror: OperationSchema = {
  operationId: 'fetchMirror',
  summary: 'Fetch how an account follows its hosted one',
  description: 'Of a server that was started with `parley mirror`.',
  tags,
  response: { 200: response('The mirror', mirror), ...errors(404) },
}

const job = {
  title: 'MirrorJob',
  type: 'object',
  properties: {
    job: {
      enum: ['compare', 'pass', 'switch'],
      description:
        'compare: read both sides row by row. pass: go through all lists and read what can have changed. switch: compare, hold writes, read ' +
        'once more what can have changed, compare, start the timers, and answer here from then on',
    },
    quick: {
      type: 'boolean',
      description: 'Of a switch: while writes are held, only read what was written or read since the last comparison',
    },
    force: { type: 'boolean', description: 'Of a switch: even if both sides differ' },
  },
  required: ['job'],
  additionalProperties: false,
} as const

const startJob: OperationSchema = {
  operationId: 'startMirrorJob',
  summary: 'Compare both sides, or switch',
  description: 'Returns at once; `GET /mirror` shows how it goes.',
  tags,
  body: job,
  response: { 202: response('The mirror', mirror), ...bodyErrors(404, 409) },
}

const forgetMirror: OperationSchema = {
  operationId: 'forgetMirrors',
  summary: 'End the following of hosted accounts, without a switch',
  description: 'Only while no server follows, on whichever node. What was stored stays, and its timers stand still.',
  tags,
  response: {
    200: response('How many there were', object('ForgottenMirrors', { forgotten: { type: 'integer' } })),
    ...errors(409),
  },
}

interface Job {
  readonly job: 'compare' | 'pass' | 'switch'
  readonly quick?: boolean
  readonly force?: boolean
}

/** How an account follows a hosted one. `mirror`: null where none does in this process. */
export function mirrorRoutes(
  options: Pick<Installation, 'database' | 'clock' | 'log'>,
  mirror: Mirror | null,
): FastifyPluginAsync {
  const none = { error: 'this server follows no hosted account: start it with parley mirror --from-twilio' }
  return async (routes) => {
    routes.get('/mirror', { schema: fetchMirror, config: needs('read', 'installation') }, async (_request, reply) =>
      mirror ? shown(await mirror.status()) : reply.code(404).send(none),
    )

    routes.post<{ Body: Job }>(
      '/mirror',
      { schema: startJob, config: needs('manage', 'installation') },
      async ({ body }, reply) => {
        if (!mirror) return reply.code(404).send(none)
        if (!mirror.isFollowing) return reply.code(409).send({ error: 'the account was switched already' })
        const { job, quick = false, force = false } = body
        if (!mirror.begin(job, { quick, force })) return reply.code(409).send({ error: 'it is busy with another job' })
        return reply.code(202).send(shown(await mirror.status()))
      },
    )

    routes.delete('/mirror', { schema: forgetMirror, config: needs('manage', 'installation') }, async (_request, reply) => {
      if (mirror?.isFollowing) return reply.code(409).send({ error: 'this server is following: stop it first' })
      try {
        return { forgotten: await forgetMirrors(options) }
      } catch (error) {
        if (error instanceof ConfigError) return reply.code(409).send({ error: error.message })
        throw error
      }
    })
  }
}

function shown({ date_passed, date_switched, report, ...status }: MirrorStatus) {
  const at = (ms: number | null) => (ms === null ? null : new Date(ms).toISOString())
  return {
    ...status,
    date_passed: at(date_passed),
    date_switched: at(date_switched),
    report: report && { ...report, date: at(report.date) },
  }
}
