import { accountCommands } from './accounts/commands.ts'
import { operatorCommands } from './accounts/operators.ts'
import { auditCommands, checkpointCommands } from './audit/commands.ts'
import { expiryCommands } from './background/expiry.ts'
import { retentionCommands } from './background/retention-policy.ts'
import { channelCommands } from './channels/commands.ts'
import { mailBlockCommands } from './channels/email/blocks.ts'
import { removeExternalIdsBelow } from './channels/external-ids.ts'
import { type ChannelReport, failedReport, settleMessage } from './channels/receipts.ts'
import { checkNeeds } from './client/needs.ts'
import { presenceCommands } from './client/presence-commands.ts'
import { forgetDevice, registrationCommands } from './client/registrations.ts'
import { deliveryCommands } from './delivery/record.ts'
import { mediaCommands } from './media/commands.ts'
import { removeSomeMedia } from './media/rows.ts'
import { change, changeAll, type NamedChange } from './model/change.ts'
import { removalCommands } from './model/removals.ts'
import { searchCommands } from './model/search-backfill.ts'
import { type SweepRequest, sweep } from './model/sweep.ts'
import { erasureCommands } from './privacy/erasures.ts'
import type { PushReport } from './push/handler.ts'
import { recordCommands } from './records/apply.ts'
import { checkCommands } from './records/check.ts'
import { mirrorCommands } from './records/mirror-commands.ts'
import { reopenConversation } from './resources/conversations/reopen.ts'
import { registry } from './resources/index.ts'
import { sendTestEvent } from './resources/test-event.ts'
import { seedCommands } from './seed/commands.ts'
import { long, type Tx } from './storage/database.ts'
import { factCommands } from './storage/facts.ts'
import { deleteRow } from './storage/rows.ts'
import type { DeliveryRow } from './storage/schema.ts'
import { sealColumns } from './storage/sealed.ts'

/** What follows from the last attempt of a delivery. Of a push that was dropped nothing does. */
async function settle(tx: Tx, row: DeliveryRow, report: ChannelReport | PushReport, now: number): Promise<void> {
  if ('gone' in report) await forgetDevice(tx, row, now)
  else if (row.kind !== 'push') await settleMessage(tx, row, report, now)
}

const unaudited = {
  change: (tx: Tx, input: NamedChange) => change(tx, registry, input, checkNeeds),
  changeAll: (tx: Tx, input: readonly [NamedChange, ...NamedChange[]]) => changeAll(tx, registry, input),
  sweep: long((tx: Tx, request: SweepRequest) => sweep(tx, registry, request)),
  ...removalCommands(registry, removeMore),
  ...deliveryCommands<ChannelReport | PushReport>(settle, failedReport),
  ...searchCommands(registry),
  ...accountCommands,
  ...operatorCommands,
  ...factCommands,
  ...mediaCommands,
  ...channelCommands,
  ...presenceCommands,
  ...registrationCommands,
  ...mailBlockCommands,
  sealColumns,
  ...erasureCommands,
  ...expiryCommands(registry),
  ...retentionCommands,
  reopenConversation,
  sendTestEvent,
  ...seedCommands,
  ...recordCommands,
  ...checkpointCommands,
  ...checkCommands,
  ...mirrorCommands,
}

/** Every transaction, by name. The writer thread imports this module. */
export const commands = { ...unaudited, ...auditCommands(unaudited) }

/** What no resource declares goes with the conversation or service that it belongs to. */
async function removeMore(tx: Tx, column: string, sid: string, max: number): Promise<number> {
  if (column === 'service_sid') await tx.run(deleteRow('retention', ['service_sid']), { service_sid: sid })
  const media = await removeSomeMedia(tx, column, sid, max)
  return media + (await removeExternalIdsBelow(tx, column, sid, max - media))
}

export type ParleyCommands = typeof commands
