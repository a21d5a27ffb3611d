import { type ExpressionBuilder, sql } from 'kysely'
import type { BaseRow, Facts, Slice } from '../../model/declare.ts'
import { isSid } from '../../sids.ts'
import type { Reader } from '../../storage/database.ts'
import { conversationByName, conversationBySid, participantByIdentity } from '../../storage/lookups.ts'
import type { ConversationRow, ParticipantRow, Tables, UserRow } from '../../storage/schema.ts'
import { type Builder, type Shape, shape } from '../../storage/shapes.ts'
import { elapse } from './lifecycle.ts'
import { bindingColumns } from './participants/messaging-binding.ts'

/** The columns of the conversation that the lists of memberships represent. */
const conversationColumns = [
  'friendly_name',
  'unique_name',
  'attributes',
  'state',
  'date_state',
  'initial_state',
  'date_inactive',
  'date_closed',
  'next_due',
  'created_by',
  'date_created',
  'date_updated',
] as const satisfies readonly (keyof ConversationRow)[]

type ConversationColumns = Pick<ConversationRow, (typeof conversationColumns)[number]>

/** The same, as columns of a joined row. */
type JoinedColumns = { readonly [K in keyof ConversationColumns as `conversation_${K}`]: ConversationColumns[K] }

const joinedColumns = conversationColumns.map((name) => `c.${name} as conversation_${name}` as const)

/** The columns of the participant in the lists of a member, but for those that all have in common. */
const memberColumns = [
  'conversation_sid',
  'sid',
  'identity',
  'user_sid',
  ...bindingColumns,
] as const satisfies readonly (keyof ParticipantRow)[]

/** A participant joined with its conversation, deadlines that have passed applied. Lists read the columns that they show. */
export type MemberRow = Pick<ParticipantRow, (typeof memberColumns)[number] | 'account_sid' | 'service_sid' | keyof BaseRow> &
  JoinedColumns

/** A participant joined with its conversation. */
export interface MembershipRow extends ParticipantRow {
  /** Of the conversation; the lists are in its order. */
  readonly date_activity: number
  /** With deadlines that have passed applied. */
  readonly conversation: ConversationColumns
  /** Number of messages after the last one read, at most `maxUnread`; null if none has been read or it was not requested. */
  readonly unread: number | null
}

/** The vendor's maximum. */
const maxUnread = 1000

interface Horizon {
  readonly service_sid: string
  readonly conversation_sid: string
  readonly last_read_message_index: number
}

/** Reads at most `maxUnread` messages. */
const countUnread = shape<Horizon>()((db, a) =>
  db
    .selectFrom((eb) =>
      eb
        .selectFrom('messages')
        .select('sid')
        .where('service_sid', '=', a.service_sid)
        .where('conversation_sid', '=', a.conversation_sid)
        .where('message_index', '>', a.last_read_message_index)
        .limit(maxUnread)
        .as('some'),
    )
    .select((eb) => eb.fn.countAll<number>().as('unread')),
)

/** Reads the membership of a user in a conversation, given by SID or unique name; undefined when there is none. */
export async function membershipIn(
  read: Reader,
  { service, now }: Pick<Facts, 'service' | 'now'>,
  user: Pick<UserRow, 'sid' | 'identity'>,
  name: string,
): Promise<MembershipRow | undefined> {
  const service_sid = service?.sid ?? ''
  const found = isSid('conversation', name)
    ? await read.one(conversationBySid, { service_sid, sid: name })
    : await read.one(conversationByName, { service_sid, unique_name: name })
  const member =
    found && (await read.one(participantByIdentity, { service_sid, conversation_sid: found.sid, identity: user.identity }))
  // An earlier user of that identity may be on the way out of a closed conversation.
  if (!found || !member || member.user_sid !== user.sid) return undefined
  const { conversation_sid, last_read_message_index } = member
  const counted =
    last_read_message_index === null
      ? undefined
      : await read.one(countUnread, { service_sid, conversation_sid, last_read_message_index })
  const conversation = elapse(found, now) ?? found
  return { ...member, date_activity: found.date_activity, conversation, unread: counted?.unread ?? null }
}

/** Whose conversations, whether there is a user of that identity or not. */
export type Member = { readonly identity: string } | { readonly address: string }

