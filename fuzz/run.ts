import { randomBytes } from 'node:crypto'
import { type Forbidden, faultsOf } from './checks.ts'
import { type Child, memoryOf, startChild } from './child.ts'
import type { DatabaseSettings } from './databases.ts'
import { planOf } from './generator.ts'
import { type Hook, openHook } from './hook.ts'
import { Lane } from './lane.ts'
import { learn } from './learn.ts'
import { contentsOf, type Markers, newMarkers, pathsOf, prepareWorld } from './prepare.ts'
import { longestHold, Probe, type Wait, waitPercentile } from './probe.ts'
import type { World } from './surroundings.ts'
import { Tally } from './tally.ts'

export interface FuzzOptions {
  readonly seed: number
  /** The first request, and how many. */
  readonly from: number
  readonly count: number
  /** Requests under way at a time. */
  readonly lanes: number
  /** Where the server's database is, and the folder beside it. */
  readonly database: DatabaseSettings
  /** How long `/healthz` may take while the server is busy. */
  readonly health_ms: number
  /** Told now and then how far it is. */
  readonly progress?: (text: string) => void
}

export interface FuzzReport {
  readonly tally: Tally
  /** What is wrong beside the answers: the process, its log, `/healthz`, webhooks, what another account holds. */
  readonly faults: readonly string[]
  readonly ms: number
  readonly memory: ReturnType<typeof memoryOf>
  readonly health: { readonly p50_ms: number; readonly p99_ms: number; readonly longest_hold_ms: number }
  readonly log_lines: number
  readonly webhooks: number
}

const progress_every = 20_000

/** Sends requests `from` to `from + count` of a seed to a server of its own, and checks everything that comes back. */
export async function fuzz(options: FuzzOptions): Promise<FuzzReport> {
  const secrets = newSecrets()
  const markers = newMarkers()
  await using hook = await openHook(foreignTo(markers))
  const child = await startChild({ ...settingsOf(secrets), ...options.database }, secretTexts(secrets))
  const report = await attack(options, child, hook, secrets, markers).finally(() => child[Symbol.asyncDispose]())
  // Now that it has written its last line.
  const faults = [...report.faults, ...child.log.faults, ...stderrFaults(child)]
  return { ...report, faults, log_lines: child.log.lines, webhooks: hook.received() }
}

type Attacked = Omit<FuzzReport, 'log_lines' | 'webhooks'>

async function attack(options: FuzzOptions, child: Child, hook: Hook, secrets: Secrets, markers: Markers): Promise<Attacked> {
  const server = { host: `127.0.0.1:${child.port}`, adminToken: secrets.adminToken }
  const world = await prepareWorld(server, secrets, { hook: hook.url, secret: secrets.stored, markers })
  const { account } = world.victim
  const before = await contentsOf(server, account, pathsOf(world))
  const forbidden: Forbidden = { secrets: [...secretTexts(secrets), ...tokensOf(world)], foreign: foreignTo(markers) }
  const probe = new Probe(child)
  const tally = new Tally()
  const startMs = performance.now()
  await sendAll(options, child, world, forbidden, tally)
  const ms = performance.now() - startMs
  await probe.stop()
  const waits = probe.take()
  const over = child.ended()
  const unchanged = over !== null || (await contentsOf(server, account, pathsOf(world))) === before
  return {
    tally,
    ms,
    memory: memoryOf(child.pid),
    health: { p50_ms: waitPercentile(waits, 0.5), p99_ms: waitPercentile(waits, 0.99), longest_hold_ms: longestHold(waits) },
    faults: [
      ...(over === null ? [] : [`the server is gone: ${over}`]),
      ...(unchanged ? [] : ['what the untouched account holds has changed']),
      ...hook.faults,
      ...(probe.fault === null || over !== null ? [] : [probe.fault]),
      ...holdFaults(waits, options.health_ms),
    ],
  }
}

async function sendAll(options: FuzzOptions, child: Child, world: World, forbidden: Forbidden, tally: Tally): Promise<void> {
  const { seed, from, count, progress } = options
  let next = from
  const lanes = Array.from({ length: Math.min(options.lanes, count) }, () => new Lane(child.port))
  const work = async (lane: Lane) => {
    while (next < from + count && child.ended() === null) {
      const plan = planOf(seed, next++, world)
      const outcome = await lane.run(plan).catch((error: Error) => ({ answers: [], fault: error.message, ms: 0 }))
      const faults = [...(outcome.fault === null ? [] : [outcome.fault]), ...faultsOf(plan, outcome.answers, forbidden)]
      tally.add(plan, outcome, faults)
      if (outcome.answers[0] && !plan.alone) learn(seed, plan, outcome.answers[0], world)
      if (tally.requests % progress_every === 0) progress?.(`${tally.requests} requests, ${tally.failed} failed`)
    }
    lane.close()
  }
  await Promise.all(lanes.map(work))
}

interface Secrets {
  readonly sid: string
  readonly auth_token: string
  readonly adminToken: string
  readonly secretKey: string
  /** In credentials of the push services that requests store. */
  readonly stored: string
}

function newSecrets(): Secrets {
  const hex = (bytes: number) => randomBytes(bytes).toString('hex')
  return { sid: `AC${hex(16)}`, auth_token: hex(16), adminToken: hex(16), secretKey: hex(32), stored: `sealed-${hex(8)}` }
}

function secretTexts({ auth_token, adminToken, secretKey, stored }: Secrets): string[] {
  return [auth_token, adminToken, secretKey, stored]
}

function tokensOf({ accounts: { a, b }, victim }: World): string[] {
  return [a, b, victim.account].flatMap(({ auth_token, key_secret }) => [auth_token, key_secret])
}

function settingsOf({ sid, auth_token, adminToken, secretKey }: Secrets): Record<string, string> {
  return {
    PARLEY_ACCOUNT_SID: sid,
    PARLEY_AUTH_TOKEN: auth_token,
    PARLEY_ADMIN_TOKEN: adminToken,
    PARLEY_SECRET_KEY: secretKey,
    PARLEY_TEST_CLOCK: 'true',
    PARLEY_MEDIA_MAX_BYTES: '60000',
    // Most of its logins are wrong, on purpose.
    PARLEY_MAX_FAILED_LOGINS: '0',
  }
}

/** The operator sees everybody's. */
function foreignTo({ a, b, victim }: Markers): Forbidden['foreign'] {
  return { a: [b, victim], b: [a, victim], operator: [], nobody: [a, b, victim] }
}

function holdFaults(waits: readonly Wait[], health_ms: number): string[] {
  const held_ms = longestHold(waits)
  return held_ms > health_ms ? [`/healthz took ${Math.round(held_ms)} ms while the server was busy`] : []
}

function stderrFaults(child: Child): string[] {
  return child.stderr() === '' ? [] : [`standard error has: ${child.stderr().slice(-2_000)}`]
}
