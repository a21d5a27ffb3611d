import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { request } from 'undici'
import type { SettingTexts } from '../src/config.ts'
import { account_sid, auth_token, authorization } from './asks.ts'
import { cpuOf } from './processes.ts'

/** The program as people start it: `parley serve`, a process of its own. */
export interface Command {
  readonly port: number
  readonly process: ChildProcess
  readonly started_ms: number
}

const program = fileURLToPath(new URL('../src/cli/parley.ts', import.meta.url))
const running = new Set<ChildProcess>()
process.on('exit', () => {
  for (const child of running) child.kill('SIGKILL')
})

/** Resolves when it listens. `settings`: at least where the database is. */
export async function serve(settings: SettingTexts): Promise<Command> {
  const started_ms = performance.now()
  const child = spawn(process.execPath, [program, 'serve'], {
    env: {
      PATH: process.env.PATH,
      PORT: '0',
      PARLEY_ACCOUNT_SID: account_sid,
      PARLEY_AUTH_TOKEN: auth_token,
      ...settings,
    },
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  running.add(child)
  child.once('exit', () => running.delete(child))
  return { port: await listening(child), process: child, started_ms }
}

/** The port that it says it listens on. What it says after that goes nowhere. */
function listening(child: ChildProcess): Promise<number> {
  return new Promise((resolve, reject) => {
    let said = ''
    child.stdout?.setEncoding('utf8').on('data', (text: string) => {
      said = (said + text).slice(-1000)
      const port = /Parley listens on \S+:(\d+)/.exec(said)?.[1]
      if (port !== undefined) resolve(Number(port))
    })
    child.once('exit', (code) => reject(new Error(`parley serve ended with ${code}: ${said}`)))
  })
}

/** Knocks until the API answers; resolves to the time since the start, in ms. */
export async function firstAnswer({ port, process: child, started_ms }: Command): Promise<number> {
  for (;;) {
    try {
      const answer = await request(`http://127.0.0.1:${port}/v1/Conversations?PageSize=1`, { headers: { authorization } })
      await answer.body.dump()
      if (answer.statusCode !== 200) throw new Error(`the first answer was ${answer.statusCode}`)
      return performance.now() - started_ms
    } catch (error) {
      if ((error as { code?: string }).code !== 'ECONNREFUSED') throw error
      if (child.exitCode !== null) throw new Error(`parley serve ended with ${child.exitCode}`)
      await new Promise((resolve) => setTimeout(resolve, 2))
    }
  }
}

export async function end({ process: child }: Command, signal: 'SIGTERM' | 'SIGKILL'): Promise<void> {
  const gone = once(child, 'exit')
  child.kill(signal)
  await gone
}

/** Resident memory in MB, and CPU time used in ms; NaN where there is no /proc. */
export function footprint(pid: number | undefined): { mb: number; cpu_ms: number } {
  try {
    const kb = /^VmRSS:\s+(\d+) kB/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]
    return { mb: Number(kb) / 1024, cpu_ms: cpuOf(pid as number).own_us / 1000 }
  } catch {
    return { mb: Number.NaN, cpu_ms: Number.NaN }
  }
}
