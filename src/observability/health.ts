import { randomUUID } from 'node:crypto'
import { setTimeout as delay } from 'node:timers/promises'
import type { FastifyPluginAsync } from 'fastify'
import { hasBearer } from '../api/auth.ts'
import type { Database } from '../storage/database.ts'
import { factByName, type factCommands } from '../storage/facts.ts'
import type { Exposition } from './exposition.ts'
import type { Metrics } from './metrics.ts'

/** The result of a probe of the database is reused for this long. */
const probeIntervalMs = 1000
/** The callers of `/readyz` usually give up after a second. */
const probeTimeoutMs = 2000

/**
 * `/healthz`: the process responds. `/readyz`: the database accepts a write, so that it is reachable and has its schema, and its
 * disk has room. A small write may find some where others do not: the engine says so (`failing`).
 */
export function healthRoutes(options: { database: Database<typeof factCommands> }): FastifyPluginAsync {
  const ready = reuseResult(() => acceptsWrites(options.database))
  return async (server) => {
    server.get('/healthz', async () => ({ status: 'ok' }))
    server.get('/readyz', async (_request, reply) => {
      if (!options.database.failing() && (await ready())) return { status: 'ready' }
      return reply.code(503).send({ status: 'the database does not accept writes' })
    })
  }
}

/** `/metrics`: Prometheus text, for who has the token if there is one. */
export function metricsRoutes({ metrics, token }: { metrics: Metrics; token: string | null }): FastifyPluginAsync {
  let exposition: Promise<Exposition> | undefined
  return async (server) => {
    server.get('/metrics', async (request, reply) => {
      if (token !== null && !hasBearer(request, token)) {
        return reply
          .code(401)
          .header('www-authenticate', 'Bearer')
          .send({ error: 'the token of the metrics is missing or wrong' })
      }
      exposition ??= import('./exposition.ts').then(({ expositionOf }) => expositionOf(metrics))
      const { contentType, text } = await (await exposition)()
      return reply.header('content-type', contentType).send(text)
    })
  }
}

/** Whether a new value can be written and read back: the same value over itself would need no room on the disk. */
async function acceptsWrites(database: Database<typeof factCommands>): Promise<boolean> {
  const probed = probe(database).catch(() => false)
  return Promise.race([probed, delay(probeTimeoutMs, false, { ref: false })])
}

async function probe(database: Database<typeof factCommands>): Promise<boolean> {
  const name = 'probed'
  const value = randomUUID()
  await database.write('setFact', { name, value })
  const read = await database.read.one(factByName, { name })
  // Another node may have written its own value since.
  return database.capabilities.soleOwner ? read?.value === value : read !== undefined
}

function reuseResult(probe: () => Promise<boolean>): () => Promise<boolean> {
  let last: { readonly at: number; readonly result: Promise<boolean> } | undefined
  return () => {
    if (!last || performance.now() - last.at > probeIntervalMs) last = { at: performance.now(), result: probe() }
    return last.result
  }
}
