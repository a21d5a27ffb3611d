import { Batch } from './batch.ts'
import { HostedError, type Json } from './client.ts'
import { readMessage } from './messages.ts'
import { isMissing, isStalePosition, maxRestarts, optional, type Reading, reasonOf, recordOf, rowsOf, take } from './reader.ts'
import { hashOf, sidOf, textOf, withoutLinks } from './record.ts'
import { durationsOf, hasTimers } from './timers.ts'

/** The most rows of a page that are documented. */
const messagesPerPage = 100
const participantsPerPage = 100
const webhooksPerPage = 5

/** The note of what the conversation was like whose messages were stored last, while they are not all stored. */
const continuedHash = 'conversation under way'

/** One conversation that is to be read. */
export interface Task {
  readonly service: string
  readonly sid: string
  /** Its row as the list had it. */
  readonly row: Json
  /** Told once nothing of it is to be stored any more. */
  readonly ended: () => void
}

/** Whether all that can have changed of a conversation was read before: of a closed one nothing can, but its deletion. */
export function isDone({ checkpoint }: Reading, { sid, row }: Task): 'read' | 'unchanged' | null {
  const known = checkpoint.knownConversation(sid)
  if (known?.read_in === checkpoint.pass) return 'read'
  const isClosed = known !== null && known.read_in > 0 && known.state === 'closed'
  return isClosed && known.hash === hashOf(withoutLinks(row)) ? 'unchanged' : null
}

/**
 * Reads a conversation: itself, its participants, its messages with receipts, its webhooks. After an interruption it goes on with
 * the messages. What fails is noted as a problem of the conversation, which the next run tries again.
 */
export async function* readConversation(reading: Reading, task: Task): AsyncGenerator<Batch> {
  const { checkpoint } = reading
  try {
    yield* parts(reading, task)
  } catch (error) {
    if (!(error instanceof HostedError)) throw error
    const batch = new Batch()
    batch.afterwards(() => {
      task.ended()
      if (isMissing(error)) {
        checkpoint.forget(task.sid)
        checkpoint.count('conversation', 'deleted')
      } else {
        checkpoint.problem({ kind: 'conversation', sid: task.sid, reason: reasonOf(error) })
      }
    })
    yield batch
  }
}

async function* parts(reading: Reading, task: Task): AsyncGenerator<Batch> {
  const { checkpoint, client } = reading
  const { service, sid, row } = task
  const path = `/v1/Services/${service}/Conversations/${sid}`
  const known = checkpoint.knownConversation(sid)
  const hash = hashOf(withoutLinks(row))
  const isContinued = known !== null && known.cursor !== null
  const isClosed = row.state === 'closed'
  let batch = new Batch()
  // An interruption may have lasted long: what it stored then is compared with what is there now.
  const isUnchanged = isContinued
    ? checkpoint.note<string>(continuedHash) === hash
    : known !== null && known.read_in > 0 && known.hash === hash
  if (!isUnchanged) batch.add(recordOf(reading, 'conversation', service, row, await extraOf(reading, path, row)))
  await takeParticipants(reading, batch, task, path)
  const isRepeated = known !== null && known.read_in > 0 && known.last_index >= 0 && Number.isFinite(reading.options.recheck)
  const from = isRepeated ? known.last_index - reading.options.recheck : -1
  const order = isRepeated ? 'desc' : 'asc'
  let seen = isContinued && !isRepeated ? known.last_index : -1
  let highest = known?.last_index ?? -1
  let at: string | null = `${path}/Messages?Order=${order}&PageSize=${reading.options.pageSize ?? messagesPerPage}`
  if (isContinued && !isRepeated) at = known.cursor
  let lowest = Number.POSITIVE_INFINITY
  let restarts = 0
  while (at !== null) {
    let page: { readonly rows: readonly Json[]; readonly next: string | null }
    try {
      page = await client.page(at, 'messages')
    } catch (error) {
      if (!isStalePosition(error) || ++restarts > maxRestarts) throw error
      at = `${path}/Messages?Order=${order}&PageSize=${reading.options.pageSize ?? messagesPerPage}`
      continue
    }
    // A list that begins anew has rows that were read.
    const rows = page.rows.map(withIndex).filter(({ index }) => index > seen && index < lowest && index > from)
    const read = await Promise.all(rows.map((message) => readMessage(reading, batch, { service, sid, path, isClosed }, message)))
    for (const record of read.flat()) batch.add(record)
    for (const { index } of rows) {
      if (isRepeated) lowest = Math.min(lowest, index)
      else seen = Math.max(seen, index)
      highest = Math.max(highest, index)
    }
    at = isRepeated && page.rows.some(({ index }) => Number(index) <= from) ? null : page.next
    const next = at
    const reached = highest
    if (next === null) break
    batch.afterwards(() => {
      // Read from the last one on, they are known to be whole only at the end.
      if (isRepeated) return
      checkpoint.reached(sid, reached, next)
      checkpoint.setNote(continuedHash, hash)
    })
    yield batch
    batch = new Batch()
  }
  await takeWebhooks(reading, batch, task, path)
  batch.afterwards(() => {
    checkpoint.reached(sid, highest, null)
    checkpoint.conversationStored(sid, hash, textOf(row, 'state'))
    checkpoint.solved('conversation', sid)
    checkpoint.count('conversation', isUnchanged && !isContinued ? 'unchanged' : 'read')
    task.ended()
  })
  yield batch
}

