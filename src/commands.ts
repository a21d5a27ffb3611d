import { accountCommands } from './accounts/commands.ts'
import { channelCommands } from './channels/commands.ts'
import { deliveryCommands } from './delivery/record.ts'
import { mediaCommands } from './media/commands.ts'
import { type Asked, type Changed, change, changeAll } from './model/change.ts'
import { resourceNamed } from './model/registry.ts'
import { cleanupCommands } from './model/removals.ts'
import { type SweepRequest, sweep } from './model/sweep.ts'
import { long, type Tx } from './storage/database.ts'

/** Every transaction there is, by name: the writer thread imports this module. */
export const commands = {
  change: (tx: Tx, input: Asked): Promise<Changed> => change(tx, resourceNamed(input.resource), input.request),
  changeAll: (tx: Tx, input: readonly [Asked, ...Asked[]]): Promise<Changed> => changeAll(tx, input, resourceNamed),
  sweep: long(
    (tx: Tx, input: { resource: string; request: SweepRequest }): Promise<number> =>
      sweep(tx, resourceNamed(input.resource), input.request),
  ),
  ...accountCommands,
  ...cleanupCommands,
  ...deliveryCommands,
  ...mediaCommands,
  ...channelCommands,
}

export type ParleyCommands = typeof commands