interface PageArgs {
  readonly service_sid: string
  /** The identity or the address. */
  readonly member: string
  readonly after_key: number | string | undefined
  readonly after_sid: string | undefined
  readonly limit: number
}

interface UserPageArgs extends PageArgs {
  readonly user_sid: string
}

type Joined = ParticipantRow & JoinedColumns & { readonly date_activity: number; readonly unread: number }

/** Memberships joined with their conversations. A cross join: SQLite keeps its order; else it would scan all conversations. */
function joined(db: Builder, a: PageArgs) {
  return db
    .selectFrom('participants as p')
    .crossJoin('conversations as c')
    .whereRef('c.service_sid', '=', 'p.service_sid')
    .whereRef('c.sid', '=', 'p.conversation_sid')
    .where('p.service_sid', '=', a.service_sid)
}

/** Whether a key is behind that of the page before. */
function isBehind(column: 'c.date_activity' | 'p.closed_activity' | 'p.conversation_sid', a: PageArgs, slice: Slice) {
  return ({ eb, refTuple, tuple, lit }: ExpressionBuilder<JoinedTables, 'p' | 'c'>) =>
    slice.after === null
      ? lit(true)
      : eb(
          refTuple(column, 'p.sid'),
          // The builder knows only the operators' own types; a key of a page is there whenever `after` is.
          `${slice.direction === 'asc' ? '>' : '<'}${slice.after.inclusive ? '=' : ''}` as '>',
          tuple(a.after_key as string, a.after_sid as string) as never,
        )
}

type JoinedTables = Tables & { p: ParticipantRow; c: ConversationRow }

/**
 * The keys of a user's page. Memberships in open conversations are sorted: there are at most `maxOpen` of them, and no column of
 * a conversation is copied to them, since every message would have to update them all. A closed conversation has no more
 * messages: those memberships have their place in an index for good.
 */
function keysOfUser(db: Builder, a: UserPageArgs, slice: Slice) {
  const { direction } = slice
  const open = joined(db, a)
    .select(['p.conversation_sid', 'p.sid', 'c.date_activity'])
    .where('p.identity', '=', a.member)
    .where('p.open', '=', sql.lit(1))
    .where(isBehind('c.date_activity', a, slice))
    .orderBy('c.date_activity', direction)
    .orderBy('p.sid', direction)
    .limit(a.limit)
  const closed = joined(db, a)
    .select(['p.conversation_sid', 'p.sid', 'p.closed_activity as date_activity'])
    .where('p.user_sid', '=', a.user_sid)
    .where('p.open', '=', sql.lit(0))
    .where(isBehind('p.closed_activity', a, slice))
    .orderBy('p.closed_activity', direction)
    .orderBy('p.sid', direction)
    .limit(a.limit)
  return db
    .selectFrom(open.as('open'))
    .selectAll()
    .unionAll(
      db.selectFrom(closed.as('closed')).selectAll().$castTo<{ conversation_sid: string; sid: string; date_activity: number }>(),
    )
    .orderBy('date_activity', direction)
    .orderBy('sid', direction)
    .limit(a.limit)
}

/** A page of somebody's conversations, in the order of an index. */
function memberQuery(column: 'identity' | 'address', slice: Slice): Shape<PageArgs, MemberRow> {
  const { direction } = slice
  return shape<PageArgs>()(
    (db, a) =>
      joined(db, a)
        .select(memberColumns.map((name) => `p.${name}` as const))
        .select(joinedColumns)
        .where(`p.${column}`, '=', a.member)
        .where(({ exists, not, selectFrom }) =>
          not(exists(selectFrom('removals as r').select('r.sid').whereRef('r.sid', '=', 'p.user_sid'))),
        )
        .where(isBehind('p.conversation_sid', a, slice))
        .orderBy('p.conversation_sid', direction)
        .orderBy('p.sid', direction)
        .limit(a.limit),
    // The aliases are computed, which the builder cannot follow.
  ) as unknown as Shape<PageArgs, MemberRow>
}

