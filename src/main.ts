import fastify, { type FastifyInstance } from 'fastify'
import { adminRoutes } from './admin/routes.ts'
import { Authenticator } from './api/auth.ts'
import { noCompilers } from './api/compilers.ts'
import { Faults } from './api/faults.ts'
import { hostCheck } from './api/hosts.ts'
import { defaultConnections, defaultLimits, type HttpLimits, limitConnections } from './api/limits.ts'
import type { Logins, Operator } from './api/operator.ts'
import { proxyCheck } from './api/origin.ts'
import { isLoopbackAddress } from './api/peers.ts'
import type { Pipeline } from './api/requests.ts'
import { withRowCache } from './api/row-cache.ts'
import { bodyLimit, closeHttp, createHttp, refuseOtherHosts } from './api/server.ts'
import type { HttpOptions } from './api/surface.ts'
import { SearchIndex } from './background/search-index.ts'
import type { Timers } from './background/timers.ts'
import { UrlSealing } from './background/url-sealing.ts'
import type { Channels } from './channels/channels.ts'
import type { Email, EmailOptions } from './channels/email/email.ts'
import { mediaBearers } from './client/bearers.ts'
import type { ConnectionLimits } from './client/connection.ts'
import { ClientServer } from './client/server.ts'
import type { Config } from './config.ts'
import { homeRoutes } from './console/home.ts'
import { consoleRoutes } from './console/routes.ts'
import { dataFolder } from './data-folders.ts'
import { createWebhookClient } from './delivery/client.ts'
import type { Deliveries } from './delivery/deliveries.ts'
import { DeliveryIdle } from './delivery/idle.ts'
import { ApiError, isFailure, refuse } from './errors.ts'
import { Gateway } from './gateway/gateway.ts'
import { announceUrl } from './installation/announcement.ts'
import { type Installation, type OpenOptions, openInstallation } from './installation/open.ts'
import { checkPorts, explainListenError, type Listener, listenersOf, mailListener } from './installation/ports.ts'
import { Loop, type Worker } from './loop.ts'
import type { BucketTimeouts } from './media/bucket.ts'
import { MediaCleanup } from './media/cleanup.ts'
import { MediaExpiry } from './media/expiry.ts'
import { mediaSurfaces } from './media/http.ts'
import type { MediaStore } from './media/store.ts'
import { eventRoutes } from './mirror/events.ts'
import type { Mirror } from './mirror/mirror.ts'
import { type MirrorSettings, openMirror, refuseFollowing } from './mirror/open.ts'
import { healthRoutes, metricsRoutes } from './observability/health.ts'
import { Metrics } from './observability/metrics.ts'
import { requestWriter } from './observability/request-line.ts'
import { openTraces } from './observability/traces.ts'
import {
  createAdmission,
  createAuditKeeper,
  createChannels,
  createCleanup,
  createClients,
  createDeliveries,
  createEmail,
  createErasures,
  createLogins,
  createOperator,
  createPipeline,
  createPresence,
  createRetention,
  createTimers,
  openMedia,
  type Report,
  type Shared,
  sharedClock,
  startReaders,
} from './parts.ts'
import { createPush } from './push/push.ts'
import type { Readers } from './readers/readers.ts'
import { operations, resources } from './resources/index.ts'
import { accountBySid, serviceOfAccount } from './storage/lookups.ts'

export interface StartOptions extends OpenOptions {
  /** For tests, which would wait too long for the usual ones. */
  readonly limits?: Partial<HttpLimits>
  readonly clientLimits?: Partial<ConnectionLimits>
  readonly mediaTimeouts?: Partial<BucketTimeouts>
  /** For tests: what the DNS says about the senders of mail. */
  readonly mailResolver?: EmailOptions['resolver']
  /** Follows a hosted account (`parley mirror`). */
  readonly mirror?: MirrorSettings
  /** For tests, which move it: by which what is limited per second is counted. */
  readonly monotonicMs?: () => number
}

