import type { Clock } from '../../clock.ts'
import type { Progress } from '../../copy/progress.ts'
import { durationText } from '../duration.ts'
import type { Observer } from './fetch.ts'
import type { Survey } from './pass.ts'

/** How often a line is printed where there is no bar. */
const lineEveryMs = 10_000

/** Shows the operator how far the reading is, and about how long it will take. */
export class ReadingProgress implements Observer {
  readonly #progress: Progress
  readonly #isBar: boolean
  readonly #clock: Clock
  #lineDue = 0
  #counted = 0
  #total = 0
  #done = 0
  #start = { ms: 0, done: 0 }

  constructor(progress: Progress, isBar: boolean, clock: Clock) {
    this.#progress = progress
    this.#isBar = isBar
    this.#clock = clock
    this.#lineDue = clock.now() + lineEveryMs
  }

  counting(rows: number): void {
    this.#counted += rows
    if (this.#isLineDue()) this.#progress.say(`counting: ${this.#counted} conversations and users so far`)
  }

  began({ conversations, users, requests }: Survey, done: number): void {
    this.#progress.say(
      `${conversations} conversations and ${users} users: at least ${requests} requests, and one or more for each file and each message with receipts`,
    )
    if (done > 0) this.#progress.say(`${done} conversations were read before: going on behind them`)
    this.#total = conversations
    this.#done = done
    this.#start = { ms: this.#clock.now(), done }
    if (this.#isBar) this.#progress.begin(conversations, Math.min(done, conversations))
  }

  went(conversations: number, requests: number): void {
    const text = `${conversations} of ${this.#total} conversations, ${requests} requests${this.#estimate(conversations)}`
    if (this.#isBar) this.#progress.step(text, conversations - this.#done)
    else if (this.#isLineDue()) this.#progress.say(text)
    this.#done = conversations
  }

  ended(): void {
    this.#progress.end()
  }

  #estimate(conversations: number): string {
    const read = conversations - this.#start.done
    const left = this.#total - conversations
    const elapsedMs = this.#clock.now() - this.#start.ms
    // The first few say little: services and users come before them.
    if (read < 20 || left <= 0 || elapsedMs <= 0) return ''
    return `, about ${durationText((elapsedMs / read) * left)} left`
  }

  #isLineDue(): boolean {
    const now = this.#clock.now()
    if (now < this.#lineDue) return false
    this.#lineDue = now + lineEveryMs
    return true
  }
}
