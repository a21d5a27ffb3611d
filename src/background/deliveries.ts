import { sql } from 'kysely'
import { channel_message, loopback } from '../channel/dispatch.ts'
import { type ChannelAnswer, channel_message_sids, receipt_statuses } from '../channel/receipts.ts'
import type { Clock } from '../clock.ts'
import type { ParleyCommands } from '../commands.ts'
import type { Database, Reader } from '../storage/database.ts'
import { rowsBy } from '../storage/rows.ts'
import type { DeliveryRow } from '../storage/schema.ts'
import { shape } from '../storage/shapes.ts'
import type { Vault } from '../vault.ts'
import type { SendResult, WebhookClient } from '../webhooks/client.ts'
import type { Attempt, DeliveryResult } from '../webhooks/record.ts'
import { prepare } from '../webhooks/signature.ts'
import { webhook_timeout_ms } from '../webhooks/veto.ts'
import type { Service } from './service.ts'

/** In flight to one target at a time. */
const most_in_flight = 64
/** Rows of one target held in memory; the rest stays in the database until there is room. */
const window = 512
/** Answers that a retry may change (the ancestor API's list), besides no answer at all. */
const passing_statuses = [429, 503, 504]

export interface DeliveriesOptions {
  readonly clock: Clock
  readonly database: Database<ParleyCommands>
  /** Reads accounts from memory where it may. */
  readonly read: Reader
  readonly client: WebhookClient
  readonly vault: Vault
  /** Further tries after a passing failure. 0 is the vendor's behaviour: one attempt, failure recorded. */
  readonly retries: number
  readonly report: (error: unknown) => void
  /** Told of each attempt. */
  readonly attempted?: (result: SendResult, row: DeliveryRow) => void
}

interface Lane {
  readonly queue: DeliveryRow[]
  busy: boolean
}

interface Target {
  readonly sid: string
  /** By subject: one at a time and in order; different subjects side by side. */
  readonly lanes: Map<string, Lane>
  /** Subjects that can go on, first come first served. */
  readonly ready: string[]
  held: number
  in_flight: number
  /** Id of the last row taken from the database. */
  taken: string
  /** Whether there may be rows behind it. */
  more: boolean
  loading: boolean
}

/** Tries after the first of a message handed to a channel: over five minutes in all. */
const channel_retries = 5

const accountBySid = rowsBy('accounts', ['sid'])
const conversationBySid = rowsBy('conversations', ['service_sid', 'sid'])
const messageBySid = rowsBy('messages', ['conversation_sid', 'sid'])

/** In the text of the query: a parameter would not match the partial index. */
const pending = sql.lit<'pending'>('pending')

/** With the last target found, walks the targets that have something pending without reading all of it. */
const nextTarget = shape<{ after: string }>()((db, a) =>
  db
    .selectFrom('deliveries')
    .select('target_sid')
    .where('status', '=', pending)
    .where('target_sid', '>', a.after)
    .orderBy('target_sid')
    .limit(1),
)

const pendingOf = shape<{ target_sid: string; after: string; limit: number }>()((db, a) =>
  db
    .selectFrom('deliveries')
    .selectAll()
    .where('status', '=', pending)
    .where('target_sid', '=', a.target_sid)
    .where('id', '>', a.after)
    .orderBy('id')
    .limit(a.limit),
)

/**
 * Sends what the outbox holds. Whom to tell was decided when it happened; here only: prepare → send → record.
 * A target's rows are taken in windows and go out in order per subject, so a slow or dead endpoint delays only itself.
 */
export class Deliveries implements Service {
  readonly #options: DeliveriesOptions
  readonly #targets = new Map<string, Target>()
  readonly #sending = new Set<Promise<void>>()
  readonly #waiting = new Set<() => void>()
  #results: DeliveryResult[] = []
  #recording: Promise<void> | undefined
  #stopped = true

  constructor(options: DeliveriesOptions) {
    this.#options = options
    options.database.subscribe((notices) => {
      const told = new Set<string>()
      for (const notice of notices) if (notice.topic === 'deliveries') told.add(notice.target_sid)
      for (const sid of told) this.#wake(sid)
      if (notices.some((notice) => notice.topic === 'clock')) this.#lookAgain()
    })
  }

  start(): void {
    this.#stopped = false
    this.#findTargets().catch(this.#options.report)
  }

