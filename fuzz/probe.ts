import { readFileSync } from 'node:fs'
import { request } from 'node:http'
import { setTimeout as pause } from 'node:timers/promises'
import { percentile } from '../reports/figures.ts'

const probe_every_ms = 100
const timeoutMs = 60_000
/** The kernel counts CPU time in hundredths of a second. */
const tick_ms = 10

/** An answer of `/healthz` that took long. */
export interface Wait {
  readonly ms: number
  /** CPU time of the server's main thread meanwhile: what of it the server itself took, on a machine that others use as well. */
  readonly cpu_ms: number
}

/** Asks `/healthz` again and again, each time over a connection of its own. */
export class Probe {
  readonly #waits: Wait[] = []
  readonly #done: Promise<void>
  #stopped = false
  /** What went wrong with a probe, the first time. */
  fault: string | null = null

  constructor({ port, pid }: { readonly port: number; readonly pid: number }) {
    this.#done = this.#run(port, pid)
  }

  /** Those since the last call. */
  take(): Wait[] {
    return this.#waits.splice(0)
  }

  async stop(): Promise<void> {
    this.#stopped = true
    await this.#done
  }

  async #run(port: number, pid: number): Promise<void> {
    while (!this.#stopped) {
      const [startMs, beforeMs] = [performance.now(), mainThreadCpu(pid)]
      try {
        const status = await healthStatus(port)
        if (status !== 200) this.fault ??= `/healthz answered ${status}`
      } catch (error) {
        this.fault ??= `/healthz: ${error instanceof Error ? error.message : error}`
      }
      this.#waits.push({ ms: performance.now() - startMs, cpu_ms: mainThreadCpu(pid) - beforeMs })
      await pause(probe_every_ms)
    }
  }
}

function healthStatus(port: number): Promise<number | undefined> {
  return new Promise((resolve, reject) => {
    const asked = request({ port, host: '127.0.0.1', path: '/healthz', agent: false, timeout: timeoutMs }, (answer) => {
      answer.resume().once('end', () => resolve(answer.statusCode))
    })
    asked.once('timeout', () => asked.destroy(new Error(`no answer within ${timeoutMs / 1000} s`)))
    asked.once('error', reject).end()
  })
}

/** Of the thread that answers; NaN where there is no /proc. */
function mainThreadCpu(pid: number): number {
  try {
    const stat = readFileSync(`/proc/${pid}/task/${pid}/stat`, 'utf8')
    const [user, system] = stat
      .slice(stat.lastIndexOf(')') + 2)
      .split(' ')
      .slice(11, 13)
      .map(Number) as [number, number]
    return (user + system) * tick_ms
  } catch {
    return Number.NaN
  }
}

/** The longest wait in which the server itself was busy at least half of the time, where that can be seen. */
export function longestHold(waits: readonly Wait[]): number {
  return waits.filter(({ ms, cpu_ms }) => !(cpu_ms < ms / 2)).reduce((longest, { ms }) => Math.max(longest, ms), 0)
}

export function waitPercentile(waits: readonly Wait[], share: number): number {
  return percentile(
    waits.map(({ ms }) => ms),
    share,
  )
}
