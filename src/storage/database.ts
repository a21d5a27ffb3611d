import { randomUUID } from 'node:crypto'
import type { ClockState } from '../clock.ts'
import type { DeliveryRow } from './schema.ts'
import type { Dialect, Shape } from './shapes.ts'

/** Reads see committed rows only. */
export interface Reader {
  one<A extends object, R>(query: Shape<A, R>, args: A): Promise<R | undefined>
  /** As `one`, without a promise. Absent where rows are not read on this thread, and in transactions. */
  oneNow?<A extends object, R>(query: Shape<A, R>, args: A): R | undefined
  all<A extends object, R>(query: Shape<A, R>, args: A): Promise<R[]>
  /**
   * As `one`, for a row that is about to be changed or referred to. In a transaction the row is locked until the end: `change`
   * excludes all other changes, `keep` only its removal. Outside a transaction it is a plain read.
   */
  hold<A extends object, R>(query: Shape<A, R>, args: A, how: Hold): Promise<R | undefined>
}

export type Hold = 'change' | 'keep'

/** What a command may do inside its transaction. */
export interface Tx extends Reader {
  /** Runs a statement; returns how many rows it changed. Throws ConflictError when an inserted row exists. */
  run<A extends object>(query: Shape<A, unknown>, args: A): Promise<number>
  /**
   * As `run`, for a statement that has to change a row: where it changes none, the command fails with ConflictError. PostgreSQL says so at
   * the end of the transaction at the latest, so that the command need not wait for it.
   */
  must<A extends object>(query: Shape<A, unknown>, args: A): Promise<void>
  /** As `must`, for each of these arguments in their order. */
  mustAll<A extends object>(query: Shape<A, unknown>, all: readonly A[]): Promise<void>
  /** As `all`, for work that must be done once: locks the rows, and leaves out those that another transaction has locked. */
  claim<A extends object, R>(query: Shape<A, R>, args: A): Promise<R[]>
  /** The number of parts the deliveries are divided into, see `Slots`. */
  readonly slots: number
  /** Whether rows are written with the words that they are found by. */
  readonly searchable: boolean
  /** Sends a notice to every listener after the commit. A transaction that is rolled back sends none. */
  notify(notice: Notice): void
}

/**
 * Says what has been committed, for whatever keeps state in memory: caches, timers, the delivery loop, live views.
 * Plain data: it crosses between threads and, with PostgreSQL, between nodes.
 */
export type Notice =
  | { readonly topic: 'changed'; readonly table: string; readonly sid: string; readonly revision: number }
  /** Deadlines of these rows have been applied; client SDKs keep a copy of them as these objects. */
  | {
      readonly topic: 'elapsed'
      readonly table: string
      readonly sids: readonly string[]
      readonly objects: readonly string[]
    }
  /** `row`: the new delivery, where it is a single one. Other nodes are not sent it. */
  | { readonly topic: 'deliveries'; readonly target_sid: string; readonly slot: number; readonly row?: DeliveryRow }
  /** Pending deliveries to the target are not to be sent any more: what of them is in memory is not true. */
  | { readonly topic: 'dropped'; readonly target_sid: string; readonly slot: number }
  /** The log has results of deliveries. */
  | { readonly topic: 'recorded' }
  | { readonly topic: 'due'; readonly at: number }
  | { readonly topic: 'removal' }
  /** A person is to be erased. */
  | { readonly topic: 'erasure' }
  /** The last row that referred to the file of this content is gone. */
  | { readonly topic: 'unused_file'; readonly sha256: string }
  /**
   * What somebody may do has changed: an account, an API key, a service, a user, a role or an operator, by its SID. `within`: only what they may
   * do with this one.
   */
  | { readonly topic: 'access'; readonly sid: string; readonly within?: string }
  /** There is something new in what client SDKs keep a copy of. */
  | { readonly topic: 'sync'; readonly object: string }
  /** The operator has undone an end. */
  | { readonly topic: 'reopened'; readonly sid: string }
  /** Somebody types: nothing is stored. `object`: those who follow it are told. */
  | {
      readonly topic: 'typing'
      readonly object: string
      readonly service_sid: string
      readonly conversation_sid: string
      readonly identity: string
      readonly user_sid: string
    }
  /** Somebody inside has read up to a message. */
  | {
      readonly topic: 'read'
      readonly service_sid: string
      readonly conversation_sid: string
      readonly message_index: number
    }
  | { readonly topic: 'clock'; readonly state: ClockState }
  /** All rows were deleted or replaced: what is in memory is not true. */
  | { readonly topic: 'emptied' }
  /** Parts of the deliveries were released, see `Slots`. */
  | { readonly topic: 'slots' }
  /** Notices of other processes may have been lost: listeners have to query for what they wait for. */
  | { readonly topic: 'missed' }

/**
 * A change of the database, run in a transaction. It has no effect outside of it, and ids and time come with the input, because
 * an engine may run it more than once. Input and output are plain data: on SQLite they cross to the writer thread.
 * A command refuses by throwing an ApiError. Whatever it throws, nothing of what it wrote remains.
 */
// biome-ignore lint/suspicious/noExplicitAny: the registry holds commands of every input; `write` restores the exact types
export type Command<I = any, O = unknown> = (tx: Tx, input: I) => Promise<O>
export type Commands = Readonly<Record<string, Command>>

const longCommands = new WeakSet<Command>()

/** Marks a command that changes many rows: it runs in a transaction of its own where the engine can run several at once. */
export function long<I, O>(command: Command<I, O>): Command<I, O> {
  longCommands.add(command)
  return command
}

