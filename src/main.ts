import fastify, { type FastifyInstance } from 'fastify'
import { adminRoutes } from './admin/routes.ts'
import { Authenticator } from './api/auth.ts'
import { noCompilers } from './api/compilers.ts'
import { Faults } from './api/faults.ts'
import { type HostCheck, hostCheck } from './api/hosts.ts'
import { defaultConnections, defaultLimits, type HttpLimits, limitConnections } from './api/limits.ts'
import { defaultLogins, LoginThrottle } from './api/login-throttle.ts'
import { type Logins, Operator } from './api/operator.ts'
import { type ProxyCheck, proxyCheck } from './api/origin.ts'
import type { Pipeline } from './api/requests.ts'
import { ResponseCache } from './api/response-cache.ts'
import { withRowCache } from './api/row-cache.ts'
import { closeHttp, createHttp, refuseOtherHosts } from './api/server.ts'
import { Cleanup } from './background/cleanup.ts'
import { Timers } from './background/timers.ts'
import { UrlSealing } from './background/url-sealing.ts'
import { Channels } from './channels/channels.ts'
import { Email, type EmailOptions } from './channels/email/email.ts'
import type { ChannelReport } from './channels/receipts.ts'
import { mediaBearers } from './client/bearers.ts'
import { type ConnectionLimits, defaultConnectionLimits } from './client/connection.ts'
import { Presence } from './client/presence.ts'
import { ClientServer } from './client/server.ts'
import { TestClock } from './clock.ts'
import { type Config, mediaFolder } from './config.ts'
import { homeRoutes } from './console/home.ts'
import { consoleRoutes } from './console/routes.ts'
import { createWebhookClient, type WebhookClient } from './delivery/client.ts'
import { Deliveries } from './delivery/deliveries.ts'
import { isDelivered } from './delivery/handler.ts'
import { DeliveryIdle } from './delivery/idle.ts'
import { webhookHandler } from './delivery/webhook.ts'
import { ApiError, isFailure, refuse } from './errors.ts'
import { Gateway } from './gateway/gateway.ts'
import { announceUrl } from './installation/announcement.ts'
import { type Installation, type OpenOptions, openInstallation } from './installation/open.ts'
import { checkPorts, explainListenError, type Listener, listenersOf, mailListener } from './installation/ports.ts'
import { followClock } from './installation/test-clock.ts'
import { Loop, type Worker } from './loop.ts'
import { MediaCleanup } from './media/cleanup.ts'
import { MediaExpiry } from './media/expiry.ts'
import { mediaSurfaces } from './media/http.ts'
import { MediaStore } from './media/store.ts'
import { healthRoutes, metricsRoutes } from './observability/health.ts'
import { Metrics } from './observability/metrics.ts'
import type { PushReport } from './push/handler.ts'
import { createPush, type Push } from './push/push.ts'
import { operations, resources } from './resources/index.ts'
import type { Reader } from './storage/database.ts'
import { accountBySid, serviceOfAccount } from './storage/lookups.ts'
import type { DeliveryKind } from './storage/schema.ts'

export interface StartOptions extends OpenOptions {
  /** For tests, which would wait too long for the usual ones. */
  readonly limits?: Partial<HttpLimits>
  readonly clientLimits?: Partial<ConnectionLimits>
  /** For tests: what the DNS says about the senders of mail. */
  readonly mailResolver?: EmailOptions['resolver']
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

/** Above the five seconds of a pre-action webhook, below the ten that supervisors usually allow. */
const stopTimeoutMs = 7000

/** How long a node may miss a move of the test clock by another node. */
const clockIntervalMs = 1000

const hourMs = 3_600_000
const dayMs = 24 * hourMs

/** What handlers report of a delivery's last attempt. */
type Report = ChannelReport | PushReport

/** What the parts of a server share. */
interface Shared {
  readonly config: Config
  readonly installation: Installation
  readonly metrics: Metrics
  /** Reads committed rows; accounts and services come from memory where the engine allows it. */
  readonly read: Reader
  readonly client: WebhookClient
  /** What the headers of a request are worth. */
  readonly checks: { readonly isOwnHost: HostCheck | null; readonly isTrustedProxy: ProxyCheck | null }
  /** Logs an error of background work. */
  readonly onError: (error: unknown) => void
}

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
    const client = createWebhookClient({
      allowPrivate: config.webhookAllowPrivate,
      verifyTls: config.webhookVerifyTls,
    })
    const shared: Shared = {
      config,
      installation,
      metrics: new Metrics(database),
      read: withRowCache(database, [accountBySid, serviceOfAccount], ['accounts', 'services']),
      client,
      checks: { isOwnHost: hostCheck(config), isTrustedProxy: proxyCheck(config.trustedProxies) },
      onError: (err) => {
        if (!isFailure(err)) log.error({ err }, 'background work failed')
      },
    }
    const store = await openMedia(shared)
    opened.push(
      () => store.close(),
      () => client.close(),
    )
    const timers = createTimers(shared)
    const pipeline = createPipeline(shared, timers)
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
    const operator = new Operator({ ...installation, read: shared.read, logins })
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
      beforeRequest: clock?.follow,
      limits: options.limits,
    }
    const { server, gateway } = createServer(shared, parts)
    clients.attach(server.server)
    const workers: Worker[] = [
      timers,
      deliveries,
      presence,
      channels.listeners,
      createCleanup(shared),
      new MediaExpiry({ clock: installation.clock, database, onError: shared.onError }),
      new UrlSealing({ database, vault: installation.vault, onError: shared.onError }),
      ...(config.testMode ? [] : [new MediaCleanup({ store, report: shared.onError })]),
      ...(clock ? [clock.worker] : []),
    ]
    opened.push(
      () => Promise.all(workers.map((worker) => worker.stop())),
      () => gateway.close(),
      () => closeHttp(server, stopTimeoutMs),
      () => clients.stop(),
      async () => testMode?.faults.stop(),
    )
    const listeners = listenersOf(config)
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