/** Throws HostedError for a message without an index: it has no place. */
function withIndex(row: Json): Json & { readonly index: number } {
  const { index } = row
  if (typeof index !== 'number' || !Number.isSafeInteger(index) || index < 0)
    throw new HostedError('a message without an index', 200)
  return { ...row, index }
}

/** What the list of conversations does not show. */
async function extraOf({ client, checkpoint }: Reading, path: string, row: Json): Promise<Json> {
  const creator = checkpoint.creator(sidOf(row))
  const extra = creator === null ? {} : { created_by: creator }
  if (!hasTimers(row)) return extra
  const { rows } = await client.page(`${path}/Messages?Order=desc&PageSize=1`, 'messages')
  return { ...extra, ...durationsOf(row, rows[0] ?? null) }
}

async function takeParticipants(reading: Reading, batch: Batch, { service, sid }: Task, path: string): Promise<void> {
  const { checkpoint } = reading
  for await (const rows of rowsOf(reading, `${path}/Participants`, 'participants', participantsPerPage)) {
    for (const row of rows) {
      const participant = sidOf(row)
      const extra = checkpoint.isMuted(participant) ? { notification_level: 'muted' } : {}
      const record = { ...recordOf(reading, 'participant', service, row, extra), conversation_sid: sid }
      take(reading, batch, { kind: 'participant', sid: participant, service, parent: sid }, record)
    }
  }
  batch.afterwards(() => noteAbsent(reading, 'participant', service, sid))
}

/** What an earlier pass has read and this one no longer found is deleted. */
export function noteAbsent({ checkpoint }: Reading, kind: string, service: string, parent = ''): void {
  for (const sid of checkpoint.absent(kind, service, parent)) {
    checkpoint.deleted(kind, sid)
    checkpoint.count(kind, 'deleted')
    checkpoint.forget(sid)
  }
}

/** Webhooks of a closed conversation are never called again. */
async function takeWebhooks(reading: Reading, batch: Batch, { service, sid, row }: Task, path: string): Promise<void> {
  const kind = 'conversation_webhook'
  if (row.state === 'closed') return batch.afterwards(() => reading.checkpoint.count(kind, 'skipped'))
  await optional(reading, batch, kind, sid, async () => {
    for await (const rows of rowsOf(reading, `${path}/Webhooks`, 'webhooks', webhooksPerPage)) {
      for (const webhook of rows) {
        const record = { ...recordOf(reading, kind, service, webhook), conversation_sid: sid }
        take(reading, batch, { kind, sid: sidOf(webhook), service, parent: sid }, record)
      }
    }
    batch.afterwards(() => noteAbsent(reading, kind, service, sid))
  })
}
