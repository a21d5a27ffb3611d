import type { Tx } from '../storage/database.ts'
import type { DeliveryRow } from '../storage/schema.ts'
import type { SendResult } from './client.ts'

/** Sends deliveries of one kind. A handler is passed in for each kind, so that this folder imports no channel. */
export interface DeliveryHandler<Report = never, Result extends SendResult = SendResult> {
  /** The most time that an attempt takes, in ms: for so long no other node may begin the same one. */
  readonly maxSendMs: number
  /** The report on a delivery that is given up without an attempt. */
  readonly failure?: Report
  /** Makes one attempt, after `tries` earlier ones. `signal` gives it up; `traceparent` is for the receiver. */
  send(row: DeliveryRow, tries: number, signal: AbortSignal, traceparent?: string): Promise<Result>
  /** Whether another attempt follows this failed one. */
  mayRetry(row: DeliveryRow, result: Result, tries: number): boolean
  /**
   * Returns the report on the last attempt, for `Settle`; undefined when there is nothing to settle. Plain data: it is sent to the
   * writer thread.
   */
  report?(result: Result, ok: boolean): Report | undefined
}

/** Writes what follows from the last attempt of a delivery, in the transaction that records it. `now` in epoch ms. */
export type Settle<Report> = (tx: Tx, row: DeliveryRow, report: Report, now: number) => Promise<void>

/** Whether an attempt got a 2xx response, or a channel has taken the message. */
export function isDelivered({ kind, status }: SendResult): boolean {
  return kind === 'accepted' || (kind === 'answered' && isSuccess(status))
}

/** Whether a status is 2xx. */
export function isSuccess(status: number | null): boolean {
  return status !== null && status >= 200 && status <= 299
}

/** Returns the result of an attempt without a request. */
export function unsent(error: string): SendResult {
  return { status: null, body: '', error, kind: 'unsent', duration_ms: 0 }
}
