import type { AddressInfo } from 'node:net'
import type { FastifyInstance } from 'fastify'
import type { Logger } from 'pino'
import { newAccount } from './accounts/accounts.ts'
import { followClock, keptOffset } from './admin/clock.ts'
import { adminRoutes } from './admin/http.ts'
import { Answers } from './api/answers.ts'
import { Authenticator } from './api/auth.ts'
import { remembering } from './api/remember.ts'
import type { Pipeline } from './api/requests.ts'
import { closeHttp, createHttp } from './api/server.ts'
import { Cleanup } from './background/cleanup.ts'
import { Timers } from './background/timers.ts'
import { type Clock, SystemClock, TestClock } from './clock.ts'
import type { ParleyCommands } from './commands.ts'
import { type Config, ConfigError, mediaFolder, secretFile } from './config.ts'
import { createWebhookClient } from './delivery/client.ts'
import { Deliveries } from './delivery/deliveries.ts'
import { copyUnderWay } from './installation/copy-marker.ts'
import { claimMediaFolder, keptSecret, openVault } from './installation/secrets.ts'
import { Loop, type Service } from './loop.ts'
import { mediaSurfaces } from './media/http.ts'
import { Leftovers } from './media/leftovers.ts'
import { MediaStore } from './media/store.ts'
import { healthRoutes } from './observability/health.ts'
import { openLog } from './observability/log.ts'
import { Metrics } from './observability/metrics.ts'
import { operations, resources } from './resources/index.ts'
import { randomSid } from './sids.ts'
import type { Database } from './storage/database.ts'
import { openDatabase } from './storage/open.ts'
import { rowsBy } from './storage/rows.ts'
import type { Vault } from './vault.ts'

/** An installation that is open: its database, its secrets and its clock. */
export interface Installation {
  readonly config: Config
  readonly database: Database<ParleyCommands>
  readonly vault: Vault
  readonly clock: Clock
  readonly admin_token: string
  readonly log: Logger
  readonly closeLog: () => Promise<void>
  /** The first account; its token only until somebody has been told it, see `firstAccountTold`. */
  readonly account: { readonly sid: string; readonly made: { readonly auth_token: string } | null }
}

export interface Running {
  /** Where it listens. */
  readonly url: string
  readonly installation: Installation
  /** Finishes what is in flight, then closes everything in reverse order. */
  stop(): Promise<void>
}

/** Above the five seconds of a pre-action webhook, below the ten that supervisors give. */
const longest_stop_ms = 7000

/** How long the clock of a node may stand where another one has moved it away from. */
const clock_every_ms = 1000

const setting = rowsBy('installation', ['name'])
const accountBySid = rowsBy('accounts', ['sid'])

export interface OpenOptions {
  /** For tests and benchmarks; else one JSON line each to standard output. */
  readonly log?: Logger
  /** 1: a commit for each write, to measure what group commit gains. */
  readonly largest_batch?: number
  /** False: a query for each read, to measure what answering them together gains. */
  readonly coalesce?: boolean
}

/** Opens the database, makes secrets and the first account where there are none. Throws with a message a person can act on. */
export async function openInstallation(config: Config, options: OpenOptions = {}): Promise<Installation> {
  const { log, close: closeLog } = options.log ? { log: options.log, close: async () => {} } : openLog(config.log_level)
  const database = await openDatabase<ParleyCommands>(config.database, {
    commands: new URL(import.meta.url.endsWith('.ts') ? './commands.ts' : './commands.js', import.meta.url),
    failed: (err) => log.error({ err }, 'a write failed'),
    ...(options.largest_batch && { largest_batch: options.largest_batch }),
    ...(options.coalesce === false && { coalesce: false }),
  })
  try {
    if (await database.read.one(setting, { name: copyUnderWay })) {
      throw new ConfigError('a copy into this database is not finished: run the same parley copy again')
    }
    const vault = await openVault(config, database)
    const kept_offset = await keptOffset(database)
    if (kept_offset > 0 && !config.test_clock) {
      throw new ConfigError(
        'the clock of this database was moved ahead for tests: start with PARLEY_TEST_CLOCK=1, or with another database',
      )
    }
    const clock = config.test_clock ? new TestClock(kept_offset) : new SystemClock()
    const admin_token = config.admin_token ?? keptSecret(secretFile(config, 'admin-token'))
    await claimMediaFolder(config, database)
    const account = await firstAccount(config, database, vault, clock)
    return { config, database, vault, clock, admin_token, log, closeLog, account }
  } catch (error) {
    await database.close()
    throw error
  }
}

