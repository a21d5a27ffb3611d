import { stat } from 'node:fs/promises'
import { ActionLimits } from './api/action-limits.ts'
import { Admission } from './api/admission.ts'
import { DirectReads } from './api/direct-reads.ts'
import type { HostCheck } from './api/hosts.ts'
import { defaultLogins, LoginThrottle } from './api/login-throttle.ts'
import { openIdOf } from './api/openid.ts'
import { type Logins, Operator } from './api/operator.ts'
import type { ProxyCheck } from './api/origin.ts'
import type { Pipeline } from './api/requests.ts'
import { ResponseCache } from './api/response-cache.ts'
import { WaitingWrites } from './api/waiting-writes.ts'
import { AuditKeeper } from './audit/keeper.ts'
import { systemAct } from './audit/log.ts'
import { Cleanup } from './background/cleanup.ts'
import { Erasures } from './background/erasures.ts'
import { kinds, Retention } from './background/retention.ts'
import { Timers } from './background/timers.ts'
import { Channels } from './channels/channels.ts'
import { Email, type EmailOptions } from './channels/email/email.ts'
import type { ChannelReport } from './channels/receipts.ts'
import { type ConnectionLimits, defaultConnectionLimits } from './client/connection.ts'
import { Presence } from './client/presence.ts'
import { ClientServer } from './client/server.ts'
import { TestClock } from './clock.ts'
import type { Config } from './config.ts'
import { ledgerFile } from './data-folders.ts'
import type { WebhookClient } from './delivery/client.ts'
import { Deliveries } from './delivery/deliveries.ts'
import { isDelivered } from './delivery/handler.ts'
import type { DeliveryIdle } from './delivery/idle.ts'
import { webhookHandler } from './delivery/webhook.ts'
import type { Installation } from './installation/open.ts'
import { mailListener } from './installation/ports.ts'
import { storedMediaMarker } from './installation/secrets.ts'
import { followClock } from './installation/test-clock.ts'
import { Loop, type Worker } from './loop.ts'
import type { BucketTimeouts } from './media/bucket.ts'
import { mediaFact, mediaPlace, openContents } from './media/open.ts'
import { MediaStore } from './media/store.ts'
import type { NamedChange } from './model/change.ts'
import type { Metrics } from './observability/metrics.ts'
import { Ledger } from './privacy/ledger.ts'
import { isInMail, type Person } from './privacy/person.ts'
import type { PushReport } from './push/handler.ts'
import type { Push } from './push/push.ts'
import type { Readers } from './readers/readers.ts'
import { resources } from './resources/index.ts'
import type { Reader } from './storage/database.ts'
import { factByName } from './storage/facts.ts'
import type { DeliveryKind } from './storage/schema.ts'
import { inSpan, type Tracer } from './trace.ts'

/** How long a node may miss a move of the test clock by another node. */
const clockIntervalMs = 1000

const hourMs = 3_600_000
const dayMs = 24 * hourMs

/** What handlers report of a delivery's last attempt. */
export type Report = ChannelReport | PushReport

/** What the parts of a server share. */
export interface Shared {
  readonly config: Config
  readonly installation: Installation
  readonly metrics: Metrics
  /** Reads committed rows; accounts and services come from memory where the engine allows it. */
  readonly read: Reader
  readonly client: WebhookClient
  /** Null where traces are off. */
  readonly tracer: Tracer | null
  /** By which what is limited per second is counted: in ms, from any start on. */
  readonly monotonicMs: () => number
  /** What the headers of a request are worth. */
  readonly checks: { readonly isOwnHost: HostCheck | null; readonly isTrustedProxy: ProxyCheck | null }
  /** Logs an error of background work. */
  readonly onError: (error: unknown) => void
}

export async function openMedia(
  { config, installation: { database, log }, metrics, onError }: Shared,
  timeouts: Partial<BucketTimeouts> | undefined,
): Promise<MediaStore> {
  const contents = await openContents({
    config,
    marker: await storedMediaMarker(database),
    unchecked: (err) => log.warn({ err }, 'the store of media does not respond: files cannot be sent or fetched until it does'),
    timeouts,
    observe: (operation, outcome, seconds) => metrics.countStoreRequest(operation, outcome, seconds),
  })
  await rememberPlace(config, database)
  const store = new MediaStore({ contents, read: database.read, report: onError })
  // In test mode a snapshot may still refer to a file that no row refers to.
  if (!config.testMode) database.subscribe((notices) => store.notified(notices))
  return store
}

