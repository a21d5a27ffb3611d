import { milliseconds, seconds } from '../../dates.ts'
import { refuse } from '../../errors.ts'
import type { Event, Payload } from '../../events/event.ts'
import { mediaToPayload } from '../../media/rows.ts'
import {
  type BaseRow,
  type Change,
  type Facts,
  type FactsUnder,
  type Inbound,
  resource,
  rowOf,
  when,
  whenAny,
} from '../../model/declare.ts'
import { date, dateBound, duration, given, jsonText, oneOf, sid, text } from '../../model/params.ts'
import { column, computed, links, presentDates, representation, selfUrl } from '../../model/representation.ts'
import { isSid, randomTag } from '../../sids.ts'
import { participantsOfConversation } from '../../storage/lookups.ts'
import { type ConversationRow, conversationStates } from '../../storage/schema.ts'
import { shape } from '../../storage/shapes.ts'
import { buryMemberships } from '../client-endings.ts'
import { announce } from '../client-events.ts'
import { refuseForeign } from '../messaging-service.ts'
import { conversationDocument } from '../sync-objects.ts'
import { isNoMailbox } from './address-formats.ts'
import { elapseMany } from './elapse-many.ts'
import { mailboxSince, projectedAddress } from './email-binding.ts'
import { deadlineColumns, elapse, initialize, refuseUnusable, restartTimers, withState } from './lifecycle.ts'
import { stateEvents } from './state-events.ts'
import { scopedTargets } from './webhooks/targets.ts'

export const inactiveTimer = duration({ min: 'PT1M', tooShort: 'inactiveTimerTooShort', invalid: 'invalidInactiveTimer' })
export const closedTimer = duration({ min: 'PT10M', tooShort: 'closedTimerTooShort', invalid: 'invalidClosedTimer' })
const states = oneOf(['active', 'inactive', 'closed'], { invalid: 'invalidState', empty: 'emptyState' })

/** The participants of a closed conversation no longer hold their address pairs. */
export const releaseParticipants = shape<Pick<ConversationRow, 'service_sid' | 'sid' | 'date_activity'>>()((db, a) =>
  db
    .updateTable('participants')
    .set({ open: 0, closed_activity: a.date_activity })
    .where('service_sid', '=', a.service_sid)
    .where('conversation_sid', '=', a.sid),
)

const returnParticipants = shape<Pick<ConversationRow, 'service_sid' | 'sid'>>()((db, a) =>
  db
    .updateTable('participants')
    .set({ open: 1, closed_activity: null })
    .where('service_sid', '=', a.service_sid)
    .where('conversation_sid', '=', a.sid),
)

