import { sql } from 'kysely'
import { milliseconds } from '../../../dates.ts'
import { refuse } from '../../../errors.ts'
import type { Payload } from '../../../events/event.ts'
import { type Change, type Facts, resource, rowOf, type Step, stepOf } from '../../../model/declare.ts'
import { createOnly, date, given, index, jsonText, type Parsed, sid, text, updateOnly } from '../../../model/params.ts'
import { column, computed, onlyInService, representation, selfUrl } from '../../../model/representation.ts'
import { pushBadge, pushMembership } from '../../../push/enqueue.ts'
import { newSid } from '../../../sids.ts'
import type { Reader, Tx } from '../../../storage/database.ts'
import {
  conversationBySid,
  participantByAddress,
  participantByIdentity,
  serviceOfAccount,
  userByIdentity,
} from '../../../storage/lookups.ts'
import type { ConversationRow, ParticipantRow, RoleRow, UserRow } from '../../../storage/schema.ts'
import { shape } from '../../../storage/shapes.ts'
import { buryParticipant, numberParticipant } from '../../client-events.ts'
import { roleGiven } from '../../role.ts'
import { withCurrentRole } from '../../role-holders.ts'
import { identity, newUser, users } from '../../users/user.ts'
import { addressType, canonicalAddress } from '../address-formats.ts'
import { type ConversationChildFacts, conversations } from '../conversation.ts'
import { elapse, refuseUnusable } from '../lifecycle.ts'
import { scopedTargets } from '../webhooks/targets.ts'
import { isGroupMember, isNative, type Member, sameGroup } from './group-mms.ts'
import {
  type Binding,
  bindingColumns,
  bindingToJson,
  changedIdentity,
  changedProjection,
  changedProxy,
  isPlainChat,
  newBinding,
} from './messaging-binding.ts'

const maxParticipants = 1000
const maxNonChat = 50
const maxGroup = 10
/** Of one identity in a service. */
const maxOpen = 1000

const params = {
  Identity: identity,
  'MessagingBinding.Address': createOnly(text({ max: 256, tooLong: 'invalidBindingAddress' })),
  'MessagingBinding.ProxyAddress': text({ max: 256, tooLong: 'invalidProxyAddress', nullWord: true }),
  DateCreated: date('invalidDateCreated'),
  DateUpdated: date('invalidDateUpdated'),
  Attributes: jsonText(4096),
  'MessagingBinding.ProjectedAddress': text({ max: 256, tooLong: 'invalidBindingAddress', nullWord: true }),
  // These three are in no official description, but in use: mail participants have them.
  'MessagingBinding.Type': createOnly(text({ max: 16, tooLong: 'invalidBindingAddress' })),
  'MessagingBinding.Level': createOnly(
    text({ max: 2, not: { test: (level) => !/^(?:to|cc)?$/i.test(level), refuse: 'invalidValue' } }),
  ),
  'MessagingBinding.Name': createOnly(text({ max: 256 })),
  RoleSid: sid('role', 'roleNotFound'),
  LastReadMessageIndex: updateOnly(index('invalidLastReadIndex')),
  LastReadTimestamp: updateOnly(date('invalidLastReadTimestamp')),
}

type Given = Parsed<typeof params>

interface Loaded {
  readonly role: RoleRow | null
  readonly user: UserRow | null
  readonly open: number
  readonly counts: { readonly all: number; readonly non_chat: number; readonly group: number; readonly native: number }
  readonly holder: Holder | null
  readonly groupAddressTaken: boolean
  readonly mailAddressTaken: boolean
  /** SID of another open conversation with the members that this one will have as a group MMS. */
  readonly equalGroup: string | null
  /** Whether the identity is in the conversation already. Loaded only if a limit is reached: else `unique` checks it. */
  readonly joined: boolean
}

/** The participant with a pair of addresses. */
export interface Holder {
  readonly participant: ParticipantRow
  /** Null when its conversation or service is deleted and the participant will be. */
  readonly conversation: ConversationRow | null
}

/** Who holds a pair of addresses. `open` is a literal: with a parameter the query would not match the partial index on every engine. */
export const openPair = shape<{ account_sid: string; address: string; proxy_address: string }>()((db, a) =>
  db
    .selectFrom('participants')
    .selectAll()
    .where('account_sid', '=', a.account_sid)
    .where('address', '=', a.address)
    .where('proxy_address', '=', a.proxy_address)
    .where('open', '=', sql.lit(1)),
)

