import type { FastifyPluginAsync } from 'fastify'
import type { Operator } from '../api/operator.ts'
import { milliseconds } from '../dates.ts'
import { bodyErrors, errors, instant, type OperationSchema, object, response } from './schemas.ts'

const tags = ['Session'] as const
const ends = { date_expires: instant }
const noFields = { title: 'NoFields', type: ['object', 'null'], properties: {}, additionalProperties: false } as const

const signIn: OperationSchema = {
  operationId: 'signIn',
  summary: 'Sign a browser in',
  description:
    'Requires the operator token, or the code of a link, once. The cookie of the response takes the place of `Authorization` in ' +
    'requests of the pages of this server. It lasts for 12 hours after its last use, and ends when the operator token changes.',
  tags,
  security: [],
  body: {
    title: 'SignIn',
    type: 'object',
    properties: {
      token: { type: 'string', maxLength: 256, description: 'The operator token' },
      code: { type: 'string', maxLength: 256, description: 'As returned by `POST /session/links`' },
    },
    additionalProperties: false,
    minProperties: 1,
    maxProperties: 1,
  },
  response: { 201: response('The session; the cookie is in its header', object('Session', ends)), ...bodyErrors(403) },
}
const fetchSession: OperationSchema = {
  operationId: 'fetchSession',
  summary: 'Say whether somebody is signed in',
  tags,
  security: [],
  response: {
    200: response('Whether the request may act as the operator', object('SessionState', { signed_in: { type: 'boolean' } })),
    ...errors(403),
  },
}
const signOut: OperationSchema = {
  operationId: 'signOut',
  summary: 'Sign the browser out',
  description: 'Takes the cookie from the browser. Changing the operator token ends all sessions.',
  tags,
  security: [],
  response: { 204: { type: 'null', description: 'The cookie is gone' }, ...errors(403) },
}
const createLink: OperationSchema = {
  operationId: 'createSignInLink',
  summary: 'Make a link that signs a browser in',
  description: 'Opened in a browser, `/console#code=…` signs it in: once, within ten minutes, at the node that has made it.',
  tags,
  body: noFields,
  response: {
    201: response('The code', object('SignInLink', { path: { type: 'string' }, ...ends })),
    ...bodyErrors(404),
  },
}

/** The path of the console that signs in with a code. In a fragment, it is neither sent to a server nor logged. */
export function linkPath(code: string): string {
  return `/console#code=${code}`
}

/** Browsers that act as the operator. */
export function sessionRoutes(operator: Operator): FastifyPluginAsync {
  return async (routes) => {
    routes.post<{ Body: { token?: string; code?: string } }>(
      '/session',
      { schema: signIn, config: { withoutToken: true } },
      async (request, reply) => {
        const expires = operator.signIn(request, reply, request.body)
        if (expires !== null) return reply.code(201).send({ date_expires: milliseconds(expires) })
        const what = request.body.token === undefined ? 'the link has been used or is too old' : 'the operator token is wrong'
        return reply.code(401).send({ error: what })
      },
    )

    routes.get('/session', { schema: fetchSession, config: { withoutToken: true } }, async (request, reply) => ({
      signed_in: operator.authorizes(request, reply),
    }))

    routes.delete('/session', { schema: signOut, config: { withoutToken: true } }, async (request, reply) => {
      operator.signOut(request, reply)
      return reply.code(204).send()
    })

    routes.post('/session/links', { schema: createLink }, async (_request, reply) => {
      const { code, expires } = operator.createLink()
      return reply.code(201).send({ path: linkPath(code), date_expires: milliseconds(expires) })
    })
  }
}
