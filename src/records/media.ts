import type { Tx } from '../storage/database.ts'
import { insert, updateRow } from '../storage/rows.ts'
import type { MediaFile, PreparedRow } from './prepare.ts'
import type { Value } from './values.ts'

/** Gives media that no message has to one. */
export const assign = updateRow('media', ['service_sid', 'sid'], ['conversation_sid', 'message_sid'])

/** Returns where the media of a message are. */
export function placeOf({ service_sid, conversation_sid, sid }: PreparedRow) {
  return { service_sid: service_sid ?? '', conversation_sid, message_sid: sid }
}

/** Writes the row of a file, with the dates of its message. The file itself is in place. */
export async function attach(tx: Tx, record: PreparedRow, file: MediaFile): Promise<void> {
  const { date_created, date_updated } = record.columns
  await insert(tx, 'media', {
    ...placeOf(record),
    ...file,
    account_sid: record.account_sid,
    date_created: numberOf(date_created),
    date_updated: numberOf(date_updated),
    revision: 1,
  })
}

function numberOf(value: Value | undefined): number {
  return typeof value === 'number' ? value : 0
}
