import { codeOf, errorOf } from '../../errors.ts'
import type { CheckRequest } from './authentication.ts'

/** What the thread for large mails is asked for, one task at a time. */
export type ThreadTask =
  | { readonly kind: 'read'; readonly raw: Uint8Array }
  | ({ readonly kind: 'check'; readonly raw: Uint8Array } & CheckRequest)

/** What it is sent: tasks, and what the DNS has said. */
export type ThreadMessage =
  | ThreadTask
  | { readonly kind: 'records'; readonly id: number; readonly records: string[][] | string[] }
  | { readonly kind: 'no records'; readonly id: number; readonly error: DnsFailure }

/** What it sends: questions for the DNS, and the result in the end. */
export type ThreadReply<T> =
  | { readonly kind: 'lookup'; readonly id: number; readonly domain: string; readonly type: string }
  | { readonly kind: 'done'; readonly result: T }
  | { readonly kind: 'failed'; readonly message: string }

/** An error of the DNS, with its code, which tells what does not exist from what cannot be asked. */
export interface DnsFailure {
  readonly message: string
  readonly code: string
}

export function failureOf(error: unknown): DnsFailure {
  return { message: errorOf(error).message, code: codeOf(error) ?? '' }
}
