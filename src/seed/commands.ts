import { accountCommands } from '../accounts/commands.ts'
import { channelCommands } from '../channels/commands.ts'
import type { ClockState } from '../clock.ts'
import { ApiError } from '../errors.ts'
import { change } from '../model/change.ts'
import { registry } from '../resources/index.ts'
import { long, type Tx } from '../storage/database.ts'
import { factCommands } from '../storage/facts.ts'
import type { Plan, PlannedAccount } from './plan.ts'
import { type AllRows, deleteAll, insertAll, readAll } from './tables.ts'

/** Where the clocks stand in a snapshot. */
type Standing = { readonly clock: ClockState }

/** Commands that fill, empty and replace a whole database. Where a change is refused, nothing of the command remains. */
export const seedCommands = {
  /** Stores the accounts of a seed and what is in them. The details of a refusal have the `place` in the seed. */
  plant: long(plant),

  /** Empties the database, and stores the accounts of a seed. */
  reset: long(async (tx: Tx, { plan, clock }: { readonly plan: Plan } & Standing): Promise<void> => {
    await deleteAll(tx)
    await plant(tx, plan)
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

async function plant(tx: Tx, { accounts }: Plan): Promise<void> {
  for (const account of accounts) await plantAccount(tx, account)
  await factCommands.setFact(tx, { name: 'first_account', value: accounts[0].created.account.sid })
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
