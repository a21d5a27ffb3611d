import { setTimeout as sleep } from 'node:timers/promises'
import { request } from 'undici'
import { formatFigure, median, percentile } from '../../reports/figures.ts'
import { atLeast, atMost, type Goal, heading, table } from '../../reports/report.ts'
import { Child } from '../child.ts'
import type { Options } from '../options.ts'
import { call, type Parley, startParley } from '../parley.ts'
import { type Population, sidOf } from '../population.ts'
import { burst, type Contestant, type Sample } from '../rounds.ts'
import type { Sink } from '../sink.ts'
import { account_sid, adminToken, authorization } from '../workload.ts'
import { costUnused } from './cost-unused.ts'
import type { Open, Spread, Spreading } from './crowd.ts'
import { clientsFilling, clientsOf, conversationsOf, groupsOf, newSids, type People, type Sids } from './population.ts'

interface Scene {
  readonly people: People
  readonly sids: Sids
  readonly parley: Parley
  /** The same contents, and no client ever. */
  readonly quiet: Parley
  readonly bare: Child<{ readonly port: number }>
  readonly crowd: Crowd
  readonly key: NonNullable<Open['key']>
  readonly options: Options
}

type Crowd = Child<object>

const burst_ms = 1000
const spreads_per_round = 20
/** For the frames of a burst to have arrived. */
const quiet_ms = 300
const probe_ms = 20

/** Measures what the connections of client SDKs cost, beside `ws` alone that broadcasts the same bytes. */
export async function clientsPart(sink: Sink, options: Options, folder: string): Promise<Goal[]> {
  const { scale } = options
  const people = {
    ...{ large: 1000 * scale, rooms: Math.max(10, 100 * scale), shared: 5000 * scale, each: 10 },
    idle: 3000 * scale,
  }
  console.log(heading('Connections of client SDKs'))
  const scene = await setUp(people, sink, options, folder)
  const goals: Goal[] = []
  for (const [name, measure] of measures) if (name.includes(options.operation)) goals.push(...(await measure(scene)))
  for (const child of [scene.crowd, scene.bare, scene.parley, scene.quiet]) await child.stop()
  if (costUnused.operation.includes(options.operation)) goals.push(await costUnused.measure(sink, options, folder))
  return goals
}

/** Memory comes once the servers have been at work: what that has taken for good is not the connections'. */
const measures: readonly (readonly [operation: string, measure: (scene: Scene) => Promise<Goal[]>])[] = [
  ['one message to many', async (scene) => [await oneToMany(scene)]],
  ['message create, members connected', async (scene) => [await rate(scene)]],
  ['memory', async (scene) => [await memory(scene)]],
  ['come back', comeBack],
]

async function setUp(people: People, sink: Sink, options: Options, folder: string): Promise<Scene> {
  const nowMs = Date.now()
  const sids = newSids(people, nowMs)
  const rows = conversationsOf(people)
  const common = { rows, sink, settings: { PARLEY_MAX_CONNECTIONS: '15000' }, flags: ['--expose-gc'] }
  const filling = (population: Population) => clientsFilling(people, sids, population, nowMs)
  const parley = await startParley({ ...common, path: `${folder}/clients.db`, profile: options.profile, filling })
  const quiet = await startParley({ ...common, path: `${folder}/no-clients.db`, profile: null, filling })
  const crowd = await Child.start<object>(new URL('./crowd.ts', import.meta.url))
  const bare = await Child.start<{ port: number }>(new URL('../contestants/broadcast.ts', import.meta.url), {}, ['--expose-gc'])
  return { people, sids, parley, quiet, bare, crowd, key: await keyOf(parley), options }
}

/** Makes a key that signs tokens of the account's default service. */
async function keyOf(parley: Parley): Promise<NonNullable<Open['key']>> {
  const answer = await request(`http://127.0.0.1:${parley.ports[0]}/admin/v1/accounts/${account_sid}/keys`, {
    method: 'POST',
    headers: { authorization: `Bearer ${adminToken}`, 'content-type': 'application/json' },
    body: '{}',
  })
  const { sid, secret } = (await answer.body.json()) as { sid: string; secret: string }
  return { sid, secret, account_sid, service_sid: parley.file.owner().service_sid }
}

async function ask<A>(crowd: Crowd, message: object): Promise<A> {
  const answer = await crowd.request<A | { readonly error: string }>(message)
  if (typeof answer === 'object' && answer !== null && 'error' in answer) throw new Error(answer.error)
  return answer
}

type Clients = Open['clients']

function connect({ crowd, parley, key }: Scene, name: string, clients: Clients): Promise<{ ms: number }> {
  return ask(crowd, { open: name, port: parley.ports[0], clients, key } satisfies Open)
}

