import type { Facts, Slice } from '../../model/declare.ts'
import { isSid } from '../../sids.ts'
import type { Reader } from '../../storage/database.ts'
import { conversationBySid, participantByIdentity } from '../../storage/lookups.ts'
import { rowsBy } from '../../storage/rows.ts'
import type { ConversationRow, ParticipantRow } from '../../storage/schema.ts'
import { type Shape, shape } from '../../storage/shapes.ts'
import { elapse } from './lifecycle.ts'

/** The columns of the conversation that the lists of memberships represent. */
const conversation_columns = [
  'friendly_name',
  'unique_name',
  'attributes',
  'state',
  'initial_state',
  'date_inactive',
  'date_closed',
  'next_due',
  'created_by',
  'date_created',
  'date_updated',
] as const satisfies readonly (keyof ConversationRow)[]

type ConversationColumns = Pick<ConversationRow, (typeof conversation_columns)[number]>

/** A participant joined with its conversation. */
export interface MembershipRow extends ParticipantRow {
  /** Of the conversation; the lists are in its order. */
  readonly date_activity: number
  /** With deadlines that have passed applied. */
  readonly conversation: ConversationColumns
  /** Number of messages after the last one read, at most `max_unread`; null if none has been read or it was not requested. */
  readonly unread: number | null
}

/** The vendor's maximum. */
const max_unread = 1000

const conversationByName = rowsBy('conversations', ['service_sid', 'unique_name'])

interface Horizon {
  readonly service_sid: string
  readonly conversation_sid: string
  readonly last_read_message_index: number
}

/** Reads at most `max_unread` messages. */
const countUnread = shape<Horizon>()((db, a) =>
  db
    .selectFrom((eb) =>
      eb
        .selectFrom('messages')
        .select('sid')
        .where('service_sid', '=', a.service_sid)
        .where('conversation_sid', '=', a.conversation_sid)
        .where('message_index', '>', a.last_read_message_index)
        .limit(max_unread)
        .as('some'),
    )
    .select((eb) => eb.fn.countAll<number>().as('unread')),
)

/** Reads the membership of an identity in a conversation, given by SID or unique name; undefined when there is none. */
export async function membershipIn(
  read: Reader,
  { service, now }: Facts,
  identity: string,
  name: string,
): Promise<MembershipRow | undefined> {
  const service_sid = service?.sid ?? ''
  const found = isSid('conversation', name)
    ? await read.one(conversationBySid, { service_sid, sid: name })
    : await read.one(conversationByName, { service_sid, unique_name: name })
  const member = found && (await read.one(participantByIdentity, { service_sid, conversation_sid: found.sid, identity }))
  if (!member) return undefined
  const { conversation_sid, last_read_message_index } = member
  const counted =
    last_read_message_index === null
      ? undefined
      : await read.one(countUnread, { service_sid, conversation_sid, last_read_message_index })
  const conversation = elapse(found, now) ?? found
  return { ...member, date_activity: found.date_activity, conversation, unread: counted?.unread ?? null }
}

/** The column that identifies the member. */
export type MemberColumn = 'identity' | 'address'

interface PageArgs {
  readonly service_sid: string
  readonly member: string
  readonly after_key: number | string | undefined
  readonly after_sid: string | undefined
  readonly limit: number
}

type Joined = ParticipantRow & { date_activity: number; unread: number } & {
  [K in keyof ConversationColumns as `conversation_${K}`]: ConversationColumns[K]
}

/**
 * The inner query sorts all memberships and returns the keys of one page; whole rows are read for that page only. No column of a
 * conversation is copied to its participants: every message would have to update them all.
 */
function pageQuery(column: MemberColumn, unread: boolean, { direction, after }: Slice): Shape<PageArgs, Joined> {
  return shape<PageArgs>()((db, a) => {
    let page = db
      .selectFrom('participants as p')
      // A cross join: SQLite keeps its order; else it would scan all conversations of the service.
      .crossJoin('conversations as c')
      .whereRef('c.service_sid', '=', 'p.service_sid')
      .whereRef('c.sid', '=', 'p.conversation_sid')
      .select(['p.conversation_sid', 'p.sid', 'c.date_activity'])
      .where('p.service_sid', '=', a.service_sid)
      .where(`p.${column}`, '=', a.member)
    if (after) {
      page = page.where(({ eb, refTuple, tuple }) =>
        eb(
          refTuple('c.date_activity', 'p.sid'),
          // The builder knows only the operators' own types; a key of a page is there whenever `after` is.
          `${direction === 'asc' ? '>' : '<'}${after.inclusive ? '=' : ''}` as '>',
          tuple(a.after_key as number, a.after_sid as string),
        ),
      )
    }
    return db
      .selectFrom(page.orderBy('c.date_activity', direction).orderBy('p.sid', direction).limit(a.limit).as('page'))
      .innerJoin('participants as p', (on) =>
        on.onRef('p.conversation_sid', '=', 'page.conversation_sid').onRef('p.sid', '=', 'page.sid'),
      )
      .innerJoin('conversations as c', (on) =>
        on.onRef('c.service_sid', '=', 'p.service_sid').onRef('c.sid', '=', 'p.conversation_sid'),
      )
      .selectAll('p')
      .where('p.service_sid', '=', a.service_sid)
      .select('page.date_activity')
      .select(conversation_columns.map((name) => `c.${name} as conversation_${name}` as const))
      .select((eb) =>
        eb
          .selectFrom(
            eb
              .selectFrom('messages as m')
              .select('m.sid')
              .where('m.service_sid', '=', a.service_sid)
              .whereRef('m.conversation_sid', '=', 'p.conversation_sid')
              .whereRef('m.message_index', '>', 'p.last_read_message_index')
              .limit(unread ? max_unread : 0)
              .as('some'),
          )
          .select((counted) => counted.fn.countAll<number>().as('messages'))
          .as('unread'),
      )
      .orderBy('page.date_activity', direction)
      .orderBy('page.sid', direction)
    // The aliases are computed, which the builder cannot follow.
  }) as unknown as Shape<PageArgs, Joined>
}

const pageQueries = new Map<string, Shape<PageArgs, Joined>>()

/** Returns the query of a page, compiled once for each form. */
function cachedPageQuery(column: MemberColumn, unread: boolean, slice: Slice): Shape<PageArgs, Joined> {
  const name = `${column} ${unread} ${slice.direction} ${slice.after && (slice.after.inclusive ? 'from' : 'behind')}`
  const query = pageQueries.get(name) ?? pageQuery(column, unread, slice)
  pageQueries.set(name, query)
  return query
}

/** Reads a page of a member's conversations by their last activity, closed ones included. */
export async function membershipPage(
  read: Reader,
  { service, now }: Facts,
  { column, member, unread }: { column: MemberColumn; member: string; unread: boolean },
  slice: Slice,
): Promise<MembershipRow[]> {
  const { after, limit } = slice
  const rows = await read.all(cachedPageQuery(column, unread, slice), {
    service_sid: service?.sid ?? '',
    member,
    after_key: after?.key,
    after_sid: after?.sid,
    limit,
  })
  return rows.map((row) => {
    // One entry for each name of `conversation_columns`.
    const conversation = Object.fromEntries(
      conversation_columns.map((name) => [name, row[`conversation_${name}`]]),
    ) as unknown as ConversationColumns
    const counted = unread && row.last_read_message_index !== null
    return { ...row, conversation: elapse(conversation, now) ?? conversation, unread: counted ? row.unread : null }
  })
}
