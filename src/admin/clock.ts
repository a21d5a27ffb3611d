import type { FastifyPluginAsync } from 'fastify'
import { callerOf, sees } from '../api/rights.ts'
import type { Timers } from '../background/timers.ts'
import type { TestClock } from '../clock.ts'
import type { ParleyCommands } from '../commands.ts'
import { milliseconds, parseDuration, parseInstant, plusDuration } from '../dates.ts'
import type { DeliveryIdle } from '../delivery/idle.ts'
import { clockMutex, followClock } from '../installation/test-clock.ts'
import type { Database } from '../storage/database.ts'
import { accountBySid } from '../storage/lookups.ts'
import { needs } from './access.ts'
import { closedSignal } from './replies.ts'
import { bodyErrors, errors, instant, type OperationSchema, object, response, shortText } from './schemas.ts'

const clockState = object('Clock', {
  now: instant,
  offset_ms: { type: 'integer', description: 'How far the test clock is ahead of the system clock' },
})
const only = 'Only available with the setting PARLEY_TEST_CLOCK or PARLEY_TEST_MODE.'
const tags = ['Test clock'] as const
const account_sid = { ...shortText, description: 'The clock of this account; by default that of the server, which moves all' }

const fetchClock: OperationSchema = {
  operationId: 'fetchClock',
  summary: 'Fetch the time of the test clock',
  description: only,
  tags,
  querystring: { type: 'object', properties: { account_sid }, additionalProperties: false },
  response: { 200: response('The time', clockState), ...errors(400, 404) },
}
const moveClock: OperationSchema = {
  operationId: 'moveClock',
  summary: 'Move the test clock forward',
  description: `${only} Requires one of \`advance\`, \`now\` and \`reset\`. The response is sent when all timers that are due have been applied.`,
  tags,
  body: {
    title: 'ClockMove',
    type: 'object',
    properties: {
      advance: { type: 'string', description: 'ISO 8601 duration, such as PT10M' },
      now: { type: 'string', description: 'ISO 8601 date, such as 2030-01-01T00:00:00Z' },
      reset: {
        type: 'boolean',
        description: 'True sets all clocks back to the system clock. Dates and deadlines of existing rows stay as they are',
      },
      account_sid,
      deliver: {
        type: 'boolean',
        description:
          'Whether to wait at each deadline until its webhooks have been answered. Retries that become due are made, too',
      },
    },
    additionalProperties: false,
  },
  response: { 200: response('The time after the move', clockState), ...bodyErrors(404) },
}

const latest = Date.UTC(9999, 0)

interface Move {
  readonly advance?: string
  readonly now?: string
  readonly reset?: boolean
  readonly account_sid?: string
  readonly deliver?: boolean
}

export interface ClockOptions {
  readonly clock: TestClock
  readonly database: Database<ParleyCommands>
  readonly timers: Pick<Timers, 'catchUp' | 'nextOf'>
  readonly idle: Pick<DeliveryIdle, 'wait' | 'recordings'>
}

/** Moves the clock from deadline to deadline, so that moving it by an hour has the same effect as waiting for an hour. */
class ClockMover {
  readonly #options: ClockOptions
  readonly #exclusively: ReturnType<typeof clockMutex>
  #last: Promise<unknown> = Promise.resolve()

  constructor(options: ClockOptions) {
    this.#options = options
    this.#exclusively = clockMutex(options.database)
  }

  /** Runs one move after the other, each from the time at which the previous one ended. */
  queue<T>(act: () => Promise<T>): Promise<T> {
    const move = this.#last.then(() => this.#exclusively(act))
    this.#last = move.catch(() => {})
    return move
  }

