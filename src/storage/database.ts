import type { Shape } from './shapes.ts'

/** Reads see committed rows only. */
export interface Reader {
  one<A extends object, R>(query: Shape<A, R>, args: A): Promise<R | undefined>
  all<A extends object, R>(query: Shape<A, R>, args: A): Promise<R[]>
  /**
   * As `one`, for a row that is about to be changed or built upon. Inside a transaction it stays as it is until the end:
   * `change` keeps everybody else from changing it, `keep` only from removing it. Elsewhere it is a plain read.
   */
  hold<A extends object, R>(query: Shape<A, R>, args: A, how: Hold): Promise<R | undefined>
}

export type Hold = 'change' | 'keep'

/** What a command may do inside its transaction. */
export interface Tx extends Reader {
  /** Runs a statement; answers how many rows it touched. An insert that another's row stands in the way of throws ConflictError. */
  run<A extends object>(query: Shape<A, unknown>, args: A): Promise<number>
  /** As `all`, for work that nobody else may do too: leaves out what another transaction has claimed. */
  claim<A extends object, R>(query: Shape<A, R>, args: A): Promise<R[]>
  /** Into how many parts the deliveries are divided, see `Slots`. */
  readonly slots: number
  /** Tells every listener once the transaction is on disk; told to nobody if it is rolled back. */
  notify(notice: Notice): void
}

/**
 * Something that committed, for those who keep state in memory: caches, timers, the delivery loop, live views.
 * Plain data, so that it can travel between threads and, with PostgreSQL, between nodes.
 */
export type Notice =
  | { readonly topic: 'changed'; readonly table: string; readonly sid: string; readonly revision: number }
  | { readonly topic: 'deliveries'; readonly target_sid: string; readonly slot: number }
  | { readonly topic: 'due'; readonly at: number }
  | { readonly topic: 'removal' }
  /** No row refers to the file of these bytes any more. */
  | { readonly topic: 'unused_file'; readonly sha256: string }
  | { readonly topic: 'clock'; readonly offset_ms: number }
  /** Parts of the deliveries were given back, see `Slots`. */
  | { readonly topic: 'slots' }
  /** Notices of other processes may have been lost: whoever waits for one looks for itself. */
  | { readonly topic: 'missed' }

/**
 * A change of the database, run in a transaction: pure until commit (ids and time come in with the input), because a batch
 * may run it twice. Input and output are plain data: on SQLite they cross to the writer thread.
 * Throw an ApiError before the first write to refuse; anything else thrown undoes what the command wrote.
 */
// biome-ignore lint/suspicious/noExplicitAny: the registry holds commands of every input; `write` restores the exact types
export type Command<I = any, O = unknown> = (tx: Tx, input: I) => Promise<O>
export type Commands = Readonly<Record<string, Command>>

const long_commands = new WeakSet<Command>()

/** Marks a command that works through many rows: it has a transaction of its own where several can run at a time. */
export function long<I, O>(command: Command<I, O>): Command<I, O> {
  long_commands.add(command)
  return command
}

export function isLong(command: Command): boolean {
  return long_commands.has(command)
}

/** Work that one process at a time may do, divided into numbered parts. */
export interface Slots {
  readonly count: number
  /** Whether the part is this process's own for at least so long: nobody else begins anything in it meanwhile. */
  mine(slot: number, for_ms: number): boolean
  /** From now on parts come and go; `start` answers when those that can be had at once are there. */
  start(worker: SlotWorker): Promise<void>
  /** Gives back what it has. */
  stop(): Promise<void>
}

export interface SlotWorker {
  gained(slot: number): void
  /** Resolves when nothing of that part is under way any more: then another may have it. */
  lost(slot: number): Promise<void>
}

/** One of the engines. `C` is the type of the command module given when it was opened. */
export interface Database<C extends Commands = Commands> {
  readonly capabilities: Capabilities
  readonly read: Reader
  readonly slots: Slots
  /** Answers once the command's transaction is on disk. Throws ApiError: the command's own refusal, or `unavailable`. */
  write<N extends keyof C & string>(name: N, input: Parameters<C[N]>[1]): Promise<Awaited<ReturnType<C[N]>>>
  /** Called after commit and before the writers are answered. */
  subscribe(listener: (notices: readonly Notice[]) => void): void
  /** Whether a write has failed in the last seconds for want of a database, or of room on its disk. */
  failing(): boolean
  /** Writes that are queued behind the transaction under way. */
  waiting(): number
  close(): Promise<void>
}

/** What both engines are opened with. */
export interface OpenOptions {
  /** Module whose export `commands` is the registry: a thread of its own may import it. */
  readonly commands: URL
  /** Called with failures that are not the caller's. */
  readonly failed: (error: Error) => void
  /** Called when no write will be possible again in this process, which had better end. Default: `failed`. */
  readonly dead?: (error: Error) => void
  /** Bounds a transaction; 1 is one commit for each write (kept for the benchmark). */
  readonly largest_batch?: number
  /** False: a query for each read (kept for the benchmark). */
  readonly coalesce?: boolean
}

/** The differences between the engines that the rest of the program may ask about. */
export interface Capabilities {
  /** No other process writes: what this one has cached stays true until a notice says otherwise. */
  readonly sole_owner: boolean
}

/** All there is, always: for an engine that one process owns. */
export const only_slot: Slots = {
  count: 1,
  mine: () => true,
  start: async (worker) => worker.gained(0),
  stop: async () => {},
}
