/** The only source of time. Instants are integers: milliseconds since the epoch, UTC. */
export interface Clock {
  /** Returns the time of an account, by default of the server. They differ when a test has moved the clock of the account. */
  now(account_sid?: string): number
  /** Returns how far the clock of an account or of the server is ahead of the system clock, in ms; 0 unless a test has moved it. */
  offset(account_sid?: string): number
}

export class SystemClock implements Clock {
  now(): number {
    return Date.now()
  }
  offset(): number {
    return 0
  }
}

/** Where a test clock stands, as plain data. */
export interface ClockState {
  /** How far the server's clock is ahead of the system clock, in ms. */
  readonly offset_ms: number
  /** How far the clocks of accounts are ahead of the server's, in ms. */
  readonly accounts: Readonly<Record<string, number>>
  /** How often it was set back: of two states the one with more resets is the later one. */
  readonly resets: number
}

/** A clock that was never moved. */
export const unmoved: ClockState = { offset_ms: 0, accounts: {}, resets: 0 }

/** Runs like the system clock but can be moved forward, so that a test of an hour's timer takes milliseconds. */
export class TestClock implements Clock {
  offset_ms = 0
  #accounts = new Map<string, number>()
  #resets = 0

  constructor(state = unmoved) {
    this.#set(state)
  }

  now(account_sid?: string): number {
    return Date.now() + this.offset(account_sid)
  }

  offset(account_sid?: string): number {
    return account_sid === undefined ? this.offset_ms : this.offset_ms + (this.#accounts.get(account_sid) ?? 0)
  }

  /** The accounts whose clocks are ahead of the server's, with how far they are, in ms. */
  get accounts(): ReadonlyMap<string, number> {
    return this.#accounts
  }

  get state(): ClockState {
    return { offset_ms: this.offset_ms, accounts: Object.fromEntries(this.#accounts), resets: this.#resets }
  }

  /** Moves the clock of an account, by default of the server, forward to `instantMs`; never back: SIDs and pages rely on it. */
  moveTo(instantMs: number, account_sid?: string): void {
    const offset_ms = instantMs - Date.now()
    if (account_sid === undefined) this.offset_ms = Math.max(this.offset_ms, offset_ms)
    else this.#moveAccount(account_sid, offset_ms - this.offset_ms)
  }

  /** Moves the clocks forward to where those of another node stand, or back if they were set back there. */
  follow(state: ClockState): void {
    if (state.resets > this.#resets) this.#set(state)
    if (state.resets < this.#resets) return
    this.offset_ms = Math.max(this.offset_ms, state.offset_ms)
    for (const [sid, offset_ms] of Object.entries(state.accounts)) this.#moveAccount(sid, offset_ms)
  }

  /** Sets all clocks to those of `state`, by default to the system clock. Only for when the rows of later times are gone. */
  reset(state: Omit<ClockState, 'resets'> = unmoved): void {
    this.#set({ ...state, resets: this.#resets + 1 })
  }

  #moveAccount(sid: string, offset_ms: number): void {
    const ahead = Math.max(this.#accounts.get(sid) ?? 0, offset_ms)
    if (ahead > 0) this.#accounts.set(sid, ahead)
  }

  #set({ offset_ms, accounts, resets }: ClockState): void {
    this.offset_ms = offset_ms
    this.#accounts = new Map(Object.entries(accounts))
    this.#resets = resets
  }
}
