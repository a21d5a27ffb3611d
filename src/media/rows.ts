import { refuse } from '../errors.ts'
import { parseStored } from '../json.ts'
import type { Reader, Tx } from '../storage/database.ts'
import { mediaByHash } from '../storage/lookups.ts'
import { deleteRow, rowsBy } from '../storage/rows.ts'
import type { MediaRow, MessageRow } from '../storage/schema.ts'
import { shape } from '../storage/shapes.ts'

export const mediaBySid = rowsBy('media', ['service_sid', 'sid'])

const mediaOfMessage = rowsBy('media', ['service_sid', 'conversation_sid', 'message_sid'])

const mediaBelow = (column: 'service_sid' | 'conversation_sid') =>
  shape<{ sid: string; max: number }>()((db, a) => db.selectFrom('media').selectAll().where(column, '=', a.sid).limit(a.max))

/** By the column that refers to the removed parent. */
const queriesByColumn = new Map([
  ['service_sid', mediaBelow('service_sid')],
  ['conversation_sid', mediaBelow('conversation_sid')],
])

const assign = shape<Pick<MediaRow, 'service_sid' | 'sid' | 'conversation_sid' | 'message_sid' | 'date_updated'>>()((db, a) =>
  db
    .updateTable('media')
    .set((eb) => ({
      conversation_sid: a.conversation_sid,
      message_sid: a.message_sid,
      date_updated: a.date_updated,
      revision: eb('revision', '+', 1),
    }))
    .where('service_sid', '=', a.service_sid)
    .where('sid', '=', a.sid),
)

const unusedSince = shape<{ before: number; max: number }>()((db, a) =>
  db.selectFrom('media').selectAll().where('message_sid', 'is', null).where('date_created', '<=', a.before).limit(a.max),
)

const usedBytes = shape<{ account_sid: string }>()((db, a) =>
  db
    .selectFrom('media')
    .select((eb) => eb.fn.sum<number>('size').as('bytes'))
    .where('account_sid', '=', a.account_sid),
)

/** Returns the size of all files of an account together. */
export async function bytesOf(read: Reader, account_sid: string): Promise<number> {
  return Number((await read.one(usedBytes, { account_sid }))?.bytes ?? 0)
}

/** Removes a batch of media that no message has taken in time. Returns how many. */
export async function removeExpired(tx: Tx, now: number, max: number): Promise<number> {
  const rows = await tx.all(unusedSince, { before: now - unusedLifetimeMs, max })
  for (const { service_sid, sid } of rows) {
    // A message of another node may have taken it meanwhile.
    const row = await tx.hold(mediaBySid, { service_sid, sid }, 'change')
    if (row && isExpired(row, now)) await remove(tx, [row])
  }
  return rows.length
}

/** An element of a message's `media`. */
export interface MediaJson {
  readonly sid: string
  readonly size: number
  readonly content_type: string
  readonly filename: string | null
  /** Absent for an attachment, which most are. */
  readonly category?: MediaRow['category']
}

/** As long as the vendor keeps an upload that no message takes. */
export const unusedLifetimeMs = 300_000

function isExpired({ message_sid, date_created }: MediaRow, now: number): boolean {
  return message_sid === null && now - date_created >= unusedLifetimeMs
}

/** `now`: in epoch ms. Expired media are not found, although they are removed in batches. */
export async function findMedia(read: Reader, service_sid: string, sid: string, now: number): Promise<MediaRow | undefined> {
  const row = await read.one(mediaBySid, { service_sid, sid })
  return row && isExpired(row, now) ? undefined : row
}

/**
 * Reads and locks media for a new message. `author`: of a message of a client, for whom nobody else's uploads exist. Throws a refusal
 * when they do not exist or belong to another message.
 */
export async function freeMedia(read: Reader, service_sid: string, sid: string, now: number, author?: string): Promise<MediaRow> {
  const row = await read.hold(mediaBySid, { service_sid, sid }, 'change')
  if (!row || isExpired(row, now)) throw refuse('mediaNotFound')
  if (author !== undefined && row.author !== author) throw refuse('mediaNotFound')
  if (row.message_sid !== null) throw refuse('mediaUsed')
  return row
}

