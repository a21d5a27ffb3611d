import type { FastifyRequest } from 'fastify'
import type { Act, Actor } from '../audit/log.ts'
import { addressOf } from './origin.ts'

/** Returns who has sent a request that the operator token, or a session made with it, has authorized. */
export function actorOf(_request: FastifyRequest): Actor {
  return { type: 'operator', id: 'operator', name: 'operator' }
}

/** Returns where a request of an operator comes from. `api`: what it was sent to. */
export function originOf(request: FastifyRequest, api: 'admin' | 'v1'): Act['from'] {
  const { authorization, 'user-agent': agent = null } = request.headers
  return { address: addressOf(request), agent, interface: authorization === undefined ? 'console' : api }
}
