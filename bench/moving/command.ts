import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import type { SettingTexts } from '../../src/config.ts'

const program = fileURLToPath(new URL('../../src/cli/parley.ts', import.meta.url))
/** How often the memory of a process is looked at. */
const lookEveryMs = 250
const running = new Set<ChildProcess>()
process.on('exit', () => {
  for (const child of running) child.kill('SIGKILL')
})

/** Memory in MB at its highest: what is the process's own, and pages of files, which the system takes back when it needs them. */
export interface Memory {
  readonly own: number
  readonly files: number
}

export interface Ran {
  readonly ms: number
  readonly memory: Memory
  readonly killed: boolean
  readonly code: number | null
  readonly output: string
}

/** A `parley …` that was started. */
export interface Started {
  readonly child: ChildProcess
  readonly ended: Promise<Ran>
}

/** Starts `parley …`. `wentTo` is told how far it says that it is, as a share of its work. */
export function start(args: readonly string[], settings: SettingTexts, wentTo: (share: number) => void = () => {}): Started {
  const startMs = performance.now()
  const child = spawn(process.execPath, [program, ...args], {
    env: { PATH: process.env.PATH, PORT: '0', NO_COLOR: '1', ...settings },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  running.add(child)
  let output = ''
  const heard = (text: string) => {
    output = (output + text).slice(-20_000)
    for (const [, percent] of text.matchAll(/(\d+) % of the file/g)) wentTo(Number(percent) / 100)
    for (const [, done, all] of text.matchAll(/(\d+) of (\d+) conversations/g)) wentTo(Number(done) / Number(all))
  }
  child.stdout.setEncoding('utf8').on('data', heard)
  child.stderr.setEncoding('utf8').on('data', heard)
  let memory: Memory = { own: 0, files: 0 }
  const timer = setInterval(() => {
    const now = memoryOf(child.pid)
    memory = { own: Math.max(memory.own, now.own), files: Math.max(memory.files, now.files) }
  }, lookEveryMs)
  const ended = async (): Promise<Ran> => {
    await once(child, 'close')
    clearInterval(timer)
    running.delete(child)
    const { exitCode: code, signalCode } = child
    return { ms: performance.now() - startMs, memory, killed: signalCode === 'SIGKILL', code, output }
  }
  return { child, ended: ended() }
}

/** Runs `parley …` to its end. Throws when it fails. */
export async function run(args: readonly string[], settings: SettingTexts): Promise<Ran> {
  const ran = await start(args, settings).ended
  if (ran.code !== 0) throw new Error(`parley ${args.join(' ')} ended with ${ran.code}:\n${ran.output}`)
  return ran
}

/** What is killed on the way, and what has to be done before the command can be run again. */
export interface Victim {
  readonly name: string
  kill(command: ChildProcess): Promise<void>
}

export const itself: Victim = {
  name: 'the command',
  kill: async (command) => {
    command.kill('SIGKILL')
  },
}

/** Runs `parley …` again and again until it is done; `victims` are killed one after the other on the way, evenly over
 * this share of its work, as far as it says where it is before it is done. */
export async function runKilled(
  args: readonly string[],
  settings: SettingTexts,
  victims: readonly Victim[],
  within = 1,
): Promise<Ran & { readonly kills: number }> {
  for (let killed = 0; ; killed++) {
    const victim = victims[killed]
    const at = (within * (killed + 1)) / (victims.length + 1)
    let kill: Promise<void> | undefined
    const started = start(args, settings, (share) => {
      if (victim && share >= at) kill ??= victim.kill(started.child)
    })
    const ran = await started.ended
    await kill
    if (victim && kill)
      console.error(
        `moving: ${args[0]}: ${victim.name} killed at ${Math.round(1000 * at) / 10} %, after ${Math.round(ran.ms / 1000)} s`,
      )
    else if (ran.code !== 0) throw new Error(`parley ${args.join(' ')} ended with ${ran.code}:\n${ran.output}`)
    else return { ...ran, kills: killed }
  }
}

/** NaN where there is no /proc. */
export function memoryOf(pid: number | undefined): Memory {
  try {
    const status = readFileSync(`/proc/${pid}/status`, 'utf8')
    const mb = (name: string) => Number(new RegExp(`^${name}:\\s+(\\d+) kB`, 'm').exec(status)?.[1] ?? 0) / 1024
    return { own: mb('RssAnon'), files: mb('RssFile') }
  } catch {
    return { own: 0, files: 0 }
  }
}