/** https://www.twilio.com/docs/conversations/api/conversation-resource */
export const conversations = resource<ConversationRow, 'timers' | 'bindings'>()({
  name: 'Conversation',
  path: 'Conversations',
  countsFor: { create: 'service', update: 'root', remove: 'service' },
  under: 'service',
  childColumn: 'conversation_sid',
  table: 'conversations',
  searched: ['friendly_name', 'unique_name', 'email_address'],
  sid: 'conversation',
  alsoFoundBy: 'unique_name',
  unique: [{ column: 'unique_name', taken: 'uniqueNameTaken' }],
  params: {
    FriendlyName: text({ max: 256, tooLong: 'friendlyNameTooLong' }),
    UniqueName: text({
      max: 256,
      tooLong: 'uniqueNameTooLong',
      not: { test: (name) => isSid('conversation', name), refuse: 'uniqueNameLikeSid' },
    }),
    DateCreated: date('invalidDateCreated'),
    DateUpdated: date('invalidDateUpdated'),
    MessagingServiceSid: sid('messagingService', 'invalidMessagingServiceSid'),
    Attributes: jsonText(16_384),
    State: states,
    'Timers.Inactive': inactiveTimer,
    'Timers.Closed': closedTimer,
    'Bindings.Email.Address': text({ max: 256, not: { test: isNoMailbox, refuse: 'invalidValue' } }),
    'Bindings.Email.Name': text({ max: 256 }),
  },

  load: (read, p, { account }) => refuseForeign(read, p.MessagingServiceSid, account),

  create(p, { now, account, setup, client_identity }) {
    if (p.State === 'closed') throw refuse('initiallyClosed')
    const inactive_after = p['Timers.Inactive']
    const closed_after = p['Timers.Closed']
    const row: Omit<ConversationRow, keyof BaseRow | 'account_sid' | 'service_sid'> = {
      messaging_service_sid: p.MessagingServiceSid ?? account.default_messaging_service_sid,
      friendly_name: p.FriendlyName ?? null,
      unique_name: p.UniqueName ?? null,
      attributes: p.Attributes ?? '{}',
      state: p.State ?? 'active',
      date_state: p.DateUpdated ?? p.DateCreated ?? now,
      initial_state: null,
      // An explicit PT0S switches an account default off.
      inactive_after: inactive_after === undefined ? account.default_inactive_timer : inactive_after,
      closed_after: closed_after === undefined ? account.default_closed_timer : closed_after,
      date_inactive: null,
      date_closed: null,
      next_due: null,
      email_address: p['Bindings.Email.Address'] ?? null,
      email_tag: p['Bindings.Email.Address'] ? randomTag() : null,
      email_name: p['Bindings.Email.Name'] ?? null,
      date_mailbox: p['Bindings.Email.Address'] ? now : null,
      created_by: client_identity ?? 'system',
      last_message_index: -1,
      last_event_id: 0,
      removed_messages: 0,
      webhook_count: 0,
      date_activity: p.DateCreated ?? now,
    }
    // The dates of an import do not affect its timers: they start now.
    const started = restartTimers(row, now)
    return setup ? initialize(started, now) : started
  },

  update(before, p, { now }) {
    refuseUnusable(before)
    const { 'Timers.Inactive': inactive_after, 'Timers.Closed': closed_after } = p
    const row: ConversationRow = {
      ...before,
      // observed: an empty FriendlyName leaves the old one.
      friendly_name: p.FriendlyName ?? before.friendly_name,
      unique_name: given(p.UniqueName, before.unique_name),
      messaging_service_sid: p.MessagingServiceSid ?? before.messaging_service_sid,
      attributes: p.Attributes ?? before.attributes,
      inactive_after: given(inactive_after, before.inactive_after),
      closed_after: given(closed_after, before.closed_after),
      email_address: given(p['Bindings.Email.Address'], before.email_address),
      email_tag: before.email_tag ?? (p['Bindings.Email.Address'] ? randomTag() : null),
      email_name: given(p['Bindings.Email.Name'], before.email_name),
      date_mailbox: mailboxSince(before, given(p['Bindings.Email.Address'], before.email_address), now),
    }
    const moved = withState(row, p.State ?? before.state, now)
    return inactive_after === undefined && closed_after === undefined ? moved : restartTimers(moved, now)
  },

  remove: () => {},

  elapse,
  elapsesBy: deadlineColumns,
  elapseMany,

  /** Its revision is its number. Whoever is in a removed one is told by their memberships. */
  async number(tx, { before, after }, { now }) {
    const row = before ?? after
    if (row) announce(tx, conversationDocument(row.sid))
    if (after || !before) return after
    const { service_sid, sid: conversation_sid } = before
    const members = await tx.all(participantsOfConversation, { service_sid, conversation_sid })
    await buryMemberships(tx, { service_sid, conversation_sid }, members, now)
    return null
  },

  /** Frees the address pairs of a closed or removed conversation, which also no longer counts for the limit of open ones; or takes them again. */
  async afterWrite(tx, { before, after }) {
    const released = before !== null && before.state !== 'closed' && (after === null || after.state === 'closed')
    if (released) await tx.run(releaseParticipants, before)
    if (before?.state === 'closed' && after && after.state !== 'closed') await tx.run(returnParticipants, after)
  },

  represent: representation<ConversationRow, 'timers' | 'bindings'>()({
    sid: column.word('sid'),
    account_sid: column.word('account_sid'),
    chat_service_sid: column.word('service_sid'),
    messaging_service_sid: column.word('messaging_service_sid'),
    friendly_name: column.text('friendly_name'),
    unique_name: column.text('unique_name'),
    attributes: column.text('attributes'),
    date_created: column.date('date_created'),
    date_updated: column.date('date_updated'),
    state: column.word('state'),
    timers: presentDates({ date_inactive: 'date_inactive', date_closed: 'date_closed' }),
    bindings: computed(['email_address', 'email_name', 'email_tag'], bindingsToJson, '{}'),
    url: selfUrl,
    links: links({ participants: 'Participants', messages: 'Messages', webhooks: 'Webhooks', export: 'Export' }),
  }),

  list: {
    key: 'conversations',
    size: 50,
    max: 1000,
    params: {
      StartDate: dateBound('StartDate', false),
      EndDate: dateBound('EndDate', true),
      State: oneOf(conversationStates, { invalid: 'invalidState' }),
    },
    order: (p) => ({
      by: isDated(p) ? 'date_created' : 'date_activity',
      direction: 'desc',
      where: [
        // The index by date leads with the state.
        ...(isDated(p) ? whenAny('state', p.State ? [p.State] : conversationStates) : when('state', '=', p.State)),
        ...when('date_created', '>=', p.StartDate),
        ...when('date_created', '<=', p.EndDate),
      ],
      ...(!isDated(p) && p.State === undefined && { division: { column: 'state', values: conversationStates } }),
    }),
  },

  events: {
    preAction: { create: 'onConversationAdd', update: 'onConversationUpdate', remove: 'onConversationRemove' },
    preActionPayload: (change, { inbound }) => {
      const row = rowOf(change)
      if (change.verb === 'create') {
        const Media = mediaToPayload(inbound?.media ?? null)
        const opening = { ...bindingToPayload(inbound), MessageBody: inbound?.body, Media }
        return { ...toPayload(row), ...opening, DateCreated: milliseconds(row.date_created), ConversationSid: null }
      }
      // The proposed values, with the date of the last committed change.
      return {
        ...toPayload(row),
        DateCreated: milliseconds(row.date_created),
        DateUpdated: milliseconds(change.before.date_updated),
      }
    },
    amendable: {
      create: ['FriendlyName', 'Attributes'],
      update: ['FriendlyName'],
    },
    emits: ['onConversationAdded', 'onConversationUpdated', 'onConversationRemoved', 'onConversationStateUpdated'],
    postAction: (change, facts) => {
      if (change.cause !== 'request') return stateEvents(change, facts.now)
      return [requestedEvent(change, facts), ...stateEvents(change, facts.now)]
    },
    listeners: (read, event, change) => scopedTargets(read, event, rowOf(change)),
  },
})