/** Returns the `media` column of a message. */
export function mediaToJson(media: readonly Pick<MediaRow, keyof MediaJson>[]): string {
  const elements = media.map(({ sid, size, content_type, filename, category }): MediaJson => {
    return { sid, size, content_type, filename, ...(category !== 'media' && { category }) }
  })
  return JSON.stringify(elements)
}

/** Returns the media of a message that are shown: all but the source of a mail. */
export function shownMedia(media: string | null): readonly MediaJson[] {
  return media === null ? [] : parseStored<MediaJson[]>(media).filter(({ category }) => category !== 'source')
}

/** Returns the media of a message as REST shows them: without categories, which only client SDKs know. Null when there are none. */
export function mediaToRest(media: string | null): readonly object[] | null {
  const shown = shownMedia(media)
  return shown.length === 0 ? null : shown.map(({ category: _category, ...element }) => element)
}

/** Returns the SID of a message's source; null when it is no mail, or its source is not kept. */
export function sourceOf(media: string | null): string | null {
  const all = media === null ? [] : parseStored<MediaJson[]>(media)
  return all.find(({ category }) => category === 'source')?.sid ?? null
}

/** Returns the `Media` parameter of webhooks and channels; null without media. observed: capitals inside the JSON text, unlike REST. */
export function mediaToPayload(media: string | null): string | null {
  const shown = shownMedia(media)
  if (shown.length === 0) return null
  return JSON.stringify(shown.map((m) => ({ Sid: m.sid, Filename: m.filename, ContentType: m.content_type, Size: m.size })))
}

/** Assigns media to the message that is created with them; removes them with their message. */
export async function updateMediaOf(tx: Tx, before: MessageRow | null, after: MessageRow | null, now: number): Promise<void> {
  if (!before && after) await assignTo(tx, after, now)
  if (before && !after && before.media !== null) {
    const { service_sid, conversation_sid, sid: message_sid } = before
    await remove(tx, await tx.all(mediaOfMessage, { service_sid, conversation_sid, message_sid }))
  }
}

async function assignTo(tx: Tx, message: MessageRow, date_updated: number): Promise<void> {
  const { service_sid, conversation_sid, sid: message_sid } = message
  for (const { sid } of message.media === null ? [] : parseStored<MediaJson[]>(message.media)) {
    await tx.run(assign, { service_sid, sid, conversation_sid, message_sid, date_updated })
  }
}

/** Removes media of a message that stays. `which`: all of them, or those of these categories. Returns the contents of their files. */
export async function removeMediaOf(
  tx: Tx,
  { service_sid, conversation_sid, sid: message_sid }: Pick<MessageRow, 'service_sid' | 'conversation_sid' | 'sid'>,
  which: 'all' | readonly MediaRow['category'][],
): Promise<readonly string[]> {
  const all = await tx.all(mediaOfMessage, { service_sid, conversation_sid, message_sid })
  const removed = all.filter(({ category }) => which === 'all' || which.includes(category))
  await remove(tx, removed)
  return removed.map(({ sha256 }) => sha256)
}

/** Removes a batch of the media of a removed conversation or service. Returns how many. */
export async function removeSomeMedia(tx: Tx, column: string, sid: string, max: number): Promise<number> {
  const query = queriesByColumn.get(column)
  if (!query) return 0
  const rows = await tx.all(query, { sid, max })
  await remove(tx, rows)
  return rows.length
}

/** Removes rows. Notifies of files without a row, which the store deletes after the commit. */
export async function remove(tx: Tx, rows: readonly MediaRow[]): Promise<void> {
  for (const { service_sid, sid, sha256 } of rows) {
    await tx.run(deleteRow('media', ['service_sid', 'sid']), { service_sid, sid })
    if (!(await tx.one(mediaByHash, { sha256 }))) tx.notify({ topic: 'unused_file', sha256 })
  }
}
