import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'

/** CPU time a process has used, in µs: of all its threads, and of its main thread. */
export interface Usage {
  readonly all_us: number
  readonly main_us: number
  /** Of a database server beside it; NaN where nobody can tell. */
  readonly database_us: number
}

const children = new Set<ChildProcess>()
process.on('exit', () => {
  for (const child of children) child.kill('SIGKILL')
})

/** A process of the bench that answers one message at a time. `R` is what it says once it is ready. */
export class Child<R> {
  readonly #process: ChildProcess
  readonly ready: R

  private constructor(child: ChildProcess, ready: R) {
    this.#process = child
    this.ready = ready
  }

  /** Standard output goes nowhere (log lines cost what they cost, the disk is left alone); errors are shown. */
  static async start<R>(module: URL, input: object = {}, flags: readonly string[] = []): Promise<Child<R>> {
    const child = fork(module, [JSON.stringify(input)], { execArgv: [...flags], stdio: ['ignore', 'ignore', 'inherit', 'ipc'] })
    children.add(child)
    child.once('exit', () => children.delete(child))
    return new Child(child, await answer<R>(child))
  }

  ask<A>(message: object): Promise<A> {
    const answered = answer<A>(this.#process)
    this.#process.send(message)
    return answered
  }

  usage(): Promise<Usage> {
    return this.ask({ usage: true })
  }

  /** Lets it finish what it does. */
  async stop(): Promise<void> {
    if (this.#process.exitCode !== null) return
    const gone = once(this.#process, 'exit')
    this.#process.send({ stop: true })
    await gone
  }

  async kill(): Promise<void> {
    const gone = once(this.#process, 'exit')
    this.#process.kill('SIGKILL')
    await gone
  }
}

async function answer<A>(child: ChildProcess): Promise<A> {
  const settled = new AbortController()
  const { signal } = settled
  try {
    return await Promise.race([
      once(child, 'message', { signal }).then(([message]) => message as A),
      once(child, 'exit', { signal }).then(([code]) => Promise.reject(new Error(`a process of the bench ended with ${code}`))),
    ])
  } finally {
    settled.abort()
  }
}

/** The child's side: says that it is ready, then answers. Ends with its parent. */
export function serveParent(
  ready: object,
  handle: (message: object) => unknown,
  stop: () => Promise<unknown> = async () => {},
): void {
  process.on('disconnect', () => process.exit())
  process.on('message', async (message: object) => {
    if ('stop' in message) {
      await stop()
      process.exit()
    }
    process.send?.('usage' in message ? usage() : ((await handle(message)) ?? {}))
  })
  process.send?.(ready)
}

/** What the parent gave. */
export function given<I>(): I {
  return JSON.parse(process.argv[2] ?? '{}') as I
}

export function usage(): Usage {
  const all = process.cpuUsage()
  const main = process.threadCpuUsage()
  return { all_us: all.user + all.system, main_us: main.user + main.system, database_us: 0 }
}