  /** Sends nothing more; resolves when what was in flight is answered and recorded. */
  async stop(): Promise<void> {
    this.#stopped = true
    this.#lookAgain()
    await Promise.all(this.#sending)
    await this.#recording
  }

  async #findTargets(): Promise<void> {
    let after = ''
    for (;;) {
      const found = await this.#options.database.read.one(nextTarget, { after })
      if (!found) return
      this.#wake(found.target_sid)
      after = found.target_sid
    }
  }

  #wake(sid: string): void {
    if (this.#stopped) return
    let target = this.#targets.get(sid)
    if (!target) {
      target = { sid, lanes: new Map(), ready: [], held: 0, in_flight: 0, taken: '', more: true, loading: false }
      this.#targets.set(sid, target)
    }
    target.more = true
    this.#load(target)
  }

  /** Fills the window. */
  #load(target: Target): void {
    if (target.loading || !target.more || this.#stopped || target.held > window / 2) return
    target.loading = true
    target.more = false
    const args = { target_sid: target.sid, after: target.taken, limit: window }
    this.#options.database.read
      .all(pendingOf, args)
      .then((rows) => {
        if (rows.length === window) target.more = true
        for (const row of rows) this.#hold(target, row)
      }, this.#options.report)
      .finally(() => {
        target.loading = false
        this.#send(target)
        this.#load(target)
      })
  }

  #hold(target: Target, row: DeliveryRow): void {
    target.taken = row.id
    target.held++
    let lane = target.lanes.get(row.subject_sid)
    if (!lane) {
      lane = { queue: [], busy: false }
      target.lanes.set(row.subject_sid, lane)
    }
    lane.queue.push(row)
    if (!lane.busy && lane.queue.length === 1) target.ready.push(row.subject_sid)
  }

  #send(target: Target): void {
    while (!this.#stopped && target.in_flight < most_in_flight) {
      const subject = target.ready.shift()
      if (subject === undefined) break
      const lane = target.lanes.get(subject) as Lane
      const row = lane.queue.shift() as DeliveryRow
      lane.busy = true
      target.in_flight++
      const sending = this.#work(target, row)
        .catch(this.#options.report)
        .finally(() => {
          this.#sending.delete(sending)
          target.held--
          lane.busy = false
          if (lane.queue.length > 0) target.ready.push(subject)
          else target.lanes.delete(subject)
          this.#send(target)
          this.#load(target)
        })
      this.#sending.add(sending)
    }
  }

  /** Tries a delivery until it is finished; waits for its next try without holding a place among those in flight. */
  async #work(target: Target, row: DeliveryRow): Promise<void> {
    let current = row
    while (current.status === 'pending' && !this.#stopped) {
      if (current.due > this.#options.clock.now()) {
        target.in_flight--
        this.#send(target)
        await this.#until(current.due)
        target.in_flight++
        continue
      }
      try {
        current = await this.#attempt(current)
      } catch (error) {
        // Not the endpoint's doing (the database does not answer): no try is counted.
        this.#options.report(error)
        current = { ...current, due: this.#options.clock.now() + 1000 }
      }
    }
    target.in_flight--
  }

