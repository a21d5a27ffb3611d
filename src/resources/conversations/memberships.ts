import { type ExpressionBuilder, sql } from 'kysely'
import type { Facts, Slice } from '../../model/declare.ts'
import { isSid } from '../../sids.ts'
import type { Reader } from '../../storage/database.ts'
import { conversationByName, conversationBySid, participantByIdentity } from '../../storage/lookups.ts'
import type { ConversationRow, ParticipantRow, Tables, UserRow } from '../../storage/schema.ts'
import { type Builder, type Shape, shape } from '../../storage/shapes.ts'
import { elapse } from './lifecycle.ts'

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

/** Whose conversations: of a user by activity, of anybody by the conversations' SIDs. */
export type Member =
  | { readonly user: Pick<UserRow, 'sid' | 'identity'> }
  | { readonly identity: string }
  | { readonly address: string }

type MemberKind = 'user' | 'identity' | 'address'

interface PageArgs {
  readonly service_sid: string
  /** The identity or the address. */
  readonly member: string
  /** Of a user. */
  readonly user_sid: string | null
  readonly after_key: number | string | undefined
  readonly after_sid: string | undefined
  readonly limit: number
}

type Joined = ParticipantRow & { date_activity: number; unread: number } & {
  [K in keyof ConversationColumns as `conversation_${K}`]: ConversationColumns[K]
}

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
function keysOfUser(db: Builder, a: PageArgs, slice: Slice) {
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

/** The keys of a page of somebody's conversations, in the order of an index. */
function keysOfMember(db: Builder, a: PageArgs, column: 'identity' | 'address', slice: Slice) {
  const { direction } = slice
  return joined(db, a)
    .select(['p.conversation_sid', 'p.sid', 'c.date_activity'])
    .where(`p.${column}`, '=', a.member)
    .where(({ exists, not, selectFrom }) =>
      not(exists(selectFrom('removals as r').select('r.sid').whereRef('r.sid', '=', 'p.user_sid'))),
    )
    .where(isBehind('p.conversation_sid', a, slice))
    .orderBy('p.conversation_sid', direction)
    .orderBy('p.sid', direction)
    .limit(a.limit)
}

/** Finds the keys of one page; whole rows are read for that page only. */
function pageQuery(kind: MemberKind, slice: Slice): Shape<PageArgs, Joined> {
  return shape<PageArgs>()((db, a) => {
    const keys = kind === 'user' ? keysOfUser(db, a, slice) : keysOfMember(db, a, kind, slice)
    return db
      .selectFrom(keys.as('page'))
      .innerJoin('participants as p', (on) =>
        on.onRef('p.conversation_sid', '=', 'page.conversation_sid').onRef('p.sid', '=', 'page.sid'),
      )
      .innerJoin('conversations as c', (on) =>
        on.onRef('c.service_sid', '=', 'p.service_sid').onRef('c.sid', '=', 'p.conversation_sid'),
      )
      .selectAll('p')
      .where('p.service_sid', '=', a.service_sid)
      .select('page.date_activity')
      .select(conversationColumns.map((name) => `c.${name} as conversation_${name}` as const))
      .select((eb) =>
        eb
          .selectFrom(
            eb
              .selectFrom('messages as m')
              .select('m.sid')
              .where('m.service_sid', '=', a.service_sid)
              .whereRef('m.conversation_sid', '=', 'p.conversation_sid')
              .whereRef('m.message_index', '>', 'p.last_read_message_index')
              .limit(kind === 'user' ? maxUnread : 0)
              .as('some'),
          )
          .select((counted) => counted.fn.countAll<number>().as('messages'))
          .as('unread'),
      )
      .orderBy(kind === 'user' ? 'page.date_activity' : 'page.conversation_sid', slice.direction)
      .orderBy('page.sid', slice.direction)
    // The aliases are computed, which the builder cannot follow.
  }) as unknown as Shape<PageArgs, Joined>
}

const pageQueries = new Map<string, Shape<PageArgs, Joined>>()

/** Returns the query of a page, compiled once for each form. */
function cachedPageQuery(kind: MemberKind, slice: Slice): Shape<PageArgs, Joined> {
  const name = `${kind} ${slice.direction} ${slice.after && (slice.after.inclusive ? 'from' : 'behind')}`
  const query = pageQueries.get(name) ?? pageQuery(kind, slice)
  pageQueries.set(name, query)
  return query
}

/** Reads a page of a member's conversations, closed ones included. Unread messages are counted for a user. */
export async function membershipPage(
  read: Reader,
  { service, now }: Facts,
  whose: Member,
  slice: Slice,
): Promise<MembershipRow[]> {
  const { after, limit } = slice
  const [kind, member, user_sid]: readonly [MemberKind, string, string | null] =
    'user' in whose
      ? ['user', whose.user.identity, whose.user.sid]
      : 'identity' in whose
        ? ['identity', whose.identity, null]
        : ['address', whose.address, null]
  const rows = await read.all(cachedPageQuery(kind, slice), {
    service_sid: service?.sid ?? '',
    member,
    user_sid,
    after_key: after?.key,
    after_sid: after?.sid,
    limit,
  })
  return rows.map((row) => {
    // One entry for each name of `conversationColumns`.
    const conversation = Object.fromEntries(
      conversationColumns.map((name) => [name, row[`conversation_${name}`]]),
    ) as unknown as ConversationColumns
    const counted = kind === 'user' && row.last_read_message_index !== null
    return { ...row, conversation: elapse(conversation, now) ?? conversation, unread: counted ? row.unread : null }
  })
}
