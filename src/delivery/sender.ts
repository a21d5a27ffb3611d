import type { Clock } from '../clock.ts'
import { untraced } from '../events/queue.ts'
import { parseStored } from '../json.ts'
import type { DeliveryKind, DeliveryRow } from '../storage/schema.ts'
import type { Tracer } from '../trace.ts'
import type { SendResult } from './client.ts'
import { type DeliveryHandler, isDelivered, unsent } from './handler.ts'
import type { Attempt } from './record.ts'
import { withResponse } from './response.ts'

export interface SenderOptions<Report> {
  readonly clock: Clock
  /** A delivery that has been pending for longer is not attempted any more. */
  readonly maxAgeMs: number
  readonly handlers: Readonly<Record<DeliveryKind, DeliveryHandler<Report>>>
  /** Null where traces are off. */
  readonly tracer: Tracer | null
  /** Called after each attempt. */
  readonly attempted?: (result: SendResult, row: DeliveryRow) => void
}

/** Of a channel's response, in the log. */
const maxResponseChars = 1000

/**
 * Makes one attempt of a delivery. Writes nothing: returns the row after it, and the handler's report if it was the last; undefined
 * when `signal` has given it up, which counts as no attempt.
 */
export async function attemptDelivery<Report>(
  { clock, handlers, attempted, maxAgeMs, tracer }: SenderOptions<Report>,
  row: DeliveryRow,
  signal: AbortSignal,
): Promise<{ readonly row: DeliveryRow; readonly report?: Report } | undefined> {
  const handler = handlers[row.kind]
  const earlier = parseStored<Attempt[]>(row.attempts)
  const now = () => clock.now(row.account_sid)
  const at = now()
  const tooOld = isTooOld(row, clock, maxAgeMs)
  const result = tooOld ? unsent('pending for too long') : await send(handler, row, { tracer, tries: earlier.length, signal })
  if (signal.aborted) return undefined
  attempted?.(result, row)
  const { status, error, response, retry_after_ms = 0 } = result
  const ok = isDelivered(result)
  const backoff = backoffAfter(earlier.length)
  const attempt: Attempt = {
    at,
    duration_ms: Math.round(result.duration_ms),
    status,
    error: ok ? null : (error ?? `HTTP ${status}`),
    ...(response !== undefined && { response: response.slice(0, maxResponseChars) }),
    ...(retry_after_ms > backoff && { retry_after_ms }),
  }
  const retry = !ok && !tooOld && handler.mayRetry(row, result, earlier.length)
  const next: DeliveryRow = {
    ...row,
    attempts: JSON.stringify([...earlier, attempt]),
    responses: withResponse(row, earlier.length, result),
    status: ok ? 'delivered' : retry ? 'pending' : 'failed',
    due: retry ? now() + Math.max(backoff, retry_after_ms) : row.due,
    date_finished: retry ? null : now(),
  }
  const report = tooOld ? handler.failure : retry ? undefined : handler.report?.(result, ok)
  return { row: next, ...(report !== undefined && { report }) }
}

/** Makes the attempt, in a span of its own that continues the trace of the request. */
async function send<Report>(
  handler: DeliveryHandler<Report>,
  stored: DeliveryRow,
  { tracer, tries, signal }: { readonly tracer: Tracer | null; readonly tries: number; readonly signal: AbortSignal },
): Promise<SendResult> {
  const { row, trace } = untraced(stored)
  const { kind, event_type, account_sid, id } = row
  const facts = { 'parley.delivery': id, 'parley.event': event_type, 'parley.account': account_sid, 'parley.tries': tries }
  const span = tracer?.start(`${kind} ${event_type}`, 'client', trace, facts)
  try {
    const result = await handler.send(row, tries, signal, span?.traceparent ?? trace)
    const { status, kind: outcome } = result
    span?.end({ 'http.response.status_code': status ?? undefined, 'parley.outcome': outcome }, !isDelivered(result))
    return result
  } catch (error) {
    span?.end({}, true)
    throw error
  }
}

/** A clock that a test has moved says nothing about how long a delivery has been waiting. */
function isTooOld({ account_sid, date_created }: DeliveryRow, clock: Clock, maxAgeMs: number): boolean {
  return clock.offset(account_sid) === 0 && clock.now(account_sid) - date_created > maxAgeMs
}

/** 1 s, 4 s, 16 s … */
function backoffAfter(tries: number): number {
  return 1000 * 4 ** tries
}

/** How long a pending delivery waits for its next attempt at most; the first is made at once. */
export function backoffMs({ attempts }: Pick<DeliveryRow, 'attempts'>): number {
  if (attempts === '[]') return 0
  const made = parseStored<Attempt[]>(attempts)
  return made.length === 0 ? 0 : Math.max(backoffAfter(made.length - 1), made.at(-1)?.retry_after_ms ?? 0)
}

/** The delivery with an attempt that failed inside the server, and was the last. `now` in epoch ms. */
export function withFailure(row: DeliveryRow, error: string, now: number): DeliveryRow {
  const attempt: Attempt = { at: now, duration_ms: 0, status: null, error }
  const attempts = JSON.stringify([...parseStored<Attempt[]>(row.attempts), attempt])
  return { ...row, attempts, status: 'failed', date_finished: now }
}