async function openMedia({ config, installation: { database }, onError }: Shared): Promise<MediaStore> {
  const store = await MediaStore.open({ folder: mediaFolder(config), read: database.read, report: onError })
  // In test mode a snapshot may still refer to a file that no row refers to.
  if (!config.testMode) database.subscribe((notices) => store.notified(notices))
  return store
}

function createTimers({ installation: { clock, database }, metrics, onError }: Shared): Timers {
  return new Timers({
    clock,
    database,
    resources,
    sweep: (request) => database.write('sweep', request),
    onError,
    onBatch: (rows, lateMs) => {
      metrics.countTimers(rows, lateMs)
    },
  })
}

function createEmail(
  { config, installation: { database, vault, clock, log }, onError }: Shared,
  resolver: EmailOptions['resolver'],
): Email {
  const {
    testMode,
    mailRelay: relay,
    mailTlsCert: cert,
    mailTlsKey: key,
    mailMaxBytes: maxBytes,
    mailImap: imap,
    mailAuth: auth,
    mailTrust: trust,
  } = config
  const email = new Email({
    ...{ database, vault, clock, testMode, relay, imap, maxBytes, auth, trust },
    listen: mailListener(config),
    tls: cert !== null && key !== null ? { cert, key } : null,
    warn: (facts, text) => log.warn(facts, text),
    failed: onError,
    ...(resolver && { resolver }),
  })
  database.subscribe((notices) => {
    if (notices.some(({ topic }) => topic === 'emptied')) email.outbox?.clear()
  })
  return email
}

function createChannels(
  { config, installation, read, client, onError }: Shared,
  pipeline: Pipeline,
  store: MediaStore,
  email: Email,
): Channels {
  const { database, vault, clock, log } = installation
  const { publicUrl, testMode, mediaMaxBytes, mediaQuotaBytes } = config
  return new Channels({
    ...{ database, pipeline, read, client, vault, clock, store, publicUrl, testMode, mediaMaxBytes, mediaQuotaBytes },
    defaults: email.carriers(),
    warn: (facts, text) => log.warn(facts, text),
    failed: onError,
  })
}

function createDeliveries(
  shared: Shared,
  idle: DeliveryIdle,
  { channels, push }: { readonly channels: Channels; readonly push: Push },
): Deliveries<Report> {
  const { config, installation, metrics, onError } = shared
  const { clock, database, log, vault } = installation
  const signed = { read: shared.read, client: shared.client, vault }
  return new Deliveries<Report>({
    clock,
    database,
    maxAgeMs: config.deliveryMaxAgeHours * hourMs,
    handlers: {
      webhook: webhookHandler({
        ...signed,
        committed: database.read,
        retries: config.webhookRetries,
        studioUrl: config.studioUrl,
      }),
      message: channels.handler,
      loopback: channels.handler,
      push: push.handler,
    },
    record: (results) => database.write('recordDeliveries', results).finally(() => idle.recorded()),
    failed: onError,
    attempted: (result, row) => {
      if (row.kind === 'push') metrics.countPush(result)
      else metrics.countDelivery(result)
      const { status, error } = result
      if (!isDelivered(result)) log.warn({ delivery: row.id, event: row.event_type, status, error }, failures[row.kind])
    },
  })
}

/** What the log says of a failed attempt. */
const failures: Readonly<Record<DeliveryKind, string>> = {
  webhook: 'webhook failed',
  message: 'message to a channel failed',
  loopback: 'message to a channel failed',
  push: 'push failed',
}

function createCleanup({ config, installation: { clock, database }, onError }: Shared): Cleanup {
  return new Cleanup({
    clock,
    database,
    deliveryRetentionMs: config.deliveryLogDays * dayMs,
    tombstoneRetentionMs: config.clientHistoryDays * dayMs,
    onError,
  })
}

