import type { Hold } from '../database.ts'

/** A command of a transaction: once it has ended it takes no lock. */
interface Command {
  readonly ended: boolean
}

/** The lock on a row among the commands of one transaction. */
export interface RowLock<C extends Command> {
  readonly by: Set<C>
  how: Hold
  readonly waiting: Waiting<C>[]
}

/** A command that waits for a lock. */
interface Waiting<C> {
  readonly one: C
  readonly how: Hold
  /** Called when it has the lock, or will never have it. */
  readonly wake: () => void
}

/** Gives a lock to a command, if the others that have it allow that. */
export function grant<C extends Command>(held: RowLock<C>, one: C, how: Hold): boolean {
  const isFree = held.by.size === 0 || (held.by.size === 1 && held.by.has(one))
  if (!isFree && (how === 'change' || held.how === 'change')) return false
  if (held.by.size === 0 || how === 'change') held.how = how
  held.by.add(one)
  return true
}

/**
 * Gives a lock to those who may have it, in the order in which they have come. If all were woken to try again, messages into one
 * conversation would wake each other as often as the square of their number.
 */
export function handOver<C extends Command>(held: RowLock<C>): void {
  const waiting = held.waiting.splice(0)
  for (const each of waiting) {
    if (each.one.ended || grant(held, each.one, each.how)) each.wake()
    else held.waiting.push(each)
  }
}
