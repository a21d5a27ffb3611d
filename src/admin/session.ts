import type { FastifyPluginAsync } from 'fastify'
import type { Operator } from '../api/operator.ts'
import { type Access, rights } from '../api/rights.ts'
import { milliseconds } from '../dates.ts'
import { operatorRoles } from '../operator-roles.ts'
import { needs } from './access.ts'
import { bodyErrors, errors, instant, type OperationSchema, object, response, sid } from './schemas.ts'

const tags = ['Session'] as const
const ends = { date_expires: instant }
const noFields = { title: 'NoFields', type: ['object', 'null'], properties: {}, additionalProperties: false } as const

const caller = object('SignedIn', {
  id: { type: 'string', description: 'SID of the operator; `operator` for the operator token of the installation' },
  name: { type: 'string' },
  role: { type: 'string', enum: operatorRoles },
  rights: { type: 'array', items: { type: 'string', enum: rights } },
  accounts: { type: ['array', 'null'], items: sid('account', 'SID of an account'), description: 'Null: all accounts' },
})

const openid = { type: ['string', 'null'], description: 'The OpenID provider at which one can sign in; null: none' }

function shown({ id, name, role, rights, accounts }: Access) {
  return { id, name, role, rights: [...rights], accounts: accounts && [...accounts] }
}

const signIn: OperationSchema = {
  operationId: 'signIn',
  summary: 'Sign a browser in',
  description:
    'Requires the operator token of the installation or that of an operator, or the code of a link, once. The cookie of the response ' +
    'takes the place of `Authorization` in requests of the pages of this server. It lasts for 12 hours after its last use, and ends ' +
    'when the token changes, is rotated or is ended.',
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
  summary: 'Say who is signed in, and what they may do',
  tags,
  security: [],
  response: {
    200: response(
      'Whether the request is one of an operator, and of which',
      object('SessionState', { signed_in: { type: 'boolean' }, operator: { anyOf: [{ type: 'null' }, caller] }, openid }),
    ),
    ...errors(403),
  },
}
const signOut: OperationSchema = {
  operationId: 'signOut',
  summary: 'Sign the browser out',
  description: 'Takes the cookie from the browser. Changing or rotating the token ends all its sessions.',
  tags,
  security: [],
  response: { 204: { type: 'null', description: 'The cookie is gone' }, ...errors(403) },
}
const createLink: OperationSchema = {
  operationId: 'createSignInLink',
  summary: 'Make a link that signs a browser in',
  description:
    'Opened in a browser, `/console#code=…` signs it in as whoever made the link: once, within ten minutes, at the node that has made it.',
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
      { schema: signIn, config: { access: 'anyone' } },
      async (request, reply) => {
        const expires = await operator.signIn(request, reply, request.body)
        if (expires !== null) return reply.code(201).send({ date_expires: milliseconds(expires) })
        const what = request.body.token === undefined ? 'the link has been used or is too old' : 'the operator token is wrong'
        return reply.code(401).send({ error: what })
      },
    )

    routes.get('/session', { schema: fetchSession, config: { access: 'anyone' } }, async (request, reply) => {
      const access = await operator.admit(request, reply)
      return { signed_in: access !== null, operator: access && shown(access), openid: operator.openIdName }
    })

    routes.delete('/session', { schema: signOut, config: { access: 'anyone' } }, async (request, reply) => {
      operator.signOut(request, reply)
      return reply.code(204).send()
    })

    routes.post('/session/links', { schema: createLink, config: needs(null, 'none') }, async (request, reply) => {
      const link = await operator.createLinkFor(request)
      if (!link) return reply.code(401).send({ error: 'the operator token is missing or wrong' })
      const { code, expires } = link
      return reply.code(201).send({ path: linkPath(code), date_expires: milliseconds(expires) })
    })
  }
}
