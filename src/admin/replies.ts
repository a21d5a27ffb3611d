import type { FastifyReply } from 'fastify'

export function notFound(reply: FastifyReply): FastifyReply {
  return reply.code(404).send({ error: 'not found' })
}
