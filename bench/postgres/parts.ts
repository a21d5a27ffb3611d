import type { Goal } from '../../reports/report.ts'
import type { Child } from '../child.ts'
import { consolePart } from '../console-part.ts'
import { consoleFilling } from '../console-population.ts'
import { crashPart } from '../crash-part.ts'
import { moving } from '../moving/engines.ts'
import type { Options } from '../options.ts'
import type { Sink } from '../sink.ts'
import { chatPart } from './chat-part.ts'
import { SharedContents } from './contents.ts'
import { deliveriesPart } from './deliveries-part.ts'
import { loadPart } from './load-part.ts'
import { adminToken, type Bench, makeTemplate, settingsOf, startNodes } from './nodes.ts'
import { startServer } from './server.ts'
import { timersPart } from './timers-part.ts'

/** Runs the parts on a PostgreSQL server. `database`: its URL, or `postgres` for a server that the bench starts. */
export async function onPostgres(database: string, sink: Child<Sink>, options: Options, folder: string): Promise<Goal[]> {
  const server = await startServer(database, folder)
  console.log(server.about)
  const bench: Bench = { server, folder, profile: options.profile }
  const goals: Goal[] = []
  const { parts } = options
  try {
    if (parts.has('deliveries')) goals.push(...(await deliveriesPart(bench, sink, options)))
    if (parts.has('chat')) goals.push(...(await chatPart(bench, sink.ready, options)))
    if (parts.has('load')) goals.push(...(await loadPart(bench, sink.ready, options)))
    if (parts.has('timers')) goals.push(...(await timersPart(bench, sink.ready, options)))
    if (parts.has('console')) goals.push(...(await consoleOn(bench, sink.ready, options)))
    if (parts.has('moving')) goals.push(...(await moving(options, folder, server)))
    if (parts.has('crash')) goals.push(...(await crashOf(bench, sink.ready, options)))
  } finally {
    await server.stop()
  }
  return goals
}

async function consoleOn(bench: Bench, sink: Sink, options: Options): Promise<Goal[]> {
  const template = await makeTemplate(bench, { rows: options.rows, sink, filling: consoleFilling })
  const parley = await startNodes(bench, template, { name: 'console', nodes: 1 })
  const goals = await consolePart(parley, adminToken, options)
  await parley.stop()
  return goals
}

async function crashOf({ server, folder }: Bench, sink: Sink, options: Options): Promise<Goal[]> {
  const url = await server.create()
  return crashPart(sink, options, {
    settings: settingsOf(url, folder, 'crash'),
    async persisted() {
      const contents = new SharedContents(url)
      const persisted = await contents.persisted()
      await contents.close()
      return persisted
    },
    integrity: () => null,
    killDatabase: server.crash,
  })
}
