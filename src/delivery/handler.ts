import type { Tx } from '../storage/database.ts'
import type { DeliveryRow } from '../storage/schema.ts'
import type { SendResult } from './client.ts'

/** How deliveries of one kind are sent. One is handed in for each kind, so that delivery knows no channel. */
export interface DeliveryHandler<Report = never> {
  /** One attempt; `tries` were made before. */
  send(row: DeliveryRow, tries: number): Promise<SendResult>
  /** Whether another attempt may succeed where this one has failed. */
  mayRetry(row: DeliveryRow, result: SendResult, tries: number): boolean
  /** What the last attempt says, for `Settle`. Plain data: it travels to the writer. */
  report?(result: SendResult, ok: boolean): Report
}

/** What follows from the last attempt of a delivery, in the transaction that records it. `now` in epoch ms. */
export type Settle<Report> = (tx: Tx, row: DeliveryRow, report: Report, now: number) => Promise<void>

/** Whether an attempt was answered with success. */
export function isDelivered({ kind, status }: SendResult): boolean {
  return kind === 'answered' && isSuccess(status)
}

/** Whether a status is 2xx. */
export function isSuccess(status: number | null): boolean {
  return status !== null && status >= 200 && status <= 299
}

/** The result of an attempt that called nobody. */
export function unsent(error: string): SendResult {
  return { status: null, body: '', error, kind: 'unsent', duration_ms: 0 }
}
