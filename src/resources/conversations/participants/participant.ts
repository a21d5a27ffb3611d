import { sql } from 'kysely'
import { milliseconds, seconds, secondsOrNull } from '../../../dates.ts'
import { refuse } from '../../../errors.ts'
import type { FormValues } from '../../../events/event.ts'
import { type Change, type Facts, resource, type Step, stepOf } from '../../../model/declare.ts'
import { createOnly, date, index, jsonText, type Parsed, sid, text, updateOnly } from '../../../model/params.ts'
import { newSid } from '../../../sids.ts'
import type { Reader } from '../../../storage/database.ts'
import { rowsBy } from '../../../storage/rows.ts'
import type { ConversationRow, ParticipantRow, RoleRow, ServiceRow, UserRow } from '../../../storage/schema.ts'
import { shape } from '../../../storage/shapes.ts'
import { wantedRole } from '../../role.ts'
import { identity, newUser, users } from '../../users/user.ts'
import { chatServiceSid } from '../chat-service-sid.ts'
import { conversations } from '../conversation.ts'
import { elapse, refuseUnusable } from '../lifecycle.ts'
import { scopedTargets } from '../webhooks/targets.ts'
import { sameGroup } from './group-mms.ts'
import {
  type Binding,
  changedIdentity,
  changedProjection,
  changedProxy,
  isNative,
  isPlainChat,
  newBinding,
  shownBinding,
} from './messaging-binding.ts'

const most_participants = 1000
const most_non_chat = 50
const most_group = 10
/** Open conversations of one identity in a service. */
const most_open = 1000

const params = {
  Identity: identity,
  'MessagingBinding.Address': createOnly(text({ max: 256, tooLong: 'invalidBindingAddress' })),
  'MessagingBinding.ProxyAddress': text({ max: 256, tooLong: 'invalidProxyAddress', nullWord: true }),
  DateCreated: date('invalidDateCreated'),
  DateUpdated: date('invalidDateUpdated'),
  Attributes: jsonText(4096),
  'MessagingBinding.ProjectedAddress': text({ max: 256, tooLong: 'invalidBindingAddress', nullWord: true }),
  RoleSid: sid('RL', 'roleNotFound'),
  LastReadMessageIndex: updateOnly(index('invalidLastReadIndex')),
  LastReadTimestamp: updateOnly(date('invalidLastReadTimestamp')),
}

type Given = Parsed<typeof params>

/** What the rules need to know besides the conversation. */
interface Seen {
  readonly role: RoleRow | null
  readonly user: UserRow | null
  readonly open: number
  readonly counts: { readonly all: number; readonly non_chat: number; readonly group: number; readonly native: number }
  readonly holder: Holder | null
  readonly group_address_taken: boolean
  /** Another open conversation with the very members that this one will have as a group MMS. */
  readonly same_group: string | null
  /** The identity is in the conversation already: known only when something else would refuse it, the core looks for itself. */
  readonly joined: boolean
}

/** Who has a pair of addresses. */
export interface Holder {
  readonly participant: ParticipantRow
  /** Null when its conversation or service is gone and only its rows are left to remove. */
  readonly conversation: ConversationRow | null
}

const userByIdentity = rowsBy('users', ['service_sid', 'identity'])
/** `open` in the text of the query: a parameter would not match the partial index everywhere. */
const openPair = shape<{ account_sid: string; address: string; proxy_address: string }>()((db, a) =>
  db
    .selectFrom('participants')
    .selectAll()
    .where('account_sid', '=', a.account_sid)
    .where('address', '=', a.address)
    .where('proxy_address', '=', a.proxy_address)
    .where('open', '=', sql.lit(1)),
)
const conversationBySid = rowsBy('conversations', ['service_sid', 'sid'])
const serviceBySid = rowsBy('services', ['sid', 'account_sid'])

