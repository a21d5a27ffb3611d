import type { FastifyPluginAsync } from 'fastify'
import type { Registry } from 'prom-client'
import type { Database } from './storage/database.ts'
import { shape } from './storage/shapes.ts'

const anySetting = shape<{ none?: null }>()((db) => db.selectFrom('installation').select('name').limit(1))

/** `/healthz`: the process answers. `/readyz`: the database does too, its schema is there. `/metrics`: Prometheus text. */
export function healthRoutes(options: { database: Database; registry: Registry }): FastifyPluginAsync {
  return async (server) => {
    server.get('/healthz', async () => ({ status: 'ok' }))
    server.get('/readyz', async (_request, reply) => {
      try {
        await options.database.read.one(anySetting, {})
        return { status: 'ready' }
      } catch {
        return reply.code(503).send({ status: 'the database does not answer' })
      }
    })
    server.get('/metrics', async (_request, reply) => {
      reply.header('content-type', options.registry.contentType)
      return options.registry.metrics()
    })
  }
}
