import { responsesOf } from '../delivery/response.ts'
import { parseStored } from '../json.ts'
import type { MediaJson } from '../media/rows.ts'
import type { Reader } from '../storage/database.ts'
import { messageBySid } from '../storage/lookups.ts'
import { type Column, rowsAfter, rowsBy, type Table } from '../storage/rows.ts'
import type { ErasureRow, MediaRow, MessageRow, Tables } from '../storage/schema.ts'
import { hasAddress, hasAddressInJson, hasSid, isNamed, mentions, type Person } from './person.ts'

/*
 * What belongs to a person, table by table. Erasure, its dry run and the disclosure all walk this one list, each table by its primary key
 * from the start to the end: nobody but the operator asks for a person across conversations, so that no index serves it.
 */

/** The rows of one table that are a person's. */
export interface Belonging<T extends Table = Table> {
  readonly table: T
  /** The primary key: all texts. */
  readonly key: readonly Column<T>[]
  /**
   * What a row is to the person: `own`: theirs; `named`: somebody else's, with the person's data in it; null: neither.
   * A message of others that speaks of the person is neither.
   */
  readonly relation: (row: Tables[T], person: Person, read: Reader) => Relation | Promise<Relation>
}

export type Relation = 'own' | 'named' | null

function belonging<T extends Table>(one: Belonging<T>): Belonging {
  // The list is walked without knowing the tables.
  return one as unknown as Belonging
}

const receiptsBySent = rowsBy('receipts', ['channel_message_sid'])

/**
 * In the order in which they are erased: first what lets the person be reached and seen, so that nothing more is made of them; then what was
 * made of their messages, while these still say whose they are.
 */
export const belongings: readonly Belonging[] = [
  belonging({
    table: 'bindings',
    key: ['service_sid', 'sid'],
    relation: (row, person) => (isIdentity(person, row.identity) ? 'own' : null),
  }),
  belonging({
    table: 'participants',
    key: ['conversation_sid', 'sid', 'service_sid'],
    relation: (row, person) => (isIdentity(person, row.identity) || isAddress(person, row.address) ? 'own' : null),
  }),
  belonging({
    table: 'users',
    key: ['service_sid', 'sid'],
    relation: (row, person) => (isIdentity(person, row.identity) ? 'own' : null),
  }),
  belonging({
    table: 'deliveries',
    key: ['service_sid', 'id'],
    relation: (row, person) =>
      hasSid(person, row.participant_sid) || isInForm(row, person) ? 'own' : isInResponses(row, person) ? 'named' : null,
  }),
  belonging({
    table: 'external_ids',
    key: ['id'],
    async relation(row, person, read) {
      if (hasSid(person, row.participant_sid)) return 'own'
      if (hasAddress(person, row.external_id) || isAddress(person, row.channel)) return 'own'
      if (row.channel_message_sid === null || !person.conversations.includes(row.conversation_sid ?? '')) return null
      const receipts = await read.all(receiptsBySent, { channel_message_sid: row.channel_message_sid })
      return receipts.some((receipt) => hasSid(person, receipt.participant_sid)) ? 'own' : null
    },
  }),
  belonging({
    table: 'receipts',
    key: ['conversation_sid', 'message_sid', 'sid', 'service_sid'],
    relation: (row, person) => (hasSid(person, row.participant_sid) ? 'own' : null),
  }),
  belonging({
    table: 'media',
    key: ['service_sid', 'sid'],
    async relation(row, person, read) {
      const { service_sid, conversation_sid, message_sid, category } = row
      const named = isNamed(person, row.author) ? 'named' : null
      if (message_sid === null || conversation_sid === null) return named && 'own'
      if (!person.conversations.includes(conversation_sid)) return named
      const message = await read.one(messageBySid, { service_sid, conversation_sid, sid: message_sid })
      if (message && isAuthor(person, message)) return 'own'
      return quoting.includes(category) ? 'named' : named
    },
  }),
  belonging({
    table: 'messages',
    key: ['conversation_sid', 'sid', 'service_sid'],
    relation(row, person) {
      if (isAuthor(person, row)) return 'own'
      if (isNamed(person, row.last_updated_by) || hasAddressInJson(person, row.channel_metadata)) return 'named'
      // Whole mails of others, with the headers and quotations of everybody in the conversation.
      return person.conversations.includes(row.conversation_sid) && quotes(row.media).length > 0 ? 'named' : null
    },
  }),
  belonging({
    table: 'conversations',
    key: ['service_sid', 'sid'],
    relation: (row, person) => (isNamed(person, row.created_by) ? 'named' : null),
  }),
  belonging({
    table: 'mutations',
    key: ['service_sid', 'id'],
    relation: ({ id }, person) => (person.users.some((user) => id.startsWith(`${user} `)) ? 'own' : null),
  }),
  belonging({
    table: 'mail_blocks',
    key: ['account_sid', 'address'],
    relation: (row, person) => (isAddress(person, row.address) ? 'own' : null),
  }),
  // What a mirror has left behind: an account that follows a hosted one erases nobody.
  belonging({
    table: 'mirror_work',
    key: ['account_sid', 'key'],
    relation({ key, targets, error }, person) {
      const all = [key, ...parseStored<string[]>(targets ?? '[]')]
      return all.some((target) => isTargetOf(person, target)) || (error !== null && mentions(person, error)) ? 'own' : null
    },
  }),
  belonging({
    table: 'mirrors',
    key: ['account_sid'],
    relation: ({ report }, person) => (report !== null && withoutDifferencesOf(person, report) !== report ? 'named' : null),
  }),
]

