import { formatFigure, median } from '../reports/figures.ts'
import { atLeast, atMost, type Goal, heading, table } from '../reports/report.ts'
import { busy_identity, type Chat, chatFilling, chatOf, memberships } from './chat-population.ts'
import { Child } from './child.ts'
import type { Options } from './options.ts'
import { call, configureWebhook, type Parley, startParley } from './parley.ts'
import { newPopulation, sidOf } from './population.ts'
import { Results, shuffled } from './results.ts'
import { burst, type Cell, type Contestant, plain, type Sample, warm_up_ms } from './rounds.ts'
import type { Sink } from './sink.ts'
import { isRead, type Workload } from './workload.ts'

type ChatCell = Omit<Cell, 'contestant'> & { readonly contestant: 'parley' | 'bare' }

const burst_ms: Readonly<Record<number, number>> = { 1: 300, 64: 500, 256: 400 }
const growing_tables = ['conversations', 'messages', 'participants', 'users', 'deliveries']

/** Measures messages and participants, and the creation of conversations in the same rounds for comparison. */
export async function chatPart(sink: Child<Sink>, options: Options, folder: string): Promise<Goal[]> {
  const startMs = performance.now()
  const chat = chatOf(Math.max(memberships, 10_000 * options.scale), options.rows)
  const parley = await startParley({
    path: `${folder}/chat.db`,
    rows: chat.deep + 1,
    sink: sink.ready,
    profile: options.profile,
    filling: (population) => chatFilling(chat, population, Date.now()),
  })
  console.error(`chat: filled in ${formatFigure((performance.now() - startMs) / 1000)} s`)
  const field = {
    parley: await withWebhooks(parley, sink.ready),
    bare: await plain(new URL('./contestants/bare.ts', import.meta.url), newPopulation(1000, Date.now())),
  }
  const generator = await Child.start<object>(new URL('./load.ts', import.meta.url))
  const cells = (await chatCells(parley, chat)).filter(({ operation }) => operation.includes(options.operation))
  const results = await runRounds(generator, field, cells, options)
  await generator.stop()
  for (const contestant of Object.values(field)) await contestant.stop()
  print(results, cells, chat)
  return goals(results)
}

/** Prepares the default service, which has all rows, to send events of conversations and messages to the sink. */
async function withWebhooks(parley: Parley, sink: Sink): Promise<Contestant> {
  const { service_sid } = parley.file.owner()
  const deleteAdded = parley.file.snapshot(growing_tables)
  await configureWebhook(parley.ports[0], service_sid, sink.sink, ['onConversationAdded', 'onMessageAdded'])
  return {
    ports: parley.ports,
    population: parley.population,
    parley: { ...parley, services: { ...parley.services, sink: service_sid } },
    usage: () => parley.usage(),
    // The message index continues, as it does after a deletion.
    trim: async () => deleteAdded(),
    stop: () => parley.stop(),
  }
}

async function runRounds(
  generator: Child<object>,
  field: Readonly<Record<ChatCell['contestant'], Contestant>>,
  cells: readonly ChatCell[],
  options: Options,
): Promise<Results> {
  const results = new Results()
  for (let round = -1; round < options.rounds; round++) {
    for (const cell of shuffled(cells)) {
      const ms = (round < 0 ? warm_up_ms : (burst_ms[cell.connections] as number)) * options.scale
      if (round < 0 && cell.connections !== 64) continue
      const sample = await burst(generator, field[cell.contestant], cell, ms)
      if (round >= 0) results.add(cell, sample)
    }
    console.error(round < 0 ? 'chat: warm' : `chat: round ${round + 1} of ${options.rounds}`)
  }
  return results
}

export const single = 'message create, one conversation'
export const spread = 'message create, spread'
export const create = 'conversation create'
const front = 'page of 50 messages, first'
const behind = 'page of 50 messages, deep'
const ofOne = `page of 50 of ${memberships.toLocaleString('en-US')} conversations of one`
/** Which is as long. */
const yardstick = 'page of 50 conversations, bare node:http'
export const delivered = ', webhook delivered'

