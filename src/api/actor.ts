import type { FastifyRequest } from 'fastify'
import type { Act, Actor } from '../audit/log.ts'
import { addressOf } from './origin.ts'
import { installationAccess } from './rights.ts'

/** Returns who has sent a request that was authorized; nobody is known yet where anybody may ask. */
export function actorOf({ access }: Pick<FastifyRequest, 'access'>): Actor {
  const { type, id, name } = access ?? installationAccess
  return { type, id, name }
}

/** Returns where a request of an operator comes from. `api`: what it was sent to. */
export function originOf(request: FastifyRequest, api: 'admin' | 'v1'): Act['from'] {
  const { authorization, 'user-agent': agent = null } = request.headers
  return { address: addressOf(request), agent, interface: authorization === undefined ? 'console' : api }
}
