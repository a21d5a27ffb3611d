import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'

/** CPU time a process has used, in µs: of all its threads, and of its main thread. */
export interface Usage {
  readonly all_us: number
  readonly main_us: number
  /** Of the database server, if there is one; NaN where it cannot be measured. */
  readonly database_us: number
}

const children = new Set<ChildProcess>()
process.on('exit', () => {
  for (const child of children) child.kill('SIGKILL')
})

/** A process of the bench that handles one message at a time. `R`: the message that it sends once it is ready. */
export class Child<R> {
  readonly #process: ChildProcess
  readonly ready: R

  private constructor(child: ChildProcess, ready: R) {
    this.#process = child
    this.ready = ready
  }

  /** Standard output is discarded, so that log lines cost their time but no disk access; errors are printed. */
  static async start<R>(module: URL, input: object = {}, flags: readonly string[] = []): Promise<Child<R>> {
    const child = fork(module, [JSON.stringify(input)], { execArgv: [...flags], stdio: ['ignore', 'ignore', 'inherit', 'ipc'] })
    children.add(child)
    child.once('exit', () => children.delete(child))
    return new Child(child, await reply<R>(child))
  }

  request<A>(message: object): Promise<A> {
    const replied = reply<A>(this.#process)
    this.#process.send(message)
    return replied
  }

  usage(): Promise<Usage> {
    return this.request({ usage: true })
  }

  /** Stops it after its current work. */
  async stop(): Promise<void> {
    if (this.#process.exitCode !== null) return
    const exited = once(this.#process, 'exit')
    this.#process.send({ stop: true })
    await exited
  }

  async kill(): Promise<void> {
    const exited = once(this.#process, 'exit')
    this.#process.kill('SIGKILL')
    await exited
  }
}

async function reply<A>(child: ChildProcess): Promise<A> {
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

/** Runs in the child: sends `ready`, then handles messages. Ends with its parent. */
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

/** Returns the input from the parent. */
export function input<I>(): I {
  return JSON.parse(process.argv[2] ?? '{}') as I
}

export function usage(): Usage {
  const all = process.cpuUsage()
  const main = process.threadCpuUsage()
  return { all_us: all.user + all.system, main_us: main.user + main.system, database_us: 0 }
}
