import { accountCommands } from '../accounts/commands.ts'
import { channelCommands } from '../channels/commands.ts'
import type { ClockState } from '../clock.ts'
import { ApiError } from '../errors.ts'
import { change } from '../model/change.ts'
import { registry } from '../resources/index.ts'
import { long, type Tx } from '../storage/database.ts'
import { factByName, factCommands, firstAccountFact } from '../storage/facts.ts'
import type { Plan, PlannedAccount } from './plan.ts'
import { type AllRows, deleteAll, insertAll, readAll } from './tables.ts'

/** The fact by which the seed of a database is recognised. */
export const seedFact = 'seed'

/** Where the clocks stand in a snapshot. */
type Standing = { readonly clock: ClockState }

/** Commands that fill, empty and replace a whole database. Where a change is refused, nothing of the command remains. */
export const seedCommands = {
  /** Stores the accounts of a seed and what is in them, in a database without any. The details of a refusal have the `place` in the seed. */
  plant: long(async (tx: Tx, request: PlantRequest): Promise<void> => {
    // Of nodes that start at once, the first has stored it.
    if (!(await tx.one(factByName, { name: firstAccountFact }))) await plant(tx, request)
  }),

  /** Empties the database, and stores the accounts of a seed. */
  reset: long(async (tx: Tx, { clock, ...request }: PlantRequest & Standing): Promise<void> => {
    await deleteAll(tx)
    await plant(tx, request)
    await factCommands.setClock(tx, clock)
  }),

  /** Returns all rows. A command, so that no other is half done. */
  snapshot: long((tx: Tx, _input: null): Promise<AllRows> => readAll(tx)),

  /** Replaces all rows. */
  restore: long(async (tx: Tx, { rows, clock }: { readonly rows: AllRows } & Standing): Promise<void> => {
    await deleteAll(tx)
    await insertAll(tx, rows)
    await factCommands.setClock(tx, clock)
  }),
}

/** `hash`: of the seed; null for a plan without one. */
export interface PlantRequest {
  readonly plan: Plan
  readonly hash: string | null
}

async function plant(tx: Tx, { plan: { accounts }, hash }: PlantRequest): Promise<void> {
  for (const account of accounts) await plantAccount(tx, account)
  await factCommands.setFact(tx, { name: firstAccountFact, value: accounts[0].created.account.sid })
  if (hash !== null) await factCommands.setFact(tx, { name: seedFact, value: hash })
}

async function plantAccount(tx: Tx, { created, keys, channels, contents, changes }: PlannedAccount): Promise<void> {
  await accountCommands.createAccount(tx, created)
  for (const key of keys) await accountCommands.createKey(tx, key)
  for (const channel of channels) await channelCommands.setChannel(tx, channel)
  for (const content of contents) await channelCommands.setContent(tx, content)
  for (const planned of changes) {
    try {
      await change(tx, registry, planned.change)
    } catch (error) {
      throw error instanceof ApiError ? new ApiError(error.kind, { ...error.details, place: planned.place }) : error
    }
  }
}