const countMembers = shape<{ service_sid: string; conversation_sid: string }>()((db, a) =>
  db
    .selectFrom('participants')
    .select((eb) => [
      eb.fn.countAll<number>().as('all'),
      eb.fn.count<number>('address').as('non_chat'),
      eb.fn.count<number>(eb.case().when('proxy_address', 'is', null).then(eb.ref('address')).end()).as('native'),
      eb.fn.count<number>('projected_address').as('projected'),
    ])
    .where('service_sid', '=', a.service_sid)
    .where('conversation_sid', '=', a.conversation_sid),
)
const countOpen = shape<{ service_sid: string; identity: string; limit: number }>()((db, a) =>
  db
    .selectFrom((eb) =>
      eb
        .selectFrom('participants')
        .select('sid')
        .where('service_sid', '=', a.service_sid)
        .where('identity', '=', a.identity)
        .where('open', '=', eb.lit(1))
        .limit(a.limit)
        .as('some'),
    )
    .select((eb) => eb.fn.countAll<number>().as('open')),
)
const byIdentity = rowsBy('participants', ['service_sid', 'conversation_sid', 'identity'])
const nativeByAddress = rowsBy('participants', ['service_sid', 'conversation_sid', 'address'])

/** https://www.twilio.com/docs/conversations/api/conversation-participant-resource */
export const participants = resource<ParticipantRow>()({
  name: 'Participant',
  path: 'Participants',
  under: conversations,
  table: 'participants',
  sid: 'MB',
  alsoFoundBy: 'identity',
  unique: [{ column: 'identity', taken: 'participantExists' }],
  params,
  // Reading moves no date.
  quiet: ['LastReadMessageIndex', 'LastReadTimestamp'],
  look,

  create(p, facts, seen) {
    const binding = newBinding(p)
    refuseUnusable(conversationOf(facts))
    refuseHeld(seen)
    if (isNative(binding) && seen.group_address_taken) throw refuse('groupMemberExists')
    // Who is in already is told that, not that there is no room.
    if (seen.joined) throw refuse('participantExists')
    if (isPlainChat(binding) && seen.counts.native > 0) throw refuse('projectedAddressMissing')
    if (seen.same_group !== null) throw refuse('sameGroup', { conversation_sid: seen.same_group })
    refuseFull(seen, binding)
    return {
      service_sid: '',
      conversation_sid: '',
      account_sid: facts.account.sid,
      identity: p.Identity ?? null,
      user_sid: seen.user?.sid ?? null,
      ...binding,
      attributes: p.Attributes ?? '{}',
      // A native member of a group has no role (documented by example).
      role_sid: isNative(binding) ? null : (seen.role?.sid ?? (facts.service as ServiceRow).default_conversation_role_sid),
      last_read_message_index: null,
      last_read_timestamp: null,
      notification_level: 'default',
      open: 1,
    }
  },

  update(was, p, facts, seen) {
    const row = { ...was, ...changedIdentity(was, p), ...changedProxy(was, p), ...changedProjection(was, p) }
    refuseUnusable(conversationOf(facts))
    refuseHeld(seen, was)
    return {
      ...row,
      user_sid: row.identity === was.identity ? was.user_sid : (seen.user?.sid ?? null),
      attributes: p.Attributes ?? was.attributes,
      role_sid: seen.role?.sid ?? was.role_sid,
      ...readTo(was, p, facts.now),
    }
  },

  remove: (_was, facts) => refuseUnusable(conversationOf(facts)),

  /** A new identity is a new user; a pair held by what is closed or gone is released first. */
  steps(step, facts, seen) {
    const is = step.change.is as ParticipantRow | null
    if (!is) return [step]
    const released = seen.holder && is.address !== null ? release(seen.holder, facts) : []
    if (is.identity === null || is.user_sid !== null) return [...released, step]
    const service = facts.service as ServiceRow
    const dates = { date_created: facts.now, date_updated: facts.now, revision: 1 }
    const user: UserRow = { ...newUser(service, { identity: is.identity }), sid: newSid('US', facts.now), ...dates }
    const joined = { ...step, change: { ...step.change, is: { ...is, user_sid: user.sid } } }
    const added = stepOf(users, { verb: 'create', was: null, is: user, cause: 'consequence' }, { ...facts, parents: [] })
    return [...released, added, joined]
  },

  represent: (row, self, urls) => ({
    account_sid: row.account_sid,
    ...chatServiceSid(row, urls),
    conversation_sid: row.conversation_sid,
    sid: row.sid,
    identity: row.identity,
    attributes: row.attributes,
    messaging_binding: shownBinding(row),
    role_sid: row.role_sid,
    date_created: seconds(row.date_created),
    date_updated: seconds(row.date_updated),
    url: self,
    last_read_message_index: row.last_read_message_index,
    last_read_timestamp: secondsOrNull(row.last_read_timestamp),
  }),

  list: {
    key: 'participants',
    size: 50,
    max: 1000,
    params: {},
    order: () => ({ by: 'date_created', direction: 'asc', where: [] }),
  },

  events: {
    before: { create: 'onParticipantAdd', update: 'onParticipantUpdate', remove: 'onParticipantRemove' },
    beforeForm: (change) => {
      const row = (change.is ?? change.was) as ParticipantRow
      if (change.verb === 'create') return told(row)
      const { date_updated } = change.was as ParticipantRow
      return {
        ...told(row),
        ParticipantSid: row.sid,
        DateCreated: milliseconds(row.date_created),
        DateUpdated: milliseconds(date_updated),
      }
    },
    amendable: {},
    emits: ['onParticipantAdded', 'onParticipantUpdated', 'onParticipantRemoved'],
    after: (change, facts) => {
      const row = (change.is ?? change.was) as ParticipantRow
      // A released pair is nobody's news.
      if (change.cause === 'consequence') return []
      return [
        {
          type: { create: 'onParticipantAdded', update: 'onParticipantUpdated', remove: 'onParticipantRemoved' }[change.verb],
          subject_sid: row.conversation_sid,
          by_itself: false,
          form: () => ({ ...told(row), ParticipantSid: row.sid, ...toldDates(change, facts) }),
        },
      ]
    },
    listeners: (read, event, _change, facts) => scopedTargets(read, event, conversationOf(facts)),
  },
})

