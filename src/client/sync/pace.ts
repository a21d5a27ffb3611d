import { type SyncObject, typeOf } from '../../resources/sync-objects.ts'

/*
 * A frame costs a call of the system to send it and one to read its acknowledgement, about 30 µs of CPU time together, however many
 * changes are in it. Measured with 100 conversations of 10 connected members (`npm run bench -- --only clients`): 0.41 of the messages/s
 * when nobody is connected (0.46 by CPU time) if each change is sent at once, 0.74 (0.68) as it is here.
 */

/** Between two frames of an object that rests. */
const intervalMs = 200
const windowMs = 250
/** Changes in a window, times those who are sent them, from which on a node sends much: about a twentieth of its thread. */
const much = 500

/**
 * When the next version of an object is sent once its followers have been sent one. The first is always sent at once. A document rests
 * then: each message makes a version, and whoever has the later does not need the earlier. Everything else rests only while this node
 * sends much: what is committed meanwhile goes in one frame. What is about one conversation is sent at one time, which is one call of
 * the system for each connection; conversations take turns.
 */
export class Pace {
  #from = 0
  #sent = 0
  #before = 0
  readonly #waiting = new Map<string, (() => void)[]>()

  /** Counts changes, each times those who are sent it. */
  count(sent: number): void {
    this.#turn()
    this.#sent += sent
  }

  /** Returns until when nothing more is sent of an object, by `performance.now()`. */
  restsUntil(object: SyncObject): number {
    const now = performance.now()
    if (typeOf(object) !== 'document' && !this.#sendsMuch()) return now
    const phase = Number.parseInt(object.sid.slice(-4), 16) % intervalMs
    return (Math.floor((now - phase) / intervalMs) + 1) * intervalMs + phase
  }

  /** Calls `run` at the end of a rest. */
  wait({ sid }: SyncObject, until: number, run: () => void): void {
    const key = `${sid} ${until}`
    const others = this.#waiting.get(key)
    if (others) return void others.push(run)
    const all = [run]
    this.#waiting.set(key, all)
    setTimeout(() => {
      this.#waiting.delete(key)
      for (const one of all) one()
    }, until - performance.now()).unref()
  }

  #sendsMuch(): boolean {
    this.#turn()
    return Math.max(this.#before, this.#sent) >= much
  }

  #turn(): void {
    const now = performance.now()
    const ms = now - this.#from
    if (ms < windowMs) return
    this.#before = ms < 2 * windowMs ? this.#sent : 0
    this.#sent = 0
    this.#from = now
  }
}
