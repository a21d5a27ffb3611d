import { mkdirSync, statSync } from 'node:fs'
import { join } from 'node:path'
import type { SettingTexts } from '../../src/config.ts'
import { type Command, end, serve } from '../command.ts'
import { formatFigure } from '../figures.ts'
import { type Goal, heading, table } from '../report.ts'
import { account_sid, auth_token } from '../workload.ts'
import { itself, type Memory, memoryOf, type Ran, run, runKilled, type Victim } from './command.ts'
import { type Compared, compare } from './compare.ts'
import { messagesEach, recordLines, writeRecords } from './records.ts'

/** Where an installation of this part has its database; several share a server of PostgreSQL. */
export type NewDatabase = (name: string) => Promise<string>

interface Place {
  readonly settings: SettingTexts
  readonly folder: string
}

const kills = 10
const nowMs = Date.now()

/**
 * Moves an installation: a file is stored, exported, stored elsewhere while it is killed again and again, and read over the API of the
 * first, killed as often. What comes out is compared line by line.
 */
export async function movingPart(conversations: number, folder: string, newDatabase: NewDatabase): Promise<Goal[]> {
  const file = join(folder, 'population.jsonl')
  await writeRecords(file, recordLines(conversations, nowMs))
  const rows: [string, ...(string | number)[]][] = []
  const took = (what: string, lines: number, { ms, memory }: Pick<Ran, 'ms' | 'memory'>) => {
    rows.push([what, lines / (ms / 1000), ms / 1000, memory.own, memory.files])
    console.error(
      `moving: ${what}: ${Math.round(lines / (ms / 1000))} lines/s in ${Math.round(ms / 1000)} s, ${Math.round(memory.own)} MB`,
    )
  }
  const goals: Goal[] = []
  const same = (what: string, { equal, different, first }: Compared) => {
    if (first !== null) console.error(`moving: ${what}: ${first}`)
    goals.push({
      figure: `moving: ${what}: lines that differ, of ${equal + different}`,
      goal: '0',
      measured: different,
      met: different === 0 && equal > 0,
    })
  }

  const first = await newPlace('first', folder, newDatabase)
  const stored = await run(['import', '--from', file], first.settings)
  const before = join(folder, 'first.jsonl')
  const exported = await run(['export', '--account', account_sid, '--out', before], first.settings)
  const lines = await linesOf(before)
  took('import of a file, into an empty database', lines, stored)
  took('import of it again: nothing changes', lines, await run(['import', '--from', file], first.settings))
  took('export', lines, exported)
  same('stored and exported', await compare(file, before, butSettings))

  const second = await newPlace('second', folder, newDatabase)
  const last = await runKilled(
    ['import', '--from', before],
    second.settings,
    Array.from({ length: kills }, () => itself),
  )
  took(`import of a file, killed ${last.kills} times: the last run`, lines, last)
  const after = join(folder, 'second.jsonl')
  await run(['export', '--account', account_sid, '--out', after], second.settings)
  same(`by file, killed ${last.kills} times`, await compare(before, after))

  rows.push(...(await overTheApi({ conversations, folder, first, before, lines }, newDatabase, same, took)))
  console.log(
    heading(
      `Moving ${conversations.toLocaleString('en-US')} conversations of ${messagesEach} messages, ${lines.toLocaleString('en-US')} lines of ${formatFigure(statSync(file).size / lines)} bytes`,
    ),
  )
  console.log(table(['what', 'lines/s', 's', 'memory MB', 'pages of files MB'], rows))
  return goals
}

interface Given {
  readonly conversations: number
  readonly folder: string
  readonly first: Place
  readonly before: string
  readonly lines: number
}

type Took = (what: string, lines: number, ran: Pick<Ran, 'ms' | 'memory'>) => void

/** Reads the first installation over its API, as a hosted account, into a third one whose server runs. */
async function overTheApi(
  { conversations, folder, first, before, lines }: Given,
  newDatabase: NewDatabase,
  same: (what: string, compared: Compared) => void,
  took: Took,
): Promise<[string, number][]> {
  const third = await newPlace('third', folder, newDatabase)
  const hosted = await serve(first.settings)
  const moved = join(folder, 'moved')
  const reading = [
    'import',
    '--from-twilio',
    '--fetch-only',
    '--folder',
    moved,
    '--url',
    `http://127.0.0.1:${hosted.port}`,
    '--media-url',
    `http://127.0.0.1:${hosted.port}`,
    '--rate',
    '1000',
    '--concurrency',
    '16',
  ]
  const credentials = { TWILIO_ACCOUNT_SID: account_sid, TWILIO_AUTH_TOKEN: auth_token }
  const startMs = performance.now()
  const read = await runKilled(
    reading,
    { ...third.settings, ...credentials },
    Array.from({ length: kills }, () => itself),
  )
  const ms = performance.now() - startMs
  const requests = Number(/pass 1: (\d+) requests/.exec(read.output)?.[1])
  took(`reading over the API, killed ${read.kills} times, all runs`, lines, { ms, memory: read.memory })
  await end(hosted, 'SIGTERM')

  let server: Command = await serve(third.settings)
  const itsServer: Victim = {
    name: 'the server',
    kill: async () => {
      await end(server, 'SIGKILL')
      server = await serve(third.settings)
    },
  }
  const records = join(moved, 'records.jsonl')
  // Restarted on another port, which the command finds by what the server announces.
  const stored = await runKilled(
    ['import', '--from', records],
    third.settings,
    Array.from({ length: kills }, (_, i) => (i % 2 === 0 ? itself : itsServer)),
  )
  const memory: Memory = memoryOf(server.process.pid)
  took(`storing what was read through a server, killed ${stored.kills} times: the last run`, lines, { ms: stored.ms, memory })
  await end(server, 'SIGTERM')
  const after = join(folder, 'third.jsonl')
  await run(['export', '--account', account_sid, '--out', after], third.settings)
  same(`over the API, killed ${read.kills + stored.kills} times`, await compare(before, after, asShown))
  console.error(`moving: the last run of the reading sent ${requests} requests`)
  return [['requests per conversation, in the last run', requests / conversations]]
}

type Json = Readonly<Record<string, unknown>>

/** What the API shows of a line: an import from there does without the rest. */
function asShown({ extra: _extra, ...line }: Json): Json {
  return line
}

const settings = ['configuration', 'notification', 'webhook', 'end']

/** The population says no more of settings than it has to. */
function butSettings(line: Json): Json | null {
  return settings.includes(String(line.kind)) ? null : line
}

async function newPlace(name: string, folder: string, newDatabase: NewDatabase): Promise<Place> {
  const dataDir = join(folder, name)
  mkdirSync(dataDir)
  const settings = {
    PARLEY_DATABASE_URL: await newDatabase(name),
    PARLEY_DATA_DIR: dataDir,
    PARLEY_ACCOUNT_SID: account_sid,
    PARLEY_AUTH_TOKEN: auth_token,
  }
  // The first start creates the account.
  await end(await serve(settings), 'SIGTERM')
  return { settings, folder: dataDir }
}

async function linesOf(file: string): Promise<number> {
  return (await compare(file, file)).equal
}
