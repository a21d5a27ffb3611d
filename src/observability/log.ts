import { write, writeSync } from 'node:fs'
import { type DestinationStream, type Logger, pino } from 'pino'
import { packageVersion } from '../package.ts'

/** Lines are written together: at this many characters, or after `flushIntervalMs`. */
const flushChars = 32_768
const flushIntervalMs = 500
/** The limit of what waits for a slow output; further lines are dropped, so that the server stays up. */
const maxBufferedChars = 8 * 1024 * 1024

/**
 * The destination of the log: one write for hundreds of lines. Pino's own costs three times as much as formatting a line, and
 * when it cannot write (a full disk, a pipe without a reader) it retries for ever, even at exit.
 */
class Output {
  readonly #fd: number
  #lines: string[] = []
  #bufferedChars = 0
  #writing: Promise<void> | undefined
  #timer: NodeJS.Timeout | undefined

  constructor(fd: number) {
    this.#fd = fd
    process.once('exit', this.#writeLast)
  }

  write(line: string): void {
    if (this.#bufferedChars > maxBufferedChars) return
    this.#lines.push(line)
    this.#bufferedChars += line.length
    this.#schedule()
  }

  #schedule(): void {
    if (this.#bufferedChars >= flushChars) this.#start()
    else if (this.#lines.length > 0) this.#timer ??= setTimeout(() => this.#start(), flushIntervalMs).unref()
  }

  /** Writes what is buffered; gives up after a second. */
  async close(): Promise<void> {
    const timeout = new Promise<void>((resolve) => setTimeout(resolve, 1000).unref())
    await Promise.race([timeout, this.#writeRest()])
    // A process may open and close many.
    process.off('exit', this.#writeLast)
  }

  async #writeRest(): Promise<void> {
    while (this.#writing || this.#lines.length > 0) await this.#start()
  }

  #start(): Promise<void> {
    clearTimeout(this.#timer)
    this.#timer = undefined
    this.#writing ??= this.#writeBuffered().finally(() => {
      this.#writing = undefined
      // What has come meanwhile is gathered again: a write for the few lines of a moment costs each of them more than its text.
      this.#schedule()
    })
    return this.#writing
  }

  async #writeBuffered(): Promise<void> {
    let rest = this.#drain()
    while (rest.length > 0) {
      const written = await new Promise<number>((resolve) =>
        write(this.#fd, rest, (error, count) => resolve(error ? rest.length : count)),
      )
      rest = rest.subarray(written)
    }
  }

  #drain(): Buffer {
    const text = Buffer.from(this.#lines.join(''))
    this.#lines = []
    this.#bufferedChars = 0
    return text
  }

  /** At the exit of the process: one attempt. */
  readonly #writeLast = (): void => {
    if (this.#lines.length === 0) return
    try {
      writeSync(this.#fd, this.#drain())
    } catch {
      // The output has no reader, or the disk is full.
    }
  }
}

export interface Log {
  readonly log: Logger
  /** Writes what is buffered; gives up after a second. */
  close(): Promise<void>
}

/** Opens the log: JSON lines on standard output, or on another file descriptor. */
export function openLog(level: string, fd = 1): Log {
  const out = new Output(fd)
  return { log: logTo(out, level), close: () => out.close() }
}

/**
 * Returns a logger of the same form that writes every line at once, whatever the level of the log is: for what is printed before
 * the log is open, and must not be lost when the process ends.
 */
export function directLog(out: NodeJS.WritableStream): Logger {
  return logTo({ write: (line) => void out.write(line) }, 'trace')
}

/** Where the logs of this module write their lines. */
const outputs = new WeakMap<Logger, DestinationStream>()

/** Returns where a log of this module writes its lines; undefined for any other. */
export function outputOf(log: Logger): DestinationStream | undefined {
  return outputs.get(log)
}

/** Returns what every line has. */
export function baseOfLog() {
  return { version: packageVersion() }
}

function logTo(out: DestinationStream, level: string): Logger {
  const log = pino({ level, base: baseOfLog() }, out)
  outputs.set(log, out)
  return log
}
