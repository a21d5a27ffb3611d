import { Worker } from 'node:worker_threads'
import type { PageReader } from '../api/page-reader.ts'
import type { Call } from '../api/requests.ts'
import type { Clock } from '../clock.ts'
import { errorOf } from '../errors.ts'
import type { PageSecrets } from '../model/pages.ts'
import { moduleUrl } from '../package.ts'
import { StorageError } from '../storage/failures.ts'
import { threadEnv } from '../storage/sqlite/runners.ts'
import type { Vault } from '../vault.ts'
import type { FromReader, PageJob, PageReply, ReaderData, ToReader } from './messages.ts'

/*
 * Threads that read and render pages beside the main one. It keeps everything else: connections, credentials, limits, log. Measured
 * on a page of 50 conversations: the bare server spends 87 µs of its main thread on rendering and sending it, and 40 µs when a
 * thread has rendered it and it is sent as bytes. A cached row is sent in less time than it takes to ask for it (21 and 26 µs), so
 * that rows are not handed over. Threads with a listening socket of their own would have to pass on each write: 140 µs.
 */

/** More are read by the main thread instead: all that share the work are busy then, and none has a queue that takes long. */
const maxPending = 8

const restartMs = 1000

/**
 * SQLite can begin its write-ahead log anew only while nobody reads what is in it, and threads that read all the time leave no such moment.
 * So while it is long and grows, they are asked for nothing.
 */
const maxLogBytes = 64 * 1024 * 1024
const logCheckMs = 1000

interface Pending {
  readonly here: () => Promise<string>
  readonly done: (page: Promise<string> | Uint8Array) => void
}

export interface ReadersOptions {
  readonly count: number
  /** Of the database. */
  readonly file: string
  readonly vault: Vault
  readonly pageSecrets: PageSecrets
  readonly clock: Clock
  /** Returns how long the write-ahead log is, in bytes. */
  readonly logBytes: () => Promise<number>
  /** Called with what went wrong in a thread. The page is read by the main thread then. */
  readonly failed: (error: Error) => void
  /** Called when a thread has ended by itself; another one is started. */
  readonly ended: (error: Error) => void
}

/** A fixed number of reading threads. */
export class Readers implements PageReader {
  readonly #options: ReadersOptions
  readonly #threads = new Set<Thread>()
  readonly #restarts = new Set<NodeJS.Timeout>()
  #logBytes = 0
  #resting = false
  /** Before, a thread that ends fails the start. */
  #started = false
  #closing = false
  /** Pages that threads have read. */
  pages = 0

  private constructor(options: ReadersOptions) {
    this.#options = options
  }

