import type { FastifyPluginAsync } from 'fastify'
import { page } from './pages.ts'

/** `/`: leads browsers to the console, where there is one; programs get a page that says what there is. */
export function homeRoutes({ console }: { readonly console: boolean }): FastifyPluginAsync {
  return async (server) => {
    server.get('/', async ({ headers }, reply) => {
      reply.header('vary', 'accept')
      if (console && headers.accept?.includes('text/html')) return reply.redirect('/console', 302)
      return reply.headers(page.headers).send(page.home)
    })
  }
}
