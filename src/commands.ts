import { accountCommands } from './admin/commands.ts'
import { type Changed, type ChangeRequest, change } from './api/change.ts'
import { type SweepRequest, sweep } from './api/sweep.ts'
import { cleanupCommands } from './background/cleanup.ts'
import { resourceNamed } from './resources/index.ts'
import type { Tx } from './storage/database.ts'
import { deliveryCommands } from './webhooks/record.ts'

/** Every transaction there is, by name: the writer thread imports this module. */
export const commands = {
  change: (tx: Tx, input: { resource: string; request: ChangeRequest }): Promise<Changed> =>
    change(tx, resourceNamed(input.resource), input.request),
  sweep: (tx: Tx, input: { resource: string; request: SweepRequest }): Promise<number> =>
    sweep(tx, resourceNamed(input.resource), input.request),
  ...accountCommands,
  ...cleanupCommands,
  ...deliveryCommands,
}

export type ParleyCommands = typeof commands
