import { readFile } from 'node:fs/promises'
import type { FastifyPluginAsync, FastifyReply, FastifyRequest } from 'fastify'
import { pathOf } from '../api/respond.ts'
import { codeOf, refuse } from '../errors.ts'
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
  css: 'text/css; charset=utf-8',
  js: 'text/javascript; charset=utf-8',
  svg: 'image/svg+xml',
}

/** Files have their hash in their names, and are compressed by the build. */
const assetHeaders = { 'cache-control': 'public, max-age=31536000, immutable', 'x-content-type-options': 'nosniff' }

/** Names that the build gives: none leads out of its folder. */
const assetName = /^\w[\w-]*(?:\.[\w-]+)*\.(js|css|svg)$/

/**
 * `/console` and all paths below it: one page, whose script reads the path. `folder`: where the build is. It is read when it is asked
 * for, so that a start does not depend on it, and a newer one is served at once.
 */
export function consoleRoutes({ folder = consoleFolder() } = {}): FastifyPluginAsync {
  const sendPage = async (_request: FastifyRequest, reply: FastifyReply) => {
    const built = await readIfThere(new URL('index.html', folder))
    return built ? reply.headers(pageHeaders).send(built) : reply.code(404).headers(page.headers).send(notBuilt)
  }
  return async (server) => {
    server.get('/console', sendPage)
    server.get('/console/*', sendPage)
    server.get<{ Params: { name: string } }>('/console/assets/:name', async (request, reply) => {
      const { name } = request.params
      const type = types[assetName.exec(name)?.[1] ?? '']
      const file = type === undefined ? undefined : await readAccepted(new URL(`assets/${name}`, folder), request)
      if (!file) throw refuse('notFound', { path: pathOf(request) })
      if (file.coding !== null) reply.header('content-encoding', file.coding)
      return reply.headers({ ...assetHeaders, 'content-type': type, vary: 'accept-encoding' }).send(file.bytes)
    })
  }
}

/** Reads a file as the caller accepts it best. */
async function readAccepted(file: URL, request: FastifyRequest) {
  for (const [coding, ending] of codings) {
    const bytes = accepts(request, coding) && (await readIfThere(new URL(file.href + ending)))
    if (bytes) return { bytes, coding }
  }
  const bytes = await readIfThere(file)
  return bytes && { bytes, coding: null }
}

const codings = [
  ['br', '.br'],
  ['gzip', '.gz'],
] as const

async function readIfThere(file: URL): Promise<Buffer | undefined> {
  return readFile(file).catch((error: unknown) => {
    if (codeOf(error) === 'ENOENT') return undefined
    throw error
  })
}

function accepts({ headers }: FastifyRequest, coding: string): boolean {
  const accepted = headers['accept-encoding']
  return (
    typeof accepted === 'string' &&
    new RegExp(`(?:^|[,\\s])${coding}(?:$|[,\\s]|;(?!\\s*q=0(?:\\.0+)?(?:$|[,\\s])))`).test(accepted)
  )
}
