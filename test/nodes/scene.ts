import { expect } from 'vitest'
import { all_events } from '../support/hooked.ts'
import { auth_token, type Node, type Nodes, type NodesOptions, startNodes } from '../support/nodes.ts'
import { catchWebhooks, type WebhookCatcher } from '../support/webhook-catcher.ts'
import { type Load, startLoad } from './load.ts'
import { moveClock, recovered, verify, verifyTimers } from './verify.ts'

/** How often each kind of fault is injected; more for a longer run by hand. */
export const rounds = Number(process.env.PARLEY_FAULT_ROUNDS ?? 2)
/** The same faults at the same moments for the same seed, as far as several processes can repeat anything. */
const seed = Number(process.env.PARLEY_FAULT_SEED ?? Math.floor(Math.random() * 2 ** 31))

/** Who does not see the database for less than that still has its leases when it does: it tells nothing twice. */
export const within_lease_ms = 8000

export interface Scene extends AsyncDisposable {
  readonly nodes: Nodes
  readonly load: Load
  readonly catcher: WebhookCatcher
  /** Counts a fault. */
  fault(): void
  /** From 0 to below `below`. */
  random(below: number): number
  any(): Node
  /** Ends the load, waits until everybody is well, and checks everything. */
  finish(checks: { once: boolean }): Promise<void>
}

interface SceneOptions extends NodesOptions {
  readonly what: string
  readonly count?: number
}

/** Nodes under load, which tell a real endpoint of everything. */
export async function scene({ what, count = 2, ...options }: SceneOptions): Promise<Scene> {
  const random = randomFrom(seed)
  const nodes = await startNodes(count, options)
  const catcher = await catchWebhooks({ authToken: auth_token })
  const first = nodes.all[0] as Node
  const hook = await first.call('POST', '/v1/Configuration/Webhooks', [
    ['PostWebhookUrl', catcher.url()],
    ...all_events.map((event) => ['Filters', event] as const),
  ])
  expect(hook.status).toBe(200)
  const load = await startLoad(nodes, { writers: 4 * count, shared: 3 })
  let faults = 0
  const living = () => nodes.all.filter(({ alive }) => alive)
  return {
    nodes,
    load,
    catcher,
    fault: () => void faults++,
    random,
    any: () => living()[random(living().length)] as Node,
    async finish(checks) {
      await load.stop()
      await recovered(nodes)
      const checked = await verify(nodes, load, catcher, checks)
      const [by, ...others] = living()
      await moveClock(by as Node, others, 'PT90M')
      await moveClock(others[0] ?? (by as Node), [by as Node], 'PT3H')
      const timers = await verifyTimers(nodes, load, catcher)
      report({ what, faults, ...checked, timers, longest_ms: load.ledger.longest_ms, statuses: load.ledger.statuses })
    },
    async [Symbol.asyncDispose]() {
      await load.stop()
      // First the endpoint: what it holds back would hold up the nodes.
      await catcher.close()
      await nodes[Symbol.asyncDispose]()
    },
  }
}

interface Report {
  readonly what: string
  readonly faults: number
  readonly conversations: number
  readonly messages: number
  readonly events: number
  readonly repeated: number
  readonly timers: number
  readonly longest_ms: number
  readonly statuses: ReadonlyMap<string, number>
}

/** What the run was worth, for whoever asks for one by hand. */
function report({ what, faults, conversations, messages, events, repeated, timers, longest_ms, statuses }: Report): void {
  const answers = [...statuses].map(([status, count]) => `${count} × ${status}`).join(', ')
  console.info(
    `${what} (seed ${seed}): ${faults} faults, ${conversations + messages} rows and ${events} writes answered, ` +
      `${repeated} events told again, ${timers} × 2 timers, longest answer ${longest_ms} ms, ${answers}`,
  )
}

/** A small generator of numbers (mulberry32): that of the language takes no seed. */
function randomFrom(start: number): (below: number) => number {
  let state = start
  return (below) => {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return Math.floor((((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32) * below)
  }
}

export async function eachRound(act: (round: number) => Promise<void>): Promise<void> {
  for (let round = 0; round < rounds; round++) await act(round)
}
