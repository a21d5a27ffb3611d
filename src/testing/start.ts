import { type ChildProcess, spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import type { SettingTexts } from '../config.ts'
import { isJsonObject } from '../json.ts'
import { moduleUrl } from '../package.ts'
import { makeTemporaryFolder, removeTemporaryFolder } from '../temporary.ts'
import type { Credentials } from './account.ts'
import type { Connection } from './operator.ts'

export interface StartOptions {
  /** What the server holds at first and after each reset: an object, or a JSON or YAML file. See docs/testing.md. */
  readonly seed?: object | string | URL
  /** Starts the server in a process of its own, which ends with this one. By default it runs in this process. */
  readonly child?: boolean
  /** Further settings, by the names of their environment variables. */
  readonly settings?: SettingTexts
}

/** A server for tests that has been started. */
export interface Started {
  readonly connection: Connection
  /** Its first account. */
  readonly account: Credentials
  stop(): Promise<void>
}

/** What a server is started with. */
interface Prepared {
  readonly settings: SettingTexts
  readonly seed: unknown
  readonly account: Credentials
  readonly adminToken: string
}

/** Starts a server in memory, on a port of its own. Throws with the server's sentence when it refuses to start. */
export async function startServer(options: StartOptions): Promise<Started> {
  const [{ checkNode }, { refuseUnknownSettings }] = await Promise.all([
    import('../node-version.ts'),
    import('../unknown-settings.ts'),
  ])
  checkNode()
  refuseUnknownSettings(options.settings ?? {})
  const prepared = await prepare(options)
  return options.child ? startChild(prepared) : startHere(prepared)
}

/** Gives the first account the credentials that neither the seed nor the settings say. */
async function prepare({ seed: given, settings = {} }: StartOptions): Promise<Prepared> {
  const seed = typeof given === 'string' || given instanceof URL ? await seedIn(given) : given
  const accounts = isJsonObject(seed) && Array.isArray(seed.accounts) ? seed.accounts : []
  const first: unknown = accounts[0]
  const { sid, auth_token } = isJsonObject(first) ? first : {}
  const { readConfig } = await import('../config.ts')
  // Secrets may be in files.
  const configured = readConfig(settings)
  const account = {
    sid: textOr(sid, configured.account_sid ?? `AC${randomBytes(16).toString('hex')}`),
    authToken: textOr(auth_token, configured.auth_token ?? randomBytes(16).toString('hex')),
  }
  const adminToken = configured.adminToken ?? randomBytes(16).toString('hex')
  return {
    seed,
    account,
    adminToken,
    settings: {
      PORT: '0',
      ...(!settings.PARLEY_DATABASE_URL_FILE && { PARLEY_DATABASE_URL: 'sqlite::memory:' }),
      PARLEY_TEST_MODE: 'true',
      PARLEY_LOG_LEVEL: 'error',
      PARLEY_MAX_FAILED_LOGINS: '0',
      PARLEY_MAX_CONCURRENT_REQUESTS: '0',
      ...settings,
      PARLEY_ADMIN_TOKEN: adminToken,
      PARLEY_ADMIN_TOKEN_FILE: '',
      // Those of the seed are given by it.
      ...((sid ?? null) === null && { PARLEY_ACCOUNT_SID: account.sid }),
      ...((auth_token ?? null) === null && { PARLEY_AUTH_TOKEN: account.authToken, PARLEY_AUTH_TOKEN_FILE: '' }),
    },
  }
}

async function seedIn(file: string | URL): Promise<unknown> {
  const { readSeed } = await import('../seed/read.ts')
  return (await readSeed(typeof file === 'string' ? file : fileURLToPath(file))).value
}

function textOr(value: unknown, otherwise: string): string {
  return typeof value === 'string' ? value : otherwise
}

/** Loads the server only here: a process that joins one, or starts a child, has no use for it. */
async function startHere({ settings, seed, account, adminToken }: Prepared): Promise<Started> {
  const [{ start }, { readConfig }, { explainErrors }] = await Promise.all([
    import('../main.ts'),
    import('../config.ts'),
    import('../installation/explain-errors.ts'),
  ])
  const config = readConfig(settings)
  // A test runner is not ended because a server is broken: its requests fail.
  const options = { dead: () => {}, ...(seed !== undefined && { seed }) }
  const { url, stop } = await explainErrors(config, () => start(config, options))
  return { connection: { url, adminToken }, account, stop }
}

async function startChild({ settings, seed, account, adminToken }: Prepared): Promise<Started> {
  const folder = seed === undefined ? null : makeTemporaryFolder('parley-seed-')
  const file = folder && join(folder, 'seed.json')
  if (file) writeFileSync(file, JSON.stringify(seed), { mode: 0o600 })
  // The channel tells the child that this process is gone, however it ends.
  const child = spawn(process.execPath, [fileURLToPath(moduleUrl('cli/program')), 'serve'], {
    env: { ...inherited(), PARLEY_LOG_FORMAT: 'text', ...settings, ...(file && { PARLEY_SEED: file }) },
    stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
  })
  try {
    const url = await listeningUrl(child)
    letGo(child)
    return { connection: { url, adminToken }, account, stop: () => end(child) }
  } finally {
    if (folder) removeTemporaryFolder(folder)
  }
}

/** The environment without the settings of Parley that it may have, which are for another server. */
function inherited(): NodeJS.ProcessEnv {
  const isSetting = (name: string) => name.startsWith('PARLEY_') || name === 'PORT' || name === 'HOST'
  return Object.fromEntries(Object.entries(process.env).filter(([name]) => !isSetting(name)))
}

async function listeningUrl(child: ChildProcess): Promise<string> {
  const { stdout, stderr } = child
  if (!stdout || !stderr) throw new Error('the output of the server is not piped')
  let said = ''
  stderr.setEncoding('utf8').on('data', (text: string) => {
    said += text
  })
  for await (const line of createInterface(stdout)) {
    const url = /^Parley listens on (\S+)$/.exec(line)?.[1]
    if (url !== undefined) return url
  }
  throw new Error(`the server has not started: ${said.trim() || `it ended with ${child.exitCode}`}`)
}

/** Its output is read and dropped, and it does not keep this process alive: it ends with it. */
function letGo(child: ChildProcess): void {
  for (const output of [child.stdout, child.stderr]) {
    output?.removeAllListeners('data').resume()
    if (output && 'unref' in output && typeof output.unref === 'function') output.unref()
  }
  child.channel?.unref()
  child.unref()
}

async function end(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return
  child.ref()
  const exit = once(child, 'exit')
  child.kill('SIGTERM')
  await exit
}
