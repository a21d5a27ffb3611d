/** The only source of time. Instants are integers: milliseconds since the epoch, UTC. */
export interface Clock {
  now(): number
  /** How far this clock is ahead of the system clock, in ms; 0 unless the test clock was moved. */
  readonly offset_ms: number
}

export class SystemClock implements Clock {
  readonly offset_ms = 0
  now(): number {
    return Date.now()
  }
}

/** Runs like the system clock but can be moved forward, so that a test of an hour's timer takes milliseconds. */
export class TestClock implements Clock {
  offset_ms: number
  constructor(offset_ms = 0) {
    this.offset_ms = offset_ms
  }
  now(): number {
    return Date.now() + this.offset_ms
  }
  /** Moves the clock forward to `instantMs`; never back, because SIDs and pages rely on time moving forward. */
  moveTo(instantMs: number): void {
    this.follow(instantMs - Date.now())
  }

  /** Moves the clock forward to the offset of another node's clock. */
  follow(offset_ms: number): void {
    this.offset_ms = Math.max(this.offset_ms, offset_ms)
  }
}