  async moveTo(target: number, { account_sid, deliver }: Move, signal: AbortSignal): Promise<void> {
    const { clock, idle } = this.#options
    const { resets } = clock.state
    /** A reset meanwhile has taken away what the move was about. */
    const isOver = () => clock.state.resets !== resets
    /** Applies what is due and waits for its webhooks, until there is neither. Returns the next instant to stop at. */
    const settle = async (): Promise<number | undefined> => {
      for (;;) {
        const { recordings } = idle
        const due = await this.#applyDue(account_sid)
        if (!deliver) return due
        // Deliveries that wait for another attempt are woken by it, on every node.
        await this.#store()
        const retry = await idle.wait({ account_sid, signal })
        // An endpoint may have made something due before it has answered.
        if (idle.recordings !== recordings && !signal.aborted && !isOver()) continue
        return earliest(due, retry)
      }
    }
    let next = await settle()
    while (next !== undefined && next < target && !isOver()) {
      clock.moveTo(next, account_sid)
      next = await settle()
    }
    if (isOver()) return
    clock.moveTo(target, account_sid)
    await settle()
    await this.#store()
  }

  async reset(): Promise<void> {
    this.#options.clock.reset()
    await this.#store()
  }

  /** Applies the deadlines that have passed. Returns the next one, by the clock that is moved. */
  async #applyDue(account_sid: string | undefined): Promise<number | undefined> {
    const { timers } = this.#options
    const next = await timers.catchUp()
    return account_sid === undefined ? next : timers.nextOf(account_sid)
  }

  async #store(): Promise<void> {
    await this.#options.database.write('setClock', this.#options.clock.state)
  }
}

/** The test clock. */
export function clockRoutes(options: ClockOptions): FastifyPluginAsync {
  const { clock, database } = options
  const follow = followClock(clock, database)
  const mover = new ClockMover(options)
  const toJson = (account_sid: string | undefined) => ({
    now: milliseconds(clock.now(account_sid)),
    offset_ms: clock.offset(account_sid),
  })
  const unknownAccount = async (sid: string | undefined) =>
    sid !== undefined && !(await database.read.one(accountBySid, { sid })) && `there is no account ${sid}`
  return async (routes) => {
    routes.get<{ Querystring: Pick<Move, 'account_sid'> }>(
      '/',
      { schema: fetchClock, config: needs('read', 'none') },
      async (request, reply) => {
        const { query } = request
        const hidden = query.account_sid !== undefined && !sees(callerOf(request), query.account_sid)
        const unknown = hidden ? `there is no account ${query.account_sid}` : await unknownAccount(query.account_sid)
        if (unknown) return reply.code(404).send({ error: unknown })
        await follow()
        return toJson(query.account_sid)
      },
    )
    routes.post<{ Body: Move }>('/', { schema: moveClock, config: needs('manage', 'installation') }, async ({ body }, reply) => {
      const { account_sid } = body
      const unknown = await unknownAccount(account_sid)
      if (unknown) return reply.code(404).send({ error: unknown })
      const error = await mover.queue(async () => {
        await follow()
        const target = targetOf(body, clock.now(account_sid))
        if (target === 'reset') return mover.reset()
        return typeof target === 'string' ? target : mover.moveTo(target, body, closedSignal(reply))
      })
      return error ? reply.code(400).send({ error }) : toJson(account_sid)
    })
  }
}

function earliest(one: number | undefined, other: number | undefined): number | undefined {
  return one === undefined || (other !== undefined && other < one) ? other : one
}

/** Returns the instant to move the clock to, or what is wrong with the request. */
function targetOf({ advance, now, reset, account_sid }: Move, current: number): number | string {
  if ([advance, now, reset || undefined].filter((given) => given !== undefined).length !== 1) {
    return 'one of advance, now and reset is required'
  }
  if (reset) return account_sid === undefined ? 'reset' : 'reset is for all clocks: leave out account_sid'
  if (advance !== undefined && !parseDuration(advance)) return 'advance must be an ISO 8601 duration, such as PT10M'
  const target = advance === undefined ? parseInstant(now ?? '') : (plusDuration(current, advance) ?? Number.POSITIVE_INFINITY)
  if (target === undefined) return 'now must be an ISO 8601 date, such as 2030-01-01T00:00:00Z'
  if (target > latest) return 'the clock cannot be moved beyond the year 9998'
  return target < current - 1000 ? 'the clock can only be moved forward' : target
}
