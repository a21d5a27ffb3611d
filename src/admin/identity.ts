import type { FastifyPluginAsync } from 'fastify'
import { identityKeys, identityProof } from '../installation/identity.ts'
import type { Installation } from '../installation/open.ts'
import { errors, type OperationSchema, object, response } from './schemas.ts'

const proveIdentity: OperationSchema = {
  operationId: 'proveIdentity',
  summary: 'Prove which installation this is',
  description:
    'Requires no token. The command line asks for it before it sends the operator token, so that a program that has taken the ' +
    'port does not get it. The proof is an HMAC-SHA-256 of the nonce and the address and port of the connection, under a key ' +
    'derived from the secret key of the installation.',
  tags: ['Identity'],
  security: [],
  querystring: {
    type: 'object',
    properties: {
      nonce: { type: 'string', pattern: '^[0-9a-f]{64}$', description: '32 random bytes in hex, never used before' },
    },
    required: ['nonce'],
    additionalProperties: false,
  },
  response: { 200: response('The proof', object('IdentityProof', { proof: { type: 'string' } })), ...errors(400) },
}

/** The proof of which installation this is, see `identity.ts` of the installation. */
export function identityRoutes({ config, vault, adminToken }: Installation): FastifyPluginAsync {
  const [key] = identityKeys(config, vault, adminToken)
  return async (routes) => {
    routes.get<{ Querystring: { nonce: string } }>(
      '/identity',
      { schema: proveIdentity, config: { access: 'anyone' } },
      async ({ query, raw: { socket } }) => {
        const endpoint = { address: socket.localAddress ?? '', port: socket.localPort ?? 0 }
        return { proof: key === undefined ? '' : identityProof(key, query.nonce, endpoint) }
      },
    )
  }
}
