import type { Clock } from '../clock.ts'
import type { Progress } from '../copy/progress.ts'
import { durationText } from './duration.ts'
import type { SourceFile } from './source-file.ts'

/** How often a line is printed where there is no bar. */
const lineEveryMs = 10_000

/** Shows the operator how far a file has been stored, and about how long the rest will take. */
export class StoringProgress {
  readonly #progress: Progress
  readonly #isBar: boolean
  readonly #clock: Clock
  readonly #file: SourceFile
  readonly #startMs: number
  /** What was read before. */
  readonly #begun: number
  #lineDue: number
  #shown: number

  constructor(progress: Progress, isBar: boolean, clock: Clock, file: SourceFile) {
    this.#progress = progress
    this.#isBar = isBar
    this.#clock = clock
    this.#file = file
    this.#startMs = clock.now()
    this.#lineDue = this.#startMs + lineEveryMs
    this.#begun = file.read()
    this.#shown = this.#begun
    if (isBar) progress.begin(file.bytes, this.#begun)
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
    const done = read - this.#begun
    if (done === 0 || left <= 0 || elapsedMs <= 0) return ''
    return `, about ${durationText((elapsedMs / done) * left)} left`
  }

  #isLineDue(): boolean {
    const now = this.#clock.now()
    if (now < this.#lineDue) return false
    this.#lineDue = now + lineEveryMs
    return true
  }
}
