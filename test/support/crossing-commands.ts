import { refuse } from '../../src/errors.ts'
import type { Tx } from '../../src/storage/database.ts'
import { insertRow, rowsBy, updateRow } from '../../src/storage/rows.ts'
import type { ServiceRow } from '../../src/storage/schema.ts'

const serviceBySid = rowsBy('services', ['sid'])

/** Commands that hold several rows, in whatever order they are told to. */
export const commands = {
  async make(tx: Tx, row: ServiceRow): Promise<void> {
    await tx.run(insertRow('services', Object.keys(row)), { ...row })
  },

  /** Counts one up in each of these services, one after the other. */
  async countUp(tx: Tx, sids: readonly string[]): Promise<void> {
    for (const sid of sids) {
      const was = await tx.hold(serviceBySid, { sid }, 'change')
      if (!was) throw new Error(`no service ${sid}`)
      await tx.run(updateRow('services', ['sid'], ['revision']), {
        ...was,
        revision: was.revision + 1,
      })
    }
  },

  /** The same, without waiting for what it writes. */
  async countOn(tx: Tx, sids: readonly string[]): Promise<void> {
    for (const sid of sids) {
      const was = await tx.hold(serviceBySid, { sid }, 'change')
      if (!was) throw new Error(`no service ${sid}`)
      await countFrom(tx, was)
    }
  },

  /** Counts one up in a service and is refused then. */
  async countThenRefuse(tx: Tx, sid: string): Promise<void> {
    await commands.countUp(tx, [sid])
    throw refuse('uniqueNameTaken')
  },

  /** Counts without a lock. */
  async raceOn(tx: Tx, sid: string): Promise<void> {
    const was = await tx.one(serviceBySid, { sid })
    if (!was) throw new Error(`no service ${sid}`)
    await countFrom(tx, was)
  },
}

async function countFrom(tx: Tx, was: ServiceRow): Promise<void> {
  const query = updateRow('services', ['sid', 'revision'], ['revision'])
  await tx.must(query, { ...was, revision: was.revision + 1, was_revision: was.revision })
}

export type CrossingCommands = typeof commands
