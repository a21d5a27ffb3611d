import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { constants } from 'node:os'
import { Command } from 'commander'
import { type Config, readConfig, type SettingTexts } from '../config.ts'
import { ConfigError } from '../config-error.ts'
import { codeOf } from '../errors.ts'
import { openProxy } from '../gateway/proxy.ts'
import { explainErrors } from '../installation/explain-errors.ts'
import { markFirstAccountShown } from '../installation/open.ts'
import { type Running, start } from '../main.ts'
import { openLog } from '../observability/log.ts'
import { endpointOf } from '../urls.ts'
import { firstStartNotice } from './first-start.ts'
import { type Entrance, entranceOf, variablesOf } from './gateway.ts'
import { explainInUse } from './operator.ts'
import { type Found, findServer, RefusedError, type RunningServer, serverAt } from './server.ts'
import { textsOf, withSettings } from './settings.ts'

interface ExecOptions {
  readonly memory?: true
  readonly account?: string
}

/** What a shell returns for a program that cannot be run, and for one that is not there. */
const notExecutable = 126
const notFound = 127

const alone: Found = { call: null, reason: 'a server of its own was asked for' }

export function execCommand(): Command {
  return withSettings(
    new Command('exec')
      .description('run a program whose SDK then talks to Parley instead of Twilio')
      .argument('<command...>', 'the program and its arguments, best after --')
      .option('--memory', 'on a server of its own, whose database is lost at the end')
      .option('--account <sid>', 'the account that the program gets (default: the first account)')
      .passThroughOptions(),
  ).action(async (words: string[], options: ExecOptions, command: Command) => {
    const asksForSeed = command.getOptionValueSource('seed') === 'cli'
    process.exitCode = await exec(words, { ...options, asksForSeed }, textsOf(command))
  })
}

/**
 * Runs a program with the running server, or with one that is started for it, and returns its exit code: 128 and the number of the
 * signal that ended it, as shells do. Throws ConfigError.
 */
async function exec(
  words: readonly string[],
  options: ExecOptions & { readonly asksForSeed: boolean },
  texts: SettingTexts,
): Promise<number> {
  const given = options.memory ? { ...texts, PARLEY_DATABASE_URL: 'sqlite::memory:', PARLEY_DATABASE_URL_FILE: '' } : texts
  const config = readConfig(given)
  const found = options.memory ? alone : await findServer(config)
  if (found.call && options.asksForSeed) {
    throw new ConfigError(
      'a server runs on this database already, and --seed is for a new one: add --memory, or leave out --seed',
    )
  }
  if (found.call) return execOn(found, words, options.account, config)
  const { server, stop } = await ownServer(given, found.reason)
  return execOn(server, words, options.account, config).finally(stop)
}

/** Runs a program with a server. In test mode, the program may do with it whatever tests do. */
async function execOn(server: RunningServer, words: readonly string[], account: string | undefined, config: Config) {
  const entrance = await entranceOf(server, account)
  if (!config.testMode) return execBehind(entrance, {}, words, config)
  await server.call('GET', '/faults').catch((error: unknown) => {
    if (!(error instanceof RefusedError) || error.status !== 404) throw error
    throw new ConfigError('the server that runs on this database is not in test mode: add --memory, or leave out --test-mode')
  })
  const more = { PARLEY_URL: server.url, PARLEY_ADMIN_TOKEN: server.token, PARLEY_ADMIN_TOKEN_FILE: '' }
  return execBehind(entrance, more, words, config)
}

