import { readdirSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { extname } from 'node:path'
import type { FastifyPluginAsync, FastifyReply, FastifyRequest } from 'fastify'
import { pathOf } from '../api/respond.ts'
import { refuse } from '../errors.ts'
import { consoleFolder } from '../package.ts'
import { notBuilt, page } from './pages.ts'

/**
 * What the page may do: run and load what this server serves, and nothing else. `blob:` and `data:` of images are not needed; nor is
 * anything inline. Forms are sent by script.
 */
const policy = [
  "default-src 'none'",
  "script-src 'self'",
  "style-src 'self'",
  "connect-src 'self'",
  "img-src 'self'",
  "media-src 'self'",
  "font-src 'self'",
  "base-uri 'none'",
  "frame-ancestors 'none'",
  "form-action 'none'",
].join('; ')

const pageHeaders = {
  'content-type': 'text/html; charset=utf-8',
  'cache-control': 'no-cache',
  'content-security-policy': policy,
  'cross-origin-opener-policy': 'same-origin',
  'referrer-policy': 'no-referrer',
  'x-content-type-options': 'nosniff',
}

const types: Readonly<Record<string, string>> = {
  '.css': 'text/css; charset=utf-8',
  '.js': 'text/javascript; charset=utf-8',
  '.svg': 'image/svg+xml',
}

/** Files have their hash in their names, and are compressed by the build. */
const assetHeaders = { 'cache-control': 'public, max-age=31536000, immutable', 'x-content-type-options': 'nosniff' }

interface Built {
  readonly page: Buffer
  /** Names of the files beside it, those that are compressed included. */
  readonly assets: ReadonlySet<string>
}

/**
 * `/console` and all paths below it: one page, whose script reads the path. `folder`: where the build is. It is looked for when it
 * is first asked for, so that a start does not depend on it, and read once it is there.
 */
export function consoleRoutes({ folder = consoleFolder() } = {}): FastifyPluginAsync {
  const assets = new URL('assets/', folder)
  let built: Promise<Built> | undefined
  const find = async (): Promise<Built | null> => {
    built ??= readFile(new URL('index.html', folder)).then((page) => ({ page, assets: new Set(readdirSync(assets)) }))
    return built.catch((error: { code?: string }) => {
      built = undefined
      if (error.code === 'ENOENT') return null
      throw error
    })
  }
  const sendPage = async (_request: FastifyRequest, reply: FastifyReply) => {
    const found = await find()
    return found ? reply.headers(pageHeaders).send(found.page) : reply.code(404).headers(page.headers).send(notBuilt)
  }
  return async (server) => {
    server.get('/console', sendPage)
    server.get('/console/*', sendPage)
    server.get<{ Params: { name: string } }>('/console/assets/:name', async (request, reply) => {
      const { name } = request.params
      const found = await find()
      const type = types[extname(name)]
      // Only what the folder lists: no name leads out of it.
      if (!type || !found?.assets.has(name)) throw refuse('notFound', { path: pathOf(request) })
      reply.headers({ ...assetHeaders, 'content-type': type, vary: 'accept-encoding' })
      const coding = [['br', '.br'] as const, ['gzip', '.gz'] as const].find(
        ([coding, end]) => found.assets.has(name + end) && accepts(request, coding),
      )
      if (coding) reply.header('content-encoding', coding[0])
      return reply.send(await readFile(new URL(name + (coding?.[1] ?? ''), assets)))
    })
  }
}

function accepts({ headers }: FastifyRequest, coding: string): boolean {
  const accepted = headers['accept-encoding']
  return (
    typeof accepted === 'string' &&
    new RegExp(`(?:^|[,\\s])${coding}(?:$|[,\\s]|;(?!\\s*q=0(?:\\.0+)?(?:$|[,\\s])))`).test(accepted)
  )
}
