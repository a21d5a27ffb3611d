import type { FastifyPluginAsync, FastifyReply, FastifyRequest } from 'fastify'
import { OpenIdError, type OpenIdProblem } from '../api/openid.ts'
import type { Operator } from '../api/operator.ts'
import { baseOf } from '../api/origin.ts'
import { errors, type OperationSchema } from './schemas.ts'

const tags = ['Session'] as const
const away = { description: 'Where the browser goes', headers: { location: { schema: { type: 'string' } } } }

const begin: OperationSchema = {
  operationId: 'beginOpenId',
  summary: 'Send a browser to the OpenID provider',
  description:
    'Only with the setting PARLEY_OPENID_ISSUER. The browser comes back signed in for 8 hours, or to `/console#problem=…` with what went wrong.',
  tags,
  security: [],
  querystring: {
    type: 'object',
    properties: { to: { type: 'string', maxLength: 2000, description: 'A path of the console to come back to' } },
    additionalProperties: false,
  },
  response: { 303: away, ...errors(400, 404) },
}
const callback: OperationSchema = {
  operationId: 'finishOpenId',
  summary: 'Sign in a browser that comes from the OpenID provider',
  description: 'The redirect URI of the client at the provider.',
  tags,
  security: [],
  response: { 303: away, ...errors(400, 404) },
}
const end: OperationSchema = {
  operationId: 'endOpenId',
  summary: 'Send a browser to the page of the OpenID provider that signs it out there, too',
  tags,
  security: [],
  response: { 303: away, ...errors(404) },
}

const callbackPath = '/admin/v1/session/openid/callback'

/** Signing in by OpenID Connect. */
export function openIdRoutes(operator: Operator, publicUrl: string | null): FastifyPluginAsync {
  const config = { access: 'anyone' } as const
  const redirectUri = (request: FastifyRequest) => `${baseOf(request, publicUrl)}${callbackPath}`
  return async (routes) => {
    routes.get<{ Querystring: { to?: string } }>('/session/openid', { schema: begin, config }, async (request, reply) => {
      const to = consolePath(request.query.to)
      return leave(reply, () => operator.beginOpenId(request, reply, redirectUri(request), to))
    })

    routes.get('/session/openid/callback', { schema: callback, config, exposeHeadRoute: false }, async (request, reply) => {
      const [, query = ''] = request.url.split(/\?(.*)/s)
      return leave(reply, () => operator.finishOpenId(request, reply, `${redirectUri(request)}?${query}`))
    })

    routes.get('/session/openid/end', { schema: end, config }, async (request, reply) => {
      const home = `${baseOf(request, publicUrl)}/console`
      return leave(reply, () => operator.endOpenId(home))
    })
  }
}

/** Sends the browser where `act` says, or to the console with what went wrong: a word of ours, and nothing that somebody has sent. */
async function leave(reply: FastifyReply, act: () => Promise<string>): Promise<FastifyReply> {
  reply.header('cache-control', 'no-store')
  try {
    return reply.redirect(await act(), 303)
  } catch (error) {
    if (!(error instanceof OpenIdError)) throw error
    return reply.redirect(problemPath(error.problem), 303)
  }
}

function problemPath(problem: OpenIdProblem): string {
  return `/console#problem=${problem}`
}

/** Returns a path of the console; whatever else is given is its first page: nobody is led to another site. */
export function consolePath(given: string | undefined): string {
  if (given === undefined || !URL.canParse(given, 'http://parley.invalid')) return '/console'
  const { origin, pathname, search } = new URL(given, 'http://parley.invalid')
  const isOurs = origin === 'http://parley.invalid' && (pathname === '/console' || pathname.startsWith('/console/'))
  return isOurs ? pathname + search : '/console'
}