/** `parley media move` moves media to where the servers look for them. */
async function rememberPlace(config: Config, database: Installation['database']): Promise<void> {
  const [name, value] = [mediaFact, mediaPlace(config)]
  const known = (await database.read.one(factByName, { name }))?.value ?? mediaPlace({ mediaStore: null })
  if (known !== value) await database.write('setFact', { name, value })
}

export function createTimers({ installation: { clock, database }, metrics, onError }: Shared): Timers {
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

export function createEmail(
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

export function createChannels(
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

export function createDeliveries(
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
    tracer: shared.tracer,
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

export function createCleanup({ config, installation: { clock, database }, onError }: Shared): Cleanup {
  return new Cleanup({
    clock,
    database,
    deliveryRetentionMs: config.deliveryLogDays * dayMs,
    tombstoneRetentionMs: config.clientHistoryDays * dayMs,
    onError,
  })
}

export function createErasures(
  { config, installation: { clock, database, vault }, onError }: Shared,
  store: MediaStore,
  email: Email,
): Erasures {
  const forget = (person: Person) => email.outbox?.forget((mail) => isInMail(person, mail))
  const file = ledgerFile(config)
  const ledger = config.testMode || file === null ? null : new Ledger(file)
  return new Erasures({ clock, database, vault, store: config.testMode ? null : store, ledger, forget, onError })
}

export function createRetention({ installation: { audit, clock, database, log }, metrics, onError }: Shared): Retention {
  return new Retention({
    clock,
    database,
    removed: ({ account_sid, service_sid }, counts) => {
      for (const kind of kinds) metrics.countExpired(kind, counts[kind])
      log.info({ account: account_sid, service: service_sid, ...counts }, 'expired')
      const target = { type: 'retention', sid: service_sid, table: null }
      const act = { ...systemAct, action: 'retention.applied', target, account_sid, input: JSON.stringify(counts) }
      audit.record(act, { outcome: 'success', code: null }).catch(onError)
    },
    onError,
  })
}

export function createAuditKeeper({ config, installation, metrics, onError }: Shared): Worker {
  const { audit, clock, database, log, signer } = installation
  audit.onAdded(({ action, outcome }) => metrics.countAudit(action, outcome))
  return new AuditKeeper({
    ...{ audit, clock, database, signer, onError },
    retentionMs: config.auditLogDays * dayMs,
    signed: ({ seq }, checkpoint) => log.info({ seq, checkpoint }, 'checkpoint of the audit log'),
  })
}

export function createPipeline(shared: Shared, timers: Timers): Pipeline {
  const { installation, read, client, tracer } = shared
  const { clock, database, log, vault } = installation
  const responses = database.capabilities.soleOwner ? new ResponseCache() : null
  database.subscribe((notices) => responses?.invalidate(notices))
  return {
    clock,
    read,
    responses,
    direct: DirectReads.of(database),
    actions: createActionLimits(shared),
    ...createWrites(shared),
    pageSecrets: vault.deriveAll('page tokens'),
    preAction: { client, vault, tracer, warn: (facts) => log.warn(facts, 'pre-action webhook') },
    catchUp: async () => void (await timers.catchUp()),
  }
}

function createWrites({ config, installation: { database }, metrics, tracer }: Shared): Pick<Pipeline, 'write' | 'writeAll'> {
  const write: Pipeline['write'] = (resource, request) =>
    committed(tracer, [{ resource: resource.name, request }], ([change]) => database.write('change', change))
  const writeAll: Pipeline['writeAll'] = (changes) => committed(tracer, changes, (traced) => database.write('changeAll', traced))
  if (config.maxWaitingWrites === 0) return { write, writeAll }
  const waiting = new WaitingWrites({ max: config.maxWaitingWrites, onRefused: () => metrics.countLimited('waiting_writes') })
  return {
    write: (resource, request) => waiting.run(request.path.account_sid, () => write(resource, request)),
    writeAll: (changes) => waiting.run(changes[0].request.path.account_sid, () => writeAll(changes)),
  }
}

/** Writes changes in a span, which the deliveries that they cause continue. */
function committed<T>(
  tracer: Tracer | null,
  changes: readonly [NamedChange, ...NamedChange[]],
  write: (changes: readonly [NamedChange, ...NamedChange[]]) => Promise<T>,
): Promise<T> {
  const [{ resource, request }] = changes
  if (!tracer) return write(changes)
  const span = tracer.start('commit', 'internal', request.trace, {
    'parley.resource': resource,
    'parley.changes': changes.length,
  })
  const traced = (change: NamedChange) => ({ ...change, request: { ...change.request, trace: span.traceparent } })
  const [first, ...others] = changes
  return inSpan(span, () => write([traced(first), ...others.map(traced)]))
}

const sizeOf = ({ size }: { readonly size: number }) => size

/** Starts the threads that read pages; null without any. */
export async function startReaders(
  { config: { readWorkers: count }, installation: { database, vault, clock, log }, metrics }: Shared,
  { pageSecrets }: Pick<Pipeline, 'pageSecrets'>,
): Promise<Readers | null> {
  const { file } = database.capabilities
  if (count === 0 || file === undefined) return null
  // Loaded only where it is wanted: each start would wait for it.
  const { Readers } = await import('./readers/readers.ts')
  const readers = await Readers.start({
    ...{ count, file, vault, pageSecrets, clock },
    logBytes: () => stat(`${file}-wal`).then(sizeOf, () => 0),
    failed: (err) => log.error({ err }, 'a read worker could not read a page, which the main thread reads'),
    ended: (err) => log.error({ err }, 'a read worker has ended: another one is started'),
  })
  metrics.readers = readers
  return readers
}

function createActionLimits({ config, installation: { database }, metrics, monotonicMs }: Shared): ActionLimits | null {
  const { maxActionsPerSecond: maxPerSecond, maxAccountActionsPerSecond: maxPerSecondOfAccount } = config
  if (maxPerSecond === 0 && maxPerSecondOfAccount === 0) return null
  const { nodes } = database
  return new ActionLimits({
    ...{ maxPerSecond, maxPerSecondOfAccount, nodes, now: monotonicMs },
    onRefused: (limit) => metrics.countLimited(limit),
  })
}

/** Keeps the test clocks of several nodes together: at each request, at each notice and every second. Undefined with one node. */
export function sharedClock({ installation: { clock, database }, onError }: Shared) {
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

export function createAdmission({ config, installation: { database }, metrics, monotonicMs }: Shared): Admission {
  return new Admission({
    maxConcurrent: config.maxConcurrentRequests,
    maxPerSecond: config.maxRequestsPerSecond,
    now: monotonicMs,
    nodes: database.nodes,
    onRefused: (limit) => metrics.countLimited(limit),
  })
}

export function createLogins({ config, installation: { audit, log }, metrics }: Shared): Logins {
  return {
    throttle: new LoginThrottle({ ...defaultLogins, maxFailed: config.maxFailedLogins }),
    onFailedLogin: (login, tried) => {
      audit.refused({ ...tried, address: login.address, code: 401 })
      // A token of an app is no login.
      if (tried.kind === 'client') return
      metrics.countFailedLogin()
      log.warn(login, 'login failed')
    },
  }
}

export function createOperator({ config, installation, read, onError }: Shared, logins: Logins): Operator {
  const { database, log } = installation
  const openId = openIdOf(config, (problem) => log.warn(problem, 'a sign-in by OpenID Connect failed'))
  const onTokenUsed = (id: string, date_used: number) => {
    database.write('touchOperatorToken', { id, date_used }).catch(onError)
  }
  return new Operator({ ...installation, read, logins, openId, onTokenUsed })
}

export function createPresence(
  { installation: { clock, database }, onError }: Shared,
  limits: Partial<ConnectionLimits> | undefined,
): Presence {
  const { offlineAfterMs } = { ...defaultConnectionLimits, ...limits }
  return new Presence({ clock, database, offlineAfterMs, onError })
}

export function createClients(
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
  const clients = new ClientServer({
    ...{ pipeline, database, logins, publicUrl, ...checks, mediaMaxBytes, presence, beforeInit, log, limits },
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
