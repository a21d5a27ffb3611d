import { write, writeSync } from 'node:fs'
import { type Logger, pino } from 'pino'

/** Lines are written together once they come to this many characters, or after `longest_wait_ms`. */
const enough = 32_768
const longest_wait_ms = 500
/** What is held while a write is under way; beyond it lines are lost, never the server. */
const most_held = 8 * 1024 * 1024

/**
 * Where the log goes: one write for hundreds of lines. The library's own destination costs three times the making of a line, and
 * when it cannot write (a full disk, a pipe nobody reads) it tries for ever, at exit too.
 */
class Output {
  readonly #fd: number
  #lines: string[] = []
  #held = 0
  #writing: Promise<void> | undefined
  #timer: NodeJS.Timeout | undefined

  constructor(fd: number) {
    this.#fd = fd
    process.once('exit', () => this.#last())
  }

  write(line: string): void {
    if (this.#held > most_held) return
    this.#lines.push(line)
    this.#held += line.length
    if (this.#held >= enough) this.#start()
    else this.#timer ??= setTimeout(() => this.#start(), longest_wait_ms).unref()
  }

  /** Writes what is held, for a second at most. */
  async close(): Promise<void> {
    const late = new Promise<void>((resolve) => setTimeout(resolve, 1000).unref())
    await Promise.race([late, this.#writing?.then(() => this.#start()) ?? this.#start()])
  }

  #start(): Promise<void> {
    clearTimeout(this.#timer)
    this.#timer = undefined
    if (this.#lines.length === 0) return Promise.resolve()
    this.#writing ??= this.#all().finally(() => {
      this.#writing = undefined
    })
    return this.#writing
  }

  async #all(): Promise<void> {
    while (this.#lines.length > 0) {
      let rest = this.#take()
      while (rest.length > 0) {
        const written = await new Promise<number>((resolve) =>
          write(this.#fd, rest, (error, count) => resolve(error ? rest.length : count)),
        )
        rest = rest.subarray(written)
      }
    }
  }

  #take(): Buffer {
    const text = Buffer.from(this.#lines.join(''))
    this.#lines = []
    this.#held = 0
    return text
  }

  /** The process ends: one try. */
  #last(): void {
    if (this.#lines.length === 0) return
    try {
      writeSync(this.#fd, this.#take())
    } catch {
      // Nobody reads it, or there is no room.
    }
  }
}

export interface Log {
  readonly log: Logger
  /** Writes what is left, for a second at most. */
  close(): Promise<void>
}

/** One JSON line each, off the hot path. */
export function openLog(level: string): Log {
  const out = new Output(1)
  return { log: pino({ level, base: null }, out), close: () => out.close() }
}
