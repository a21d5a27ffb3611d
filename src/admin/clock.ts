import type { FastifyPluginAsync } from 'fastify'
import type { Timers } from '../background/timers.ts'
import type { TestClock } from '../clock.ts'
import type { ParleyCommands } from '../commands.ts'
import { milliseconds, parseDuration, parseInstant, plusDuration } from '../dates.ts'
import { followClock, turnOf } from '../installation/kept-clock.ts'
import type { Database } from '../storage/database.ts'

const move = {
  body: {
    type: 'object',
    properties: { advance: { type: 'string' }, now: { type: 'string' } },
    additionalProperties: false,
    minProperties: 1,
    maxProperties: 1,
  },
} as const

/**
 * The test clock. It stops at every deadline on its way, so that moving an hour does what waiting an hour would; the answer
 * comes when all that is due has been applied.
 */
export function clockRoutes(
  clock: TestClock,
  database: Database<ParleyCommands>,
  timers: Pick<Timers, 'catchUp'>,
): FastifyPluginAsync {
  let moving: Promise<unknown> = Promise.resolve()
  const follow = followClock(clock, database)
  const inTurn = turnOf(database)
  const shown = () => ({ now: milliseconds(clock.now()), offset_ms: clock.offset_ms })
  const moveTo = async (target: number) => {
    let next = await timers.catchUp()
    while (next !== undefined && next < target) {
      clock.moveTo(next)
      next = await timers.catchUp()
    }
    clock.moveTo(target)
    await timers.catchUp()
    await database.write('setInstallation', { name: 'clock_offset_ms', value: String(clock.offset_ms) })
  }
  return async (routes) => {
    routes.get('/', async () => {
      await follow()
      return shown()
    })
    routes.post<{ Body: { advance?: string; now?: string } }>('/', { schema: move }, async ({ body }, reply) => {
      const refused = (error: string) => reply.code(400).send({ error })
      const { advance, now } = body
      if (advance !== undefined && !parseDuration(advance)) return refused('advance must be an ISO 8601 duration, such as PT10M')
      // One move after the other, each from where the last one ended.
      const mine = moving.then(async () => {
        return inTurn(async () => {
          await follow()
          const target = advance === undefined ? parseInstant(now ?? '') : plusDuration(clock.now(), advance)
          if (target === undefined) return 'now must be an ISO 8601 date, such as 2030-01-01T00:00:00Z'
          if (target > Date.UTC(9999, 0)) return 'the clock does not go beyond the year 9999'
          if (target < clock.now() - 1000) return 'the clock only moves forward'
          await moveTo(target)
          return null
        })
      })
      moving = mine.catch(() => {})
      const refusal = await mine
      return refusal === null ? shown() : refused(refusal)
    })
  }
}
