import { spawnSync } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { median } from '../reports/figures.ts'
import { atMost, type Goal, heading, table } from '../reports/report.ts'
import { type Command, end, firstResponse, footprint, published, serve } from './command.ts'
import type { Options } from './options.ts'

interface Start {
  readonly ms: number
  readonly cpu_ms: number
  readonly mb: number
}

const bare = fileURLToPath(new URL('./bare.cjs', import.meta.url))
const build = fileURLToPath(new URL('../scripts/build.ts', import.meta.url))

/**
 * Measures the time from the start of the process to its first response, the CPU time of it, and its memory at that time: of the
 * package as it is published, and beside it of Node itself. All take turns, so that a busy machine slows them alike.
 */
export async function startPart(large_file: string, options: Options, folder: string): Promise<Goal[]> {
  const built = spawnSync(process.execPath, [build], { encoding: 'utf8' })
  if (built.status !== 0) throw new Error(`the package cannot be built: ${built.stderr}`)
  const rounds = options.scale < 1 ? 2 : 9
  const cache = `${folder}/compiled`
  const packaged = (file: string, compiled = cache) => serve({ PARLEY_DATABASE_URL: `sqlite:${file}` }, published, compiled)
  const contestants: Record<string, (round: number) => Promise<Command>> = {
    'first start, nothing compiled': (round) =>
      packaged(`${folder}/fresh-${round}/parley.db`, `${folder}/fresh-${round}/compiled`),
    'first start': (round) => packaged(`${folder}/first-${round}/parley.db`),
    'started again': (round) => packaged(`${folder}/first-${round}/parley.db`),
    [`on ${options.rows.toLocaleString('en-US')} conversations`]: () => packaged(large_file),
    'from the TypeScript sources': (round) => serve({ PARLEY_DATABASE_URL: `sqlite:${folder}/first-${round}/parley.db` }),
    'bare node:http': () => serve({}, [bare]),
    'bare node:http and one idle thread': () => serve({}, [bare, 'thread']),
  }
  const starts = new Map<string, Start[]>(Object.keys(contestants).map((name) => [name, []]))
  // Compiles, and keeps what is compiled.
  await end(await packaged(`${folder}/first/parley.db`), 'SIGTERM')
  for (let round = 0; round < rounds; round++) {
    for (const [name, start] of Object.entries(contestants)) starts.get(name)?.push(await measured(await start(round)))
  }
  const of = (name: string, figure: keyof Start) => median((starts.get(name) ?? []).map((start) => start[figure]))
  console.log(heading('Start to first response, of the package'))
  console.log(
    table(
      ['parley serve', 'ms', 'CPU ms', 'MB resident then'],
      [...starts.keys()].map((name) => [name, of(name, 'ms'), of(name, 'cpu_ms'), of(name, 'mb')]),
    ),
  )
  return [
    atMost('start to first answer, ms', 300, of('started again', 'ms')),
    atMost('start to first answer, CPU ms', 250, of('started again', 'cpu_ms')),
    atMost('memory at the first answer, MB', 100, of('started again', 'mb')),
  ]
}

async function measured(command: Command): Promise<Start> {
  const ms = await firstResponse(command)
  const { mb, cpu_ms } = footprint(command.process.pid)
  await end(command, 'SIGTERM')
  return { ms, cpu_ms, mb }
}