/** How far somebody has read; moving it without a time means now. */
export function readTo(
  was: ParticipantRow,
  p: Pick<Given, 'LastReadMessageIndex' | 'LastReadTimestamp'>,
  now: number,
): Pick<ParticipantRow, 'last_read_message_index' | 'last_read_timestamp'> {
  const moved = p.LastReadMessageIndex !== undefined
  return {
    last_read_message_index: p.LastReadMessageIndex === undefined ? was.last_read_message_index : p.LastReadMessageIndex,
    last_read_timestamp: p.LastReadTimestamp ?? (moved ? now : was.last_read_timestamp),
  }
}

function conversationOf(facts: Facts): ConversationRow {
  return facts.parents[0] as ConversationRow
}

async function look(read: Reader, p: Given, facts: Facts, was: ParticipantRow | null): Promise<Seen> {
  const service_sid = facts.service?.sid ?? ''
  const within = { service_sid, conversation_sid: conversationOf(facts).sid }
  const joining = p.Identity !== undefined && p.Identity !== null && p.Identity !== was?.identity ? p.Identity : null
  const address = was ? was.address : p['MessagingBinding.Address']
  const proxy_address = p['MessagingBinding.ProxyAddress']
  const user = { service_sid, identity: joining }
  // Side by side: over a network each costs a round trip.
  const [counted, counted_open, role, found, holder, of_address, same_group] = await Promise.all([
    was ? undefined : read.one(countMembers, within),
    joining === null ? undefined : read.one(countOpen, { service_sid, identity: joining, limit: most_open }),
    wantedRole(read, facts.service, p.RoleSid, 'conversation'),
    joining === null ? undefined : read.one(userByIdentity, user),
    address && proxy_address ? holderOf(read, facts, address, proxy_address) : null,
    address ? read.all(nativeByAddress, { ...within, address }) : [],
    was ? null : sameGroup(read, facts.account.sid, within, p),
  ])
  const open = counted_open?.open ?? 0
  const limited = open >= most_open || (counted?.all ?? 0) >= most_participants || (counted?.native ?? 0) > 0
  return {
    role,
    user: found ?? null,
    open,
    counts: {
      all: counted?.all ?? 0,
      non_chat: counted?.non_chat ?? 0,
      group: (counted?.native ?? 0) + (counted?.projected ?? 0),
      native: counted?.native ?? 0,
    },
    holder,
    group_address_taken: of_address.some((row) => isNative(row)),
    same_group,
    joined: limited && joining !== null && (await read.one(byIdentity, { ...within, identity: joining })) !== undefined,
  }
}

