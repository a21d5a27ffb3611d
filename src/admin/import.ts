import type { FastifyPluginAsync } from 'fastify'
import type { Installation } from '../installation/open.ts'
import { RecordError, recordOf } from '../records/format.ts'
import type { Prepared } from '../records/prepare.ts'
import { prepareSealed } from '../records/sealed.ts'
import { factByName } from '../storage/facts.ts'
import { maxStateChars } from '../transfer/import-state.ts'
import { needs } from './access.ts'
import { bodyErrors, errors, type OperationSchema, object, response, sid } from './schemas.ts'

/** Records of a request. A transaction is as long as they take. */
export const maxRecords = 1000
const maxBytes = 16 * 1_048_576
/** Conversations whose timers are started in a transaction. */
const armedAtOnce = 2000

const tags = ['Moving'] as const

const source = { type: 'string', pattern: '^[0-9a-f]{64}$', description: 'How the client calls the file: 64 hex digits' } as const

const progress = {
  type: 'object',
  properties: {
    source,
    state: {
      type: ['string', 'null'],
      maxLength: maxStateChars,
      // PostgreSQL stores no NUL character, and neither engine an unpaired surrogate.
      pattern: '^[^\\u0000\\ud800-\\udfff]*$',
      description: 'Whatever the client has to know to go on; null: the import is done',
    },
  },
  required: ['source', 'state'],
  additionalProperties: false,
  description: 'How far the import of a file was before these records: stored with them, in one transaction',
} as const

function recordsBody(title: string, more: Readonly<Record<string, unknown>> = {}) {
  return {
    title,
    type: 'object',
    properties: {
      ...more,
      records: {
        type: 'array',
        maxItems: maxRecords,
        items: { type: 'object' },
        description: 'Records, without the header of their file',
      },
    },
    required: ['records'],
    additionalProperties: false,
  } as const
}

const importRecords: OperationSchema = {
  operationId: 'importRecords',
  summary: 'Store records as they are',
  description:
    'Used by `parley import`. Records have the form of docs/moving.md and refer to what is stored, or comes earlier in the request. They keep their SIDs, dates and indexes; no webhook is called, and their timers stand still until `POST /import/timers`. Repeated it changes nothing more. Files of media must be in place.',
  tags,
  body: recordsBody('Records', { progress }),
  response: {
    200: response(
      'What became of each, in order',
      object('ImportedRecords', {
        results: {
          type: 'array',
          items: {
            type: 'object',
            properties: {
              outcome: { enum: ['created', 'updated', 'unchanged', 'kept'], description: 'kept: what is stored is newer' },
              refused: { type: 'string', description: 'Why it was not stored' },
            },
          },
        },
      }),
    ),
    ...bodyErrors(),
  },
}

const fetchProgress: OperationSchema = {
  operationId: 'fetchImportProgress',
  summary: 'Fetch how far the import of a file was',
  description: 'The `progress` of the last `POST /import` of this file that was stored.',
  tags,
  params: { type: 'object', properties: { source }, required: ['source'] },
  response: {
    200: response(
      'How far it was',
      object('ImportProgress', { state: { type: ['string', 'null'], description: 'Null when no import of it was interrupted' } }),
    ),
    ...errors(400),
  },
}

const checkRecords: OperationSchema = {
  operationId: 'checkRecords',
  summary: 'Say what would become of records',
  description:
    'Used by `parley import --dry-run`, and to compare what was stored with what was read. Nothing is written. Each record is looked at alone: what it ' +
    'refers to and is not stored is `missing`, even if it comes earlier in the request.',
  tags,
  body: recordsBody('RecordsToCheck'),
  response: {
    200: response(
      'What would become of each, in order',
      object('CheckedRecords', {
        results: {
          type: 'array',
          items: {
            type: 'object',
            properties: {
              outcome: { enum: ['created', 'updated', 'unchanged', 'kept'], description: 'kept: what is stored is newer' },
              different: { type: 'array', items: { type: 'string' }, description: 'Columns that differ from what is stored' },
              missing: { type: 'array', items: { type: 'string' }, description: 'What it refers to, and is not stored' },
              refused: { type: 'string', description: 'Why it would not be stored' },
            },
          },
        },
      }),
    ),
    ...bodyErrors(),
  },
}

