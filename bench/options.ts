import { parseArgs } from 'node:util'
import { type Engine, engines, type Leg, legs } from './moving/places.ts'

export const parts = [
  'load',
  'chat',
  'timers',
  'deliveries',
  'start',
  'console',
  'stalls',
  'clients',
  'mail',
  'search',
  'limits',
  'readers',
  'moving',
  'crash',
] as const
export type Part = (typeof parts)[number]

/** The parts that also run on PostgreSQL. */
const shared_parts: readonly Part[] = ['load', 'chat', 'timers', 'deliveries', 'console', 'moving', 'crash']

export interface Options {
  readonly parts: ReadonlySet<Part>
  readonly rounds: number
  /** Runs only the operations of the load, chat, readers and clients parts whose name contains this. */
  readonly operation: string
  /** Conversations in the large database, messages in the deep conversation. */
  readonly rows: number
  /** Conversations that are moved. */
  readonly moved: number
  readonly legs: ReadonlySet<Leg>
  /** Between which they are moved; by default that of the bench alone. */
  readonly engines?: readonly Engine[]
  readonly kills_within: number
  /** Factor on the length of all measurements. */
  readonly scale: number
  /** Only with 64 connections, which the goals are for. */
  readonly goals_only: boolean
  /** Compares the ratios of CPU time with the recorded ones, or records them; null: neither. */
  readonly recorded: 'compare' | 'record' | null
  readonly crash_rounds: number
  /** Folder of the databases; null: a new temporary folder on disk. */
  readonly folder: string | null
  /** Folder of CPU profiles of the Parley contestants; null: none are taken. */
  readonly profile: string | null
  /** `postgres`: a PostgreSQL server that the bench starts; a URL: that server; null: SQLite. */
  readonly database: string | null
  /** Folder of an earlier commit with its dependencies, which the clients part compares with; null: it does not. */
  readonly before: string | null
}

export const help = `npm run bench -- [options]
  --compare        a short run of the load and chat parts, whose ratios of CPU time are held against those of bench/figures.json:
                   prints what is worse by more than 10 %
  --record         the same run, whose ratios are written there
  --quick          small and short, to check that everything runs; the figures mean nothing
  --database URL   postgres://…: runs the bench for PostgreSQL in new databases on that server, as a user who may create
                   databases; postgres: on a server that the bench starts
  --only PARTS     comma-separated, of: ${parts.join(', ')}; by default all but moving
  --operation TEXT load, chat, readers and clients parts: only operations whose name contains this
  --rounds N       rounds of the load, chat, readers and clients parts (9; --quick: 2)
  --rows N         conversations in the large database, messages in the deep one (1000000,
                   with --database 100000 but for --only console; --quick: 10000); conversations of the moving part (20000;
                   --quick: 1000)
  --legs LEGS      moving part: comma-separated, of: ${legs.join(', ')}; by default both. With api alone, and from 50,000 conversations on,
                   they are put straight into SQLite, which is read
  --engines ENGINES  moving part: comma-separated, of: ${engines.join(', ')}; from each to each; by default that of the bench
  --kills-within N moving part: the share of a file after which nobody is killed while it is stored (1)
  --crash N        rounds of kill -9 (0: none; the design's goal is for 200)
  --folder PATH    folder for the databases; on a disk, not in memory
  --before PATH    clients part: folder of an earlier commit, with its dependencies, to compare messages with
  --profile PATH   folder for CPU profiles of the Parley servers; profiling makes the figures worse
  --help`

/** Parses the command line; undefined for --help. */
export function readOptions(args: readonly string[]): Options | undefined {
  const { values } = parseArgs({
    args: [...args],
    options: {
      quick: { type: 'boolean', default: false },
      only: { type: 'string' },
      rounds: { type: 'string' },
      operation: { type: 'string', default: '' },
      rows: { type: 'string' },
      crash: { type: 'string' },
      legs: { type: 'string', default: legs.join(',') },
      engines: { type: 'string' },
      'kills-within': { type: 'string', default: '1' },
      folder: { type: 'string' },
      profile: { type: 'string' },
      database: { type: 'string' },
      before: { type: 'string' },
      compare: { type: 'boolean', default: false },
      record: { type: 'boolean', default: false },
      help: { type: 'boolean', default: false },
    },
  })
  if (values.help) return undefined
  const { quick, database = null } = values
  const recorded = values.record ? 'record' : values.compare ? 'compare' : null
  if (database !== null && !/^(postgres|postgres(ql)?:\/\/.+)$/.test(database))
    throw new Error('--database must be postgres or postgres://…')
  const crash_rounds = wholeNumber('crash', values.crash, values.only?.includes('crash') ? 200 : 0)
  return {
    parts: chosenParts(
      database === null ? parts : shared_parts,
      values.only ?? (recorded ? 'load,chat' : undefined),
      crash_rounds > 0,
    ),
    rounds: wholeNumber('rounds', values.rounds, quick ? 2 : recorded ? 3 : 9),
    operation: values.operation,
    rows: wholeNumber(
      'rows',
      values.rows,
      quick || recorded ? 10_000 : database === null || values.only === 'console' ? 1_000_000 : 100_000,
    ),
    moved: wholeNumber('rows', values.rows, quick ? 1000 : 20_000),
    legs: new Set(named('legs', values.legs, legs)),
    ...(values.engines !== undefined && { engines: named('engines', values.engines, engines) }),
    kills_within: share('kills-within', values['kills-within']),
    scale: quick ? 0.1 : recorded ? 0.6 : 1,
    goals_only: recorded !== null,
    recorded,
    crash_rounds,
    folder: values.folder ?? null,
    profile: values.profile ?? null,
    database,
    before: values.before ?? null,
  }
}

function chosenParts(all: readonly Part[], only: string | undefined, crash: boolean): ReadonlySet<Part> {
  if (only === undefined) return new Set(all.filter((part) => part !== 'moving' && (part !== 'crash' || crash)))
  return new Set(named('only', only, all))
}

function named<N extends string>(option: string, text: string, all: readonly N[]): N[] {
  return text.split(',').map((name) => {
    const known = all.find((one) => one === name)
    if (known === undefined) throw new Error(`--${option} must be one or several of ${all.join(', ')}, not ${name}`)
    return known
  })
}

function share(name: string, text: string): number {
  const value = Number(text)
  if (!(value > 0 && value <= 1)) throw new Error(`--${name} must be above 0 and at most 1, not ${text}`)
  return value
}

function wholeNumber(name: string, text: string | undefined, default_value: number): number {
  const value = Number(text ?? default_value)
  if (!Number.isSafeInteger(value) || value < 0) throw new Error(`--${name} must be a whole number, not ${text}`)
  return value
}
