import { formatFigure, median } from '../../reports/figures.ts'
import { atLeast, type Goal, heading, table } from '../../reports/report.ts'
import { create, delivered, single, spread } from '../chat-part.ts'
import { type Chat, chatFilling, chatOf, memberships } from '../chat-population.ts'
import { Child } from '../child.ts'
import type { Options } from '../options.ts'
import { configureWebhook } from '../parley.ts'
import { Results, shuffled } from '../results.ts'
import { burst, type Cell, type Contestant, type Sample, warm_up_ms } from '../rounds.ts'
import type { Sink } from '../sink.ts'
import { type Bench, makeTemplate, startNodes, type Template } from './nodes.ts'

const counts = [1, 2] as const
type ChatCell = Omit<Cell, 'contestant'> & { readonly contestant: string }

const burst_ms = 1000

/** Measures messages, and the creation of conversations for comparison, with one node and with two. */
export async function chatPart(bench: Bench, sink: Sink, options: Options): Promise<Goal[]> {
  const chat = chatOf(Math.max(memberships, 10_000 * options.scale), 0)
  const template = await makeTemplate(bench, {
    rows: chat.deep + 1,
    sink,
    filling: (population) => chatFilling(chat, population, Date.now()),
  })
  const field = new Map<string, Contestant>()
  for (const nodes of counts) field.set(label(nodes), await startChat(bench, template, sink, nodes))
  const generator = await Child.start<object>(new URL('../load.ts', import.meta.url))
  const cells = cellsOf(chat).filter(({ operation }) => operation.includes(options.operation))
  const results = new Results()
  for (let round = -1; round < options.rounds; round++) {
    for (const cell of shuffled(cells)) {
      const ms = (round < 0 ? warm_up_ms : burst_ms) * options.scale
      const sample = await burst(generator, field.get(cell.contestant) as Contestant, cell, ms)
      if (round >= 0) results.add(cell, sample)
    }
    console.error(round < 0 ? 'chat: warm' : `chat: round ${round + 1} of ${options.rounds}`)
  }
  await generator.stop()
  for (const contestant of field.values()) await contestant.stop()
  print(results, cells, chat)
  const hot = results.median(single, 64, label(1), 'requests_per_s')
  return Number.isNaN(hot) ? [] : [atLeast(`${single}: a second`, 6000, hot)]
}

const label = (nodes: number) => `Parley, ${nodes} ${nodes === 1 ? 'node' : 'nodes'}`

/** Prepares the default service, which has all rows, to send events to the sink. */
async function startChat(bench: Bench, template: Template, sink: Sink, nodes: number): Promise<Contestant> {
  const parley = await startNodes(bench, template, { name: `chat-${nodes}`, nodes })
  const { service_sid } = await parley.file.owner()
  await configureWebhook(parley.ports[0], service_sid, sink.sink, ['onConversationAdded', 'onMessageAdded'])
  return {
    ports: parley.ports,
    population: parley.population,
    parley: { ...parley, services: { ...parley.services, sink: service_sid } },
    usage: () => parley.usage(),
    trim: () => parley.file.forget('deliveries', 'messages'),
    stop: () => parley.stop(),
  }
}

function cellsOf(chat: Chat): ChatCell[] {
  const workloads: [string, Cell['workload']][] = [
    [single, { verb: 'message', service_sid: null, first: chat.single, count: 1 }],
    [spread, { verb: 'message', service_sid: null, first: 0, count: chat.spread }],
    [create, { verb: 'create', service_sid: null, names: 'scattered' }],
  ]
  return workloads.flatMap(([operation, workload]) =>
    [1, 64].flatMap((connections) =>
      counts.flatMap((nodes) => {
        const plain: ChatCell = { operation, contestant: label(nodes), connections, workload }
        // A single connection uses one node.
        if (connections === 1 && nodes > 1) return []
        return connections === 1 ? [plain] : [plain, { ...plain, operation: operation + delivered, webhook: 'sink' as const }]
      }),
    ),
  )
}

function print(results: Results, cells: readonly ChatCell[], { spread: conversations }: Chat): void {
  console.log(heading(`Chat (medians over rounds): spread over ${conversations.toLocaleString('en-US')} conversations`))
  const rows = cells.map(({ operation, contestant, connections, webhook }) => {
    const mine = results.of(operation, connections, contestant)
    const figures = (['requests_per_s', 'p50_ms', 'p99_ms', 'cpu_us', 'database_us', 'total_us'] as const).map((figure) =>
      median(mine.map((sample: Sample) => sample[figure])),
    )
    const creates = results.of(webhook ? create + delivered : create, connections, contestant)
    const against = operation.startsWith('message') ? formatFigure(results.ratio(mine, creates, 'requests_per_s')) : ''
    return [operation, contestant, String(connections), ...figures, against]
  })
  const head = ['operation', 'contestant', 'conns', 'req/s', 'p50 ms', 'p99 ms', 'CPU µs', 'PostgreSQL’s', 'both', '× create']
  console.log(table(head, rows))
}
