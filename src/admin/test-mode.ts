import { randomUUID } from 'node:crypto'
import type { FastifyInstance, FastifyPluginAsync } from 'fastify'
import type { Fault, Faults } from '../api/faults.ts'
import type { ClockState, TestClock } from '../clock.ts'
import type { ParleyCommands } from '../commands.ts'
import { ConfigError } from '../config-error.ts'
import { milliseconds, parseDuration, plusDuration } from '../dates.ts'
import type { Deliveries } from '../delivery/deliveries.ts'
import type { PlantRequest } from '../seed/commands.ts'
import { datedAt } from '../seed/plan.ts'
import type { AllRows } from '../seed/tables.ts'
import type { Database } from '../storage/database.ts'
import { accountBySid } from '../storage/lookups.ts'
import { needs } from './access.ts'
import { bodyErrors, errors, instant, list, type OperationSchema, object, removed, response, shortText } from './schemas.ts'

/** Snapshots that a server keeps: the oldest gives way to a new one. */
const maxSnapshots = 20
/** A snapshot waits so long for the webhooks under way: those that are answered by then are not sent again after going back to it. */
const patienceMs = 250
const maxLatencyMs = 60_000
const maxTimes = 1_000_000

const only = 'Only available with the setting PARLEY_TEST_MODE.'
const tags = ['Test mode'] as const

const fault = object('Fault', {
  operation: { type: 'string' },
  account_sid: { type: ['string', 'null'] },
  status: { type: ['integer', 'null'] },
  latency_ms: { type: 'integer' },
  drop: { type: 'boolean' },
  times: { type: 'integer', description: 'How many requests are still to fail' },
})

const snapshot = object('Snapshot', { snapshot: { type: 'string' }, now: { ...instant, description: 'The time in it' } })

const noFields = { title: 'NoFields', type: ['object', 'null'], properties: {}, additionalProperties: false } as const

const reset: OperationSchema = {
  operationId: 'reset',
  summary: 'Go back to the seed',
  description:
    `${only} Deletes everything, sets the clock back, drops all faults, and stores the seed, or else the first account, anew. SIDs of the seed ` +
    'stay the same, and its timers start now. With `seed` that is the seed until the server stops; one with mistakes is refused, and nothing ' +
    'is changed. Its first account is that of the server.',
  tags,
  body: {
    title: 'Reset',
    type: ['object', 'null'],
    properties: {
      seed: {
        description: 'A seed: an object, or a text of JSON or YAML',
        anyOf: [{ type: 'object', additionalProperties: true }, { type: 'string' }],
      },
    },
    additionalProperties: false,
  },
  response: { 204: { type: 'null', description: 'The server is as after its start' }, ...bodyErrors(404) },
}
const takeSnapshot: OperationSchema = {
  operationId: 'takeSnapshot',
  summary: 'Remember everything that is stored',
  description: `${only} The server keeps the latest ${maxSnapshots} snapshots in memory until it stops. A webhook that has not been answered is sent again after going back.`,
  tags,
  body: noFields,
  response: {
    201: response('The snapshot', snapshot),
    ...bodyErrors(404),
  },
}
const listSnapshots: OperationSchema = {
  operationId: 'listSnapshots',
  summary: 'List the snapshots that the server keeps',
  description: only,
  tags,
  response: { 200: response('The snapshots, oldest first', list('SnapshotList', 'snapshots', snapshot)), ...errors(404) },
}
const restore: OperationSchema = {
  operationId: 'restoreSnapshot',
  summary: 'Go back to a snapshot',
  description: `${only} The clock goes back, too: to the time of the snapshot.`,
  tags,
  body: {
    title: 'SnapshotChoice',
    type: 'object',
    properties: { snapshot: { ...shortText, description: 'As returned by `POST /snapshot`' } },
    required: ['snapshot'],
    additionalProperties: false,
  },
  response: { 204: { type: 'null', description: 'The server is as it was' }, ...bodyErrors(404) },
}
const listFaults: OperationSchema = {
  operationId: 'listFaults',
  summary: 'List the faults that are still to come',
  description: only,
  tags,
  response: { 200: response('The faults', list('FaultList', 'faults', fault)), ...errors(404) },
}
const addFault: OperationSchema = {
  operationId: 'addFault',
  summary: 'Let the next requests of an operation fail',
  description: `${only} Requires \`status\`, \`latency\` or \`drop\`. A request that fails changes nothing.`,
  tags,
  body: {
    title: 'NewFault',
    type: 'object',
    properties: {
      operation: { ...shortText, description: 'Its name in the official description, such as CreateConversation' },
      account_sid: { ...shortText, description: 'Only requests of this account; by default those of all' },
      status: { type: 'integer', minimum: 400, maximum: 599, description: 'Status of the response' },
      latency: { type: 'string', description: 'ISO 8601 duration to wait for, such as PT2S; at most a minute' },
      drop: { type: 'boolean', description: 'Whether to cut the connection without a response' },
      times: { type: 'integer', minimum: 1, maximum: maxTimes, default: 1, description: 'How many requests' },
    },
    required: ['operation'],
    additionalProperties: false,
  },
  response: { 201: response('The fault', fault), ...bodyErrors(404) },
}
const clearFaults: OperationSchema = {
  operationId: 'clearFaults',
  summary: 'Drop all faults',
  description: only,
  tags,
  response: { 204: removed, ...bodyErrors(404) },
}

interface NewFault {
  readonly operation: string
  readonly account_sid?: string
  readonly status?: number
  readonly latency?: string
  readonly drop?: boolean
  readonly times: number
}

interface Snapshot {
  readonly rows: AllRows
  readonly clock: ClockState
  /** In epoch ms of the server's clock. */
  readonly at: number
}

