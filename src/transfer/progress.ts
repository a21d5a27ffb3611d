import { createReadStream, statSync } from 'node:fs'
import type { Clock } from '../clock.ts'
import type { Progress } from '../copy/progress.ts'
import { durationText } from './duration.ts'

/** How often a line is printed where there is no bar. */
const lineEveryMs = 10_000

/** A file, and how much of it has been read. */
export interface CountedFile {
  readonly bytes: number
  readonly chunks: AsyncIterable<Uint8Array>
  read(): number
}

/** Returns the bytes of a file, which count themselves. Throws what `stat` throws. */
export function countedFile(path: string): CountedFile {
  let read = 0
  async function* chunks(): AsyncGenerator<Uint8Array> {
    for await (const chunk of createReadStream(path) as AsyncIterable<Buffer>) {
      read += chunk.length
      yield chunk
    }
  }
  return { bytes: statSync(path).size, chunks: chunks(), read: () => read }
}

/** Shows the operator how far a file has been stored, and about how long the rest will take. */
export class StoringProgress {
  readonly #progress: Progress
  readonly #isBar: boolean
  readonly #clock: Clock
  readonly #file: CountedFile
  readonly #startMs: number
  #lineDue: number
  #shown = 0

  constructor(progress: Progress, isBar: boolean, clock: Clock, file: CountedFile) {
    this.#progress = progress
    this.#isBar = isBar
    this.#clock = clock
    this.#file = file
    this.#startMs = clock.now()
    this.#lineDue = this.#startMs + lineEveryMs
    if (isBar) progress.begin(file.bytes, 0)
  }

  /** `lines` of the file are stored. */
  went(lines: number): void {
    const read = this.#file.read()
    if (this.#isBar) this.#progress.step(`${lines} lines${this.#estimate(read)}`, read - this.#shown)
    else if (this.#isLineDue()) {
      const percent = Math.floor((100 * read) / Math.max(1, this.#file.bytes))
      this.#progress.say(`${lines} lines, ${percent} % of the file${this.#estimate(read)}`)
    }
    this.#shown = read
  }

  ended(): void {
    this.#progress.end()
  }

  #estimate(read: number): string {
    const left = this.#file.bytes - read
    const elapsedMs = this.#clock.now() - this.#startMs
    if (read === 0 || left <= 0 || elapsedMs <= 0) return ''
    return `, about ${durationText((elapsedMs / read) * left)} left`
  }

  #isLineDue(): boolean {
    const now = this.#clock.now()
    if (now < this.#lineDue) return false
    this.#lineDue = now + lineEveryMs
    return true
  }
}
