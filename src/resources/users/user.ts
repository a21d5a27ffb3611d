import { sql } from 'kysely'
import { milliseconds } from '../../dates.ts'
import type { Payload } from '../../events/event.ts'
import { type Change, resource, rowOf } from '../../model/declare.ts'
import { createOnly, given, jsonText, required, sid, text } from '../../model/params.ts'
import { column, links, representation, selfUrl } from '../../model/representation.ts'
import { isSid } from '../../sids.ts'
import type { Tx } from '../../storage/database.ts'
import { insert, rowsBy } from '../../storage/rows.ts'
import type { ServiceRow, UserRow } from '../../storage/schema.ts'
import { shape } from '../../storage/shapes.ts'
import { buryInOpenRosters } from '../client-endings.ts'
import { announce, buryParticipant } from '../client-events.ts'
import { roleGiven } from '../role.ts'
import { withCurrentRole } from '../role-holders.ts'
import { infoMap } from '../sync-objects.ts'
import { withoutReachability, withReachability } from './reachability.ts'

/** The name by which the caller's application identifies a user. */
export const identity = text({
  max: 256,
  tooLong: 'identityTooLong',
  not: { test: (given) => isSid('user', given), refuse: 'identityLikeSid' },
  reserved: { words: ['system'], refuse: 'identityReserved' },
})

/** Returns the columns of a new user: one created by the API, or by the first use of an identity. */
export function newUser(service: ServiceRow, given: Pick<UserRow, 'identity'> & Partial<UserRow>) {
  return {
    service_sid: service.sid,
    account_sid: service.account_sid,
    identity: given.identity,
    friendly_name: given.friendly_name ?? null,
    attributes: given.attributes ?? '{}',
    role_sid: given.role_sid ?? service.default_chat_service_role_sid,
    is_online: null,
    is_notifiable: null,
    reachability_epoch: service.reachability_epoch,
    last_event_id: 0,
  }
}

/** Memberships in closed conversations that are deleted with the user; the others are deleted in batches. */
const maxClosedAtOnce = 200

/** They are limited in number. `open` is a literal: a parameter would not match the partial index. */
const openMemberships = shape<{ service_sid: string; identity: string }>()((db, a) =>
  db
    .selectFrom('participants')
    .selectAll()
    .where('service_sid', '=', a.service_sid)
    .where('identity', '=', a.identity)
    .where('open', '=', sql.lit(1)),
)
const deleteOpenMemberships = shape<{ service_sid: string; identity: string }>()((db, a) =>
  db
    .deleteFrom('participants')
    .where('service_sid', '=', a.service_sid)
    .where('identity', '=', a.identity)
    .where('open', '=', sql.lit(1)),
)
const closedMemberships = shape<{ service_sid: string; user_sid: string; max: number }>()((db, a) =>
  db
    .selectFrom('participants')
    .selectAll()
    .where('service_sid', '=', a.service_sid)
    .where('user_sid', '=', a.user_sid)
    .where('open', '=', sql.lit(0))
    .orderBy('closed_activity')
    .orderBy('sid')
    .limit(a.max),
)
const deleteClosedMemberships = shape<{ service_sid: string; user_sid: string; max: number }>()((db, a) =>
  db
    .deleteFrom('participants')
    .where('service_sid', '=', a.service_sid)
    .where(({ eb, refTuple, selectFrom }) =>
      eb(
        refTuple('conversation_sid', 'sid'),
        'in',
        selectFrom('participants')
          .select(['conversation_sid', 'sid'])
          .where('service_sid', '=', a.service_sid)
          .where('user_sid', '=', a.user_sid)
          .where('open', '=', sql.lit(0))
          .orderBy('closed_activity')
          .orderBy('sid')
          .limit(a.max)
          .$asTuple('conversation_sid', 'sid'),
      ),
    ),
)
const bindingsOf = rowsBy('bindings', ['service_sid', 'identity'])
const deleteBindings = shape<{ service_sid: string; identity: string }>()((db, a) =>
  db.deleteFrom('bindings').where('service_sid', '=', a.service_sid).where('identity', '=', a.identity),
)