/** Whether a person is named in what was to be read of a hosted account: words that are percent-encoded. */
function isTargetOf(person: Person, target: string): boolean {
  return target.split(' ').some((word) => {
    const text = decodeURIComponent(word)
    return isNamed(person, text) || hasSid(person, text)
  })
}

interface Differing {
  readonly sid: string
  readonly target: string
}

/** Returns the report of a comparison without differences in rows of the person; the same text when there are none. */
export function withoutDifferencesOf(person: Person, report: string): string {
  const parsed = parseStored<{ readonly differences: readonly Differing[] }>(report)
  const differences = parsed.differences.filter(({ sid, target }) => !hasSid(person, sid) && !isTargetOf(person, target))
  return differences.length === parsed.differences.length ? report : JSON.stringify({ ...parsed, differences })
}

/** The parts of a mail that hold more than its author wrote: the mail as it came, and what it quotes. */
export const quoting: readonly MediaRow['category'][] = ['source', 'history']

/** Returns these parts of a message. */
export function quotes(media: string | null): readonly MediaJson[] {
  if (media === null) return []
  return parseStored<MediaJson[]>(media).filter(({ category }) => category !== undefined && quoting.includes(category))
}

function isAuthor(person: Person, { author, participant_sid }: MessageRow): boolean {
  return isNamed(person, author) || hasSid(person, participant_sid)
}

function isIdentity(person: Person, identity: string | null): boolean {
  return !person.by_address && isNamed(person, identity)
}

function isAddress(person: Person, address: string | null): boolean {
  return person.by_address && isNamed(person, address)
}

/** What a webhook, a message or a push says. */
function isInForm({ form, kind }: Tables['deliveries'], person: Person): boolean {
  const values = Object.values(parseStored<Record<string, unknown>>(form)).filter((value) => typeof value === 'string')
  if (values.some((value) => isNamed(person, value) || hasSid(person, value) || hasAddress(person, value))) return true
  return kind === 'push' && values.some((value) => mentions(person, value))
}

/**
 * What a receiver has responded about a conversation of the person, whatever it says, and where else it names them: nobody knows what
 * receivers call people.
 */
function isInResponses({ responses, subject_sid }: Tables['deliveries'], person: Person): boolean {
  if (responses === null) return false
  const kept = responsesOf({ responses }).filter((response) => response !== null)
  if (person.conversations.includes(subject_sid) || person.users.includes(subject_sid))
    return kept.some(({ body }) => body !== '')
  return kept.some(({ headers, body }) => [...headers.map(([, value]) => value), body].some((text) => mentions(person, text)))
}

/** Rows that one read walks over: the event loop waits for it. */
const batch = 500

/** A batch of a table's rows, and which of them are the person's. */
export interface Batch {
  readonly belonging: Belonging
  readonly rows: readonly Found[]
  /** The key of the last row that was walked over; null when the table has no more. */
  readonly after: Key | null
}

export interface Found {
  readonly relation: 'own' | 'named'
  readonly row: Row
}

export type Row = Readonly<Record<string, unknown>>
export type Key = Readonly<Record<string, string>>

/** Walks over a batch of a table, from behind a key on. */
export async function walk(read: Reader, belonging: Belonging, person: Person, after: Key | null): Promise<Batch> {
  const { table, key } = belonging
  const query = rowsAfter(table, key, 'all')
  const start = key.map((column) => [`after_${column}`, after?.[column] ?? ''])
  const rows = await read.all(query, { ...Object.fromEntries(start), limit: batch })
  const found: Found[] = []
  for (const row of rows) {
    const relation = await relationOf(belonging, row, person, read)
    if (relation) found.push({ relation, row })
  }
  const last = rows.length === batch ? rows.at(-1) : undefined
  return { belonging, rows: found, after: last ? keyOf(belonging, last) : null }
}

/** Returns what a row of the table is to the person. */
export async function relationOf({ table, relation }: Belonging, row: Row, person: Person, read: Reader): Promise<Relation> {
  const ofAccount = table === 'mutations' || row.account_sid === person.account_sid
  // As it was selected from the table.
  return ofAccount ? relation(row as unknown as Tables[Table], person, read) : null
}

/** Returns the primary key of a row. */
export function keyOf({ key }: Belonging, row: Row): Key {
  return Object.fromEntries(key.map((column) => [column, String(row[column])]))
}

/** Returns the name under which a row is counted that is erased, or would be. */
export function countedAs({ table }: Belonging, { relation, row }: Found, messages: ErasureRow['messages']): string {
  if (table === 'deliveries' && relation === 'named') return 'responses'
  if (table === 'deliveries' && row.status === 'pending') return 'pending_deliveries'
  if (table !== 'messages') return relation === 'named' && table === 'media' ? 'media_of_others' : table
  if (relation === 'named') return 'messages_of_others'
  return messages === 'delete' ? 'messages_deleted' : 'messages_redacted'
}

/** All these names. */
export const counted = [
  ...belongings.map(({ table }) => table).filter((table) => table !== 'messages'),
  ...['messages_redacted', 'messages_deleted', 'messages_of_others', 'media_of_others', 'pending_deliveries', 'responses'],
]