/** Starts the server and what works behind it. Throws when the port cannot be had. */
export async function start(config: Config, options: OpenOptions = {}): Promise<Running> {
  const installation = await openInstallation(config, options)
  const { database, vault, clock, log } = installation
  const report = (err: unknown) => log.error({ err }, 'background work failed')
  const metrics = new Metrics(database)
  const read = remembering(database, [accountBySid, rowsBy('services', ['sid', 'account_sid'])], ['accounts', 'services'])
  const client = createWebhookClient({ allow_private: config.webhook_allow_private, verify_tls: config.webhook_verify_tls })
  const answers = database.capabilities.sole_owner ? new Answers() : null
  database.subscribe((notices) => answers?.drop(notices))
  const follow = clock instanceof TestClock ? followClock(clock, database) : undefined
  database.subscribe((notices) => {
    for (const notice of notices) if (notice.topic === 'clock' && clock instanceof TestClock) clock.follow(notice.offset_ms)
    if (notices.some(({ topic }) => topic === 'missed')) follow?.().catch(report)
  })
  const timers = new Timers({
    clock,
    database,
    resources,
    report,
    applied: (rows, late_ms) => {
      metrics.timers.inc(rows)
      metrics.lateness.observe(late_ms / 1000)
    },
  })
  const deliveries = new Deliveries({
    clock,
    database,
    read,
    client,
    vault,
    retries: config.webhook_retries,
    report,
    attempted: (result, row) => {
      metrics.deliveries.inc({
        outcome: result.kind === 'answered' ? `${Math.floor((result.status ?? 0) / 100)}xx` : result.kind,
      })
      metrics.deliveryDuration.observe(result.duration_ms / 1000)
      const { status, error } = result
      if (error !== null || status === null || status < 200 || status > 299) {
        log.warn({ delivery: row.id, event: row.event_type, status, error }, 'webhook failed')
      }
    },
  })
  const store = await MediaStore.open({ folder: mediaFolder(config), read: database.read, report }).catch(async (error) => {
    await database.close()
    throw error
  })
  database.subscribe((notices) => store.told(notices))
  const keep_deliveries_ms = config.delivery_log_days * 86_400_000
  const cleanup = new Cleanup({ clock, database, keep_deliveries_ms, report })
  const pipeline: Pipeline = {
    clock,
    read,
    answers,
    write: (resource, request) => database.write('change', { resource: resource.name, request }),
    writeAll: (changes) => database.write('changeAll', changes),
    veto: { client, vault, warn: (facts) => log.warn(facts, 'pre-action webhook') },
    catchUp: async () => void (await timers.catchUp()),
  }
  const server = createHttp({
    pipeline,
    authenticator: new Authenticator(database, vault),
    ...(follow && !database.capabilities.sole_owner && { before: follow }),
    resources,
    operations,
    beside: mediaSurfaces({ ...config, max_bytes: config.media_max_bytes, store, database, read, vault, clock, log }),
    public_url: config.public_url,
    log,
    answered: (method, status, seconds) => metrics.answered(method, status, seconds),
  })
  server.register(adminRoutes({ installation, timers, pipeline }), { prefix: '/admin/v1' })
  server.register(healthRoutes({ database, registry: metrics.registry }))
  const services: Service[] = [timers, deliveries, cleanup, new Leftovers({ store, report })]
  // A notice can be lost; whose clock stands still would not even wake to look.
  if (follow && !database.capabilities.sole_owner)
    services.push(new Loop(async () => follow().then(() => clock_every_ms), report))
  const stop = async () => {
    await closeHttp(server, longest_stop_ms)
    await Promise.all(services.map((service) => service.stop()))
    await client.close()
    await store.close()
    await database.close()
    await installation.closeLog()
  }
  try {
    const url = await listen(server, config)
    for (const service of services) service.start()
    return { url, installation, stop }
  } catch (error) {
    await stop()
    throw error
  }
}

async function listen(server: FastifyInstance, { host, port }: Config): Promise<string> {
  try {
    await server.listen({ host, port })
  } catch (error) {
    const { code } = error as { code?: string }
    if (code === 'EADDRINUSE') throw new ConfigError(`port ${port} on ${host} is taken: stop what uses it, or set PORT (--port)`)
    if (code === 'EACCES') throw new ConfigError(`port ${port} may not be used by this user: set PORT (--port) to one above 1023`)
    if (code === 'EADDRNOTAVAIL' || code === 'ENOTFOUND')
      throw new ConfigError(`this machine has no address ${host}: set HOST (--host)`)
    throw error
  }
  const { address, family, port: actual } = server.server.address() as AddressInfo
  return `http://${family === 'IPv6' ? `[${address}]` : address}:${actual}`
}

/** From now on the token of the first account is shown to nobody. */
export async function firstAccountTold({ database }: Installation): Promise<void> {
  await database.write('setInstallation', { name: 'first_account_told', value: 'yes' })
}

/** Several nodes that start at once make one between them. */
async function firstAccount(
  config: Config,
  database: Database<ParleyCommands>,
  vault: Vault,
  clock: Clock,
): Promise<Installation['account']> {
  const kept = await database.read.one(setting, { name: 'first_account' })
  const sid = config.account_sid ?? kept?.value
  const account = sid === undefined ? undefined : await database.read.one(accountBySid, { sid })
  if (account) {
    const { auth_token } = config
    if (auth_token !== null && vault.open(account.auth_token) !== auth_token) {
      await database.write('updateAccount', { sid: account.sid, auth_token: vault.seal(auth_token), date_updated: clock.now() })
    }
    // Made by a start that failed before it could say so.
    const told = await database.read.one(setting, { name: 'first_account_told' })
    return { sid: account.sid, made: told ? null : { auth_token: auth_token ?? vault.open(account.auth_token) } }
  }
  const auth_token = config.auth_token ?? randomSid('')
  const made = newAccount({ sid, friendly_name: 'First account', sealed_token: vault.seal(auth_token), now: clock.now() })
  const first = await database.write('createFirstAccount', { ...made, instead_of: kept?.value ?? null })
  return first === made.account.sid ? { sid: first, made: { auth_token } } : firstAccount(config, database, vault, clock)
}