/** Runs a program behind a proxy of its own, which knows the proxy that this environment had before. `more`: further variables. */
async function execBehind(
  entrance: Entrance,
  more: Readonly<Record<string, string>>,
  words: readonly string[],
  config: Config,
): Promise<number> {
  const refusals = new Set<string>()
  const proxy = await openProxy({
    port: 0,
    parley: entrance.parley,
    allowed: config.gatewayAllow,
    onRefusal: (sentence) => {
      if (!refusals.has(sentence)) console.error(`parley: ${sentence}`)
      refusals.add(sentence)
    },
  })
  try {
    const variables = await variablesOf(config, { ...entrance, proxyUrl: proxy.url })
    const env = { ...process.env, ...variables.set, ...more }
    for (const name of variables.unset) delete env[name]
    return await run(words, env).finally(variables.dispose)
  } finally {
    await proxy.close()
  }
}

/**
 * Starts a server for the program alone; unless the settings say otherwise, on any free port and with a log of warnings only.
 * `reason`: why none was found. Throws ConfigError.
 */
async function ownServer(
  given: SettingTexts,
  reason: string,
): Promise<{ readonly server: RunningServer; stop(): Promise<void> }> {
  const config = readConfig({ PORT: '0', PARLEY_LOG_LEVEL: 'warn', ...given })
  // Standard output is the program's.
  const { log, close } = openLog(config.logLevel, process.stderr.fd)
  const running = await explainErrors(config, () => start(config, { log })).catch((error: Error) => {
    throw explainInUse(error, reason)
  })
  const stop = async () => {
    await running.stop()
    await close()
  }
  try {
    await showFirstAccount(running)
    const endpoint = endpointOf(running.url)
    if (!endpoint) throw new Error('the server listens on no port')
    return { server: serverAt(endpoint, running.installation.adminToken), stop }
  } catch (error) {
    await stop()
    throw error
  }
}

/** The credentials are the program's without being copied; but a database that is kept outlives it. */
async function showFirstAccount({ installation }: Running): Promise<void> {
  const { database } = installation.config
  if (database.engine === 'sqlite' && database.file === ':memory:') return
  const notice = firstStartNotice(installation)
  if (notice.length > 0) console.error(`${notice.join('\n')}\n`)
  await markFirstAccountShown(installation)
}

/** Returns the folder to run a program in: npm runs the scripts of a clone in its root, wherever it was called. */
function workingFolder({ npm_package_name, INIT_CWD }: NodeJS.ProcessEnv): string {
  return npm_package_name === packageName && INIT_CWD ? INIT_CWD : process.cwd()
}

const packageName = 'parley-server'

/** Runs a program to its end. Signals that reach Parley are passed on: it ends when the program does. */
async function run([name = '', ...args]: readonly string[], env: NodeJS.ProcessEnv): Promise<number> {
  const child = spawn(name, args, { env, stdio: 'inherit', cwd: workingFolder(process.env) })
  const stop = forwardSignals(child)
  try {
    await Promise.race([once(child, 'exit'), once(child, 'error').then(([error]) => Promise.reject(error))])
  } catch (error) {
    const code = codeOf(error)
    if (code !== 'ENOENT' && code !== 'EACCES') throw error
    console.error(`parley: ${name} ${code === 'ENOENT' ? 'was not found' : 'may not be run'}`)
    return code === 'ENOENT' ? notFound : notExecutable
  } finally {
    stop()
  }
  return child.exitCode ?? 128 + (child.signalCode === null ? 0 : constants.signals[child.signalCode])
}

/** Passes signals on to a program. Returns what ends that. */
function forwardSignals(child: ChildProcess): () => void {
  const forward = (signal: NodeJS.Signals) => {
    // The keyboard sends it to the program as well; a second one would end many programs at once.
    const isFromKeyboard = process.stdin.isTTY && (signal === 'SIGINT' || signal === 'SIGQUIT')
    if (!isFromKeyboard) child.kill(signal)
  }
  for (const signal of forwarded) process.on(signal, forward)
  return () => {
    for (const signal of forwarded) process.off(signal, forward)
  }
}

const forwarded = ['SIGINT', 'SIGTERM', 'SIGHUP', 'SIGQUIT', 'SIGUSR1', 'SIGUSR2'] as const