function connectBare({ crowd, bare }: Scene, name: string, count: number): Promise<object> {
  const clients = Array.from({ length: count }, () => ({ identity: '', objects: [] }))
  return ask(crowd, { open: name, port: bare.ready.port, clients, key: null } satisfies Open)
}

/** What a connection takes that waits, with what it follows of its user, beside one of `ws` alone. */
async function memory(scene: Scene): Promise<Goal> {
  const { people, sids, parley, bare, crowd } = scene
  const users = groupsOf(people).all
  const each = async (resident: () => Promise<{ bytes: number }>, open: () => Promise<object>, name: string) => {
    const before = await resident()
    await open()
    const after = await resident()
    await ask(crowd, { drop: name })
    return (after.bytes - before.bytes) / users.length / 1024
  }
  // What is loaded by the first of them is not a part of each.
  const few = users.slice(0, 100)
  await connect(scene, 'few', clientsOf(people, sids, parley.population, few, true))
  await connectBare(scene, 'few bare', few.length)
  for (const name of ['few', 'few bare']) await ask(crowd, { drop: name })
  const plain = await each(
    () => bare.request({ memory: true }),
    () => connectBare(scene, 'bare', users.length),
    'bare',
  )
  const clients = clientsOf(people, sids, parley.population, users, true)
  const own = await each(
    () => parley.memory(),
    () => connect(scene, 'idle', clients),
    'idle',
  )
  console.log(
    `\n${users.length.toLocaleString('en-US')} idle connections: ${formatFigure(own)} KB each, of bare ws ${formatFigure(plain)} KB.`,
  )
  return atMost('clients: memory of an idle connection, KB (1.3 × bare ws + 6)', 1.3 * plain + 6, own)
}

/** One message to everybody in a large conversation, and the same bytes by `ws` alone, in turns. */
async function oneToMany(scene: Scene): Promise<Goal> {
  const { people, sids, parley, bare, crowd, options } = scene
  const users = groupsOf(people).large
  await connect(scene, 'large', clientsOf(people, sids, parley.population, users))
  await connectBare(scene, 'large bare', users.length)
  const path = `/v1/Conversations/${sidOf(parley.population, 0)}/Messages`
  const message = (n: number) => `Body=${encodeURIComponent(`Message ${n}: where is my order, please?`)}`
  // The message itself, and the conversation with its new last message.
  const frames = 2
  const lines: { own: Spreading; plain: Spreading }[][] = []
  for (let round = 0; round <= options.rounds; round++) {
    const found: { own: Spreading; plain: Spreading }[] = []
    for (let n = 0; n < spreads_per_round; n++) {
      const own = await ask<Spreading>(crowd, {
        ...{ spread: 'large', port: parley.ports[0], path, form: message(n), frames },
      } satisfies Spread)
      const plain = await ask<Spreading>(crowd, {
        ...{ spread: 'large bare', port: bare.ready.port, path: '/', form: own.bytes.join('\n'), frames },
      } satisfies Spread)
      found.push({ own, plain })
    }
    if (round > 0) lines.push(found)
  }
  for (const name of ['large', 'large bare']) await ask(crowd, { drop: name })
  const all = lines.flat()
  const line = (name: string, of: (line: (typeof all)[number]) => Spreading) => {
    const lasts = all.map((one) => of(one).last_ms)
    return [name, median(all.map((one) => of(one).answered_ms)), median(lasts), percentile(lasts, 0.99)]
  }
  console.log(`\nOne message to ${users.length.toLocaleString('en-US')} clients, ${frames} frames each:\n`)
  console.log(
    table(
      ['ms', 'request → answer', 'answer → last frame, p50', 'p99'],
      [line('Parley', ({ own }) => own), line('bare ws, the same bytes', ({ plain }) => plain)],
    ),
  )
  const ratios = lines.map(
    (found) => median(found.map(({ own }) => own.last_ms)) / median(found.map(({ plain }) => plain.last_ms)),
  )
  return atMost('clients: answer → last frame of one message to 1,000, × bare ws', 3, median(ratios))
}

