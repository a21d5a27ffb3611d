import { readFileSync } from 'node:fs'

/** The longest time between two turns of a process's loop. */
export interface Held {
  /**
   * Without what the thread waited for a processor, which is the doing of others. Where the system does not tell how long that
   * was, it is CPU time: then what waits for a disk is not in it.
   */
  readonly held_ms: number
  readonly clock_ms: number
}

interface Moment {
  readonly ms: number
  readonly cpu_ms: number
  readonly waited_ms: number
}

/** Wakes up all the time, and sees how late. Costs a core: only while one request is watched. */
export class Watch {
  #immediate: NodeJS.Immediate | undefined
  #longest: Held = { held_ms: 0, clock_ms: 0 }

  start(): void {
    this.#longest = { held_ms: 0, clock_ms: 0 }
    let last = moment()
    const turn = () => {
      const now = moment()
      const clock_ms = now.ms - last.ms
      const waited_ms = now.waited_ms - last.waited_ms
      const held_ms = Number.isNaN(waited_ms) ? now.cpu_ms - last.cpu_ms : clock_ms - waited_ms
      if (held_ms > this.#longest.held_ms) this.#longest = { held_ms, clock_ms }
      last = now
      this.#immediate = setImmediate(turn)
    }
    turn()
  }

  stop(): Held {
    clearImmediate(this.#immediate)
    return this.#longest
  }
}

function moment(): Moment {
  const { user, system } = process.threadCpuUsage()
  return { ms: performance.now(), cpu_ms: (user + system) / 1000, waited_ms: waited_ms() }
}

/** How long this thread has been ready to run, and has not run; NaN where nobody counts. */
function waited_ms(): number {
  try {
    const [ran, waited] = readFileSync('/proc/thread-self/schedstat', 'utf8').split(' ').map(Number)
    return ran ? (waited ?? Number.NaN) / 1e6 : Number.NaN
  } catch {
    return Number.NaN
  }
}
