import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { fileURLToPath } from 'node:url'
import { LogCheck } from './log-check.ts'

const program = fileURLToPath(new URL('../src/cli/parley.ts', import.meta.url))
const guard = new URL('./only-this-machine.ts', import.meta.url).href

/** `parley serve`, a process of its own, its log read as it comes. */
export interface Child extends AsyncDisposable {
  readonly port: number
  readonly pid: number
  readonly log: LogCheck
  /** Everything that came by standard error; the last of it if it is much. */
  readonly stderr: () => string
  /** Why it is over; null while it runs. */
  readonly ended: () => string | null
}

const running = new Set<ChildProcess>()
process.on('exit', () => {
  for (const child of running) child.kill('SIGKILL')
})

/** Resolves when it listens. */
export async function startChild(env: Readonly<Record<string, string>>, secrets: readonly string[]): Promise<Child> {
  const child = spawn(process.execPath, ['--import', guard, program, 'serve'], {
    env: { PATH: process.env.PATH, HOME: tmpdir(), NO_COLOR: '1', PORT: '0', ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  running.add(child)
  const gone = once(child, 'exit').then(() => running.delete(child))
  const log = new LogCheck(secrets)
  let stderr = ''
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    stderr = (stderr + text).slice(-10_000)
  })
  const ended = () =>
    child.exitCode === null && child.signalCode === null ? null : `it ended with ${child.signalCode ?? child.exitCode}`
  const port = await listening(child, log, () => stderr)
  return {
    port,
    pid: child.pid ?? 0,
    log,
    stderr: () => stderr,
    ended,
    async [Symbol.asyncDispose]() {
      // In order, so that the last lines of its log are there as well; a stop that hangs is cut short.
      child.kill('SIGTERM')
      const late = setTimeout(() => child.kill('SIGKILL'), 15_000)
      await gone
      clearTimeout(late)
    },
  }
}

function listening(child: ChildProcess, log: LogCheck, stderr: () => string): Promise<number> {
  return new Promise((resolve, reject) => {
    child.stdout?.setEncoding('utf8').on('data', (text: string) => {
      log.push(text)
      const port = /Parley listens on \S+:(\d+)/.exec(text)?.[1]
      if (port !== undefined) resolve(Number(port))
    })
    child.once('exit', (code) => reject(new Error(`the server ended with ${code}: ${stderr()}`)))
  })
}

/** Resident memory now and at its highest, in MB; NaN where there is no /proc. */
export function memoryOf(pid: number): { readonly now_mb: number; readonly highest_mb: number } {
  try {
    const status = readFileSync(`/proc/${pid}/status`, 'utf8')
    const kb = (name: string) => Number(new RegExp(`^${name}:\\s+(\\d+) kB`, 'm').exec(status)?.[1])
    return { now_mb: kb('VmRSS') / 1024, highest_mb: kb('VmHWM') / 1024 }
  } catch {
    return { now_mb: Number.NaN, highest_mb: Number.NaN }
  }
}
