import { parseArgs } from 'node:util'

export const parts = ['load', 'chat', 'timers', 'deliveries', 'start', 'crash'] as const
export type Part = (typeof parts)[number]

/** Those that PostgreSQL has too. */
const shared_parts: readonly Part[] = ['load', 'chat', 'timers', 'deliveries', 'crash']

export interface Options {
  readonly parts: ReadonlySet<Part>
  readonly rounds: number
  /** Of the load and chat parts, only the operations with this in their name. */
  readonly operation: string
  /** Conversations in the large database, messages in the deep conversation. */
  readonly rows: number
  /** Share of the full length of everything that is timed. */
  readonly scale: number
  readonly crash_rounds: number
  /** Where the databases go; null: a new temporary folder on disk. */
  readonly folder: string | null
  /** Where CPU profiles of the Parley contestants go; null: none are taken. */
  readonly profile: string | null
  /** `postgres`: a PostgreSQL of the bench's own; a url: that server; null: SQLite. */
  readonly database: string | null
}

export const help = `npm run bench -- [options]
  --quick          small and short: does everything run? Its figures mean nothing
  --database URL   postgres://…: the bench for PostgreSQL, in databases of its own on that server, as a user who may
                   create them; just postgres: on a server that it starts itself
  --only PARTS     of: ${parts.join(', ')} (comma-separated)
  --operation TEXT load and chat parts: only operations with this in their name
  --rounds N       rounds of the load and chat parts (9; --quick: 2)
  --rows N         conversations in the large database, messages in the deep one (1000000,
                   with --database 100000; --quick: 10000)
  --crash N        rounds of kill -9 (0: none; the design's goal asks for 200)
  --folder PATH    where the databases go: on a disk, not in memory
  --profile PATH   folder for CPU profiles of the Parley servers (figures suffer)
  --help`

/** Reads the command line; undefined when help was asked for. */
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
      folder: { type: 'string' },
      profile: { type: 'string' },
      database: { type: 'string' },
      help: { type: 'boolean', default: false },
    },
  })
  if (values.help) return undefined
  const { quick, database = null } = values
  if (database !== null && !/^(postgres|postgres(ql)?:\/\/.+)$/.test(database))
    throw new Error('--database must be postgres or postgres://…')
  const crash_rounds = whole('crash', values.crash, values.only?.includes('crash') ? 200 : 0)
  return {
    parts: chosenParts(database === null ? parts : shared_parts, values.only, crash_rounds > 0),
    rounds: whole('rounds', values.rounds, quick ? 2 : 9),
    operation: values.operation,
    rows: whole('rows', values.rows, quick ? 10_000 : database === null ? 1_000_000 : 100_000),
    scale: quick ? 0.1 : 1,
    crash_rounds,
    folder: values.folder ?? null,
    profile: values.profile ?? null,
    database,
  }
}

function chosenParts(all: readonly Part[], only: string | undefined, crash: boolean): ReadonlySet<Part> {
  if (only === undefined) return new Set(all.filter((part) => part !== 'crash' || crash))
  const names = only.split(',')
  const unknown = names.filter((name) => !(all as readonly string[]).includes(name))
  if (unknown.length > 0) throw new Error(`no part ${unknown.join(', ')}: there are ${all.join(', ')}`)
  return new Set(names as Part[])
}

function whole(name: string, text: string | undefined, standard: number): number {
  const value = Number(text ?? standard)
  if (!Number.isSafeInteger(value) || value < 0) throw new Error(`--${name} must be a whole number, not ${text}`)
  return value
}