async function chatCells(parley: Parley, chat: Chat): Promise<ChatCell[]> {
  const list = `/v1/Conversations/${sidOf(parley.population, chat.deep)}/Messages?PageSize=50`
  const writes: [string, Workload][] = [
    [single, { verb: 'message', service_sid: null, first: chat.single, count: 1 }],
    [spread, { verb: 'message', service_sid: null, first: 0, count: chat.spread }],
    [create, { verb: 'create', service_sid: null, names: 'scattered' }],
  ]
  const others: [string, Workload][] = [
    ['participant add, new user', { verb: 'join', who: 'stranger', count: chat.spread }],
    ['participant add, known user', { verb: 'join', who: 'user', count: chat.spread }],
    [front, { verb: 'get', path: list }],
    [behind, { verb: 'get', path: `${list}&PageToken=${await deepToken(parley, list, chat.messages)}` }],
    [ofOne, { verb: 'get', path: `/v1/ParticipantConversations?Identity=${busy_identity}&PageSize=50` }],
  ]
  const cell = ([operation, workload]: [string, Workload], connections: number) => ({
    operation,
    contestant: 'parley' as const,
    connections,
    workload,
    polls: isRead(workload),
  })
  return [
    ...writes.flatMap((one) =>
      [1, 64, 256].flatMap((connections) => {
        const plain = cell(one, connections)
        return [plain, { ...plain, operation: plain.operation + delivered, webhook: 'sink' as const }]
      }),
    ),
    ...others.flatMap((one) => [1, 64].map((connections) => cell(one, connections))),
    { ...cell([yardstick, { verb: 'page' }], 64), contestant: 'bare' },
  ]
}

/** A page token is valid in both orders: this one is taken from the end of the list instead of paging there. */
async function deepToken(parley: Parley, list: string, messages: number): Promise<string> {
  interface Page {
    readonly meta: { readonly next_page_url: string }
    readonly messages: readonly { readonly index: number }[]
  }
  const last = await call<Page>(parley.ports[0], `${list.replace('=50', '=1000')}&Order=desc`)
  const token = new URL(last.meta.next_page_url).searchParams.get('PageToken') as string
  const page = await call<Page>(parley.ports[0], `${list}&PageToken=${token}`)
  // A page of 1000 ends earlier where its rows are large.
  if (page.messages.length !== 50 || page.messages[0]?.index !== messages - last.messages.length + 1)
    throw new Error('the page token leads to another page than expected')
  return token
}

function print(results: Results, cells: readonly ChatCell[], { spread: conversations, messages }: Chat): void {
  const [over, deep] = [conversations, messages].map((count) => count.toLocaleString('en-US'))
  console.log(heading(`Chat (medians over rounds): spread over ${over} conversations, deep is behind ${deep} messages`))
  const rows = cells.map(({ operation, connections, contestant, webhook }) => {
    const mine = results.of(operation, connections, contestant)
    const of = (figure: keyof Sample) => median(mine.map((sample) => sample[figure]))
    const creates = results.of(webhook ? create + delivered : create, connections, 'parley')
    const against = operation.startsWith('message') ? formatFigure(results.ratio(mine, creates, 'requests_per_s')) : ''
    return [
      operation,
      String(connections),
      of('requests_per_s'),
      of('p50_ms'),
      of('p99_ms'),
      of('cpu_us'),
      of('main_us'),
      against,
    ]
  })
  console.log(table(['operation', 'conns', 'req/s', 'p50 ms', 'p99 ms', 'CPU µs', 'of it main', '× create'], rows))
  const foreign = median(results.all().map((sample) => sample.foreign_cores))
  console.log(`\nOthers on this machine used ${formatFigure(foreign)} cores (median over bursts).`)
}

function goals(results: Results): Goal[] {
  const at = (operation: string, connections = 64) => results.of(operation, connections, 'parley')
  const versusCreate = (operation: string, webhook: string) => {
    const [mine, creates] = [at(operation + webhook), at(create + webhook)]
    const by_cpu = results.ratio(creates, mine, 'cpu_us')
    const figure = `${operation}${webhook} / conversation create, the same`
    return { ...atLeast(figure, 0.8, results.ratio(mine, creates, 'requests_per_s'), ' ×'), by_cpu }
  }
  const depth = (figure: string, column: keyof Sample, connections: number) =>
    atMost(
      `deep page / first page of messages: ${figure}`,
      1.2,
      results.ratio(at(behind, connections), at(front, connections), column),
      ' ×',
    )
  const bare = results.of(yardstick, 64, 'bare')
  const page = (operation: string, limit: number) =>
    atMost(`CPU, ${operation} / bare`, limit, results.ratio(at(operation), bare, 'cpu_us'), ' ×')
  return [
    ...[delivered, ''].flatMap((webhook) => [versusCreate(single, webhook), versusCreate(spread, webhook)]),
    page(front, 1.25),
    page(ofOne, 2.85),
    depth('CPU', 'cpu_us', 64),
    depth('p50', 'p50_ms', 64),
    depth('p50, one connection', 'p50_ms', 1),
  ].filter(({ measured }) => !Number.isNaN(measured))
}