const startTimers: OperationSchema = {
  operationId: 'startImportedTimers',
  summary: 'Start the timers of imported conversations',
  description:
    'Those that are overdue fire at once, with their events. Starts a part of them: repeat it with `after` until `next_after` is null.',
  tags,
  body: {
    title: 'ImportedService',
    type: 'object',
    properties: {
      service_sid: sid('service', 'SID of the service'),
      after: sid('conversation', '`next_after` of the response before; by default the first conversations are next'),
    },
    required: ['service_sid'],
    additionalProperties: false,
  },
  response: {
    200: response(
      'How many were started',
      object('StartedTimers', {
        started: { type: 'integer' },
        next_after: { type: ['string', 'null'], description: 'Null when no conversations are left' },
      }),
    ),
    ...bodyErrors(),
  },
}

/** Stores what was exported elsewhere. */
export function importRoutes({ database, vault, clock }: Pick<Installation, 'database' | 'vault' | 'clock'>): FastifyPluginAsync {
  const prepared = async (value: unknown): Promise<Prepared | { readonly refused: string }> => {
    try {
      return await prepareSealed(database.read, vault, recordOf(value))
    } catch (error) {
      if (error instanceof RecordError) return { refused: error.message }
      throw error
    }
  }
  let last: Promise<unknown> = Promise.resolve()
  /** Runs one after the other: two imports of the same rows would undo each other's transactions. */
  const inTurn = <T>(act: () => Promise<T>): Promise<T> => {
    const turn = last.then(act)
    last = turn.catch(() => {})
    return turn
  }
  /** Has the good records of a request handled. Returns what became of all of them, in order. */
  const resultsOf = async <T>(records: readonly unknown[], handle: (good: readonly Prepared[]) => Promise<readonly T[]>) => {
    const all = await Promise.all(records.map(prepared))
    const next = (await handle(all.filter((one): one is Prepared => !('refused' in one)))).values()
    return { results: all.map((one) => ('refused' in one ? one : next.next().value)) }
  }
  return async (routes) => {
    routes.post<{ Body: { records: readonly unknown[]; progress?: { source: string; state: string | null } } }>(
      '/import',
      { schema: importRecords, config: needs('manage', 'installation'), bodyLimit: maxBytes },
      async ({ body }) => {
        const progress = body.progress && { name: factOf(body.progress.source), value: body.progress.state }
        return inTurn(() =>
          resultsOf(body.records, async (records) =>
            records.length === 0 && !progress
              ? []
              : database.write('applyRecords', { records, now: clock.now(), ...(progress && { progress }) }),
          ),
        )
      },
    )

    routes.get<{ Params: { source: string } }>(
      '/import/progress/:source',
      { schema: fetchProgress, config: needs('manage', 'installation') },
      async ({ params }) => ({ state: (await database.read.one(factByName, { name: factOf(params.source) }))?.value ?? null }),
    )

    routes.post<{ Body: { records: readonly unknown[] } }>(
      '/import/check',
      { schema: checkRecords, config: needs('manage', 'installation'), bodyLimit: maxBytes },
      async ({ body }) =>
        resultsOf(body.records, async (records) => (records.length === 0 ? [] : database.write('checkRecords', { records }))),
    )

    routes.post<{ Body: { service_sid: string; after?: string } }>(
      '/import/timers',
      { schema: startTimers, config: needs('manage', 'installation') },
      ({ body: { service_sid, after = '' } }) => database.write('armTimers', { service_sid, after, max: armedAtOnce }),
    )
  }
}

/** The name of the fact how far an import was. */
function factOf(source: string): string {
  return `import ${source}`
}