export function isLong(command: Command): boolean {
  return longCommands.has(command)
}

/** Work that must be done by one process at a time, divided into numbered parts that nodes share among each other. */
export interface Slots {
  readonly count: number
  /** Whether this process owns the part for at least so long: no other one begins work in it until then. */
  mine(slot: number, forMs: number): boolean
  /** Sees to it that `mine` is true from now on; returns whether it is. */
  extend(slot: number, forMs: number): Promise<boolean>
  /** Begins to acquire and release parts. Resolves when those that are free have been acquired. */
  start(worker: SlotWorker): Promise<void>
  /** Releases all parts. */
  stop(): Promise<void>
}

/** The processes that serve the database. */
export interface Nodes {
  /** Names this process, for as long as it has the database open. */
  readonly id: string
  /** Returns which of them are alive: those that have begun to acquire slots and renew what they have. */
  live(): Promise<ReadonlySet<string>>
  /** How many were alive when this process last looked, itself included. */
  readonly size: number
}

/** What the database takes on its disks. */
export interface Sizes {
  readonly bytes: number
  /** With their indexes, the largest first; empty where asking would read the whole database. `rows`: an estimate; null: unknown. */
  readonly tables: readonly { readonly name: string; readonly bytes: number; readonly rows: number | null }[]
}

export interface SlotWorker {
  gained(slot: number): void
  /** Resolves when no work of that part is in progress: it is released then. */
  lost(slot: number): Promise<void>
}

/** `at`: when it was committed, in epoch ms by the clock of the machine that did; of several commits, the first. */
export type Listener = (notices: readonly Notice[], at: number) => void

/** One of the engines. `C` is the type of the command module given when it was opened. */
export interface Database<C extends Commands = Commands> {
  readonly capabilities: Capabilities
  readonly read: Reader
  readonly slots: Slots
  readonly nodes: Nodes
  /**
   * Resolves once the command's transaction is on disk. Throws ApiError: the command's own refusal; `unavailable` when the
   * database cannot take the write now; `serverError` when the command or the schema has a defect.
   */
  write<N extends keyof C & string>(name: N, input: Parameters<C[N]>[1]): Promise<Awaited<ReturnType<C[N]>>>
  /** Registers a listener. It is called after each commit, before the writes of that transaction resolve. */
  subscribe(listener: Listener): void
  /** Sends notices of what is not stored to the listeners of all nodes. */
  publish(notices: readonly Notice[]): void
  /**
   * Whether a write has failed in the last seconds for want of a database or of room, the database's file is gone, or its disk has no room to
   * speak of.
   */
  failing(): boolean
  /** Costs little, however large it is. Throws ApiError: `unavailable`. */
  sizes(): Promise<Sizes>
  /** The number of writes that are queued behind the transaction in flight. */
  waiting(): number
  /**
   * Overwrites what was deleted until now, in all files of the database. Returns whether it is done: false when somebody who reads
   * prevents it, and null when the engine cannot.
   */
  scrub(): Promise<boolean | null>
  /**
   * Builds the index that a migration has left to be built while the database is in use, if there is one; of several nodes one does. Ended by the
   * signal, it begins anew the next time. Where an engine has none: absent.
   */
  buildIndex?(signal: AbortSignal): Promise<void>
  /** Throws when the database cannot be asked. */
  usage(): Promise<Usage>
  close(): Promise<void>
}

/** What a database takes up. */
export interface Usage {
  /** Of tables and indexes; on SQLite with the write-ahead log. */
  readonly bytes: number
  /** This process's connections, and who waits for one; null where there is none to share. */
  readonly pool: { readonly open: number; readonly idle: number; readonly waiting: number } | null
}

/** What both engines are opened with. */
export interface OpenOptions {
  /** The module whose export `commands` is the registry. The writer thread imports it too. */
  readonly commands: URL
  /**
   * Imports the registry on this thread; by default from `commands`. Whoever knows the module does it: test runners that have
   * modules of their own, such as Jest, import none by its URL.
   */
  readonly loadCommands?: () => Promise<Commands>
  /** Called with failures that are not the caller's. */
  readonly failed: (error: Error) => void
  /** Called with the reason when opening takes long because others use the database. */
  readonly waiting?: (why: string) => void
  /** Called when no write will be possible again in this process, which had better end. Default: `failed`. */
  readonly dead?: (error: Error) => void
  /** The most writes in one transaction; 1 is a commit for each write (kept for the benchmark). */
  readonly largestBatch?: number
  /** False: rows are written without the words that they are found by. Default: true. */
  readonly searchable?: boolean
  /** False: each read is a query of its own (kept for the benchmark). */
  readonly coalesce?: boolean
}

/** The differences between the engines that the rest of the program may ask about. */
export interface Capabilities {
  /** Which one it is: the order in which it goes through rows is its own, which a place that is kept has to say. */
  readonly engine: Dialect
  /** No other process writes: cached rows stay valid until a notice says otherwise. */
  readonly soleOwner: boolean
  /** The file that other threads of this process may read; absent where a server has the rows. */
  readonly file?: string
  /** For how long what was read may be used until a notice says otherwise, which may be lost; infinity: none is. */
  readonly cacheLeaseMs: number
}

/** Returns the nodes of an engine that one process owns: itself. */
export function onlyNode(): Nodes {
  const id = randomUUID()
  return { id, live: async () => new Set([id]), size: 1 }
}

/** The slots of an engine that one process owns: a single one, which it always has. */
export const onlySlot: Slots = {
  count: 1,
  mine: () => true,
  extend: async () => true,
  start: async (worker) => worker.gained(0),
  stop: async () => {},
}
