/**
 * The newcomer's walk: clones the repository, installs it, and runs every command block of the README in order, as somebody who reads
 * it from the first line does. Fails when one of them fails. After the installation there is no network, where the system allows
 * to take it away: what the README shows needs none.
 *
 *     npm run walk
 */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { chmodSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { delimiter, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { startPostgres } from '../test/support/postgres.ts'

/** A fenced block of a page. */
export interface Block {
  readonly language: string
  readonly text: string
  /** Of its fence, from 1. */
  readonly line: number
}

/** What a person fills in, by what the page shows in its place. */
export type Placeholders = ReadonlyMap<string, string>

const root = fileURLToPath(new URL('../', import.meta.url))
/** Bounds against hangs: say nothing about speed. */
const blockTimeoutMs = 300_000
/** The placeholder of the README for the URL of a database. */
const databaseUrl = 'postgres://parley:secret@db.internal/parley'
const account = /^ {2}account SID {5}(AC[0-9a-f]{32})\n {2}auth token {6}([0-9a-f]{32})$/m
/** A line that leaves a server in the background. */
const startsServer = /^(?:.* )?npm start\b.*&\s*(?:#.*)?$/gm
const runnable = ['sh', 'bash', 'js', 'mjs']

async function main(): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), 'parley-walk-'))
  // PostgreSQL runs as somebody else, who has to reach its socket.
  chmodSync(folder, 0o755)
  try {
    const clone = join(folder, 'parley')
    run('git', ['clone', '--quiet', '--no-hardlinks', root, clone], folder)
    const env = newcomersEnvironment(join(folder, 'npm'))
    say('npm ci, with the network')
    run('npm', ['ci', '--no-audit', '--no-fund'], clone, env)
    const blocks = blocksOf(readFileSync(join(clone, 'README.md'), 'utf8'))
    // Programs import it by its name, which leads to what is built: as if it were installed from a registry.
    const { name } = JSON.parse(readFileSync(join(clone, 'package.json'), 'utf8')) as { name: string }
    if (blocks.some(({ text }) => text.includes(`from '${name}`))) {
      say('npm run build, for the programs that import the package')
      run('npm', ['run', 'build'], clone, env)
    }
    const isolation = withoutNetwork()
    say(isolation ? 'from here on without a network' : 'this system does not let the network be taken away: going on with it')
    const socket = join(folder, 'socket')
    mkdirSync(socket)
    chmodSync(socket, 0o777)
    await using postgres = await startPostgres({ settings: { unix_socket_directories: socket } })
    const url = new URL(await postgres.createDatabase())
    const reached = { host: socket, port: url.port, user: url.username, password: url.password }
    const database = `postgres://${url.pathname}?${new URLSearchParams(reached)}`
    await walk(blocks, {
      folder: clone,
      env: isolation ? { ...env, npm_config_offline: 'true' } : env,
      isolation: isolation ?? [],
      placeholders: new Map([[databaseUrl, `'${database}'`]]),
    })
    say('every command block of the README works')
  } catch (error) {
    console.error(`walk: ${error instanceof Error ? error.message : error}`)
    process.exitCode = 1
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

/** Returns the fenced blocks of a page, in order. */
export function blocksOf(page: string): Block[] {
  const found = page.matchAll(/^```(\S*)[^\n]*\n(.*?)^```$/gms)
  return [...found].map(({ 1: language = '', 2: text = '', index }) => ({
    language,
    text,
    line: page.slice(0, index).split('\n').length,
  }))
}

export interface WalkOptions {
  readonly folder: string
  readonly env: NodeJS.ProcessEnv
  /** The command that runs a shell without a network; empty: with it. */
  readonly isolation: readonly string[]
  readonly placeholders: Placeholders
  readonly say?: (text: string) => void
}

/** Runs blocks in one shell, one after the other. Throws when a command fails; ends what they have started. */
export async function walk(blocks: readonly Block[], options: WalkOptions): Promise<void> {
  const { folder, env, isolation, placeholders, say: tell = say } = options
  const [command = 'bash', ...args] = [...isolation, 'bash', '--noprofile', '--norc', '-e', '-o', 'pipefail']
  // Of a group of its own: servers that blocks leave in the background are ended with it.
  const shell = spawn(command, args, { cwd: folder, env, detached: true, stdio: ['pipe', 'pipe', 'pipe'] })
  const session = new Session(shell)
  try {
    if (isolation.length > 0) await session.run('ip link set lo up')
    for (const [number, block] of blocks.entries()) {
      const name = `line ${block.line} of the README (${block.language})`
      if (!runnable.includes(block.language)) {
        tell(`${name} is not run: its language is not one of ${runnable.join(', ')}`)
        continue
      }
      tell(name)
      const servers = block.text.match(startsServer)?.length ?? 0
      await session.run(commandsOf(block, number, folder, placeholders), servers).catch((error: Error) => {
        throw new Error(`${name} failed: ${error.message}\n${block.text}\n${session.output.slice(-4000)}`)
      })
    }
  } finally {
    await session.end()
  }
}

/** Writes a block to a file, so that an unfinished command does not wait for more; returns what runs it. */
function commandsOf({ language, text, line }: Block, number: number, folder: string, placeholders: Placeholders): string {
  const isShell = language === 'sh' || language === 'bash'
  const file = `readme-${number}-line-${line}.${isShell ? 'sh' : 'mjs'}`
  let commands = text
  for (const [shown, value] of placeholders) commands = commands.replaceAll(shown, value)
  writeFileSync(join(folder, file), commands)
  return isShell ? `. ${join(folder, file)}` : `node ${join(folder, file)}`
}

/** A shell that is handed one block after the other. */
class Session {
  readonly #shell: ChildProcess
  readonly #ended: Promise<unknown>
  #blocks = 0
  #servers = 0
  #hasAccount = false
  #changed = () => {}
  output = ''

  constructor(shell: ChildProcess) {
    this.#shell = shell
    this.#ended = once(shell, 'close').then(() => this.#changed())
    for (const stream of [shell.stdout, shell.stderr]) {
      stream?.setEncoding('utf8').on('data', (text: string) => {
        this.output += text
        this.#changed()
      })
    }
    // The shell may be gone.
    shell.stdin?.on('error', () => {})
  }

  /** Resolves when the commands have ended and the servers that they start in the background listen. Throws if one fails. */
  async run(commands: string, servers = 0): Promise<void> {
    const marker = `--- end of block ${++this.#blocks} ---`
    const before = this.output.length
    this.#send(`${commands}\necho '${marker}'\n`)
    this.#servers += servers
    await this.#until(() => this.output.includes(marker, before) && this.#listening() >= this.#servers, before)
    if (this.#servers === 0 || this.#hasAccount) return
    // The first server prints it below the line that says where it listens, which may arrive alone.
    await this.#until(() => account.test(this.output), before)
    const [, sid, token] = account.exec(this.output) ?? []
    // As a person does who reads the output.
    this.#send(`export SID=${sid} TOKEN=${token}\n`)
    this.#hasAccount = true
  }

  async end(): Promise<void> {
    const { pid } = this.#shell
    this.#shell.stdin?.end()
    if (pid === undefined) return
    try {
      process.kill(-pid, 'SIGKILL')
    } catch {
      // All of the group are gone.
    }
    await this.#ended
  }

  #send(text: string): void {
    this.#shell.stdin?.write(text)
  }

  #listening(): number {
    return this.output.match(/^Parley listens on /gm)?.length ?? 0
  }

  async #until(isDone: () => boolean, from: number): Promise<void> {
    const timeout = AbortSignal.timeout(blockTimeoutMs)
    timeout.addEventListener('abort', () => this.#changed())
    while (!isDone()) {
      const refused = /^parley: .*(?<!may be meant)$/m.exec(this.output.slice(from))?.[0]
      if (refused) throw new Error(refused)
      const { exitCode, signalCode } = this.#shell
      if (exitCode !== null || signalCode !== null) throw new Error(`a command ended with ${exitCode ?? signalCode}`)
      if (timeout.aborted) throw new Error(`it did not end within ${blockTimeoutMs / 1000} s`)
      await new Promise<void>((resolve) => {
        this.#changed = resolve
      })
    }
  }
}