/** Finds the keys of one page; whole rows are read for that page only. */
function userQuery(slice: Slice): Shape<UserPageArgs, Joined> {
  return shape<UserPageArgs>()(
    (db, a) =>
      db
        .selectFrom(keysOfUser(db, a, slice).as('page'))
        .innerJoin('participants as p', (on) =>
          on.onRef('p.conversation_sid', '=', 'page.conversation_sid').onRef('p.sid', '=', 'page.sid'),
        )
        .innerJoin('conversations as c', (on) =>
          on.onRef('c.service_sid', '=', 'p.service_sid').onRef('c.sid', '=', 'p.conversation_sid'),
        )
        .selectAll('p')
        .where('p.service_sid', '=', a.service_sid)
        .select('page.date_activity')
        .select(joinedColumns)
        .select((eb) =>
          eb
            .selectFrom(
              eb
                .selectFrom('messages as m')
                .select('m.sid')
                .where('m.service_sid', '=', a.service_sid)
                .whereRef('m.conversation_sid', '=', 'p.conversation_sid')
                .whereRef('m.message_index', '>', 'p.last_read_message_index')
                .limit(maxUnread)
                .as('some'),
            )
            .select((counted) => counted.fn.countAll<number>().as('messages'))
            .as('unread'),
        )
        .orderBy('page.date_activity', slice.direction)
        .orderBy('page.sid', slice.direction),
    // As above.
  ) as unknown as Shape<UserPageArgs, Joined>
}

/** Returns a function that makes the query of a page, compiled once for each form. */
function cached<Key extends string, Query>(make: (key: Key, slice: Slice) => Query): (key: Key, slice: Slice) => Query {
  const queries = new Map<string, Query>()
  return (key, slice) => {
    const name = `${key} ${slice.direction} ${slice.after && (slice.after.inclusive ? 'from' : 'behind')}`
    const query = queries.get(name) ?? make(key, slice)
    queries.set(name, query)
    return query
  }
}

const cachedMemberQuery = cached(memberQuery)
const cachedUserQuery = cached((_key: 'user', slice) => userQuery(slice))

function pageArgs({ service }: Pick<Facts, 'service'>, member: string, { after, limit }: Slice): PageArgs {
  return { service_sid: service?.sid ?? '', member, after_key: after?.key, after_sid: after?.sid, limit }
}

/** Reads a page of somebody's conversations by their SIDs, closed ones included. */
export async function pageOfMember(read: Reader, facts: Facts, whose: Member, slice: Slice): Promise<MemberRow[]> {
  const [column, member] = 'identity' in whose ? (['identity', whose.identity] as const) : (['address', whose.address] as const)
  const rows = await read.all(cachedMemberQuery(column, slice), pageArgs(facts, member, slice))
  return rows.map((row) => elapsed(row, facts.now))
}

/** Reads a page of a user's conversations by activity, closed ones included, with their unread messages counted. */
export async function pageOfUser(
  read: Reader,
  facts: Facts,
  user: Pick<UserRow, 'sid' | 'identity'>,
  slice: Slice,
): Promise<MembershipRow[]> {
  const rows = await read.all(cachedUserQuery('user', slice), { ...pageArgs(facts, user.identity, slice), user_sid: user.sid })
  return rows.map((row) => {
    const conversation = conversationOf(row)
    const unread = row.last_read_message_index === null ? null : row.unread
    return { ...row, conversation: elapse(conversation, facts.now) ?? conversation, unread }
  })
}

/** Applies deadlines of its conversation that have passed to a row. */
function elapsed(row: MemberRow, now: number): MemberRow {
  const after = row.conversation_next_due === null ? undefined : elapse(conversationOf(row), now)
  if (!after) return row
  const { state, date_inactive, date_closed, date_updated } = after
  return {
    ...row,
    conversation_state: state,
    conversation_date_inactive: date_inactive,
    conversation_date_closed: date_closed,
    conversation_date_updated: date_updated,
  }
}

function conversationOf(row: JoinedColumns): ConversationColumns {
  return {
    friendly_name: row.conversation_friendly_name,
    unique_name: row.conversation_unique_name,
    attributes: row.conversation_attributes,
    state: row.conversation_state,
    date_state: row.conversation_date_state,
    initial_state: row.conversation_initial_state,
    date_inactive: row.conversation_date_inactive,
    date_closed: row.conversation_date_closed,
    next_due: row.conversation_next_due,
    created_by: row.conversation_created_by,
    date_created: row.conversation_date_created,
    date_updated: row.conversation_date_updated,
  }
}
