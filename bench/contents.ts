import type { Reader } from '../src/storage/database.ts'
import type { ServiceRow } from '../src/storage/schema.ts'
import type { Deadline } from './added-rows.ts'
import type { Owner } from './population.ts'

/** Puts rows into tables by the function it is given. */
export type Filling = (insert: (table: string, count: number, row: (i: number) => object) => void, owner: Owner) => void

type Awaitable<T> = T | Promise<T>

/** A Parley database as the bench sees it behind the server's back, of either engine. */
export interface Contents {
  /** What it takes at most to put a row in. */
  readonly row_ms: number
  /** The rows of the account's default service belong to this. */
  owner(): Awaitable<Owner>
  service(sid: string): Awaitable<ServiceRow>
  /** Conversations that fall due; answers their deadlines in the order in which a sweep takes them. */
  addDue(count: number, dueAt: (i: number) => number, owner: Owner, now_ms: number): Awaitable<Deadline[]>
  /** The first conversation, in the order in which a sweep takes them, whose deadline has not been applied. */
  firstPending(): Awaitable<Deadline | undefined>
  /** Events that wait in the outbox, each about a conversation of its own. */
  addDeliveries(count: number, target: { service_sid: string; url: string }, account_sid: string, now_ms: number): Awaitable<void>
  hasPendingDeliveries(service_sid: string): Awaitable<boolean>
  forgetDeliveries(): Awaitable<void>
  /** Names of all conversations, and how many events there are about each. */
  written(): Awaitable<Kept>
  /** A reader as the server has one, over a connection of its own. */
  reader(): { readonly read: Reader; refresh(): void; close(): Awaitable<void> }
}

/** What a database holds, by conversation. */
export interface Kept {
  readonly names: ReadonlyMap<string, string>
  readonly events: ReadonlyMap<string, number>
}
