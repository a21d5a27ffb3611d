import { sql } from 'kysely'
import type { Tx } from '../storage/database.ts'
import type { ParticipantRow } from '../storage/schema.ts'
import { shape } from '../storage/shapes.ts'
import { announce, announceEnd } from './client-events.ts'
import { membershipsMap, rosterMap } from './sync-objects.ts'

/*
 * The end of everything that somebody or something is part of, up to 1,000 memberships, numbered in two statements: one by one, they
 * would hold up everybody else's writes.
 */

interface OfConversation {
  readonly service_sid: string
  readonly conversation_sid: string
}

/** Each user has one membership in a conversation: one number each. */
const countMembers = shape<OfConversation>()((db, a) =>
  db
    .updateTable('users')
    .set((eb) => ({ last_event_id: eb('last_event_id', '+', 1) }))
    .where('service_sid', '=', a.service_sid)
    .where('sid', 'in', (eb) =>
      eb
        .selectFrom('participants')
        .select(sql<string>`user_sid`.as('sid'))
        .where('service_sid', '=', a.service_sid)
        .where('conversation_sid', '=', a.conversation_sid),
    ),
)

const buryMembers = shape<OfConversation & { readonly map: string; readonly now: number }>()((db, a) =>
  db
    .insertInto('tombstones')
    .columns(['service_sid', 'object', 'event_id', 'created_event_id', 'id', 'item', 'date_created'])
    .expression((eb) =>
      eb
        .selectFrom('participants')
        .innerJoin('users', (join) =>
          join.onRef('users.service_sid', '=', 'participants.service_sid').onRef('users.sid', '=', 'participants.user_sid'),
        )
        .select([
          'users.service_sid',
          sql<string>`users.sid || ${a.map}`.as('object'),
          'users.last_event_id',
          'participants.membership_created_event_id',
          sql<string>`users.sid || ${a.map} || ' ' || cast(users.last_event_id as text)`.as('id'),
          'participants.conversation_sid',
          sql<number>`cast(${a.now} as bigint)`.as('date_created'),
        ])
        .where('participants.service_sid', '=', a.service_sid)
        .where('participants.conversation_sid', '=', a.conversation_sid),
    ),
)

/** Numbers the end of all memberships in a conversation that is removed. `members`: all of them. */
export async function buryMemberships(
  tx: Tx,
  key: OfConversation,
  members: readonly Pick<ParticipantRow, 'user_sid'>[],
  now: number,
): Promise<void> {
  if (members.length > 0) {
    await tx.run(countMembers, key)
    await tx.run(buryMembers, { ...key, map: membershipsMap(''), now })
  }
  for (const { user_sid } of members) if (user_sid !== null) announceEnd(tx, key.conversation_sid, user_sid)
}

interface OfUser {
  readonly service_sid: string
  readonly identity: string
}

/** `open` is a literal: a parameter would not match the partial index. */
const countRosters = shape<OfUser>()((db, a) =>
  db
    .updateTable('conversations')
    .set((eb) => ({ last_event_id: eb('last_event_id', '+', 1) }))
    .where('service_sid', '=', a.service_sid)
    .where('sid', 'in', (eb) =>
      eb
        .selectFrom('participants')
        .select('conversation_sid')
        .where('service_sid', '=', a.service_sid)
        .where('identity', '=', a.identity)
        .where('open', '=', sql.lit(1)),
    ),
)

const buryInRosters = shape<OfUser & { readonly map: string; readonly now: number }>()((db, a) =>
  db
    .insertInto('tombstones')
    .columns(['service_sid', 'object', 'event_id', 'created_event_id', 'id', 'item', 'date_created'])
    .expression((eb) =>
      eb
        .selectFrom('participants')
        .innerJoin('conversations', (join) =>
          join
            .onRef('conversations.service_sid', '=', 'participants.service_sid')
            .onRef('conversations.sid', '=', 'participants.conversation_sid'),
        )
        .select([
          'conversations.service_sid',
          sql<string>`conversations.sid || ${a.map}`.as('object'),
          'conversations.last_event_id',
          'participants.created_event_id',
          sql<string>`conversations.sid || ${a.map} || ' ' || cast(conversations.last_event_id as text)`.as('id'),
          'participants.sid',
          sql<number>`cast(${a.now} as bigint)`.as('date_created'),
        ])
        .where('participants.service_sid', '=', a.service_sid)
        .where('participants.identity', '=', a.identity)
        .where('participants.open', '=', sql.lit(1)),
    ),
)

/**
 * Numbers the end of all memberships in open conversations of a user who is removed, for those who see the rosters. `members`: all of
 * them. Nobody keeps a copy of what was the user's own.
 */
export async function buryInOpenRosters(
  tx: Tx,
  key: OfUser,
  members: readonly Pick<ParticipantRow, 'conversation_sid' | 'user_sid'>[],
  now: number,
): Promise<void> {
  if (members.length > 0) {
    await tx.run(countRosters, key)
    await tx.run(buryInRosters, { ...key, map: rosterMap(''), now })
  }
  for (const { conversation_sid, user_sid } of members) {
    announce(tx, rosterMap(conversation_sid))
    if (user_sid !== null) announceEnd(tx, conversation_sid, user_sid)
  }
}
