import { defaultNotifications } from '../push/settings.ts'
import { announce } from '../resources/client-events.ts'
import { releaseParticipants } from '../resources/conversations/conversation.ts'
import { conversationDocument, infoMap, membershipsMap, messagesList, rosterMap } from '../resources/sync-objects.ts'
import type { Tx } from '../storage/database.ts'
import { conversationBySid, userByIdentity } from '../storage/lookups.ts'
import { updateNames } from '../storage/rows.ts'
import type { ConversationRow, UserRow } from '../storage/schema.ts'
import type { Loaded } from './loaded.ts'
import type { PreparedRow } from './prepare.ts'
import type { Columns, StoredRow } from './values.ts'

/** A row whose counters records of the batch move. */
interface Counted<Row> {
  readonly before: Row
  after: Row
  /** The batch has written the row itself: its numbers are new anyway. */
  readonly isNew: boolean
}

/**
 * What conversations and users count: indexes, messages that are gone, and the numbers of the changes that client SDKs are told of.
 * Held in memory for a batch, and saved once.
 */
export class Counters {
  readonly #tx: Tx
  readonly #conversations = new Map<string, Counted<ConversationRow>>()
  readonly #users = new Map<string, Counted<UserRow>>()
  readonly #announced = new Set<string>()

  constructor(tx: Tx) {
    this.#tx = tx
  }

