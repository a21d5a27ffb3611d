import type { ClockState } from '../clock.ts'
import { parseStored } from '../json.ts'
import type { Tx } from './database.ts'
import { ConflictError } from './errors.ts'
import { deleteRow, insert, rowsBy, updateRow } from './rows.ts'

/** A fact about the installation, by name. */
export const factByName = rowsBy('installation', ['name'])

/** The fact that names the first account, by its SID. */
export const firstAccountFact = 'first_account'

/** The facts of the test clock. */
export const clockFacts = { offset: 'clock_offset_ms', others: 'clock_others' } as const

const update = updateRow('installation', ['name'], ['value'])
/** What was read is part of the key: of two transactions that read the same, one gets through. */
const replace = updateRow('installation', ['name', 'value'], ['value'])

export interface Fact {
  readonly name: string
  readonly value: string
}

/** All facts, by name. */
export type Facts = ReadonlyMap<string, string>

export function factsOf(rows: readonly Fact[]): Facts {
  return new Map(rows.map(({ name, value }) => [name, value]))
}

/** Stores `value` if the fact still is what was read (`before`; undefined: not there). Throws ConflictError otherwise. */
export async function replaceFact(tx: Tx, { name, value }: Fact, before: string | undefined): Promise<void> {
  if (before === undefined) return insert(tx, 'installation', { name, value })
  if ((await tx.run(replace, { name, was_value: before, value })) === 0) throw new ConflictError(name)
}

/** What is known about an installation beside its rows: its first account, its clock, its key. */
export const factCommands = {
  async setFact(tx: Tx, fact: Fact): Promise<void> {
    if ((await tx.run(update, { ...fact })) === 0) await insert(tx, 'installation', { ...fact })
  },

  /** Stores several facts, all or none; those that are null are deleted. */
  async setFacts(tx: Tx, facts: Readonly<Record<string, string | null>>): Promise<void> {
    for (const [name, value] of Object.entries(facts)) {
      if (value === null) await tx.run(deleteRow('installation', ['name']), { name })
      else await factCommands.setFact(tx, { name, value })
    }
  },

  /** Stores where the test clock stands. */
  async setClock(tx: Tx, state: ClockState): Promise<void> {
    const { offset_ms, ...others } = state
    await factCommands.setFact(tx, { name: clockFacts.offset, value: String(offset_ms) })
    await factCommands.setFact(tx, { name: clockFacts.others, value: JSON.stringify(others) })
    tx.notify({ topic: 'clock', state })
  },

  /** Stores a fact unless there is one of that name. Returns the value that is stored. */
  async claimFact(tx: Tx, fact: Fact): Promise<string> {
    const stored = await tx.one(factByName, { name: fact.name })
    if (stored) return stored.value
    await insert(tx, 'installation', { ...fact })
    return fact.value
  },

  /**
   * Takes a turn that one node has at a time, until it ends it or its time (`until`, epoch ms) is over. Returns whether it is
   * this owner's.
   */
  async takeTurn(tx: Tx, input: { name: string; owner: string; now: number; until: number }): Promise<boolean> {
    const { name, owner, now, until } = input
    const stored = await tx.one(factByName, { name })
    const value = JSON.stringify([owner, until])
    if (stored) {
      const turn = turnOf(stored.value)
      if (turn.owner !== owner && now < turn.until) return false
    }
    await replaceFact(tx, { name, value }, stored?.value)
    return true
  },

  /**
   * Takes or keeps a turn that a process has until it stops keeping it. `value` is JSON that begins with its owner, and is another
   * each time. What another has is taken only as it was seen to be left alone (`abandoned`). Returns whose it is now: `value`, or another's.
   */
  async keepTurn(tx: Tx, input: { name: string; owner: string; value: string; abandoned: string | null }): Promise<string> {
    const { name, owner, value, abandoned } = input
    const stored = await tx.one(factByName, { name })
    if (stored && turnOf(stored.value).owner !== owner && stored.value !== abandoned) return stored.value
    await replaceFact(tx, { name, value }, stored?.value)
    return value
  },

  async endTurn(tx: Tx, { name, owner }: { name: string; owner: string }): Promise<void> {
    const stored = await tx.one(factByName, { name })
    if (stored && turnOf(stored.value).owner === owner) await tx.run(deleteRow('installation', ['name']), { name })
  },
}

/** A turn, and who says that it has it. */
export interface HeldTurn {
  readonly name: string
  readonly owner: string
}

/** Whether a turn is its owner's still. */
export async function hasTurn(tx: Tx, { name, owner }: HeldTurn): Promise<boolean> {
  const stored = await tx.one(factByName, { name })
  return stored !== undefined && turnOf(stored.value).owner === owner
}

function turnOf(value: string): { readonly owner: string; readonly until: number } {
  const [owner, until] = parseStored<[string, number]>(value)
  return { owner, until }
}