/** The deadlines of the conversation that have passed are respected: the sweep may not have come by yet. */
export async function holderOf(
  read: Reader,
  facts: Pick<Facts, 'account' | 'now'>,
  address: string,
  proxy_address: string,
): Promise<Holder | null> {
  const participant = await read.one(openPair, { account_sid: facts.account.sid, address, proxy_address })
  if (!participant) return null
  const { service_sid, conversation_sid, account_sid } = participant
  const service = await read.one(serviceBySid, { sid: service_sid, account_sid })
  const found = service && (await read.one(conversationBySid, { service_sid, sid: conversation_sid }))
  return { participant, conversation: found ? (elapse(found, facts.now) ?? found) : null }
}

/** Address and proxy address are in one open conversation of the account at most; the refusal names it. */
function refuseHeld({ holder }: Seen, self?: ParticipantRow): void {
  if (!holder?.conversation || holder.conversation.state === 'closed' || holder.participant.sid === self?.sid) return
  throw refuse('pairHeld', { conversation_sid: holder.conversation.sid })
}

/** What is left of a pair whose conversation is gone, or closed by a deadline that no sweep has applied yet. */
function release({ participant, conversation }: Holder, facts: Facts): Step[] {
  const service = { ...(facts.service as ServiceRow), sid: participant.service_sid }
  const parents = [{ ...conversationOf(facts), sid: participant.conversation_sid }]
  if (conversation && conversation.state !== 'closed') return []
  const is = { ...participant, open: 0 }
  return [stepOf(participants, { verb: 'update', was: participant, is, cause: 'consequence' }, { ...facts, service, parents })]
}

function refuseFull({ counts, open }: Seen, binding: Binding): void {
  if (open >= most_open) throw refuse('userConversationLimit')
  if (counts.all >= most_participants) throw refuse('participantLimit')
  if (binding.address !== null && counts.non_chat >= most_non_chat) throw refuse('nonChatLimit')
  if ((isNative(binding) || binding.projected_address !== null) && counts.group >= most_group) throw refuse('groupLimit')
}

function told(row: ParticipantRow): FormValues {
  return {
    ConversationSid: row.conversation_sid,
    Identity: row.identity,
    RoleSid: row.role_sid,
    Attributes: row.attributes,
    'MessagingBinding.Type': row.binding_type ?? 'chat',
    'MessagingBinding.Address': row.address,
    'MessagingBinding.ProxyAddress': row.proxy_address,
    'MessagingBinding.ProjectedAddress': row.projected_address,
  }
}

function toldDates(change: Change<ParticipantRow>, facts: Facts): FormValues {
  const row = (change.is ?? change.was) as ParticipantRow
  const DateCreated = milliseconds(row.date_created)
  const DateUpdated = milliseconds(row.date_updated)
  if (change.verb === 'create') return { DateCreated }
  if (change.verb === 'update') return { DateCreated, DateUpdated, LastReadMessageIndex: row.last_read_message_index }
  return { DateCreated, DateUpdated, DateRemoved: milliseconds(facts.now) }
}