export interface TestModeOptions {
  readonly clock: TestClock
  readonly database: Database<ParleyCommands>
  readonly deliveries: Pick<Deliveries<unknown>, 'whileQuiet' | 'whileGivenUp'>
  readonly faults: Faults
  readonly plan: PlantRequest
  /** Returns what is stored for a seed. Throws ConfigError, before anything is changed. */
  readonly resow: (seed: unknown) => Promise<PlantRequest>
}

/** Goes back to the seed or to a snapshot. While it does, nothing is delivered. */
class World {
  readonly #options: TestModeOptions
  readonly #snapshots = new Map<string, Snapshot>()
  /** What a reset goes back to. */
  #seeded: PlantRequest

  constructor(options: TestModeOptions) {
    this.#options = options
    this.#seeded = options.plan
  }

  async sow(seed: unknown): Promise<void> {
    this.#seeded = await this.#options.resow(seed)
  }

  async reset(): Promise<void> {
    const { clock, database, deliveries, faults } = this.#options
    const seeded = this.#seeded
    await deliveries.whileGivenUp(async () => {
      clock.reset()
      await database.write('reset', { ...seeded, plan: datedAt(seeded.plan, clock.now()), clock: clock.state })
    })
    faults.clear()
  }

  get snapshots() {
    return [...this.#snapshots].map(([snapshot, { at }]) => ({ snapshot, now: milliseconds(at) }))
  }

  async snapshot(): Promise<{ readonly snapshot: string; readonly now: string }> {
    const { clock, database, deliveries } = this.#options
    const taken = await deliveries.whileQuiet(async () => {
      const rows = await database.write('snapshot', null)
      return { rows, clock: clock.state, at: clock.now() }
    }, patienceMs)
    const name = randomUUID()
    const [oldest] = this.#snapshots.keys()
    if (oldest !== undefined && this.#snapshots.size === maxSnapshots) this.#snapshots.delete(oldest)
    this.#snapshots.set(name, taken)
    return { snapshot: name, now: milliseconds(taken.at) }
  }

  /** Returns false when there is no such snapshot. */
  async restore(name: string): Promise<boolean> {
    const { clock, database, deliveries, faults } = this.#options
    const found = this.#snapshots.get(name)
    if (!found) return false
    await deliveries.whileGivenUp(async () => {
      // As far from the system clock as it is ahead of the time of the snapshot.
      clock.reset({ ...found.clock, offset_ms: found.at - Date.now() })
      await database.write('restore', { rows: found.rows, clock: clock.state })
    })
    faults.clear()
    return true
  }
}

/** What only a server for tests can do. */
export function testModeRoutes(options: TestModeOptions): FastifyPluginAsync {
  const { database, faults } = options
  const world = new World(options)
  return async (routes) => {
    routes.post<{ Body: { seed?: unknown } | null }>(
      '/reset',
      { schema: reset, config: needs('manage', 'installation') },
      async ({ body }, reply) => {
        try {
          if (body?.seed !== undefined) await world.sow(body.seed)
        } catch (error) {
          if (error instanceof ConfigError) return reply.code(400).send({ error: error.lines.join('\n') })
          throw error
        }
        await world.reset()
        return reply.code(204).send()
      },
    )
    routes.get('/snapshots', { schema: listSnapshots, config: needs('manage', 'installation') }, async () => ({
      snapshots: world.snapshots,
    }))
    routes.post('/snapshot', { schema: takeSnapshot, config: needs('manage', 'installation') }, async (_request, reply) =>
      reply.code(201).send(await world.snapshot()),
    )
    routes.post<{ Body: { snapshot: string } }>(
      '/restore',
      { schema: restore, config: needs('manage', 'installation') },
      async ({ body }, reply) => {
        if (await world.restore(body.snapshot)) return reply.code(204).send()
        const error = `there is no snapshot ${body.snapshot}: a server keeps its latest ${maxSnapshots} until it stops`
        return reply.code(404).send({ error })
      },
    )
    routes.get('/faults', { schema: listFaults, config: needs('manage', 'installation') }, async () => ({ faults: faults.list }))
    routes.post<{ Body: NewFault }>(
      '/faults',
      { schema: addFault, config: needs('manage', 'installation') },
      async ({ body }, reply) => {
        const { account_sid } = body
        if (account_sid !== undefined && !(await database.read.one(accountBySid, { sid: account_sid }))) {
          return reply.code(404).send({ error: `there is no account ${account_sid}` })
        }
        const fault = faultOf(body, routes)
        if (typeof fault === 'string') return reply.code(400).send({ error: fault })
        faults.add(fault)
        return reply.code(201).send(fault)
      },
    )
    routes.delete('/faults', { schema: clearFaults, config: needs('manage', 'installation') }, async (_request, reply) => {
      faults.clear()
      return reply.code(204).send()
    })
  }
}

/** Returns the fault, or what is wrong with the request. */
function faultOf(body: NewFault, { operationNames }: Pick<FastifyInstance, 'operationNames'>): Fault | string {
  const { operation, account_sid = null, status = null, latency, drop = false, times } = body
  if (!operationNames.has(operation)) {
    return `${operation} is not the name of an operation, such as CreateConversation or ListServiceUser`
  }
  if (status === null && latency === undefined && !drop) return 'one of status, latency and drop is required'
  if (status !== null && drop) return 'a dropped connection has no status: leave out status or drop'
  const latency_ms = latency === undefined ? 0 : millisecondsOf(latency)
  if (latency_ms === undefined || latency_ms > maxLatencyMs) {
    return 'latency must be an ISO 8601 duration of at most a minute, such as PT2S'
  }
  return { operation, account_sid, status, latency_ms, drop, times }
}

function millisecondsOf(duration: string): number | undefined {
  return parseDuration(duration) && plusDuration(0, duration)
}
