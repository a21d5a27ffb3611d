import type { FastifyPluginAsync } from 'fastify'
import type { Timers } from '../background/timers.ts'
import type { TestClock } from '../clock.ts'
import type { ParleyCommands } from '../commands.ts'
import { milliseconds, parseDuration, parseInstant, plusDuration } from '../dates.ts'
import { clockMutex, followClock, offsetFact } from '../installation/test-clock.ts'
import type { Database } from '../storage/database.ts'
import { bodyErrors, errors, instant, type OperationSchema, object, response } from './schemas.ts'

const clockState = object('Clock', {
  now: instant,
  offset_ms: { type: 'integer', description: 'How far the test clock is ahead of the system clock' },
})
const only = 'Only available with the setting PARLEY_TEST_CLOCK.'
const tags = ['Test clock'] as const

const fetchClock: OperationSchema = {
  operationId: 'fetchClock',
  summary: 'Fetch the time of the test clock',
  description: only,
  tags,
  response: { 200: response('The time', clockState), ...errors() },
}
const moveClock: OperationSchema = {
  operationId: 'moveClock',
  summary: 'Move the test clock forward',
  description: `${only} Requires either \`advance\` or \`now\`. The response is sent when all timers that are due have been applied.`,
  tags,
  body: {
    title: 'ClockMove',
    type: 'object',
    properties: {
      advance: { type: 'string', description: 'ISO 8601 duration, such as PT10M' },
      now: { type: 'string', description: 'ISO 8601 date, such as 2030-01-01T00:00:00Z' },
    },
    additionalProperties: false,
    minProperties: 1,
    maxProperties: 1,
  },
  response: { 200: response('The time after the move', clockState), ...bodyErrors() },
}

const latest = Date.UTC(9999, 0)

interface Move {
  advance?: string
  now?: string
}

/**
 * The test clock. A move stops at every deadline, so that moving it by an hour has the same effect as waiting for an hour. The
 * response is sent when all timers that are due have been applied.
 */
export function clockRoutes(
  clock: TestClock,
  database: Database<ParleyCommands>,
  timers: Pick<Timers, 'catchUp'>,
): FastifyPluginAsync {
  const follow = followClock(clock, database)
  const exclusively = clockMutex(database)
  let last: Promise<unknown> = Promise.resolve()
  /** Runs one move after the other, each from the time at which the previous one ended. */
  const queued = <T>(act: () => Promise<T>): Promise<T> => {
    const move = last.then(() => exclusively(act))
    last = move.catch(() => {})
    return move
  }
  const moveTo = async (target: number) => {
    let next = await timers.catchUp()
    while (next !== undefined && next < target) {
      clock.moveTo(next)
      next = await timers.catchUp()
    }
    clock.moveTo(target)
    await timers.catchUp()
    await database.write('setFact', { name: offsetFact, value: String(clock.offset_ms) })
  }
  const toJson = () => ({ now: milliseconds(clock.now()), offset_ms: clock.offset_ms })
  return async (routes) => {
    routes.get('/', { schema: fetchClock }, async () => {
      await follow()
      return toJson()
    })
    routes.post<{ Body: Move }>('/', { schema: moveClock }, async ({ body }, reply) => {
      const error = await queued(async () => {
        await follow()
        const target = targetOf(body, clock.now())
        return typeof target === 'string' ? target : moveTo(target)
      })
      return error ? reply.code(400).send({ error }) : toJson()
    })
  }
}

/** Returns the instant to move the clock to, or what is wrong with the request. */
function targetOf({ advance, now = '' }: Move, current: number): number | string {
  if (advance !== undefined && !parseDuration(advance)) return 'advance must be an ISO 8601 duration, such as PT10M'
  const target = advance === undefined ? parseInstant(now) : (plusDuration(current, advance) ?? Number.POSITIVE_INFINITY)
  if (target === undefined) return 'now must be an ISO 8601 date, such as 2030-01-01T00:00:00Z'
  if (target > latest) return 'the clock cannot be moved beyond the year 9998'
  return target < current - 1000 ? 'the clock can only be moved forward' : target
}
