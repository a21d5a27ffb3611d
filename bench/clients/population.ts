import { conversationDocument, infoMap, membershipsMap, messagesList, rosterMap } from '../../src/resources/sync-objects.ts'
import { newSid } from '../../src/sids.ts'
import { participantOf, userOf } from '../chat-population.ts'
import type { Filling } from '../contents.ts'
import { type Population, rowOf, sidOf } from '../population.ts'

/** Who is in which conversation: one with everybody of the first group, some for the rate, many for those who come back. */
export interface People {
  /** In conversation 0. */
  readonly large: number
  /** Conversations after it, each with `each` members of its own. */
  readonly rooms: number
  /** Conversations after those, which as many users share: each has `each` members, and each user is in `each` of them. */
  readonly shared: number
  readonly each: number
  /** More users, who are in none. */
  readonly idle: number
}

/** Users by group, in the order of their numbers. */
export function groupsOf({ large, rooms, shared, each, idle }: People) {
  const inRooms = large + rooms * each
  return {
    large: range(0, large),
    rooms: range(large, inRooms),
    shared: range(inRooms, inRooms + shared),
    all: range(0, inRooms + shared + idle),
  }
}

function range(from: number, to: number): number[] {
  return Array.from({ length: Math.max(0, to - from) }, (_, i) => from + i)
}

export function conversationsOf({ rooms, shared }: People): number {
  return 1 + rooms + shared
}

export function identityOf(user: number): string {
  return `user-${user}`
}

/** Returns the conversations of a user. */
function conversationsOfUser({ large, rooms, shared, each }: People, user: number): number[] {
  if (user < large) return [0]
  if (user < large + rooms * each) return [1 + Math.floor((user - large) / each)]
  const number = user - large - rooms * each
  if (number >= shared) return []
  // In others each time, so that no two users share more than a few.
  return range(0, each).map((i) => 1 + rooms + ((number + i * (Math.floor(shared / each) + 1)) % shared))
}

/** SIDs that the bench and the database have to agree on. */
export interface Sids {
  readonly users: readonly string[]
}

export function newSids(people: People, nowMs: number): Sids {
  return { users: groupsOf(people).all.map(() => newSid('user', nowMs)) }
}

export function clientsFilling(people: People, sids: Sids, population: Population, nowMs: number): Filling {
  return (insert, owner) => {
    const conversation = (i: number) => ({
      ...rowOf(population, i, owner, nowMs),
      ...{
        state: 'active' as const,
        inactive_after: null,
        closed_after: null,
        date_inactive: null,
        date_closed: null,
        next_due: null,
      },
    })
    const members = sids.users.flatMap((user_sid, user) =>
      conversationsOfUser(people, user).map((in_) => ({ user, user_sid, in_ })),
    )
    insert('conversations', population.rows, conversation)
    insert('users', sids.users.length, (i) => userOf(owner, identityOf(i), sids.users[i] as string, nowMs))
    insert('participants', members.length, (i) => {
      const { user, user_sid, in_ } = members[i] as (typeof members)[number]
      return participantOf({ owner, identity: identityOf(user), user_sid }, conversation(in_))
    })
  }
}

/** Returns what the client SDK of each of these users follows. `alone`: only what is their own, not their conversations. */
export function clientsOf(people: People, sids: Sids, population: Population, users: readonly number[], alone = false) {
  return users.map((user) => {
    const own = [membershipsMap(sids.users[user] as string), infoMap(sids.users[user] as string)]
    const shared = alone ? [] : conversationsOfUser(people, user).map((i) => sidOf(population, i))
    return {
      identity: identityOf(user),
      objects: [...own, ...shared.flatMap((sid) => [conversationDocument(sid), messagesList(sid), rosterMap(sid)])],
    }
  })
}
