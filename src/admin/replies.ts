import type { FastifyReply } from 'fastify'

/** Returns a signal that aborts when the caller has disconnected. */
export function closedSignal(reply: FastifyReply): AbortSignal {
  const closed = new AbortController()
  reply.raw.once('close', () => closed.abort())
  return closed.signal
}

/** Why nothing is searched. */
export const searchIsOff = 'the search is switched off (PARLEY_SEARCH)'

/** The most of a name that is repeated. */
const shownChars = 100

/**
 * Names what the path asks for: the last of its parameters, in the one before it. `missing`: what to name in their place, where the
 * path alone does not tell what was not found; the names from the top down.
 */
export function notFound(reply: FastifyReply, missing?: readonly string[]): FastifyReply {
  // Fastify types them as unknown; its router stores one string for each placeholder.
  const params = reply.request.is404 ? {} : (reply.request.params as Readonly<Record<string, string>>)
  const names = (missing ?? Object.values(params)).map((name) => name.slice(0, shownChars))
  const what = names.length === 0 ? 'this path' : names.toReversed().join(' of ')
  return reply.code(404).send({ error: `${what} was not found` })
}
