import { failSilently } from '../channels/receipts.ts'
import { parseStored } from '../json.ts'
import { type MediaJson, remove, removeMediaOf } from '../media/rows.ts'
import { applyStep, revised } from '../model/change.ts'
import { type BaseRow, type Change, type Facts, type Step, stepOf } from '../model/declare.ts'
import { factsInService } from '../model/scope.ts'
import { conversations } from '../resources/conversations/conversation.ts'
import { messages } from '../resources/conversations/messages/message.ts'
import { participants } from '../resources/conversations/participants/participant.ts'
import { registry } from '../resources/index.ts'
import { users } from '../resources/users/user.ts'
import type { Tx } from '../storage/database.ts'
import { conversationBySid } from '../storage/lookups.ts'
import { deleteNames, rowsByNames, type Table, updateRow } from '../storage/rows.ts'
import type { ConversationRow, DeliveryRow, MediaRow, MessageRow, MirrorRow, ParticipantRow, UserRow } from '../storage/schema.ts'
import {
  type Belonging,
  countedAs,
  type Key,
  quotes,
  quoting,
  type Relation,
  type Row,
  relationOf,
  withoutDifferencesOf,
} from './belongings.ts'
import { hasSid, isNamed, type Person, withoutPerson } from './person.ts'

/** What is erased, and how. */
export interface Erasing {
  readonly person: Person
  /** What becomes of the person's messages. */
  readonly messages: 'redact' | 'delete'
  readonly pseudonym: string
  readonly now: number
}

/** What became of a batch: how many rows of each kind, and the contents of files that no row may refer to any more. */
export interface Erased {
  readonly counts: Readonly<Record<string, number>>
  readonly files: readonly string[]
}

/**
 * Erases rows of one table, by their keys. Each is read anew, and left alone if it is not the person's any more. No webhook is sent what
 * happens; client SDKs learn of it as of any change.
 */
export async function eraseRows(tx: Tx, belonging: Belonging, keys: readonly Key[], erasing: Erasing): Promise<Erased> {
  const counts: Record<string, number> = {}
  const files: string[] = []
  const cancelled: DeliveryRow[] = []
  // One after the other, in the order of their keys: transactions that lock several conversations do it in one order.
  for (const key of keys) {
    const { service_sid, conversation_sid } = key
    // Parents first, as in any change.
    if (service_sid !== undefined && conversation_sid !== undefined) {
      await tx.hold(conversationBySid, { service_sid, sid: conversation_sid }, 'change')
    }
    const row = await tx.hold(rowsByNames<Row>(belonging.table, belonging.key), { ...key }, 'change')
    const relation = row ? await relationOf(belonging, row, erasing.person, tx) : null
    if (!row || !relation) continue
    files.push(...(await eraseRow(tx, belonging, row, relation, erasing)))
    // As it was selected from the table.
    if (belonging.table === 'deliveries' && relation === 'own') cancelled.push(row as unknown as DeliveryRow)
    const name = countedAs(belonging, { relation, row }, erasing.messages)
    counts[name] = (counts[name] ?? 0) + 1
  }
  await failCancelled(tx, cancelled, erasing)
  return { counts, files }
}

/**
 * Fails the messages to others that are not sent any more: their receipts would be awaited for ever. One to the person has none: its
 * receipts are the person's, and go.
 */
async function failCancelled(tx: Tx, rows: readonly DeliveryRow[], { person, now }: Erasing): Promise<void> {
  const toOthers = rows.filter(
    ({ status, kind, participant_sid }) =>
      status === 'pending' && (kind === 'message' || kind === 'loopback') && !hasSid(person, participant_sid),
  )
  // By conversation, as all who lock several of them.
  for (const row of toOthers.toSorted((a, b) => (a.subject_sid < b.subject_sid ? -1 : 1))) await failSilently(tx, row, now)
}

/** Returns the contents of files that it leaves unused. */
type Erase = (tx: Tx, row: never, relation: Relation, erasing: Erasing) => Promise<readonly string[]>

/** How rows are erased, where they are not simply deleted. */
const ways: Readonly<Partial<Record<Belonging['table'], Erase>>> = {
  users: eraseUser,
  participants: eraseParticipant,
  deliveries: eraseDelivery,
  messages: eraseMessage,
  media: eraseMedia,
  conversations: clearConversation,
  mirrors: clearReport,
}

function eraseRow(tx: Tx, belonging: Belonging, row: Row, relation: Relation, erasing: Erasing): Promise<readonly string[]> {
  // The row is of the table that its way is listed under.
  return ways[belonging.table]?.(tx, row as never, relation, erasing) ?? deleteIt(tx, belonging, row)
}

async function deleteIt(
  tx: Tx,
  { table, key }: { readonly table: Table; readonly key: readonly string[] },
  row: Row,
): Promise<readonly []> {
  await tx.run(deleteNames(table, key), { ...row })
  // What is cached of it is not true any more.
  if (typeof row.sid === 'string') tx.notify({ topic: 'changed', table, sid: row.sid, revision: 0 })
  return []
}

/** Writes a step without webhooks. */
function apply(tx: Tx, step: Step, facts: Facts): Promise<void> {
  return applyStep(tx, registry, step, facts, { webhooks: false, source: 'API', silent: true })
}

function removal<R extends BaseRow>(before: R): Change<R> {
  return { verb: 'remove', before, after: null, cause: 'consequence' }
}

function update<R extends BaseRow>(before: R, changed: Partial<R>): Change<R> {
  return { verb: 'update', before, after: revised({ ...before, ...changed }), cause: 'consequence' }
}

