import type { FastifyPluginAsync } from 'fastify'
import { SystemClock } from '../clock.ts'
import { milliseconds } from '../dates.ts'
import { beginRotation, countSealed, finishRotation, rotateBatch } from '../installation/key-rotation.ts'
import type { Installation } from '../installation/open.ts'
import { needs } from './access.ts'
import { bodyErrors, errors, instant, type OperationSchema, object, response } from './schemas.ts'

const counts = {
  current: { type: 'integer', description: 'Values that the secret key opens' },
  previous: { type: 'integer', description: 'Values that only the previous key opens' },
  columns: {
    type: 'object',
    additionalProperties: { type: 'integer' },
    description: 'Where those are, as `table.column`',
  },
} as const
const tags = ['Installation'] as const

const countKeys: OperationSchema = {
  operationId: 'countSealed',
  summary: 'Count what is encrypted with which secret key',
  description: 'Reads everything that is encrypted: it may take minutes.',
  tags,
  response: { 200: response('The counts', object('SealedCounts', counts)), ...errors(409) },
}
const rotate: OperationSchema = {
  operationId: 'rotateSecretKey',
  summary: 'Encrypt a batch with the new secret key',
  description:
    'What only the previous key opens is encrypted with the present one, some hundred rows at a time. Follow `next` until it is null, and ' +
    'repeat that until a pass has `resealed` nothing.',
  tags,
  body: {
    title: 'RotateSecretKey',
    type: ['object', 'null'],
    properties: { after: { type: ['string', 'null'], maxLength: 4096, description: '`next` of the batch before' } },
    additionalProperties: false,
  },
  response: {
    200: response(
      'What was done',
      object('RotatedBatch', {
        table: { type: 'string' },
        rows: { type: 'integer', description: 'Rows that were looked at' },
        resealed: { type: 'integer', description: 'Columns that were encrypted anew' },
        next: { type: ['string', 'null'] },
      }),
    ),
    ...bodyErrors(409),
  },
}
const finish: OperationSchema = {
  operationId: 'finishSecretKeyRotation',
  summary: 'Forget the previous secret key, if nothing needs it',
  description: 'Counts first, and changes nothing while there is a value that only the previous key opens.',
  tags,
  response: {
    200: response(
      'The counts',
      object('FinishedRotation', {
        ...counts,
        date_over: {
          ...instant,
          description: 'Until then links to media that carriers have may be signed with the previous key',
        },
      }),
    ),
    ...bodyErrors(409),
  },
}

const noPrevious =
  'no previous secret key is set: start every server with the new key as PARLEY_SECRET_KEY and the one before as ' +
  'PARLEY_SECRET_KEY_PREVIOUS; where the key is a file, parley rotate-key --generate prepares that'

/** The replacement of the secret key, see `key-rotation.ts` of the installation. */
export function secretKeyRoutes(installation: Pick<Installation, 'database' | 'vault'>): FastifyPluginAsync {
  const { vault } = installation
  // What was signed ends by the system clock, whatever a test does to the other one.
  const clock = new SystemClock()
  return async (routes) => {
    routes.addHook('preHandler', async (_request, reply) => {
      if (!vault.hasPrevious) return reply.code(409).send({ error: noPrevious })
    })

    routes.get('/secret-key/rotation', { schema: countKeys, config: needs('manage', 'installation') }, () =>
      countSealed(installation),
    )

    routes.post<{ Body: { after?: string | null } | null }>(
      '/secret-key/rotation',
      { schema: rotate, config: needs('manage', 'installation') },
      async ({ body }, reply) => {
        const { after = null } = body ?? {}
        if (after === null) await beginRotation(installation, clock.now())
        const batch = await rotateBatch(installation, after)
        return batch ?? reply.code(400).send({ error: 'after must be the next of a batch' })
      },
    )

    routes.post('/secret-key/rotation/finish', { schema: finish, config: needs('manage', 'installation') }, async () => {
      const { over, ...found } = await finishRotation(installation, clock.now())
      return { ...found, date_over: milliseconds(over) }
    })
  }
}