function createPipeline({ installation, read, client }: Shared, timers: Timers): Pipeline {
  const { clock, database, log, vault } = installation
  const responses = database.capabilities.soleOwner ? new ResponseCache() : null
  database.subscribe((notices) => responses?.invalidate(notices))
  return {
    clock,
    read,
    responses,
    write: (resource, request) => database.write('change', { resource: resource.name, request }),
    writeAll: (changes) => database.write('changeAll', changes),
    pageSecret: vault.derive('page tokens'),
    preAction: { client, vault, warn: (facts) => log.warn(facts, 'pre-action webhook') },
    catchUp: async () => void (await timers.catchUp()),
  }
}

/** Keeps the test clocks of several nodes together: at each request, at each notice and every second. Undefined with one node. */
function sharedClock({ installation: { clock, database }, onError }: Shared) {
  if (!(clock instanceof TestClock)) return undefined
  const follow = followClock(clock, database)
  database.subscribe((notices) => {
    for (const notice of notices) if (notice.topic === 'clock') clock.follow(notice.state)
    if (notices.some(({ topic }) => topic === 'missed')) follow().catch(onError)
  })
  if (database.capabilities.soleOwner) return undefined
  // Because a notice can be lost. A clock that has not moved does not wake the timers.
  return { follow, worker: new Loop(async () => follow().then(() => clockIntervalMs), onError) }
}

function createLogins({ config, installation: { log }, metrics }: Shared): Logins {
  return {
    throttle: new LoginThrottle({ ...defaultLogins, maxFailed: config.maxFailedLogins }),
    onFailedLogin: (login) => {
      metrics.countFailedLogin()
      log.warn(login, 'login failed')
    },
  }
}

function createPresence(
  { installation: { clock, database }, onError }: Shared,
  limits: Partial<ConnectionLimits> | undefined,
): Presence {
  const { offlineAfterMs } = { ...defaultConnectionLimits, ...limits }
  return new Presence({ clock, database, offlineAfterMs, onError })
}

function createClients(
  { config, installation: { database, log }, metrics, checks }: Shared,
  parts: {
    readonly pipeline: Pipeline
    readonly logins: Logins
    readonly presence: Presence
    readonly beforeInit: (() => Promise<void>) | undefined
    readonly limits: Partial<ConnectionLimits> | undefined
  },
): ClientServer {
  const { pipeline, logins, presence, beforeInit, limits } = parts
  const { publicUrl, mediaMaxBytes } = config
  const { throttle } = logins
  const clients = new ClientServer({
    ...{ pipeline, database, throttle, publicUrl, ...checks, mediaMaxBytes, presence, beforeInit, log, limits },
    sent: (frames) => metrics.countClientFrames(frames),
    replayed: (events) => metrics.countClientReplay(events),
    lagged: (seconds) => metrics.clientLagSeconds.observe(seconds),
    responded: ({ method, path, status, seconds, session }) => {
      metrics.clientRequestSeconds.observe(seconds)
      const ms = Math.round(seconds * 1e6) / 1000
      log.info({ method, path, status, ms, account: session.account_sid, user: session.user_sid }, 'client request')
    },
  })
  metrics.clients = clients
  return clients
}

function createServer(
  { config, installation, metrics, read, checks }: Shared,
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
    readonly beforeRequest: (() => Promise<void>) | undefined
    readonly limits: Partial<HttpLimits> | undefined
  },
): { server: FastifyInstance; gateway: Gateway } {
  const { database, vault, clock, log } = installation
  const { email, pipeline, timers, idle, testMode, channels, store, logins, operator, beforeRequest } = parts
  const limits = { ...defaultLimits, maxConnections: config.maxConnections ?? defaultConnections(), ...parts.limits }
  const server = createHttp({
    pipeline,
    authenticator: new Authenticator({ database, vault, ...logins }),
    operator,
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
      bearers: mediaBearers(pipeline, logins.throttle),
    }),
    publicUrl: config.publicUrl,
    log,
    limits,
    ...checks,
    ...(testMode && { faults: testMode.faults }),
    isUpgrade: ClientServer.isUpgrade,
    onResponse: (method, status, seconds) => metrics.countRequest(method, status, seconds),
  })
  const gateway = new Gateway({ config, http: server.server, maxConnections: limits.maxConnections, log })
  server.register(adminRoutes({ installation, timers, idle, limits, operator, gateway, channels, email, testMode }), {
    prefix: '/admin/v1',
  })
  server.register(channels.webhooks(limits))
  server.register(homeRoutes(config))
  if (config.console) server.register(consoleRoutes())
  server.register(healthRoutes({ database }))
  if (config.metricsPort === null) server.register(metricsRoutes({ metrics, token: config.metricsToken }))
  return { server, gateway }
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
  limitConnections(server.server, { ...defaultLimits, maxConnections: 100 }, (err) => log.error({ err }, 'metrics failed'))
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