export interface Running {
  /** The base URL on which it listens. */
  readonly url: string
  /** The base URL of `/metrics`. */
  readonly metricsUrl: string
  readonly installation: Installation
  /** Whoever may act as the operator. */
  readonly operator: Operator
  /** The way in for programs that are not changed. */
  readonly gateway: Gateway
  readonly email: Email
  /** Finishes the work in flight, then closes everything in reverse order. */
  stop(): Promise<void>
}

/** How often it is said that an address has too many connections. */
const warnIntervalMs = 60_000

/** Above the five seconds of a pre-action webhook, below the ten that supervisors usually allow. */
const stopTimeoutMs = 7000

/**
 * Starts the server and its workers. Throws ConfigError, before anything is written, when a port is not available or the
 * installation cannot be opened.
 */
export async function start(config: Config, options: StartOptions = {}): Promise<Running> {
  await checkPorts(config)
  const installation = await openInstallation(config, options)
  const { database, log } = installation
  const opened: (() => Promise<unknown>)[] = [() => installation.closeLog(), () => database.close()]
  const stop = () => closeAll(opened)
  try {
    if (!options.mirror) await refuseFollowing(database)
    const client = createWebhookClient({
      allowPrivate: config.webhookAllowPrivate,
      verifyTls: config.webhookVerifyTls,
    })
    const traces = config.traces ? await openTraces({ log, node: database.nodes.id }) : null
    if (traces) opened.push(() => traces.close())
    const shared: Shared = {
      tracer: traces,
      config,
      installation,
      metrics: new Metrics(database, { engine: config.database.engine, folder: dataFolder(config) }),
      read: withRowCache(database, [accountBySid, serviceOfAccount], ['accounts', 'services']),
      client,
      monotonicMs: options.monotonicMs ?? (() => performance.now()),
      checks: { isOwnHost: hostCheck(config), isTrustedProxy: proxyCheck(config.trustedProxies) },
      onError: (err) => {
        if (!isFailure(err)) log.error({ err }, 'background work failed')
      },
    }
    const store = await openMedia(shared, options.mediaTimeouts)
    opened.push(
      () => store.close(),
      () => client.close(),
    )
    const timers = createTimers(shared)
    const own = createPipeline(shared, timers)
    const maxBodyBytes = bodyLimit({ resources, operations })
    const mirror = options.mirror
      ? await openMirror(options.mirror, {
          ...installation,
          config,
          pipeline: own,
          maxBodyBytes,
          store,
          monotonicMs: shared.monotonicMs,
        })
      : null
    if (mirror) opened.push(() => mirror.leave())
    const pipeline = mirror?.guarded(own) ?? own
    const readers = await startReaders(shared, own)
    if (readers) opened.push(() => readers.close())
    const idle = new DeliveryIdle(installation)
    const push = createPush(shared)
    opened.push(() => push.close())
    const email = createEmail(shared, options.mailResolver)
    opened.push(() => email.close())
    const channels = createChannels(shared, pipeline, store, email)
    const deliveries = createDeliveries(shared, idle, { channels, push })
    const testMode = config.testMode ? { deliveries, faults: new Faults() } : null
    const clock = sharedClock(shared)
    const logins = createLogins(shared)
    const operator = createOperator(shared, logins)
    const presence = createPresence(shared, options.clientLimits)
    const clients = createClients(shared, { pipeline, logins, presence, beforeInit: clock?.follow, limits: options.clientLimits })
    const parts = {
      pipeline,
      timers,
      idle,
      testMode,
      channels,
      email,
      store,
      logins,
      operator,
      mirror,
      eventsToken: options.mirror?.eventsToken ?? null,
      readers,
      beforeRequest: clock?.follow,
      limits: options.limits,
    }
    const { server, gateway } = createServer(shared, parts)
    clients.attach(server.server)
    const erasures = createErasures(shared, store, email)
    const workers: Worker[] = [
      timers,
      deliveries,
      presence,
      channels.listeners,
      createCleanup(shared),
      createRetention(shared),
      createAuditKeeper(shared),
      new MediaExpiry({ clock: installation.clock, database, onError: shared.onError }),
      new SearchIndex({ database, searchable: config.search, onError: shared.onError }),
      erasures,
      new UrlSealing({ database, vault: installation.vault, onError: shared.onError }),
      ...(config.testMode ? [] : [new MediaCleanup({ store, report: shared.onError })]),
      ...(clock ? [clock.worker] : []),
      ...(mirror ? [mirror] : []),
      ...(readers ? [new Loop(() => readers.checkLog(), shared.onError)] : []),
    ]
    opened.push(
      () => Promise.all(workers.map((worker) => worker.stop())),
      () => gateway.close(),
      () => closeHttp(server, stopTimeoutMs),
      () => clients.stop(),
      async () => testMode?.faults.stop(),
    )
    const listeners = listenersOf(config)
    const again = await erasures.recall()
    if (again > 0) log.warn({ persons: again }, 'erased once more: the database is older than their erasure')
    const url = await listen(server, listeners.server)
    channels.listensAt(url)
    opened.push(() => email.stop())
    await email
      .open((incoming) => channels.receive(incoming))
      .catch((error: unknown) => {
        const at = mailListener(config)
        throw at ? explainListenError(error, at) : error
      })
    if (email.port !== null) installation.log.info({ port: email.port }, 'mail is received by SMTP')
    if (config.gatewayPort !== null || config.gatewayTlsPort !== null) await gateway.open()
    const withdraw = announceUrl(config, url)
    opened.push(async () => withdraw())
    const metricsUrl = listeners.metrics ? await listenForMetrics(shared, listeners.metrics, opened) : url
    for (const worker of [...workers, clients]) worker.start()
    return { url, metricsUrl, installation, operator, gateway, email, stop }
  } catch (error) {
    await stop()
    throw error
  }
}