  /** One try, recorded. Answers the row as it is then. */
  async #attempt(row: DeliveryRow): Promise<DeliveryRow> {
    const { clock } = this.#options
    const earlier = JSON.parse(row.attempts) as Attempt[]
    const at = clock.now()
    const result = await this.#sendOnce(row, earlier.length)
    this.#options.attempted?.(result, row)
    const { status, error } = result
    const ok = result.kind === 'answered' && status !== null && status >= 200 && status < 300
    const attempt: Attempt = {
      at,
      duration_ms: Math.round(result.duration_ms),
      status,
      error: ok ? null : (error ?? `HTTP ${status}`),
    }
    const again = !ok && this.#mayRetry(row, result, earlier.length)
    const next: DeliveryRow = {
      ...row,
      attempts: JSON.stringify([...earlier, attempt]),
      status: ok ? 'delivered' : again ? 'pending' : 'failed',
      due: again ? clock.now() + backoff_ms(earlier.length) : row.due,
      date_finished: again ? null : clock.now(),
    }
    this.#record(next, !again && isChannel(row) ? channelAnswer(result, ok) : undefined)
    return next
  }

  async #sendOnce(row: DeliveryRow, tries: number): Promise<SendResult> {
    const { client, read, vault } = this.#options
    if (isChannel(row) && (await this.#isRecalled(row))) return unsent('the message was removed before it was sent')
    if (row.url === loopback)
      return { status: 200, body: '{"status":"delivered"}', error: null, kind: 'answered', duration_ms: 0 }
    const account = await read.one(accountBySid, { sid: row.account_sid })
    if (!account) return unsent('the account is gone')
    const prepared = prepare({
      method: row.method === 'GET' ? 'GET' : 'POST',
      url: row.url,
      form: { ...(JSON.parse(row.form) as Record<string, string>), RetryCount: String(tries) },
      auth_token: vault.open(account.auth_token),
      idempotency_token: row.idempotency_token,
    })
    return client.send(prepared, webhook_timeout_ms)
  }

  /**
   * What was accepted goes out, whoever has left and whatever has closed since: a farewell is often followed by its
   * conversation's end. Only a message that was itself removed does not.
   */
  async #isRecalled({ service_sid, subject_sid, form }: DeliveryRow): Promise<boolean> {
    const { read } = this.#options.database
    const { MessageSid } = JSON.parse(form) as Record<string, string>
    if (await read.one(messageBySid, { conversation_sid: subject_sid, sid: MessageSid })) return false
    return (await read.one(conversationBySid, { service_sid, sid: subject_sid })) !== undefined
  }

  /** A message must arrive: a channel is tried for longer than a webhook, and whatever the failure. */
  #mayRetry(row: DeliveryRow, { kind, status }: SendResult, tries: number): boolean {
    if (kind === 'unsent' || kind === 'refused_address') return false
    if (isChannel(row)) return tries < channel_retries && (status === null || status === 429 || status >= 500)
    const passing = kind === 'timeout' || (status !== null && passing_statuses.includes(status))
    return passing && tries < this.#options.retries
  }

  /** Results are written in batches: all that came while the last batch was on its way. */
  #record({ id, status, due, attempts, date_finished }: DeliveryRow, answer?: ChannelAnswer): void {
    this.#results.push({ id, status, due, attempts, date_finished, ...(answer && { answer }) })
    this.#recording ??= this.#writeResults().finally(() => {
      this.#recording = undefined
    })
  }

  async #writeResults(): Promise<void> {
    while (this.#results.length > 0) {
      const results = this.#results
      this.#results = []
      try {
        await this.#options.database.write('recordDeliveries', results)
      } catch (error) {
        this.#options.report(error)
        if (this.#stopped) return
        this.#results = [...results, ...this.#results]
        await this.#until(this.#options.clock.now() + 1000)
      }
    }
  }

  async #until(instant_ms: number): Promise<void> {
    for (;;) {
      const wait_ms = instant_ms - this.#options.clock.now()
      if (wait_ms <= 0 || this.#stopped) return
      await new Promise<void>((resolve) => {
        const done = () => {
          clearTimeout(timer)
          this.#waiting.delete(done)
          resolve()
        }
        const timer = setTimeout(done, Math.min(wait_ms, 60_000))
        this.#waiting.add(done)
      })
    }
  }

  /** The clock was moved, or the loop stops: everyone who waits looks again. */
  #lookAgain(): void {
    for (const done of [...this.#waiting]) done()
  }
}

function unsent(error: string): SendResult {
  return { status: null, body: '', error, kind: 'unsent', duration_ms: 0 }
}

function isChannel(row: DeliveryRow): boolean {
  return row.event_type === channel_message
}

/** A channel may name its own message and say how far it is already; no answer in the end is a failure. */
function channelAnswer({ body }: SendResult, ok: boolean): ChannelAnswer {
  const { sid: short, channel_message_sid: sid = short, status, error_code } = readAnswer(body)
  const known = receipt_statuses.find((candidate) => candidate === status)
  return {
    channel_message_sid: typeof sid === 'string' && channel_message_sids.test(sid) ? sid : null,
    status: ok ? (known ?? 'sent') : known === 'undelivered' ? known : 'failed',
    error_code: typeof error_code === 'number' && Number.isSafeInteger(error_code) && error_code > 0 ? error_code : null,
  }
}

function readAnswer(body: string): Record<string, unknown> {
  try {
    const parsed: unknown = JSON.parse(body)
    return typeof parsed === 'object' && parsed !== null ? (parsed as Record<string, unknown>) : {}
  } catch {
    return {}
  }
}

/** 1 s, 4 s, 16 s … */
function backoff_ms(tries: number): number {
  return 1000 * 4 ** tries
}