const countMembers = shape<{ service_sid: string; conversation_sid: string }>()((db, a) =>
  db
    .selectFrom('participants')
    .select((eb) => [
      eb.fn.countAll<number>().as('all'),
      eb.fn.count<number>('address').as('non_chat'),
      eb.fn
        .count<number>(
          eb
            .case()
            .when(eb.and([eb('proxy_address', 'is', null), eb('binding_type', '=', sql.lit('sms'))]))
            .then(eb.ref('address'))
            .end(),
        )
        .as('native'),
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

/** https://www.twilio.com/docs/conversations/api/conversation-participant-resource */
export const participants = resource<ParticipantRow, 'messaging_binding'>()({
  name: 'Participant',
  path: 'Participants',
  countsFor: { create: 'root', update: 'root', remove: 'root' },
  under: conversations,
  table: 'participants',
  searched: ['identity', 'address', 'address_as_given', 'binding_name'],
  sid: 'participant',
  alsoFoundBy: 'identity',
  unique: [{ column: 'identity', taken: 'participantExists' }],
  // A user leaves open conversations at once, closed ones in batches.
  goneWith: { column: 'user_sid', when: ({ open, user_sid }) => open === 0 && user_sid !== null },
  params,
  untouched: ['LastReadMessageIndex', 'LastReadTimestamp'],
  load,

  create(p, facts, loaded) {
    const binding = newBinding(p)
    if (!facts.setup) refuseUnusable(facts.parents[0])
    refuseHeld(loaded, facts)
    if (isNative(binding) && loaded.groupAddressTaken) throw refuse('groupMemberExists')
    if (binding.binding_type === 'email' && loaded.mailAddressTaken) throw refuse('participantExists')
    // Comes before the limits: a participant of a full conversation is refused as a duplicate.
    if (loaded.joined) throw refuse('participantExists')
    if (isPlainChat(binding) && loaded.counts.native > 0) throw refuse('projectedAddressMissing')
    if (loaded.equalGroup !== null) throw refuse('sameGroup', { conversation_sid: loaded.equalGroup })
    refuseFull(loaded, binding)
    return {
      identity: p.Identity ?? null,
      user_sid: loaded.user?.sid ?? null,
      ...binding,
      attributes: p.Attributes ?? '{}',
      // A native member of a group has no role (documented by example).
      role_sid: isNative(binding) ? null : (loaded.role?.sid ?? facts.service.default_conversation_role_sid),
      last_read_message_index: null,
      last_read_timestamp: null,
      notification_level: 'default',
      open: 1,
      closed_activity: null,
      // Set when it is numbered.
      event_id: 0,
      created_event_id: 0,
      membership_event_id: 0,
      membership_created_event_id: 0,
    }
  },

  update(before, p, facts, loaded) {
    const row = { ...before, ...changedIdentity(before, p), ...changedProxy(before, p), ...changedProjection(before, p) }
    refuseUnusable(facts.parents[0])
    refuseHeld(loaded, facts, before)
    if (loaded.equalGroup !== null) throw refuse('sameGroup', { conversation_sid: loaded.equalGroup })
    return {
      ...row,
      user_sid: row.identity === before.identity ? before.user_sid : (loaded.user?.sid ?? null),
      attributes: p.Attributes ?? before.attributes,
      role_sid: loaded.role?.sid ?? before.role_sid,
      ...readTo(before, p, facts.now),
    }
  },

  current: (row, { service }) => withCurrentRole(row, service),
  currentBy: ['role_sid', 'date_updated'],

  remove: (_before, facts) => refuseUnusable(facts.parents[0]),

  /** Creates a user for a new identity; first releases the address pair if its conversation is closed or deleted. */
  steps(change, facts, loaded) {
    if (change.verb === 'remove') return [change]
    const { after } = change
    const released = loaded.holder && after.address !== null ? release(loaded.holder, facts) : []
    if (after.identity === null || after.user_sid !== null) return [...released, change]
    const dates = { date_created: facts.now, date_updated: facts.now, revision: 1 }
    const user: UserRow = { ...newUser(facts.service, { identity: after.identity }), sid: newSid('user', facts.now), ...dates }
    const added = stepOf(users, { verb: 'create', before: null, after: user, cause: 'consequence' }, { ...facts, parents: [] })
    return [...released, added, { ...change, after: { ...after, user_sid: user.sid } }]
  },

  async number(tx, { before, after }, { now }) {
    if (after) return numberParticipant(tx, before, after)
    if (before) await buryParticipant(tx, before, now)
    return null
  },

  async afterWrite(tx, { before, after }, facts) {
    const [conversation] = facts.parents
    if (before && after) {
      announceRead(tx, before, after)
      await pushBadge(tx, before, after, facts)
    } else if (after) await pushMembership(tx, 'added_to_conversation', after, conversation, facts)
    else if (before) await pushMembership(tx, 'removed_from_conversation', before, conversation, facts)
  },

  represent: representation<ParticipantRow, 'messaging_binding'>()({
    account_sid: column.word('account_sid'),
    chat_service_sid: onlyInService(column.word('service_sid')),
    conversation_sid: column.word('conversation_sid'),
    sid: column.word('sid'),
    identity: column.text('identity'),
    attributes: column.text('attributes'),
    messaging_binding: computed(bindingColumns, bindingToJson, 'null'),
    role_sid: column.text('role_sid'),
    date_created: column.date('date_created'),
    date_updated: column.date('date_updated'),
    url: selfUrl,
    last_read_message_index: column.integer('last_read_message_index'),
    last_read_timestamp: column.date('last_read_timestamp'),
  }),

  list: {
    key: 'participants',
    size: 50,
    max: 1000,
    params: {},
    order: () => ({ by: 'date_created', direction: 'asc', where: [] }),
  },

  events: {
    preAction: { create: 'onParticipantAdd', update: 'onParticipantUpdate', remove: 'onParticipantRemove' },
    preActionPayload: (change) => {
      const row = rowOf(change)
      if (change.verb === 'create') return toPayload(row)
      const { date_updated } = change.before
      return {
        ...toPayload(row),
        ParticipantSid: row.sid,
        DateCreated: milliseconds(row.date_created),
        DateUpdated: milliseconds(date_updated),
      }
    },
    amendable: {},
    emits: ['onParticipantAdded', 'onParticipantUpdated', 'onParticipantRemoved'],
    postAction: (change, facts) => {
      const row = rowOf(change)
      // Releasing an address pair emits no event.
      if (change.cause === 'consequence') return []
      return [
        {
          type: eventOf[change.verb],
          subject_sid: row.conversation_sid,
          always: false,
          payload: () => ({ ...toPayload(row), ParticipantSid: row.sid, ...datesToPayload(change, facts) }),
        },
      ]
    },
    listeners: (read, event, _change, facts) => scopedTargets(read, event, facts.parents[0]),
  },
})

/** Channels that can say so tell the people outside how far somebody inside has read. */
function announceRead(tx: Tx, before: ParticipantRow, after: ParticipantRow): void {
  const messageIndex = after.last_read_message_index ?? -1
  if (after.identity === null || messageIndex <= (before.last_read_message_index ?? -1)) return
  const { service_sid, conversation_sid } = after
  tx.notify({ topic: 'read', service_sid, conversation_sid, message_index: messageIndex })
}

const eventOf = { create: 'onParticipantAdded', update: 'onParticipantUpdated', remove: 'onParticipantRemoved' } as const

/** Returns the updated read horizon. An index without a timestamp sets the timestamp to now, an empty index clears it. */
export function readTo(
  before: ParticipantRow,
  p: Pick<Given, 'LastReadMessageIndex' | 'LastReadTimestamp'>,
  now: number,
): Pick<ParticipantRow, 'last_read_message_index' | 'last_read_timestamp'> {
  const { LastReadMessageIndex: index } = p
  const time = index === undefined ? before.last_read_timestamp : index === null ? null : now
  return {
    last_read_message_index: given(index, before.last_read_message_index),
    last_read_timestamp: p.LastReadTimestamp ?? time,
  }
}

async function load(read: Reader, p: Given, facts: ConversationChildFacts, before: ParticipantRow | null): Promise<Loaded> {
  const { account, now } = facts
  const service_sid = facts.service.sid
  const key = { service_sid, conversation_sid: facts.parents[0].sid }
  const added = p.Identity && p.Identity !== before?.identity ? p.Identity : null
  const address = before ? before.address : p['MessagingBinding.Address']
  const proxy_address = p['MessagingBinding.ProxyAddress']
  const member = memberAfter(p, before)
  // Concurrently: over a network each query costs a round trip.
  const [counted, countedOpen, role, user, holder, withAddress, equalGroup] = await Promise.all([
    before ? undefined : read.one(countMembers, key),
    added === null ? undefined : read.one(countOpen, { service_sid, identity: added, limit: maxOpen }),
    roleGiven(read, facts.service, p.RoleSid, 'conversation'),
    added === null ? undefined : read.one(userByIdentity, { service_sid, identity: added }),
    address && proxy_address ? holderOf(read, facts, address, proxy_address) : null,
    address ? read.all(participantByAddress, { ...key, address: canonicalAddress(address) }) : [],
    member && completesGroup(member, facts) ? sameGroup(read, { account_sid: account.sid, now }, key, member) : null,
  ])
  const { all = 0, non_chat = 0, native = 0, projected = 0 } = counted ?? {}
  const open = countedOpen?.open ?? 0
  const mayBeRefused = open >= maxOpen || all >= maxParticipants || native > 0
  return {
    role,
    user: user ?? null,
    open,
    counts: { all, non_chat, group: native + projected, native },
    holder,
    groupAddressTaken: withAddress.some((row) => isNative(row)),
    mailAddressTaken: withAddress.some((row) => row.binding_type === 'email'),
    equalGroup,
    joined: mayBeRefused && added !== null && (await read.one(participantByIdentity, { ...key, identity: added })) !== undefined,
  }
}

/** Of several participants that are added at once the last one completes the group, whoever it is. */
function completesGroup(member: Member, { setup }: Pick<Facts, 'setup'>): boolean {
  return setup === undefined ? isGroupMember(member) : setup === 'complete'
}

/** Returns a participant's numbers after a change of them; null when it changes none. */
function memberAfter(p: Given, before: ParticipantRow | null): Member | null {
  const { 'MessagingBinding.ProxyAddress': proxy, 'MessagingBinding.ProjectedAddress': projection } = p
  if (before) {
    if (proxy === undefined && !projection) return null
    return {
      ...before,
      proxy_address: given(proxy, before.proxy_address),
      projected_address: given(projection, before.projected_address),
    }
  }
  const address = p['MessagingBinding.Address'] ?? null
  const binding_type = address === null ? null : (addressType(address) ?? null)
  return {
    sid: '',
    identity: p.Identity ?? null,
    binding_type,
    address,
    proxy_address: proxy ?? null,
    projected_address: projection ?? null,
  }
}

/** Reads the holder of an address pair, with deadlines of the conversation applied that the sweep has not written yet. */
export async function holderOf(
  read: Reader,
  facts: Pick<Facts, 'account' | 'now'>,
  address: string,
  proxy_address: string,
): Promise<Holder | null> {
  const participant = await read.one(openPair, { account_sid: facts.account.sid, address, proxy_address })
  if (!participant) return null
  const { service_sid, conversation_sid, account_sid } = participant
  const service = await read.one(serviceOfAccount, { sid: service_sid, account_sid })
  const found = service && (await read.one(conversationBySid, { service_sid, sid: conversation_sid }))
  return { participant, conversation: found ? (elapse(found, facts.now) ?? found) : null }
}

/**
 * Throws when the address pair is in another open conversation of the account; the message contains its SID. Several participants
 * at once have a refusal of their own (documented).
 */
function refuseHeld({ holder }: Loaded, { setup, inbound }: Pick<Facts, 'setup' | 'inbound'>, self?: ParticipantRow): void {
  if (!holder?.conversation || holder.conversation.state === 'closed' || holder.participant.sid === self?.sid) return
  if (setup && !inbound) throw refuse('pairsHeld')
  throw refuse('pairHeld', { conversation_sid: holder.conversation.sid })
}

/** Returns the step that releases a pair whose conversation is deleted, or closed by a deadline that is not written yet. */
function release({ participant, conversation }: Holder, facts: ConversationChildFacts): Step[] {
  const service = { ...facts.service, sid: participant.service_sid }
  const parents = [{ ...facts.parents[0], sid: participant.conversation_sid }]
  if (conversation && conversation.state !== 'closed') return []
  const after = { ...participant, open: 0, closed_activity: conversation?.date_activity ?? participant.date_created }
  return [
    stepOf(participants, { verb: 'update', before: participant, after, cause: 'consequence' }, { ...facts, service, parents }),
  ]
}

function refuseFull({ counts, open }: Loaded, binding: Binding): void {
  if (open >= maxOpen) throw refuse('userConversationLimit')
  if (counts.all >= maxParticipants) throw refuse('participantLimit')
  if (binding.address !== null && counts.non_chat >= maxNonChat) throw refuse('nonChatLimit')
  if (isGroupMember(binding) && counts.group >= maxGroup) throw refuse('groupLimit')
}

function toPayload(row: ParticipantRow): Payload {
  return {
    ConversationSid: row.conversation_sid,
    Identity: row.identity,
    RoleSid: row.role_sid,
    Attributes: row.attributes,
    'MessagingBinding.Type': row.binding_type ?? 'chat',
    'MessagingBinding.Address': row.address_as_given ?? row.address,
    'MessagingBinding.Level': row.binding_level,
    'MessagingBinding.Name': row.binding_name,
    'MessagingBinding.ProxyAddress': row.proxy_address,
    'MessagingBinding.ProjectedAddress': row.projected_address,
  }
}

function datesToPayload(change: Change<ParticipantRow>, facts: Facts): Payload {
  const row = rowOf(change)
  const DateCreated = milliseconds(row.date_created)
  const DateUpdated = milliseconds(row.date_updated)
  if (change.verb === 'create') return { DateCreated }
  if (change.verb === 'update') return { DateCreated, DateUpdated, LastReadMessageIndex: row.last_read_message_index }
  return { DateCreated, DateUpdated, DateRemoved: milliseconds(facts.now) }
}
