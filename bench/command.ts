import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { request } from 'undici'
import type { SettingTexts } from '../src/config.ts'
import { codeOf } from '../src/errors.ts'
import { cpuOf } from './processes.ts'
import { account_sid, auth_token, authorization } from './workload.ts'

/** A process that runs `parley serve`. */
export interface Command {
  readonly port: number
  readonly process: ChildProcess
  readonly started_ms: number
}

/** The sources, and what is published: `npm run build` writes that. */
const sources = [fileURLToPath(new URL('../src/cli/parley.ts', import.meta.url))]
export const published = [fileURLToPath(new URL('../bin/parley.cjs', import.meta.url))]
const running = new Set<ChildProcess>()
process.on('exit', () => {
  for (const child of running) child.kill('SIGKILL')
})

/**
 * Resolves when the server listens. `settings`: at least the database; `program`: what Node runs, with `serve` for an argument;
 * `compileCache`: a folder for compiled code, by default Node's own.
 */
export async function serve(settings: SettingTexts, program = sources, compileCache?: string): Promise<Command> {
  const started_ms = performance.now()
  const child = spawn(process.execPath, [...program, 'serve'], {
    env: {
      PATH: process.env.PATH,
      PORT: '0',
      PARLEY_ACCOUNT_SID: account_sid,
      PARLEY_AUTH_TOKEN: auth_token,
      ...(compileCache !== undefined && { NODE_COMPILE_CACHE: compileCache }),
      ...settings,
    },
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  running.add(child)
  child.once('exit', () => running.delete(child))
  return { port: await listening(child), process: child, started_ms }
}

/** Reads the port from the output; discards what follows. */
function listening(child: ChildProcess): Promise<number> {
  return new Promise((resolve, reject) => {
    let output = ''
    child.stdout?.setEncoding('utf8').on('data', (text: string) => {
      output = (output + text).slice(-1000)
      const port = /Parley listens on \S+:(\d+)/.exec(output)?.[1]
      if (port !== undefined) resolve(Number(port))
    })
    child.once('exit', (code) => reject(new Error(`parley serve ended with ${code}: ${output}`)))
  })
}

/** Sends requests until the API responds; resolves to the time since the start, in ms. */
export async function firstResponse({ port, process: child, started_ms }: Command): Promise<number> {
  for (;;) {
    try {
      const response = await request(`http://127.0.0.1:${port}/v1/Conversations?PageSize=1`, { headers: { authorization } })
      await response.body.dump()
      if (response.statusCode !== 200) throw new Error(`the first response was ${response.statusCode}`)
      return performance.now() - started_ms
    } catch (error) {
      if (codeOf(error) !== 'ECONNREFUSED') throw error
      if (child.exitCode !== null) throw new Error(`parley serve ended with ${child.exitCode}`)
      await new Promise((resolve) => setTimeout(resolve, 2))
    }
  }
}

export async function end({ process: child }: Command, signal: 'SIGTERM' | 'SIGKILL'): Promise<void> {
  const exited = once(child, 'exit')
  child.kill(signal)
  await exited
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
