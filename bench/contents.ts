import type { Reader } from '../src/storage/database.ts'
import type { ServiceRow } from '../src/storage/schema.ts'
import type { Deadline } from './added-rows.ts'
import type { Owner } from './population.ts'

/** Inserts rows with the given function. */
export type Filling = (insert: (table: string, count: number, row: (i: number) => object) => void, owner: Owner) => void

type Awaitable<T> = T | Promise<T>

/** Direct access to a Parley database of either engine, past the server. */
export interface Contents {
  /** The time to insert a row, at most. */
  readonly row_ms: number
  /** Returns the default service of the account. */
  owner(): Awaitable<Owner>
  service(sid: string): Awaitable<ServiceRow>
  /** Inserts conversations with deadlines. Returns the deadlines in the order of a sweep. */
  addDue(count: number, dueAt: (i: number) => number, owner: Owner, nowMs: number): Awaitable<Deadline[]>
  /** Returns the first deadline that has not been applied, in the order of a sweep. */
  firstPending(): Awaitable<Deadline | undefined>
  /** Inserts pending events, each of another conversation. */
  addDeliveries(count: number, target: { service_sid: string; url: string }, account_sid: string, nowMs: number): Awaitable<void>
  hasPendingDeliveries(service_sid: string): Awaitable<boolean>
  deleteDeliveries(): Awaitable<void>
  /** Returns the names of all conversations and the number of events of each. */
  persisted(): Awaitable<Persisted>
  /** Opens a reader like the server's, with its own connection. */
  reader(): { readonly read: Reader; refresh(): void; close(): Awaitable<void> }
}

/** The contents of a database, by conversation SID. */
export interface Persisted {
  readonly names: ReadonlyMap<string, string>
  readonly events: ReadonlyMap<string, number>
}
