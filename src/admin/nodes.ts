import { statfs } from 'node:fs/promises'
import { dirname } from 'node:path'
import type { FastifyPluginAsync } from 'fastify'
import { sql } from 'kysely'
import type { Config } from '../config.ts'
import { mediaFolder } from '../data-folders.ts'
import { milliseconds } from '../dates.ts'
import { refuse } from '../errors.ts'
import type { Installation } from '../installation/open.ts'
import { mediaPlace } from '../media/open.ts'
import { packageVersion } from '../package.ts'
import type { LeaseRow } from '../storage/schema.ts'
import { shape } from '../storage/shapes.ts'
import { needs } from './access.ts'
import { errors, instant, type OperationSchema, object, response } from './schemas.ts'

/** Of deliveries, and of files: a larger number would say little more, and counting costs time. */
const maxCounted = 10_000

const allLeases = shape<{ none?: null }>()((db) => db.selectFrom('leases').selectAll())

/** Of each slot alone: the deliveries of one that is far behind would hide those of the others. */
const pendingOfSlot = shape<{ slot: number; limit: number }>()((db, a) =>
  db
    .selectFrom((eb) =>
      eb
        .selectFrom('deliveries')
        .select('date_created')
        .where('status', '=', sql.lit('pending'))
        .where('slot', '=', a.slot)
        .limit(a.limit)
        .as('some'),
    )
    .select((eb) => [eb.fn.countAll<number>().as('pending'), eb.fn.min<number | null>('some.date_created').as('oldest')]),
)

const someMedia = shape<{ limit: number }>()((db, a) =>
  db
    .selectFrom((eb) => eb.selectFrom('media').select('size').limit(a.limit).as('some'))
    .select((eb) => [eb.fn.countAll<number>().as('files'), eb.fn.sum<number | string | null>('some.size').as('bytes')]),
)

const tags = ['Installation'] as const
const count = { type: 'integer', minimum: 0 } as const
const nullableCount = { type: ['integer', 'null'], minimum: 0 } as const

const listNodes: OperationSchema = {
  operationId: 'listNodes',
  summary: 'List the nodes, and how far they are behind',
  description:
    `Each node sends the deliveries of its slots. At most ${maxCounted.toLocaleString('en')} pending deliveries are looked at, as many of ` +
    'each slot.',
  tags,
  response: {
    200: response(
      'The nodes that are alive',
      object('NodeList', {
        slots: { ...count, description: 'Parts into which the deliveries are divided' },
        free_slots: { ...count, description: 'Those that no node has: their deliveries wait' },
        nodes: {
          type: 'array',
          items: object('Node', {
            id: { type: 'string', description: 'Of the process: a new one at each start' },
            version: { type: ['string', 'null'], description: 'Null: a version that does not say' },
            this_node: { type: 'boolean', description: 'Whether it has responded' },
            slots: { type: 'array', items: count },
            pending: { ...count, description: 'Pending deliveries of its slots' },
            oldest_pending: {
              type: ['string', 'null'],
              format: 'date-time',
              description: 'When the oldest of them was created: its lag. Null: there is none',
            },
          }),
        },
      }),
    ),
    ...errors(),
  },
}

const fetchStorage: OperationSchema = {
  operationId: 'fetchStorage',
  summary: 'Fetch what is stored, in bytes',
  tags,
  response: {
    200: response(
      'The sizes',
      object('Storage', {
        at: instant,
        database_bytes: count,
        tables: {
          type: 'array',
          description: 'With their indexes, the largest first. Empty on SQLite',
          items: object('TableSize', {
            name: { type: 'string' },
            bytes: count,
            rows: { ...nullableCount, description: 'An estimate of the database; null: it has none yet' },
          }),
        },
        media: object('MediaSize', {
          files: { ...count, description: `At most ${maxCounted.toLocaleString('en')} are counted` },
          bytes: { ...count, description: 'Of those, as uploaded; files of the same content share their place' },
          complete: { type: 'boolean', description: 'Whether these are all' },
          place: { type: 'string', description: 'Where new files are put: `folder`, or a bucket' },
        }),
        disk: {
          ...object('DiskSize', { bytes: count, free_bytes: count }),
          type: ['object', 'null'],
          description: 'The disk of the data folder of this node; null: it has none',
        },
      }),
    ),
    ...errors(),
  },
}

/** Which processes serve the database, and what it takes on disk. */
export function nodeRoutes({ database, clock, config }: Pick<Installation, 'database' | 'clock' | 'config'>): FastifyPluginAsync {
  const { read, nodes, slots, capabilities } = database
  const limit = Math.ceil(maxCounted / slots.count)
  return async (routes) => {
    routes.get('/nodes', { schema: listNodes, config: needs('read', 'installation') }, async () => {
      const [live, leases, pending] = await Promise.all([
        // A pool that has no connection says so in words of its own.
        nodes.live().catch(() => Promise.reject(refuse('unavailable'))),
        read.all(allLeases, {}),
        Promise.all(Array.from({ length: slots.count }, (_, slot) => read.one(pendingOfSlot, { slot, limit }))),
      ])
      const all = [...live].map((id) => {
        const own = capabilities.soleOwner ? [0] : slotsOf(id, leases)
        const waiting = own.flatMap((slot) => pending[slot] ?? [])
        const oldest = waiting.flatMap((row) => (row.oldest === null ? [] : Number(row.oldest)))
        return {
          id,
          version: id === nodes.id ? packageVersion() : versionOf(id, leases),
          this_node: id === nodes.id,
          slots: own,
          pending: waiting.reduce((sum, row) => sum + Number(row.pending), 0),
          oldest_pending: oldest.length === 0 ? null : milliseconds(Math.min(...oldest)),
        }
      })
      const taken = all.reduce((sum, node) => sum + node.slots.length, 0)
      return { slots: slots.count, free_slots: Math.max(0, slots.count - taken), nodes: all }
    })

    routes.get('/storage', { schema: fetchStorage, config: needs('read', 'installation') }, async () => {
      const [sizes, media, disk] = await Promise.all([
        database.sizes(),
        read.one(someMedia, { limit: maxCounted }),
        diskOf(config),
      ])
      const files = Number(media?.files ?? 0)
      return {
        at: milliseconds(clock.now()),
        database_bytes: sizes.bytes,
        tables: sizes.tables,
        media: { files, bytes: Number(media?.bytes ?? 0), complete: files < maxCounted, place: mediaPlace(config) },
        disk,
      }
    })
  }
}

/** Returns the slots that a node has, in ascending order. */
function slotsOf(id: string, leases: readonly LeaseRow[]): number[] {
  const own = leases.filter(({ name, owner, until }) => owner === id && until > 0 && name.startsWith('slot:'))
  return own.map(({ name }) => Number(name.slice('slot:'.length))).sort((a, b) => a - b)
}

function versionOf(id: string, leases: readonly LeaseRow[]): string | null {
  const owner = leases.find(({ name }) => name === `node:${id}`)?.owner
  return owner === undefined || owner === id ? null : owner
}

async function diskOf(config: Config): Promise<{ bytes: number; free_bytes: number } | null> {
  const folder = mediaFolder(config)
  if (folder === null) return null
  const disk = await statfs(dirname(folder)).catch(() => null)
  return disk && { bytes: disk.blocks * disk.bsize, free_bytes: disk.bavail * disk.bsize }
}
