import { join } from 'node:path'
import { type Command, end, serve } from '../command.ts'
import { account_sid, auth_token } from '../workload.ts'
import { itself, memoryOf, run, runKilled, type Victim } from './command.ts'
import { compare } from './compare.ts'
import type { Notes } from './notes.ts'
import { compareExport, type Engine, type Json, type Moving, newPlace, type Source } from './places.ts'

const kills = 10
const commands = Array.from({ length: kills }, () => itself)

/** Exports an installation to a file, and stores that in another place. */
export async function byFile(moving: Moving, source: Source, to: Engine, notes: Notes): Promise<void> {
  const way = `${source.engine} to ${to}`
  const { exported, compared, file } = await compareExport(source, source)
  notes.took(`${source.engine}: export`, source.lines, exported)
  notes.same(`${source.engine}: stored and exported`, compared)
  const place = await newPlace(moving, to, `by-file-${source.engine}-${to}`)
  const last = await runKilled(['import', '--from', file], place.settings, commands, moving.kills_within)
  notes.took(`${way}: import of a file, killed ${last.kills} times: the last run`, source.lines, last)
  const after = join(place.folder, 'export.jsonl')
  await run(['export', '--account', account_sid, '--out', after], place.settings)
  notes.same(`${way}: by file, killed ${last.kills} times`, await compare(file, after))
}

/** Reads an installation over its API, as a hosted account, and stores that in another place whose server runs. */
export async function overTheApi(moving: Moving, source: Source, to: Engine, notes: Notes): Promise<void> {
  const way = `${source.engine} to ${to}`
  const place = await newPlace(moving, to, `over-the-api-${source.engine}-${to}`)
  const hosted = await serve(source.settings)
  const moved = join(place.folder, 'moved')
  const url = `http://127.0.0.1:${hosted.port}`
  const reading = ['import', '--from-twilio', '--fetch-only', '--folder', moved, '--url', url, '--media-url', url]
  const credentials = { TWILIO_ACCOUNT_SID: account_sid, TWILIO_AUTH_TOKEN: auth_token }
  const startMs = performance.now()
  const read = await runKilled(
    [...reading, '--rate', '1000', '--concurrency', '16'],
    { ...place.settings, ...credentials },
    commands,
  )
  const ms = performance.now() - startMs
  notes.took(`${way}: reading over the API, killed ${read.kills} times, all runs`, source.lines, { ms, memory: read.memory })
  const requests = Number(/pass 1: (\d+) requests/.exec(read.output)?.[1])
  notes.requested(`${way}: the last run of the reading`, requests / moving.conversations)
  await end(hosted, 'SIGTERM')

  let server: Command = await serve(place.settings)
  const itsServer: Victim = {
    name: 'the server',
    kill: async () => {
      await end(server, 'SIGKILL')
      server = await serve(place.settings)
    },
  }
  // Restarted on another port, which the command finds by what the server announces.
  const victims = commands.map((command, i) => (i % 2 === 0 ? command : itsServer))
  const stored = await runKilled(['import', '--from', join(moved, 'records.jsonl')], place.settings, victims, moving.kills_within)
  const memory = memoryOf(server.process.pid)
  const what = `${way}: storing what was read through a server, killed ${stored.kills} times: the last run`
  notes.took(what, source.lines, { ms: stored.ms, memory })
  await end(server, 'SIGTERM')
  const { exported, compared } = await compareExport(place, source, asShown)
  notes.took(`${to}: export`, source.lines, exported)
  notes.same(`${way}: over the API, killed ${read.kills + stored.kills} times`, compared)
}

/** What the API shows of a line: an import from there does without the rest. */
function asShown({ extra: _extra, ...line }: Json): Json {
  return line
}
