import { cpus } from 'node:os'
import { formatFigure } from '../reports/figures.ts'
import { type Goal, goalsTable, heading } from '../reports/report.ts'
import { chatPart } from './chat-part.ts'
import { Child } from './child.ts'
import { clientsPart } from './clients/part.ts'
import { held } from './compare.ts'
import { consolePart } from './console-part.ts'
import { consoleFilling } from './console-population.ts'
import { crashingFile, crashPart } from './crash-part.ts'
import { deliveriesPart } from './deliveries-part.ts'
import { benchFolder, fsyncMs } from './folder.ts'
import { limitsPart } from './limits-part.ts'
import { loadPart } from './load-part.ts'
import { mailPart } from './mail-part.ts'
import { moving } from './moving/engines.ts'
import { help, type Options, readOptions } from './options.ts'
import { type Parley, startParley } from './parley.ts'
import { onPostgres } from './postgres/parts.ts'
import { readersPart } from './readers-part.ts'
import { startField } from './rounds.ts'
import { searchPart } from './search-part.ts'
import type { Sink } from './sink.ts'
import { stallsPart } from './stalls/part.ts'
import { startPart } from './start-part.ts'
import { timersPart } from './timers-part.ts'
import { adminToken } from './workload.ts'

/**
 * Measures the design's goals. Contestants are up at once and take turns within a round, figures are medians of ratios inside
 * rounds: a busy machine slows all of them. Trust ratios and CPU time; absolute rates only of a machine that does nothing else.
 */
async function bench(options: Options): Promise<Goal[]> {
  const folder = benchFolder(options.folder)
  const [cpu] = cpus()
  console.log(
    `Node ${process.version}, ${cpus().length} × ${cpu?.model}, 8 KiB written and synced in ${formatFigure(fsyncMs(folder))} ms`,
  )
  if (options.scale < 1) console.log('Quick: this shows that everything runs. The figures mean nothing.')
  const sink = await Child.start<Sink>(new URL('./sink.ts', import.meta.url))
  const { database } = options
  const goals = await (database === null ? onFiles(sink, options, folder) : onPostgres(database, sink, options, folder))
  await sink.stop()
  return goals
}

async function onFiles(sink: Child<Sink>, options: Options, folder: string): Promise<Goal[]> {
  const goals: Goal[] = []
  const { parts } = options
  if (parts.has('deliveries')) goals.push(...(await deliveriesPart(sink, options, folder)))
  if (parts.has('chat')) goals.push(...(await chatPart(sink, options, folder)))
  if (parts.has('load') || parts.has('timers') || parts.has('start')) goals.push(...(await withLarge(sink, options, folder)))
  if (parts.has('console')) goals.push(...(await consoleOnFile(sink.ready, options, folder)))
  if (parts.has('stalls')) goals.push(...(await stallsPart(sink.ready, options, folder)))
  if (parts.has('clients')) goals.push(...(await clientsPart(sink.ready, options, folder)))
  if (parts.has('search')) goals.push(...(await searchPart(sink, options, folder)))
  if (parts.has('moving')) goals.push(...(await moving(options, folder, null)))
  if (parts.has('limits')) goals.push(...(await limitsPart(sink, options, folder)))
  if (parts.has('readers')) goals.push(...(await readersPart(sink, options, folder)))
  if (parts.has('mail')) await mailPart(sink.ready, options, folder)
  if (parts.has('crash')) goals.push(...(await crashPart(sink.ready, options, crashingFile(`${folder}/crash.db`))))
  return goals
}

/** The parts that need the large database. */
async function withLarge(sink: Child<Sink>, options: Options, folder: string): Promise<Goal[]> {
  const goals: Goal[] = []
  const path = `${folder}/large.db`
  const startMs = performance.now()
  const large = await startParley({ path, rows: options.rows, sink: sink.ready, profile: options.profile })
  console.error(`${options.rows} rows loaded in ${formatFigure((performance.now() - startMs) / 1000)} s`)
  if (options.parts.has('load')) goals.push(...(await load(large, sink, options, folder)))
  if (options.parts.has('timers')) goals.push(...(await timersPart(large, options)))
  await large.stop()
  if (options.parts.has('start')) goals.push(...(await startPart(path, options, folder)))
  return goals
}

/** A database of its own: the others have no people, messages or words. */
async function consoleOnFile(sink: Sink, options: Options, folder: string): Promise<Goal[]> {
  const parley = await startParley({
    path: `${folder}/console.db`,
    rows: options.rows,
    sink,
    profile: options.profile,
    settings: { PARLEY_SEARCH: 'on' },
    filling: consoleFilling,
  })
  const goals = await consolePart(parley, adminToken, options)
  await parley.stop()
  return goals
}

async function load(large: Parley, sink: Child<Sink>, options: Options, folder: string): Promise<Goal[]> {
  const field = await startField(large, options, sink.ready, folder)
  const generator = await Child.start<object>(new URL('./load.ts', import.meta.url))
  const goals = await loadPart(field, generator, options)
  await generator.stop()
  for (const { parley, stop } of Object.values(field)) if (parley !== large) await stop()
  return goals
}

const options = readOptions(process.argv.slice(2))
if (options) {
  const startMs = performance.now()
  const goals = await bench(options)
  console.log(heading('Goals'))
  console.log(goalsTable(goals))
  if (options.recorded) console.log(await held(goals, options.recorded))
  console.log(`\n${formatFigure((performance.now() - startMs) / 60_000)} minutes`)
  process.exit()
} else console.log(help)