/** The facts of a resource directly below a conversation. */
export type ConversationChildFacts = FactsUnder<typeof conversations>

/** Whether a list is limited by dates, and so ordered by them. */
function isDated(p: { readonly StartDate?: number | undefined; readonly EndDate?: number | undefined }): boolean {
  return p.StartDate !== undefined || p.EndDate !== undefined
}

const eventOf = { create: 'onConversationAdded', update: 'onConversationUpdated', remove: 'onConversationRemoved' } as const

type EventFacts = Pick<Facts, 'now' | 'inbound'>

/** Returns the event of a requested change. */
function requestedEvent(change: Change<ConversationRow>, { now, inbound }: EventFacts): Event {
  const row = rowOf(change)
  return {
    type: eventOf[change.verb],
    subject_sid: row.sid,
    always: false,
    payload: () => ({
      ...toPayload(row),
      DateCreated: milliseconds(row.date_created),
      DateUpdated: milliseconds(row.date_updated),
      DateRemoved: change.verb === 'remove' ? milliseconds(now) : null,
      ...(change.verb === 'create' && bindingToPayload(inbound)),
    }),
  }
}

/** Has only the timers that are running. */
export function timersToJson(row: Pick<ConversationRow, 'date_inactive' | 'date_closed'>): object {
  return {
    ...(row.date_inactive !== null && { date_inactive: seconds(row.date_inactive) }),
    ...(row.date_closed !== null && { date_closed: seconds(row.date_closed) }),
  }
}

function bindingsToJson(row: Pick<ConversationRow, 'email_address' | 'email_name' | 'email_tag'>): object {
  if (row.email_address === null && row.email_name === null) return {}
  return { email: { projected_address: projectedAddress(row), name: row.email_name } }
}

/** The addresses of the message that created the conversation. */
function bindingToPayload(inbound: Inbound | undefined): Payload {
  return {
    'MessagingBinding.Address': inbound?.address,
    'MessagingBinding.ProxyAddress': inbound?.proxy_address,
    'MessagingBinding.ProjectedAddress': inbound?.projected_address,
    'MessagingBinding.AuthorAddress': inbound?.projected_address ? inbound.address : null,
    ChannelMetadata: inbound?.channel_metadata,
  }
}

/** The parameters of all events of a conversation except onConversationStateUpdated. */
function toPayload(row: ConversationRow): Payload {
  return {
    ConversationSid: row.sid,
    FriendlyName: row.friendly_name,
    UniqueName: row.unique_name,
    Attributes: row.attributes,
    MessagingServiceSid: row.messaging_service_sid,
    State: row.state,
  }
}