async function eraseUser(tx: Tx, row: UserRow, _relation: Relation, { now }: Erasing): Promise<readonly string[]> {
  const facts = await factsInService(tx, row, now)
  // Its service is deleted, and the row about to be.
  if (!facts) return deleteIt(tx, { table: 'users', key: ['service_sid', 'sid'] }, { ...row })
  await apply(tx, stepOf(users, removal(row)), facts)
  return []
}

/** Returns the facts of a row of a conversation; undefined when that is deleted, and the row about to be. */
async function factsInConversation(
  tx: Tx,
  row: { readonly account_sid: string; readonly service_sid: string; readonly conversation_sid: string },
  now: number,
): Promise<Facts | undefined> {
  const { service_sid, conversation_sid } = row
  const facts = await factsInService(tx, row, now)
  const conversation = await tx.hold(conversationBySid, { service_sid, sid: conversation_sid }, 'change')
  return facts && conversation && { ...facts, parents: [conversation] }
}

async function eraseParticipant(tx: Tx, row: ParticipantRow, _relation: Relation, { now }: Erasing): Promise<readonly string[]> {
  const facts = await factsInConversation(tx, row, now)
  if (!facts) return deleteIt(tx, { table: 'participants', key: ['conversation_sid', 'sid', 'service_sid'] }, { ...row })
  await apply(tx, stepOf(participants, removal(row)), facts)
  return []
}

const responsesOfDelivery = updateRow('deliveries', ['service_sid', 'id'], ['responses'])

async function eraseDelivery(tx: Tx, row: DeliveryRow, relation: Relation): Promise<readonly string[]> {
  const { slot, target_sid, status, service_sid, id } = row
  if (relation === 'named') await tx.run(responsesOfDelivery, { service_sid, id, responses: null })
  else await tx.run(deleteNames('deliveries', ['service_sid', 'id']), { ...row })
  if (status === 'pending') tx.notify({ topic: 'dropped', target_sid, slot })
  return []
}

async function eraseMessage(tx: Tx, row: MessageRow, relation: Relation, erasing: Erasing): Promise<readonly string[]> {
  const facts = await factsInConversation(tx, row, erasing.now)
  if (relation === 'named') return clearMessage(tx, row, facts, erasing)
  const files = await removeMediaOf(tx, row, 'all')
  if (!facts) {
    await deleteIt(tx, { table: 'messages', key: ['conversation_sid', 'sid', 'service_sid'] }, { ...row })
    return files
  }
  if (erasing.messages === 'delete') {
    await apply(tx, stepOf(messages, removal(row)), facts)
    return files
  }
  const redacted: Partial<MessageRow> = {
    author: erasing.pseudonym,
    participant_sid: null,
    // observed: client SDKs keep the text that they have when they are told of none.
    body: row.body === null ? null : '',
    subject: null,
    media: null,
    attributes: '{}',
    content_sid: null,
    content_variables: null,
    channel_metadata: null,
    ...(isNamed(erasing.person, row.last_updated_by) && { last_updated_by: erasing.pseudonym }),
  }
  await apply(tx, stepOf(messages, update(row, redacted)), facts)
  return files
}

/** Takes the person out of somebody else's message: the whole mails in it, and what its channel said. */
async function clearMessage(
  tx: Tx,
  row: MessageRow,
  facts: Facts | undefined,
  { person, pseudonym }: Erasing,
): Promise<readonly string[]> {
  const files = await removeMediaOf(tx, row, quoting)
  const quoted = quotes(row.media).map(({ sid }) => sid)
  const media = parseStored<MediaJson[]>(row.media ?? '[]').filter(({ sid }) => !quoted.includes(sid))
  const metadata = parseStored<unknown>(row.channel_metadata ?? 'null')
  const cleared: Partial<MessageRow> = {
    ...(quoted.length > 0 && { media: media.length === 0 ? null : JSON.stringify(media) }),
    ...(row.channel_metadata !== null && { channel_metadata: JSON.stringify(withoutPerson(person, metadata, pseudonym)) }),
    ...(isNamed(person, row.last_updated_by) && { last_updated_by: pseudonym }),
  }
  if (facts) await apply(tx, stepOf(messages, update(row, cleared)), facts)
  else await deleteIt(tx, { table: 'messages', key: ['conversation_sid', 'sid', 'service_sid'] }, { ...row })
  return files
}

const mediaAuthor = updateRow('media', ['service_sid', 'sid'], ['author'])

async function eraseMedia(tx: Tx, row: MediaRow, relation: Relation, { pseudonym }: Erasing): Promise<readonly string[]> {
  const { service_sid, sid, sha256 } = row
  if (relation === 'own' || quoting.includes(row.category)) {
    await remove(tx, [row])
    return [sha256]
  }
  // Uploaded by the person, and carried by a message of somebody else.
  await tx.run(mediaAuthor, { service_sid, sid, author: pseudonym })
  return []
}

const mirrorReport = updateRow('mirrors', ['account_sid'], ['report'])

async function clearReport(tx: Tx, { account_sid, report }: MirrorRow, _relation: Relation, { person }: Erasing): Promise<[]> {
  await tx.run(mirrorReport, { account_sid, report: withoutDifferencesOf(person, report ?? '') })
  return []
}

async function clearConversation(
  tx: Tx,
  row: ConversationRow,
  _relation: Relation,
  erasing: Erasing,
): Promise<readonly string[]> {
  const facts = await factsInService(tx, row, erasing.now)
  const createdBy = erasing.pseudonym
  if (facts) await apply(tx, stepOf(conversations, update(row, { created_by: createdBy })), facts)
  return []
}
