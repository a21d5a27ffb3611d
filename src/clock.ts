/** The only source of time. All instants are integers: epoch milliseconds, UTC. */
export interface Clock {
  now(): number
  /** How far this clock is ahead of the machine's, in ms; 0 unless the test clock was moved. */
  readonly offset_ms: number
}

export class SystemClock implements Clock {
  readonly offset_ms = 0
  now(): number {
    return Date.now()
  }
}

/** Runs at the machine's pace but can be moved forward, so that timers of hours can be tested in milliseconds. */
export class TestClock implements Clock {
  offset_ms: number
  constructor(offset_ms = 0) {
    this.offset_ms = offset_ms
  }
  now(): number {
    return Date.now() + this.offset_ms
  }
  /** Moves the clock to `instant_ms`. Going back is not possible: ids and pages rely on time moving forward. */
  moveTo(instant_ms: number): void {
    this.follow(instant_ms - Date.now())
  }

  /** Goes where another node's clock is. */
  follow(offset_ms: number): void {
    this.offset_ms = Math.max(this.offset_ms, offset_ms)
  }
}
