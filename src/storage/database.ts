import type { Shape } from './shapes.ts'

/** Reads see committed rows only. */
export interface Reader {
  one<A extends object, R>(query: Shape<A, R>, args: A): Promise<R | undefined>
  all<A extends object, R>(query: Shape<A, R>, args: A): Promise<R[]>
}

/** What a command may do inside its transaction. */
export interface Tx extends Reader {
  /** Runs a statement; answers how many rows it touched. */
  run<A extends object>(query: Shape<A, unknown>, args: A): Promise<number>
  /** Tells every listener once the transaction is on disk; told to nobody if it is rolled back. */
  notify(notice: Notice): void
}

/**
 * Something that committed, for those who keep state in memory: caches, timers, the delivery loop, live views.
 * Plain data, so that it can travel between threads and, with PostgreSQL, between nodes.
 */
export type Notice =
  | { readonly topic: 'changed'; readonly table: string; readonly sid: string; readonly revision: number }
  | { readonly topic: 'deliveries'; readonly target_sid: string }
  | { readonly topic: 'due'; readonly at: number }
  | { readonly topic: 'removal' }
  /** No row refers to the file of these bytes any more. */
  | { readonly topic: 'unused_file'; readonly sha256: string }
  | { readonly topic: 'clock'; readonly offset_ms: number }

/**
 * A change of the database, run in a transaction: pure until commit (ids and time come in with the input), because a batch
 * may run it twice. Input and output are plain data: on SQLite they cross to the writer thread.
 * Throw an ApiError before the first write to refuse; anything else thrown undoes what the command wrote.
 */
// biome-ignore lint/suspicious/noExplicitAny: the registry holds commands of every input; `write` restores the exact types
export type Command<I = any, O = unknown> = (tx: Tx, input: I) => Promise<O>
export type Commands = Readonly<Record<string, Command>>

/** One of the engines. `C` is the type of the command module given when it was opened. */
export interface Database<C extends Commands = Commands> {
  readonly capabilities: Capabilities
  readonly read: Reader
  /** Answers once the command's transaction is on disk. Throws ApiError: the command's own refusal, or `unavailable`. */
  write<N extends keyof C & string>(name: N, input: Parameters<C[N]>[1]): Promise<Awaited<ReturnType<C[N]>>>
  /** Called after commit and before the writers are answered. */
  subscribe(listener: (notices: readonly Notice[]) => void): void
  /** Writes that are queued behind the transaction under way. */
  waiting(): number
  close(): Promise<void>
}

/** The differences between the engines that the rest of the program may ask about. */
export interface Capabilities {
  /** No other process writes: what this one has cached stays true until a notice says otherwise. */
  readonly sole_owner: boolean
}
