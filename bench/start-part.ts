import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { end, firstResponse, footprint, serve } from './command.ts'
import { median } from './figures.ts'
import type { Options } from './options.ts'
import { atMost, type Goal, heading, table } from './report.ts'

interface Start {
  readonly ms: number
  readonly cpu_ms: number
  readonly mb: number
}

/** Measures the time from the start of the process to its first response, and its memory at that time. */
export async function startPart(large_file: string, options: Options, folder: string): Promise<Goal[]> {
  const times = options.scale < 1 ? 2 : 5
  const fresh: Start[] = []
  const again: Start[] = []
  const large: Start[] = []
  const empty_ms: number[] = []
  for (let n = 0; n < times; n++) {
    empty_ms.push(await emptyProcess())
    fresh.push(await started(`${folder}/fresh-${n}.db`))
    again.push(await started(`${folder}/fresh-${n}.db`))
    large.push(await started(large_file))
  }
  const of = (starts: readonly Start[], figure: keyof Start) => median(starts.map((start) => start[figure]))
  const line = (name: string, starts: readonly Start[]) => [name, of(starts, 'ms'), of(starts, 'cpu_ms'), of(starts, 'mb')]
  console.log(heading('Start to first response, from the TypeScript sources'))
  console.log(
    table(
      ['parley serve', 'ms', 'CPU ms', 'MB resident then'],
      [
        line('first start: schema, secrets, account', fresh),
        line('started again', again),
        line(`on ${options.rows.toLocaleString('en-US')} conversations`, large),
        ['(for comparison: node with an empty program)', median(empty_ms), '', ''],
      ],
    ),
  )
  return [
    atMost('start to first answer, ms', 500, of(again, 'ms')),
    atMost('start to first answer on the large database, ms', 500, of(large, 'ms')),
    atMost('memory at the first answer, MB', 100, of(again, 'mb')),
  ]
}

async function started(file: string): Promise<Start> {
  const command = await serve({ PARLEY_DATABASE_URL: `sqlite:${file}` })
  const ms = await firstResponse(command)
  const { mb, cpu_ms } = footprint(command.process.pid)
  await end(command, 'SIGTERM')
  return { ms, cpu_ms, mb }
}

async function emptyProcess(): Promise<number> {
  const startMs = performance.now()
  await once(spawn(process.execPath, ['-e', '0'], { stdio: 'ignore' }), 'exit')
  return performance.now() - startMs
}
