import type { AddressInfo } from 'node:net'
import type { FastifyInstance } from 'fastify'
import { adminRoutes } from './admin/routes.ts'
import { Answers } from './api/answers.ts'
import { Authenticator } from './api/auth.ts'
import { remembering } from './api/remember.ts'
import type { Pipeline } from './api/requests.ts'
import { closeHttp, createHttp } from './api/server.ts'
import { Cleanup } from './background/cleanup.ts'
import { Timers } from './background/timers.ts'
import { TestClock } from './clock.ts'
import { type Config, ConfigError, mediaFolder } from './config.ts'
import { createWebhookClient } from './delivery/client.ts'
import { Deliveries } from './delivery/deliveries.ts'
import { followClock } from './installation/kept-clock.ts'
import { type Installation, type OpenOptions, openInstallation } from './installation/open.ts'
import { Loop, type Service } from './loop.ts'
import { mediaSurfaces } from './media/http.ts'
import { Leftovers } from './media/leftovers.ts'
import { MediaStore } from './media/store.ts'
import { healthRoutes } from './observability/health.ts'
import { Metrics } from './observability/metrics.ts'
import { operations, resources } from './resources/index.ts'
import { rowsBy } from './storage/rows.ts'

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

const accountBySid = rowsBy('accounts', ['sid'])

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