  /** Resolves when all threads can read; rejects when one cannot be started. */
  static async start(options: ReadersOptions): Promise<Readers> {
    const readers = new Readers(options)
    try {
      await Promise.all(Array.from({ length: options.count }, () => readers.#start()))
    } catch (error) {
      await readers.close()
      throw error
    }
    readers.#started = true
    return readers
  }

  /** How many threads can read now. */
  get ready(): number {
    return [...this.#threads].filter(({ isReady }) => isReady).length
  }

  page(call: Call, here: () => Promise<string>): Promise<string | Uint8Array> {
    const { resource, family, base, path, query } = call
    const thread = this.#resting || needsDeadlines(call) ? undefined : this.#leastBusy()
    if (!thread) return here()
    const offset_ms = this.#options.clock.offset(path.account_sid)
    return thread.read({ resource: resource.name, family, base, path, query: query.text, offset_ms }, here)
  }

  /**
   * Has the threads rest until the next time if the write-ahead log is long and has grown since the last. Returns when that is to be,
   * in ms from now.
   */
  async checkLog(): Promise<number> {
    const bytes = await this.#options.logBytes()
    // Begun anew it keeps its length, so that length alone says nothing.
    this.#resting = bytes > maxLogBytes && bytes > this.#logBytes
    this.#logBytes = bytes
    return logCheckMs
  }

  /** Waits for the pages in progress. */
  async close(): Promise<void> {
    this.#closing = true
    for (const restart of this.#restarts) clearTimeout(restart)
    await Promise.all([...this.#threads].map((thread) => thread.close()))
  }

  #leastBusy(): Thread | undefined {
    let least: Thread | undefined
    for (const thread of this.#threads) {
      if (thread.isReady && thread.pending < (least?.pending ?? maxPending)) least = thread
    }
    return least
  }

  #start(): Promise<void> {
    const { file, vault, pageSecrets, failed } = this.#options
    const thread = new Thread(
      { file, keys: vault.keys, pageSecrets },
      {
        read: (pages) => {
          this.pages += pages
        },
        failed,
        ended: (error) => this.#ended(thread, error),
      },
    )
    this.#threads.add(thread)
    return thread.ready
  }

  #ended(thread: Thread, error: Error): void {
    this.#threads.delete(thread)
    if (this.#closing || !this.#started) return
    this.#options.ended(error)
    const restart = setTimeout(() => {
      this.#restarts.delete(restart)
      // That it has ended once more is reported, and it is tried again.
      this.#start().catch(() => {})
    }, restartMs).unref()
    this.#restarts.add(restart)
  }
}

/** Whether deadlines that have passed are applied before rows are filtered: a thread could only say that it cannot. */
function needsDeadlines({ resource, query }: Call): boolean {
  return resource.elapse !== undefined && Object.keys(resource.list?.params ?? {}).some((name) => query.last(name) !== undefined)
}

interface ThreadEvents {
  readonly read: (pages: number) => void
  readonly failed: (error: Error) => void
  readonly ended: (error: Error) => void
}

class Thread {
  readonly #worker: Worker
  readonly #events: ThreadEvents
  readonly #pending = new Map<number, Pending>()
  readonly #started = Promise.withResolvers<void>()
  readonly #exited = Promise.withResolvers<void>()
  #jobs: PageJob[] = []
  #lastId = 0
  isReady = false

  constructor(data: ReaderData, events: ThreadEvents) {
    this.#events = events
    this.#worker = new Worker(moduleUrl('readers/reader-thread'), { workerData: data, env: threadEnv() })
    let cause: unknown
    this.#worker.on('message', (message: FromReader) => this.#received(message))
    this.#worker.once('error', (error) => {
      cause = error
      this.isReady = false
    })
    this.#worker.once('exit', (code) => this.#end(errorOf(cause ?? new Error(`the thread has ended with code ${code}`))))
  }

  get ready(): Promise<void> {
    return this.#started.promise
  }

  get pending(): number {
    return this.#pending.size
  }

  read(job: Omit<PageJob, 'id'>, here: () => Promise<string>): Promise<string | Uint8Array> {
    const id = ++this.#lastId
    // Those of one turn of the event loop are one message, and read in one transaction.
    if (this.#jobs.length === 0) setImmediate(() => this.#send())
    this.#jobs.push({ ...job, id })
    return new Promise((done) => this.#pending.set(id, { here, done }))
  }

  async close(): Promise<void> {
    this.#send()
    this.#post('close')
    await this.#exited.promise
  }

  #send(): void {
    const jobs = this.#jobs
    this.#jobs = []
    if (jobs.length > 0) this.#post(jobs)
  }

  #post(message: ToReader): void {
    this.#worker.postMessage(message)
  }

  #received(message: FromReader): void {
    if (message.kind === 'failed') {
      this.#events.failed(new StorageError('a page', message.failure))
    } else if (message.kind === 'ready') {
      this.isReady = true
      this.#started.resolve()
    } else this.#settle(message.replies)
  }

  #settle(replies: readonly PageReply[]): void {
    let read = 0
    for (const { id, body } of replies) {
      const pending = this.#pending.get(id)
      this.#pending.delete(id)
      if (body) read++
      pending?.done(body ?? pending.here())
    }
    this.#events.read(read)
  }

  /** What it has not read is read by the main thread: no request is lost. */
  #end(error: Error): void {
    this.isReady = false
    this.#started.reject(error)
    const pending = [...this.#pending.values()]
    this.#pending.clear()
    this.#events.ended(error)
    for (const { here, done } of pending) done(here())
    this.#exited.resolve()
  }
}