/** Messages by REST to conversations whose members are connected, and to the same without anybody, in turns. */
async function rate(scene: Scene): Promise<Goal> {
  const { people, sids, parley, quiet, crowd, options } = scene
  const users = groupsOf(people).rooms
  await connect(scene, 'rooms', clientsOf(people, sids, parley.population, users))
  const generator = await Child.start<object>(new URL('../load.ts', import.meta.url))
  const workload = { verb: 'message' as const, service_sid: null, first: 1, count: people.rooms }
  const operation = `message create, ${people.rooms} conversations`
  const cell = (contestant: string) => ({ operation, contestant, connections: 64, workload })
  const samples: { with: Sample; without: Sample }[] = []
  for (let round = 0; round <= options.rounds; round++) {
    const ms = burst_ms * options.scale
    const connected = await burst(generator, contestantOf(parley), cell('with clients'), ms)
    await settled(crowd, 'rooms')
    const alone = await burst(generator, contestantOf(quiet), cell('without clients'), ms)
    if (round > 0) samples.push({ with: connected, without: alone })
  }
  await generator.stop()
  await ask(crowd, { drop: 'rooms' })
  const of = (figure: keyof Sample, which: 'with' | 'without') => median(samples.map((sample) => sample[which][figure]))
  const line = (name: string, which: 'with' | 'without') => [
    ...[name, of('requests_per_s', which), of('p50_ms', which), of('p99_ms', which), of('cpu_us', which), of('main_us', which)],
  ]
  console.log(`\n${operation} of ${people.each} members, 64 connections of REST:\n`)
  console.log(
    table(
      ['', 'messages/s', 'p50 ms', 'p99 ms', 'µs CPU', 'µs main thread'],
      [line('all members connected', 'with'), line('nobody connected', 'without')],
    ),
  )
  const ratio = (figure: keyof Sample) => median(samples.map((sample) => sample.with[figure] / sample.without[figure]))
  const goal = atLeast('clients: messages/s with all members connected, of those with nobody', 0.6, ratio('requests_per_s'))
  return { ...goal, by_cpu: 1 / ratio('cpu_us') }
}

/** Nothing is deleted in between: those who are connected would not hear of it. */
function contestantOf({ ports, population, services, usage, drained, stop }: Parley): Contestant {
  return { ports, population, parley: { services, drained }, usage, trim: async () => {}, stop }
}

/** Resolves when no frames have come for a while. */
async function settled(crowd: Crowd, name: string): Promise<void> {
  for (let before = -1; ; ) {
    const { frames } = await ask<{ frames: number }>(crowd, { frames: name })
    if (frames === before) return
    before = frames
    await sleep(quiet_ms)
  }
}

/** Everybody is cut off, something is written in their conversations, and all come back at once. */
async function comeBack(scene: Scene): Promise<Goal[]> {
  const { people, sids, parley, crowd } = scene
  const users = groupsOf(people).shared
  const clients = clientsOf(people, sids, parley.population, users)
  const first = await connect(scene, 'shared', clients)
  await ask(crowd, { drop: 'shared' })
  const [port] = parley.ports
  const missed = Math.min(people.shared, 1000)
  for (let i = 0; i < missed; i += 20) {
    const some = Array.from({ length: Math.min(20, missed - i) }, (_, n) => sidOf(parley.population, 1 + people.rooms + i + n))
    await Promise.all(some.map((sid) => call(port, `/v1/Conversations/${sid}/Messages`, 'Body=meanwhile')))
  }
  const probe = probeOf(port, sidOf(parley.population, 1))
  const before = await parley.usage()
  const { ms } = await ask<{ ms: number }>(crowd, { back: 'shared' })
  const after = await parley.usage()
  const latencies = await probe.stop()
  await ask(crowd, { drop: 'shared' })
  const p99 = percentile(latencies, 0.99)
  console.log(
    `\n${users.length.toLocaleString('en-US')} clients with ${people.each} conversations each come back at once: all caught up in ` +
      `${formatFigure(ms / 1000)} s, ${formatFigure((after.main_us - before.main_us) / 1e6)} s of CPU time of the server's thread; meanwhile ${latencies.length} messages by REST, p50 ${formatFigure(median(latencies))} ms, ` +
      `p99 ${formatFigure(p99)} ms. (When they first came, ${formatFigure(first.ms / 1000)} s.)`,
  )
  return [
    atMost('clients: 5,000 come back at once, all caught up, s', 15, ms / 1000),
    atMost('clients: p99 of REST meanwhile, ms', 100, p99),
  ]
}

/** Writes messages, one after the other with a pause, and looks how long each takes. */
function probeOf(port: number, conversation_sid: string) {
  let going = true
  const running = (async () => {
    const latencies: number[] = []
    while (going) {
      const startMs = performance.now()
      const answer = await request(`http://127.0.0.1:${port}/v1/Conversations/${conversation_sid}/Messages`, {
        method: 'POST',
        headers: { authorization, 'content-type': 'application/x-www-form-urlencoded' },
        body: 'Body=probe',
      })
      await answer.body.dump()
      if (answer.statusCode !== 201) throw new Error(`a message was answered with ${answer.statusCode}`)
      latencies.push(performance.now() - startMs)
      await sleep(probe_ms)
    }
    return latencies
  })()
  return {
    stop() {
      going = false
      return running
    },
  }
}
