import type { FastifyReply, FastifyRequest } from 'fastify'
import type { Pipeline } from '../api/requests.ts'
import { refuse } from '../errors.ts'
import { parseStored } from '../json.ts'
import { Loop, type Worker } from '../loop.ts'
import {
  dueTargets,
  failedTargets,
  intentsOfAccount,
  mirrorOfAccount,
  nextTarget,
  workCounts,
} from '../records/mirror-commands.ts'
import { services } from '../resources/services/service.ts'
import type { MirrorRow } from '../storage/schema.ts'
import { HostedClosedError, HostedError } from '../transfer/hosted/client.ts'
import { Comparison, type Difference } from './compare.ts'
import { Forwarder } from './forwarder.ts'
import { LocalReader } from './local.ts'
import type { MirrorOptions } from './options.ts'
import { targetsOf } from './pass.ts'
import { ReadComparison } from './read-comparison.ts'
import { Scopes } from './scopes.ts'
import { Settler } from './settle.ts'
import type { MirrorStatus, Report } from './status.ts'
import { rankOf, type Target, targetOf } from './targets.ts'

const maxDifferences = 1000
const maxShown = 100
const batch = 200
const longestDelayMs = 60_000
/** How often it is looked whether another process has left the account to this one. */
const outOfTurnMs = 1000

/**
 * An account that follows a hosted one. Its writes are sent there, and what is answered is stored here; what comes about in other ways is
 * read. `mirror_work` has what is not known to be equal: it survives whatever ends the process.
 */
export class Mirror implements Worker {
  readonly #options: MirrorOptions
  readonly #settler: Settler
  readonly #local: LocalReader
  readonly #scopes = new Scopes()
  readonly #forwarder: Forwarder
  readonly #reads: ReadComparison | null
  readonly #loop: Loop
  /** Writes under way in this process. */
  readonly #inFlight = new Set<string>()
  /** Conversations that were written or read since the last comparison. */
  readonly #touched = new Set<string>()
  #state: MirrorRow['state']
  /** Whether it is known which service paths without one mean. */
  #isReady: boolean
  #job: string | null = null
  #jobError: string | null = null
  #jobDone = Promise.resolve()