  /** Reads and locks the conversation of a record once. */
  async conversation(service_sid: string, sid: string): Promise<ConversationRow | undefined> {
    const known = this.#conversations.get(sid)
    if (known) return known.after
    const row = await this.#tx.hold(conversationBySid, { service_sid, sid }, 'change')
    if (row && !this.#conversations.has(sid)) this.#conversations.set(sid, { before: row, after: row, isNew: false })
    return this.#conversations.get(sid)?.after
  }

  /** Reads and locks the user of an identity once. */
  async user(service_sid: string, identity: string): Promise<UserRow | undefined> {
    const name = `${service_sid} ${identity}`
    const known = this.#users.get(name)
    if (known) return known.after
    const row = await this.#tx.hold(userByIdentity, { service_sid, identity }, 'change')
    if (row && !this.#users.has(name)) this.#users.set(name, { before: row, after: row, isNew: false })
    return this.#users.get(name)?.after
  }

  /** Returns the columns of a new row that no record has. */
  ofNew(record: PreparedRow, columns: Columns, loaded: Loaded): Columns {
    switch (record.kind) {
      case 'service':
        return {
          pre_webhook_url: null,
          post_webhook_url: null,
          webhook_method: null,
          webhook_filters: null,
          reachability_enabled: 0,
          reachability_epoch: 0,
          replaced_roles: '{}',
          notifications: JSON.stringify(defaultNotifications),
        }
      case 'user':
        return {
          is_online: null,
          is_notifiable: null,
          reachability_epoch: loaded.service?.reachability_epoch ?? 0,
          last_event_id: 0,
        }
      case 'conversation':
        // Every index up to the last is that of a message that is gone, until the message comes.
        return {
          last_event_id: 0,
          webhook_count: 0,
          removed_messages: Number({ ...record.fallback, ...columns }.last_message_index) + 1,
        }
      case 'participant':
        return this.#numbered(record, loaded, true)
      case 'message': {
        const eventId = this.#nextOf(record.conversation_sid, messagesList)
        return { event_id: eventId, created_event_id: eventId }
      }
      default:
        return {}
    }
  }

  /** Returns the columns of an update that no record has. */
  ofUpdate(record: PreparedRow, loaded: Loaded): Columns {
    if (record.kind === 'participant') return this.#numbered(record, loaded, false)
    return record.kind === 'message' ? { event_id: this.#nextOf(record.conversation_sid, messagesList) } : {}
  }

  /** Returns what a record changes: an index that has been given is never given again. */
  merged(record: PreparedRow, columns: Columns, before: StoredRow): Columns {
    if (record.kind !== 'conversation' || columns.last_message_index === undefined) return columns
    const last = Math.max(Number(before.last_message_index), Number(columns.last_message_index))
    const removed = Number(before.removed_messages) + last - Number(before.last_message_index)
    return { ...columns, last_message_index: last, removed_messages: removed }
  }

  /** Counts a row that has been inserted. */
  created(record: PreparedRow, row: StoredRow): void {
    if (record.kind === 'conversation') this.#remember(record.sid, row, true)
    const counted = this.#conversations.get(record.conversation_sid ?? '')
    if (record.kind === 'conversation_webhook' && counted) {
      counted.after = { ...counted.after, webhook_count: counted.after.webhook_count + 1 }
    }
    if (record.kind === 'message' && counted) counted.after = withMessage(counted.after, row)
    if (record.kind === 'binding') {
      const user = this.#users.get(`${record.service_sid} ${row.identity}`)
      if (user) user.after = { ...user.after, is_notifiable: 1 }
    }
  }

  /** What follows from an update. */
  async afterUpdate(record: PreparedRow, before: StoredRow, after: StoredRow): Promise<void> {
    if (record.kind === 'user') this.#announce(infoMap(record.sid))
    if (record.kind === 'user' && before.role_sid !== after.role_sid) this.#tx.notify({ topic: 'access', sid: record.sid })
    if (record.kind === 'role') this.#tx.notify({ topic: 'access', sid: record.sid })
    if (record.kind !== 'conversation') return
    const row = this.#remember(record.sid, after, true)
    this.#announce(conversationDocument(record.sid))
    if (before.state !== 'closed' && row.state === 'closed') await this.#tx.run(releaseParticipants, row)
  }

  /** Writes what has been counted. */
  async save(): Promise<void> {
    const saved = [
      ...[...this.#conversations.values()].map((counted) => this.#save('conversations', counted)),
      ...[...this.#users.values()].map((counted) => this.#save('users', counted)),
    ]
    await Promise.all(saved)
    for (const { before, after } of this.#conversations.values()) {
      const isLate = after.state === 'closed' && after.date_activity !== before.date_activity
      if (isLate) await this.#tx.run(releaseParticipants, after)
    }
  }

  async #save<Row extends ConversationRow | UserRow>(table: 'conversations' | 'users', counted: Counted<Row>): Promise<void> {
    const { before, after, isNew } = counted
    const values: StoredRow = { ...after }
    const old: StoredRow = { ...before }
    const changed = Object.keys(values).filter((column) => values[column] !== old[column])
    if (changed.length === 0) return
    const isShown = !isNew && changed.some((column) => column !== 'last_event_id')
    const revision = isShown ? before.revision + 1 : before.revision
    const columns = [...new Set([...changed, ...(isShown ? ['revision'] : [])])]
    await this.#tx.run(updateNames(table, ['service_sid', 'sid'], columns), { ...values, revision })
    if (!isShown) return
    this.#tx.notify({ topic: 'changed', table, sid: after.sid, revision })
    this.#announce(table === 'users' ? infoMap(after.sid) : conversationDocument(after.sid))
  }

  /** The batch writes rows of its own: they have every column of the table. */
  #remember(sid: string, row: StoredRow, isNew: boolean): ConversationRow {
    const after = row as unknown as ConversationRow
    this.#conversations.set(sid, { before: after, after, isNew })
    return after
  }

  #numbered(record: PreparedRow, { user }: Loaded, isNew: boolean): Columns {
    const eventId = this.#nextOf(record.conversation_sid, rosterMap)
    const counted = user && this.#users.get(`${record.service_sid} ${user.identity}`)
    let membershipEventId = 0
    if (counted) {
      membershipEventId = counted.after.last_event_id + 1
      counted.after = { ...counted.after, last_event_id: membershipEventId }
      this.#announce(membershipsMap(counted.after.sid))
    }
    return {
      event_id: eventId,
      membership_event_id: membershipEventId,
      ...(isNew && { created_event_id: eventId, membership_created_event_id: membershipEventId }),
    }
  }

  #nextOf(conversation_sid: string | null, objectOf: (sid: string) => string): number {
    const counted = this.#conversations.get(conversation_sid ?? '')
    if (!counted) throw new Error('a record of a conversation that was not loaded')
    const eventId = counted.after.last_event_id + 1
    counted.after = { ...counted.after, last_event_id: eventId }
    this.#announce(objectOf(counted.after.sid))
    return eventId
  }

  #announce(object: string): void {
    if (this.#announced.has(object)) return
    this.#announced.add(object)
    announce(this.#tx, object)
  }
}

/** Counts a message: those between it and the last one are gone, until they come. */
function withMessage(row: ConversationRow, message: StoredRow): ConversationRow {
  const [index, at] = [Number(message.message_index), Number(message.date_created)]
  const last = Math.max(row.last_message_index, index)
  return {
    ...row,
    last_message_index: last,
    removed_messages: row.removed_messages + (last - row.last_message_index) - 1,
    date_activity: Math.max(row.date_activity, at),
  }
}