/** Closes everything in reverse order, even when one of them throws. Throws the first error at the end. */
async function closeAll(opened: readonly (() => Promise<unknown>)[]): Promise<void> {
  const errors: unknown[] = []
  for (const close of opened.toReversed()) await close().catch((error: unknown) => errors.push(error))
  if (errors.length > 0) throw errors[0]
}

function createServer(
  shared: Shared,
  parts: {
    readonly pipeline: Pipeline
    readonly timers: Timers
    readonly idle: DeliveryIdle
    readonly testMode: { readonly deliveries: Deliveries<Report>; readonly faults: Faults } | null
    readonly channels: Channels
    readonly email: Email
    readonly store: MediaStore
    readonly logins: Logins
    readonly operator: Operator
    readonly mirror: Mirror | null
    readonly eventsToken: string | null
    readonly readers: Readers | null
    readonly beforeRequest: (() => Promise<void>) | undefined
    readonly limits: Partial<HttpLimits> | undefined
  },
): { server: FastifyInstance; gateway: Gateway } {
  const { config, installation, metrics, read, checks } = shared
  const { database, vault, clock, log } = installation
  const {
    email,
    pipeline,
    timers,
    idle,
    testMode,
    channels,
    store,
    logins,
    operator,
    mirror,
    eventsToken,
    readers,
    beforeRequest,
  } = parts
  const limits = {
    ...defaultLimits,
    maxConnections: config.maxConnections ?? defaultConnections(),
    maxConnectionsPerAddress: config.maxConnectionsPerAddress,
    isExempt: (address: string) => isLoopbackAddress(address) || (checks.isTrustedProxy?.(address) ?? false),
    ...parts.limits,
  }
  const server = createHttp({
    pipeline,
    authenticator: new Authenticator({ database, vault, ...logins }),
    admission: createAdmission(shared),
    operator,
    audit: installation.audit,
    ...(readers && { pageReader: readers }),
    ...(beforeRequest && { beforeRequest }),
    resources,
    operations,
    otherSurfaces: mediaSurfaces({
      ...config,
      maxBytes: config.mediaMaxBytes,
      quotaBytes: config.mediaQuotaBytes,
      store,
      database,
      read,
      vault,
      clock,
      log,
      bearers: mediaBearers(pipeline, logins),
    }),
    publicUrl: config.publicUrl,
    log,
    logRequest: requestWriter(log),
    limits,
    ...checks,
    ...(testMode && { faults: testMode.faults }),
    tracer: shared.tracer,
    // Whoever follows a hosted account has its client SDKs there.
    isUpgrade: (request) => !mirror?.isFollowing && ClientServer.isUpgrade(request),
    ...(mirror && { elsewhere: (request, reply) => mirror.takes(request, reply) }),
    onRefusedConnection: refusedConnections(shared),
    onResponse: (response) => metrics.countRequest(response),
  })
  const gateway = new Gateway({ config, http: server.server, maxConnections: limits.maxConnections, log })
  server.register(adminRoutes({ installation, timers, idle, limits, operator, gateway, channels, email, mirror, testMode }), {
    prefix: '/admin/v1',
  })
  server.register(channels.webhooks(limits))
  if (mirror && eventsToken !== null) {
    server.register(eventRoutes({ mirror, auth_token: eventsToken, publicUrl: config.publicUrl, limits, log }))
  }
  server.register(homeRoutes(config))
  if (config.console) server.register(consoleRoutes())
  server.register(healthRoutes({ database }))
  if (config.metricsPort === null) server.register(metricsRoutes({ metrics, token: config.metricsToken }))
  return { server, gateway }
}

