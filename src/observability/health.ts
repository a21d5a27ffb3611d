import { setTimeout as delay } from 'node:timers/promises'
import type { FastifyPluginAsync } from 'fastify'
import type { Registry } from 'prom-client'
import type { Database } from '../storage/database.ts'
import type { factCommands } from '../storage/facts.ts'

/** However often probes come, the database is asked once in so long. */
const probe_every_ms = 1000
/** Probes give up after a second or so themselves. */
const longest_probe_ms = 2000

/**
 * `/healthz`: the process answers. `/readyz`: the database takes a write, so it is there, has its schema, and its disk has room.
 * `/metrics`: Prometheus text.
 */
export function healthRoutes(options: { database: Database<typeof factCommands>; registry: Registry }): FastifyPluginAsync {
  const ready = remembered(() => takesWrites(options.database))
  return async (server) => {
    server.get('/healthz', async () => ({ status: 'ok' }))
    server.get('/readyz', async (_request, reply) => {
      if (!options.database.failing() && (await ready())) return { status: 'ready' }
      return reply.code(503).send({ status: 'the database does not take writes' })
    })
    server.get('/metrics', async (_request, reply) => {
      reply.header('content-type', options.registry.contentType)
      return options.registry.metrics()
    })
  }
}

async function takesWrites(database: Database<typeof factCommands>): Promise<boolean> {
  const written = database.write('setFact', { name: 'probed', value: 'yes' }).then(
    () => true,
    () => false,
  )
  return Promise.race([written, delay(longest_probe_ms, false, { ref: false })])
}

function remembered(look: () => Promise<boolean>): () => Promise<boolean> {
  let last: { readonly at: number; readonly seen: Promise<boolean> } | undefined
  return () => {
    if (!last || performance.now() - last.at > probe_every_ms) last = { at: performance.now(), seen: look() }
    return last.seen
  }
}