/** Nothing of this checkout, of its settings or of the npm that runs this script. */
function newcomersEnvironment(cache: string): NodeJS.ProcessEnv {
  const kept = Object.entries(process.env).filter(([name]) => !/^(PARLEY_|NODE_|npm_|PORT$|HOST$|VITEST)/.test(name))
  const path = (process.env.PATH ?? '').split(delimiter).filter((folder) => !folder.includes('node_modules'))
  // What a person sees in a terminal.
  return {
    ...Object.fromEntries(kept),
    PARLEY_LOG_FORMAT: 'text',
    PATH: path.join(delimiter),
    npm_config_cache: cache,
    npm_config_update_notifier: 'false',
  }
}

/** Returns the command that runs another one in an empty network; null where this user or system cannot. */
function withoutNetwork(): string[] | null {
  const user = process.getuid?.() === 0 ? [] : ['--user', '--map-root-user']
  const command = ['unshare', ...user, '--net', '--pid', '--fork', '--kill-child', '--mount-proc']
  const [program = '', ...args] = [...command, 'ip', 'link', 'set', 'lo', 'up']
  return spawnSync(program, args).status === 0 ? command : null
}

function run(command: string, args: readonly string[], cwd: string, env = process.env): void {
  const { status, error, stdout, stderr } = spawnSync(command, args, { cwd, env, encoding: 'utf8' })
  if (status !== 0) throw new Error(`${command} ${args.join(' ')} failed: ${error?.message ?? `${stdout}${stderr}`.slice(-4000)}`)
}

function say(text: string): void {
  console.log(`walk: ${text}`)
}

if (import.meta.main) await main()