/** https://www.twilio.com/docs/conversations/api/user-resource */
export const users = resource<UserRow>()({
  name: 'User',
  path: 'Users',
  countsFor: { create: 'service', update: 'service', remove: 'service' },
  under: 'service',
  table: 'users',
  searched: ['identity', 'friendly_name'],
  sid: 'user',
  alsoFoundBy: 'identity',
  unique: [{ column: 'identity', taken: 'userExists' }],
  params: {
    Identity: createOnly(required(identity)),
    FriendlyName: text({ max: 256, tooLong: 'friendlyNameTooLong' }),
    Attributes: jsonText(16_384),
    RoleSid: sid('role', 'roleNotFound'),
  },
  load: (read, p, { service }) => roleGiven(read, service, p.RoleSid, 'service'),
  create: (p, { service }, role) =>
    newUser(service, {
      identity: p.Identity ?? '',
      ...(p.FriendlyName && { friendly_name: p.FriendlyName }),
      ...(p.Attributes !== undefined && { attributes: p.Attributes }),
      ...(role && { role_sid: role.sid }),
    }),
  update: (before, p, _facts, role) => ({
    ...before,
    // observed: an empty FriendlyName clears it here.
    friendly_name: given(p.FriendlyName, before.friendly_name),
    attributes: p.Attributes ?? before.attributes,
    role_sid: role?.sid ?? before.role_sid,
  }),
  remove: () => {},
  /** Their revision is their number. */
  async number(tx, { before, after }) {
    if (before) announce(tx, infoMap(before.sid))
    return after
  },
  async afterWrite(tx: Tx, { before, after }, { now }) {
    if (before && before.role_sid !== after?.role_sid) tx.notify({ topic: 'access', sid: before.sid })
    if (after || !before) return
    // The user leaves every conversation; their messages remain.
    const { service_sid, sid: user_sid, identity } = before
    const open = await tx.all(openMemberships, { service_sid, identity })
    await buryInOpenRosters(tx, { service_sid, identity }, open, now)
    await tx.run(deleteOpenMemberships, before)
    const closed = await deleteClosed(tx, service_sid, user_sid, maxClosedAtOnce, now)
    if (closed === maxClosedAtOnce) {
      await insert(tx, 'removals', { sid: user_sid, date_created: now, service_sid })
      tx.notify({ topic: 'removal' })
    }
    const bindings = await tx.all(bindingsOf, { service_sid, identity })
    if (bindings.length > 0) await tx.run(deleteBindings, before)
    // A notice for each: its response may be cached.
    for (const { sid, revision } of bindings) tx.notify({ topic: 'changed', table: 'bindings', sid, revision })
  },
  cleanUp: async (tx, { sid: user_sid, service_sid, date_created }, max) =>
    service_sid === null ? 0 : deleteClosed(tx, service_sid, user_sid, max, date_created),
  current: (row, { service }) => withReachability(withCurrentRole(row, service), service),
  currentBy: ['role_sid', 'date_updated', 'is_online', 'is_notifiable', 'reachability_epoch'],
  represent: representation<UserRow>()({
    sid: column.word('sid'),
    account_sid: column.word('account_sid'),
    chat_service_sid: column.word('service_sid'),
    role_sid: column.word('role_sid'),
    identity: column.text('identity'),
    friendly_name: column.text('friendly_name'),
    attributes: column.text('attributes'),
    is_online: column.flag('is_online'),
    is_notifiable: column.flag('is_notifiable'),
    date_created: column.date('date_created'),
    date_updated: column.date('date_updated'),
    url: selfUrl,
    links: links({ user_conversations: 'Conversations' }),
  }),
  list: {
    key: 'users',
    size: 50,
    max: 1000,
    params: {},
    order: () => ({ by: 'date_created', direction: 'asc', where: [] }),
    shown: withoutReachability,
  },
  events: {
    preAction: { update: 'onUserUpdate' },
    preActionPayload: (change) => ({
      ...toPayload(change),
      DateUpdated: change.before && milliseconds(change.before.date_updated),
    }),
    amendable: {},
    emits: ['onUserAdded', 'onUserUpdated'],
    postAction: (change, { service }) => {
      const row = rowOf(change)
      if (change.verb === 'remove') return []
      const created = change.verb === 'create'
      const { is_online, is_notifiable } = withReachability(row, service)
      const reachability = !created && hasOtherReachability(change.before, change.after)
      if (reachability && service.reachability_enabled === 0) return []
      return [
        {
          type: created ? 'onUserAdded' : 'onUserUpdated',
          subject_sid: row.sid,
          // Nobody requests it.
          always: reachability,
          payload: () => ({
            ...toPayload(change),
            DateCreated: milliseconds(row.date_created),
            DateUpdated: created ? null : milliseconds(row.date_updated),
            isOnline: is_online === null ? null : String(is_online === 1),
            isNotifiable: is_notifiable === null ? null : String(is_notifiable === 1),
          }),
        },
      ]
    },
  },
})

/** Whether it is their reachability that has changed, which no request changes. */
function hasOtherReachability(before: UserRow, after: UserRow): boolean {
  return before.is_online !== after.is_online || before.is_notifiable !== after.is_notifiable
}

/** The participants of a removed user leave the rosters. */
async function deleteClosed(tx: Tx, service_sid: string, user_sid: string, max: number, now: number): Promise<number> {
  const members = await tx.all(closedMemberships, { service_sid, user_sid, max })
  await Promise.all(members.map((member) => buryParticipant(tx, member, now)))
  return tx.run(deleteClosedMemberships, { service_sid, user_sid, max })
}

function toPayload(change: Change<UserRow>): Payload {
  const row = rowOf(change)
  return {
    UserSid: row.sid,
    Identity: row.identity,
    RoleSid: row.role_sid,
    Attributes: row.attributes,
    FriendlyName: row.friendly_name,
  }
}
