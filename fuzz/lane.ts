import { connect, type Socket } from 'node:net'
import { setTimeout as pause } from 'node:timers/promises'
import { type Answer, AnswerReader } from './answers.ts'
import type { Plan } from './plan.ts'

/** What came of a plan. */
export interface Outcome {
  readonly answers: readonly Answer[]
  /** What was wrong with the stream itself, or with waiting for it. */
  readonly fault: string | null
  readonly ms: number
}

/** Above the five seconds that a pre-action webhook may take. */
const answer_timeout_ms = 20_000
/** After the last step of a conversation for which any number of answers will do. */
const silence_ms = 150

/** One connection after the other, one plan at a time. */
export class Lane {
  readonly #port: number
  #kept: Connection | null = null

  constructor(port: number) {
    this.#port = port
  }

  async run(plan: Plan): Promise<Outcome> {
    const startMs = performance.now()
    const connection = await this.#connection(plan.alone)
    const fault = await perform(connection, plan)
    const ms = performance.now() - startMs
    if (plan.alone || fault !== null || connection.over) connection.destroy()
    else this.#kept = connection
    return { answers: connection.taken(), fault, ms }
  }

  close(): void {
    this.#kept?.destroy()
  }

  async #connection(alone: boolean): Promise<Connection> {
    const kept = this.#kept
    if (!alone) {
      this.#kept = null
      if (kept && !kept.over) return kept
      kept?.destroy()
    }
    return Connection.open(this.#port)
  }
}

async function perform(connection: Connection, { steps, method, answers }: Plan): Promise<string | null> {
  connection.method = method
  for (const step of steps) {
    if (step === 'end') connection.end()
    else if (step === 'reset') connection.reset()
    else if ('pause_ms' in step) await pause(step.pause_ms)
    else connection.write(step)
  }
  if (steps.includes('reset')) return null
  const enough = await connection.waitFor(answers ?? Number.POSITIVE_INFINITY, answers === null ? silence_ms : answer_timeout_ms)
  if (answers !== null && !enough) return connection.fault ?? missing(connection)
  return connection.fault
}

function missing({ count, closed }: Connection): string {
  return closed
    ? `the connection was closed after ${count} answers`
    : `no answer within ${answer_timeout_ms / 1000} s after ${count} answers`
}

class Connection {
  method = 'GET'
  over = false
  fault: string | null = null
  readonly #socket: Socket
  readonly #reader: AnswerReader
  #answers: Answer[] = []
  #wake: () => void = () => {}

  private constructor(socket: Socket) {
    this.#socket = socket
    this.#reader = new AnswerReader(
      () => this.method,
      (answer) => {
        this.#answers.push(answer)
        if (answer.headers.some(([name, value]) => name === 'connection' && value === 'close')) this.over = true
        this.#wake()
      },
    )
    socket.on('data', (chunk) => this.#guarded(() => this.#reader.push(chunk)))
    socket.on('end', () => this.#guarded(() => this.#reader.end()))
    socket.on('error', () => {})
    socket.on('close', () => this.#closed())
  }

  static open(port: number): Promise<Connection> {
    return new Promise((resolve, reject) => {
      const socket = connect({ port, host: '127.0.0.1', noDelay: true, allowHalfOpen: true })
      socket.once('error', reject)
      socket.once('connect', () => {
        socket.off('error', reject)
        resolve(new Connection(socket))
      })
    })
  }

  get count(): number {
    return this.#answers.length
  }

  /** By the server. */
  get closed(): boolean {
    return this.#socket.readableEnded || this.#socket.destroyed
  }

  write(bytes: Buffer): void {
    if (this.#socket.writable) this.#socket.write(bytes)
  }

  end(): void {
    this.#socket.end()
  }

  reset(): void {
    this.#socket.resetAndDestroy()
  }

  destroy(): void {
    this.over = true
    this.#socket.destroy()
  }

  taken(): readonly Answer[] {
    const answers = this.#answers
    this.#answers = []
    return answers
  }

  /** Whether so many answers came in time. */
  async waitFor(count: number, timeoutMs: number): Promise<boolean> {
    let expired = false
    const timer = setTimeout(() => {
      expired = true
      this.#wake()
    }, timeoutMs)
    while (this.#answers.length < count && !expired && !this.closed && this.fault === null) {
      await new Promise<void>((resolve) => {
        this.#wake = resolve
      })
    }
    clearTimeout(timer)
    return this.#answers.length >= count
  }

  #guarded(work: () => void): void {
    try {
      work()
    } catch (error) {
      this.fault ??= error instanceof Error ? error.message : String(error)
    }
    this.#wake()
  }

  #closed(): void {
    this.over = true
    this.#wake()
  }
}
