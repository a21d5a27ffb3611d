import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

export const program = new URL('../../src/cli/parley.ts', import.meta.url).pathname
const sources = [process.execPath, program]

export interface Ended {
  readonly code: number | null
  readonly signal: NodeJS.Signals | null
  readonly stdout: string
  readonly stderr: string
}

export interface Serving extends AsyncDisposable {
  readonly url: string
  readonly pid: number
  readonly stdout: () => string
  /** Sends a signal; resolves when the process is gone. */
  end(signal: NodeJS.Signals): Promise<Ended>
  /** Sends a signal and does not wait. */
  signal(signal: NodeJS.Signals): void
  readonly ended: Promise<Ended>
}

export interface Settings {
  readonly env?: Readonly<Record<string, string>>
  readonly cwd?: string
  /** How many files and connections it may have open. */
  readonly open_files?: number
  /** What runs instead of the sources: a Node, and the program's file. */
  readonly program?: readonly string[]
  /** Runs as this user. */
  readonly uid?: number
  /** Whether standard input stays open until `endInput`. */
  readonly stdin?: true
}

/** What is compiled already is nobody's setting. */
const { NODE_COMPILE_CACHE = '' } = process.env

/** Nothing of the caller's own settings leaks in. What is said is for people, unless a test wants it otherwise. */
function launch(args: readonly string[], { env = {}, cwd, uid, open_files, stdin, program = sources }: Settings) {
  const command = [...program, ...args]
  const limited = open_files === undefined ? command : ['sh', '-c', `ulimit -n ${open_files} && exec "$0" "$@"`, ...command]
  const [first = '', ...rest] = limited
  const child = spawn(first, rest, {
    env: { PATH: process.env.PATH, HOME: tmpdir(), NO_COLOR: '1', NODE_COMPILE_CACHE, PARLEY_LOG_FORMAT: 'text', ...env },
    stdio: [stdin ? 'pipe' : 'ignore', 'pipe', 'pipe'],
    ...(cwd !== undefined && { cwd }),
    ...(uid !== undefined && { uid, gid: uid }),
  })
  const said = { stdout: '', stderr: '' }
  child.stdout?.setEncoding('utf8').on('data', (text: string) => {
    said.stdout += text
  })
  child.stderr?.setEncoding('utf8').on('data', (text: string) => {
    said.stderr += text
  })
  return { child, said, ended: end(child, said) }
}

async function end(child: ChildProcess, said: { stdout: string; stderr: string }): Promise<Ended> {
  await once(child, 'close')
  return { code: child.exitCode, signal: child.signalCode, ...said }
}

/** Runs `parley …` to its end. */
export async function parley(args: readonly string[], settings: Settings = {}): Promise<Ended> {
  return launch(args, settings).ended
}

export interface Spawned {
  /** Resolves once standard output matches; rejects when the process ends before. */
  said(pattern: RegExp): Promise<void>
  signal(signal: NodeJS.Signals): void
  endInput(): void
  readonly ended: Promise<Ended>
}

/** Starts `parley …` and does not wait for it. */
export function spawnParley(args: readonly string[], settings: Settings = {}): Spawned {
  const { child, said, ended } = launch(args, settings)
  return {
    said: (pattern) =>
      new Promise((resolve, reject) => {
        const look = () => pattern.test(said.stdout) && resolve()
        look()
        child.stdout?.on('data', look)
        ended.then(({ code, stdout, stderr }) => reject(new Error(`it ended with ${code}: ${stdout}${stderr}`)), reject)
      }),
    signal: (signal) => void child.kill(signal),
    endInput: () => void child.stdin?.end(),
    ended,
  }
}

/** Starts `parley serve`, or another command, on a free port; resolves when it listens, throws with what it said if it ends instead. */
export async function serve(settings: Settings = {}, args: readonly string[] = [], command = 'serve'): Promise<Serving> {
  const { child, said, ended } = launch([command, ...args], { ...settings, env: { PORT: '0', ...settings.env } })
  const url = await new Promise<string>((resolve, reject) => {
    child.stdout?.on('data', () => {
      // As text, or in a line of JSON.
      const found = /Parley listens on ([^\s"]+)["\n]/.exec(said.stdout)?.[1]
      if (found) resolve(found)
    })
    ended.then(({ code, stdout, stderr }) => reject(new Error(`the server ended with ${code}: ${stdout}${stderr}`)), reject)
  })
  const endBy = (signal: NodeJS.Signals) => {
    child.kill(signal)
    return ended
  }
  return {
    url,
    pid: child.pid ?? 0,
    stdout: () => said.stdout,
    ended,
    end: endBy,
    signal: (signal) => void child.kill(signal),
    [Symbol.asyncDispose]: async () => void (await endBy('SIGKILL')),
  }
}

/** A folder that is gone at the end of the block. */
export function folder(): Disposable & { readonly path: string; file(name: string): string } {
  const path = mkdtempSync(join(tmpdir(), 'parley-test-'))
  return {
    path,
    file: (name) => join(path, name),
    [Symbol.dispose]: () => rmSync(path, { recursive: true, force: true }),
  }
}