/** Counts refused connections, and warns of an address that has too many: it may be a proxy that nobody has named. */
function refusedConnections({ metrics, monotonicMs, installation: { log } }: Shared): HttpOptions['onRefusedConnection'] {
  let warnedMs = Number.NEGATIVE_INFINITY
  return (limit, address) => {
    metrics.countLimited(limit)
    if (address === undefined || monotonicMs() - warnedMs < warnIntervalMs) return
    warnedMs = monotonicMs()
    log.warn({ from: address }, 'an address has too many connections: if it is a proxy, name it in PARLEY_TRUSTED_PROXIES')
  }
}

async function listenForMetrics(shared: Shared, at: Listener, opened: (() => Promise<unknown>)[]): Promise<string> {
  const server = await createMetricsServer(shared)
  opened.push(() => server.close())
  return listen(server, at)
}

/** A server for `/metrics` alone, so that a network may be kept from it by its port. */
async function createMetricsServer({ config, metrics, checks, installation: { log } }: Shared): Promise<FastifyInstance> {
  const server = fastify({ logger: false, schemaController: noCompilers, http: { headersTimeout: defaultLimits.headTimeoutMs } })
  if (checks.isOwnHost) refuseOtherHosts(server, checks.isOwnHost)
  const few = { ...defaultLimits, maxConnections: 100, maxConnectionsPerAddress: 0, isExempt: () => true }
  limitConnections(server.server, few, { failed: (err) => log.error({ err }, 'metrics failed'), refused: () => {} })
  server.setErrorHandler((error, _request, reply) => {
    const refusal = error instanceof ApiError ? error : refuse('serverError')
    return reply.code(refusal.entry.status).send({ error: refusal.message })
  })
  server.setNotFoundHandler((_request, reply) => reply.code(404).send({ error: 'not found' }))
  await server.register(metricsRoutes({ metrics, token: config.metricsToken }))
  return server
}

async function listen(server: FastifyInstance, at: Listener): Promise<string> {
  try {
    await server.listen({ host: at.host, port: at.port })
  } catch (error) {
    throw explainListenError(error, at)
  }
  const listening = server.server.address()
  if (listening === null || typeof listening === 'string') throw new Error('the server does not listen on a TCP port')
  const { address, family, port: actual } = listening
  return `http://${family === 'IPv6' ? `[${address}]` : address}:${actual}`
}