  private constructor(options: MirrorOptions, { state, date_passed }: Pick<MirrorRow, 'state' | 'date_passed'>) {
    this.#options = options
    this.#state = state
    this.#isReady = date_passed !== null
    const { client, store, media, pipeline, account_sid, log } = options
    this.#local = new LocalReader(pipeline, account_sid)
    this.#settler = new Settler({ client, store, media, local: this.#local })
    this.#reads = options.reads === 'compare' ? new ReadComparison({ client, log, scopes: this.#scopes }) : null
    this.#forwarder = new Forwarder({
      ...options,
      comparison: this.#reads,
      settler: this.#settler,
      scopes: this.#scopes,
      inFlight: this.#inFlight,
      isOpen: () => this.#state === 'following' && this.#isReady && this.#isInTurn,
      touched: (conversation) => this.#touched.add(conversation),
      nudge: () => this.#loop.nudge(),
    })
    this.#loop = new Loop(
      (signal) => this.#work(signal),
      (err) => {
        if (!(err instanceof HostedClosedError)) log.error({ err }, 'the mirror failed')
      },
    )
  }

  /** Opens the mirror of an account, and begins it where there was none. */
  static async open(options: MirrorOptions): Promise<Mirror> {
    const { database, account_sid, url, clock, turn } = options
    const known = await database.read.one(mirrorOfAccount, { account_sid })
    // A switch that was interrupted has to be asked for again.
    const state = known?.state === 'switched' ? 'switched' : 'following'
    const begun = known ? {} : { date_started: clock.now() }
    const change = { account_sid, url, state, ...begun, turn: turn?.held ?? null } as const
    const mirror = new Mirror(options, await database.write('setMirror', change))
    if (!mirror.isFollowing) await mirror.leave()
    return mirror
  }

  get #isInTurn(): boolean {
    return this.#options.turn?.isHeld ?? true
  }

  get account_sid(): string {
    return this.#options.account_sid
  }

  /** Whether the hosted side alone makes SIDs. */
  get isFollowing(): boolean {
    return this.#state !== 'switched'
  }

  start(): void {
    if (this.isFollowing) this.#loop.start()
  }

  /** Does not wait for a hosted side that is away: what is being read is read after the next start. */
  async stop(): Promise<void> {
    const stopped = this.#loop.stop()
    await this.#options.client.close()
    await stopped
    await this.#reads?.ended()
    await this.#jobDone
    await this.#options.sender.close()
  }

  /** Leaves the account to other processes. */
  async leave(): Promise<void> {
    await this.#options.turn?.stop()
  }

  async #set(change: Partial<MirrorRow>): Promise<void> {
    const { database, account_sid, turn } = this.#options
    await database.write('setMirror', { account_sid, turn: turn?.held ?? null, ...change })
  }

  /** Takes over an authenticated request of the account. Returns false for what is answered here. */
  takes(request: FastifyRequest, reply: FastifyReply): boolean {
    if (!this.isFollowing || request.account_sid !== this.#options.account_sid) return false
    return this.#forwarder.takes(request, reply)
  }

  /** Refuses what would make a SID here: inbound messages and client SDKs, which have the hosted side. */
  guarded(pipeline: Pipeline): Pipeline {
    const check = (account_sid: string) => {
      if (this.isFollowing && account_sid === this.#options.account_sid) throw refuse('mirrored')
    }
    return {
      ...pipeline,
      guard: check,
      write: async (resource, request) => {
        check(request.path.account_sid)
        return pipeline.write(resource, request)
      },
      writeAll: async (changes) => {
        for (const { request } of changes) check(request.path.account_sid)
        return pipeline.writeAll(changes)
      },
    }
  }

  /** Has targets read, as something has happened to them. */
  async mark(targets: readonly string[]): Promise<void> {
    const { database, account_sid, clock } = this.#options
    await database.write('markTargets', { account_sid, targets, now: clock.now() })
    this.#loop.nudge()
  }

  async status(): Promise<MirrorStatus> {
    const { database, account_sid, clock } = this.#options
    const [row, counts, failing] = await Promise.all([
      database.read.one(mirrorOfAccount, { account_sid }),
      database.read.one(workCounts, { account_sid }),
      database.read.all(failedTargets, { account_sid, limit: maxShown }),
    ])
    const [all, intents, since] = [Number(counts?.all ?? 0), Number(counts?.intents ?? 0), counts?.since ?? null]
    return {
      account_sid,
      url: this.#options.url,
      state: this.#state,
      open_writes: intents,
      to_read: all - intents,
      failing: failing.map(({ key, attempts, error }) => ({ target: key, attempts, error })),
      lag_ms: since === null ? 0 : Math.max(0, clock.now() - Number(since)),
      date_passed: row?.date_passed ?? null,
      date_switched: row?.date_switched ?? null,
      reads: this.#reads?.report ?? null,
      report: row?.report ? parseStored<Report>(row.report) : null,
      job: this.#job,
      job_error: this.#jobError,
    }
  }

  /** Begins a comparison, or the switch after one. Returns false while another job is under way. */
  begin(job: 'compare' | 'pass' | 'switch', options: { readonly quick: boolean; readonly force: boolean }): boolean {
    if (this.#job !== null || !this.isFollowing) return false
    this.#job = job
    this.#jobError = null
    const work = job === 'switch' ? this.#switch(options) : job === 'pass' ? this.#pass() : this.#compare(null)
    this.#jobDone = work
      .then(nothing)
      .catch((err: unknown) => {
        if (err instanceof HostedClosedError) return
        this.#options.log.error({ err }, `the mirror's ${job} failed`)
        this.#jobError = err instanceof Error ? err.message : 'it failed'
      })
      .finally(() => {
        this.#job = null
      })
    return true
  }

  async #work(signal: AbortSignal): Promise<number> {
    const { database, account_sid, clock, passEveryMs } = this.#options
    if (!this.#isInTurn) return outOfTurnMs
    if (!this.#isReady) {
      await this.#scopes.run('account', () => this.#settler.settle({ kind: 'account', args: [] }))
      this.#isReady = true
    }
    await this.#closeLost()
    while (!signal.aborted && this.isFollowing && (await this.#settleDue(signal)) > 0);
    const row = await database.read.one(mirrorOfAccount, { account_sid })
    const passDue = (row?.date_passed ?? 0) + passEveryMs
    if (this.#job === null && this.isFollowing && passDue <= clock.now() && !signal.aborted) {
      await this.#pass(signal)
      return 0
    }
    const next = await database.read.one(nextTarget, { account_sid })
    const due = Math.min(next?.date_due ?? Number.POSITIVE_INFINITY, passDue)
    return Math.min(10_000, Math.max(20, due - clock.now()))
  }

  /** Writes that a process has left behind: what they may have changed is read. None is ever repeated. */
  async #closeLost(): Promise<void> {
    const { database, account_sid, clock } = this.#options
    const open = await database.read.all(intentsOfAccount, { account_sid, limit: 1000 })
    for (const { key, targets } of open) {
      const id = key.slice('intent '.length)
      if (this.#inFlight.has(id)) continue
      await database.write('closeIntent', { account_sid, id, targets: parseStored<string[]>(targets ?? '[]'), now: clock.now() })
    }
  }

  /** Reads a batch of what was due at an instant, by default now. Returns how many. */
  async #settleDue(signal?: AbortSignal, until = this.#options.clock.now()): Promise<number> {
    const { database, account_sid, atOnce } = this.#options
    const due = await database.read.all(dueTargets, { account_sid, now: until, limit: batch })
    const ranks = Map.groupBy(
      due.map(({ key, marks, attempts }) => ({ target: targetOf(key), key, marks, attempts })),
      ({ target }) => rankOf(target),
    )
    for (const [, works] of [...ranks].sort(([a], [b]) => a - b)) {
      const queue = works.values()
      const one = async () => {
        for (const work of queue) if (!signal?.aborted) await this.#settleOne(work)
      }
      await Promise.all(Array.from({ length: Math.min(atOnce, works.length) }, one))
    }
    return signal?.aborted ? 0 : due.length
  }

  async #settleOne({
    target,
    key,
    marks,
    attempts,
  }: {
    target: Target
    key: string
    marks: number
    attempts: number
  }): Promise<void> {
    const { database, account_sid, clock, log } = this.#options
    try {
      const scope = await this.#settler.scopeOf(target)
      if (scope?.startsWith('CH')) this.#touched.add(scope)
      await this.#scopes.run(scope, () => this.#settler.settle(target))
      await database.write('settleTarget', { account_sid, key, marks, now: clock.now() })
    } catch (error) {
      if (error instanceof HostedClosedError) throw error
      const reason = error instanceof Error ? error.message : 'it failed'
      // Paths and refusals may have identities in them: `status` shows the reason, the log none of it.
      const { name } = error instanceof Error ? error : { name: 'unknown' }
      const status = error instanceof HostedError ? error.status : undefined
      log.warn({ target: target.kind, attempts: attempts + 1, name, status }, 'what the hosted side has is not stored yet')
      const delayMs = Math.min(longestDelayMs, 500 * 2 ** attempts)
      const postponed = { account_sid, key, marks, error: reason.slice(0, 500), date_due: clock.now() + delayMs }
      await database.write('postponeTarget', postponed)
    }
  }

  /** Goes through all lists, and notes what has to be read. */
  async #pass(signal?: AbortSignal): Promise<void> {
    const { database, account_sid, clock, client } = this.#options
    const began = clock.now()
    let some: string[] = []
    const flush = async () => {
      const targets = some
      some = []
      await database.write('markTargets', { account_sid, targets, now: clock.now() })
    }
    for await (const target of targetsOf(client, this.#local)) {
      if (signal?.aborted) return
      some.push(target)
      if (some.length >= batch) await flush()
    }
    await flush()
    await this.#set({ date_passed: began })
    this.#loop.nudge()
  }

  /** Compares both sides. What differs is looked at once more when nothing of it is under way, and read afterwards. */
  async #compare(wanted: ReadonlySet<string> | null): Promise<Report> {
    const { client, clock } = this.#options
    const touched = [...this.#touched]
    const comparison = new Comparison(client, this.#local)
    const differences: Difference[] = []
    let count = 0
    const targets = new Set<string>()
    for await (const { difference, again } of comparison.all(wanted)) {
      const scope = await this.#settler.scopeOf(targetOf(difference.target))
      const still = await this.#scopes.run(scope, again)
      if (!still) continue
      count++
      if (differences.length < maxDifferences) differences.push(still)
      targets.add(still.target)
    }
    const report: Report = { date: clock.now(), rows: comparison.rows, count, differences }
    await this.#set({ report: JSON.stringify(report) })
    await this.mark([...targets])
    if (count === 0 && wanted === null) for (const sid of touched) this.#touched.delete(sid)
    return report
  }

  /**
   * Ends the following: holds writes, waits for those under way, reads once more what can have changed, compares, starts the timers.
   * With a difference it goes on following, unless it is forced. Throws what says why.
   */
  async #switch({ quick, force }: { readonly quick: boolean; readonly force: boolean }): Promise<void> {
    const { database, account_sid, clock, log } = this.#options
    // While writes still go on: what takes long is done before they are held.
    await this.#pass()
    await this.#settleAll('before writes are held', clock.now())
    await this.#compare(null)
    await this.#settleAll('before writes are held', clock.now())
    try {
      this.#state = 'switching'
      await this.#set({ state: 'switching' })
      await this.#scopes.idle()
      if (!quick) await this.#pass()
      await this.#settleAll('while writes were held', null)
      const { count } = await this.#compare(quick ? new Set(this.#touched) : null)
      if (count > 0 && !force) throw new Error(`${count} differences: it goes on following (parley mirror status names them)`)
      for await (const row of this.#local.rows({ resource: services, service: null })) {
        const service_sid = String(row.sid)
        for (let after: string | null = ''; after !== null; ) {
          after = (await database.write('armTimers', { service_sid, after, max: 1000 })).next_after
        }
      }
      await this.#set({ state: 'switched', date_switched: clock.now() })
      this.#state = 'switched'
      await this.leave()
      log.info({ account: account_sid }, 'the account is answered by Parley from now on')
    } catch (error) {
      this.#state = 'following'
      await this.#set({ state: 'following' })
      throw error
    }
  }

  /** Reads all that was due at an instant; null: all there is, while nothing is added. Throws when something cannot be read. */
  async #settleAll(when: string, until: number | null): Promise<void> {
    const { database, account_sid, client, clock } = this.#options
    for (let tries = 0; ; tries++) {
      await this.#closeLost()
      while ((await this.#settleDue(undefined, until ?? clock.now())) > 0);
      const left = await database.read.one(workCounts, { account_sid })
      const failing = Number(left?.failing ?? 0)
      if (failing === 0 && (until !== null || Number(left?.all ?? 0) === 0)) return
      if (failing > 0 && tries >= maxSettleTries) {
        throw new Error(`${failing} of what was read ${when} could not be stored (parley mirror status names them)`)
      }
      await client.options.wait(500)
    }
  }
}

const maxSettleTries = 20

function nothing(): void {}
