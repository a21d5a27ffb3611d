import { getCompileCacheDir } from 'node:module'
import { dirname } from 'node:path'
import { Worker } from 'node:worker_threads'
import { errorOf } from '../../errors.ts'
import { moduleUrl } from '../../package.ts'
import type { OpenOptions } from '../database.ts'
import { commandsOf } from '../jobs.ts'
import { BatchRunner, type Ran, ran } from './batch.ts'
import { emptyLog, openConnection } from './connection.ts'
import type { Runner } from './writer.ts'
import type { WriterData } from './writer-thread.ts'

/** What the runners are started with. */
interface RunnerOptions extends Pick<OpenOptions, 'commands' | 'loadCommands' | 'searchable'> {
  readonly file: string
  readonly durable: boolean
}

/** Starts a thread that writes: the event loop never waits for the disk. */
export function threadRunner({ file, durable, commands, searchable = true }: RunnerOptions): Runner {
  const thread = moduleUrl('storage/sqlite/writer-thread')
  const worker = new Worker(thread, {
    workerData: { file, durable, commands: commands.href, searchable } satisfies WriterData,
    env: threadEnv(),
  })
  const ready = Promise.withResolvers<void>()
  const gone = Promise.withResolvers<Error>()
  // A start that fails is reported by `ready`.
  ready.promise.catch(() => {})
  let closing = false
  let running: PromiseWithResolvers<Ran> | undefined
  let scrubbing: PromiseWithResolvers<boolean> | undefined
  worker.once('message', () => {
    worker.on('message', (done: Ran | { readonly scrubbed: boolean }) => {
      if ('scrubbed' in done) scrubbing?.resolve(done.scrubbed)
      else running?.resolve(done)
    })
    ready.resolve()
  })
  const end = (error: unknown) => {
    ready.reject(error)
    if (!closing) gone.resolve(errorOf(error))
  }
  worker.once('error', end)
  worker.once('exit', (code) => end(new Error(`the writer thread has ended with code ${code}`)))
  return {
    ready: ready.promise,
    gone: gone.promise,
    run(jobs) {
      running = Promise.withResolvers()
      worker.postMessage(jobs)
      return running.promise
    },
    scrub() {
      scrubbing = Promise.withResolvers()
      worker.postMessage('scrub')
      return scrubbing.promise
    },
    async close() {
      closing = true
      const exit = new Promise((resolve) => worker.once('exit', resolve))
      worker.postMessage('close')
      await exit
    },
  }
}

/** Returns the environment of a thread: with the compile cache of this process, which a thread has only by its variable. */
export function threadEnv(): NodeJS.ProcessEnv {
  // The folder of this version of Node, in the folder that the variable names.
  const folder = getCompileCacheDir()
  return { ...process.env, ...(folder && { NODE_COMPILE_CACHE: dirname(folder) }) }
}

/** Writes on this thread, for a database that is never on disk: a thread would cost more than it could save. */
export function inlineRunner({ file, durable, searchable, ...module }: RunnerOptions): Runner {
  const opened = commandsOf(module).then((registry) => {
    const db = openConnection(file, { readonly: false, durable })
    return { db, batches: new BatchRunner(db, registry, searchable) }
  })
  return {
    ready: opened.then(() => {}),
    // An error of a batch is the outcome of `run`.
    gone: new Promise(() => {}),
    run: async (jobs) => ran((await opened).batches, jobs),
    scrub: async () => emptyLog((await opened).db),
    close: async () => void (await opened).db.close(),
  }
}
