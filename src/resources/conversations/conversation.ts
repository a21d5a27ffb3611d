import { milliseconds, seconds } from '../../dates.ts'
import { refuse } from '../../errors.ts'
import type { FormValues } from '../../events/event.ts'
import { toldMedia } from '../../media/rows.ts'
import { type Change, type Inbound, resource } from '../../model/declare.ts'
import { date, dateBound, duration, jsonText, oneOf, sid, text } from '../../model/params.ts'
import { isSid } from '../../sids.ts'
import type { ConversationRow } from '../../storage/schema.ts'
import { shape } from '../../storage/shapes.ts'
import { arm, elapse, moveTo, refuseClosed } from './lifecycle.ts'
import { scopedTargets } from './webhooks/targets.ts'

export const inactiveTimer = duration({ min: 'PT1M', tooShort: 'inactiveTimerTooShort', invalid: 'invalidInactiveTimer' })
export const closedTimer = duration({ min: 'PT10M', tooShort: 'closedTimerTooShort', invalid: 'invalidClosedTimer' })
const states = oneOf(['active', 'inactive', 'closed'], { invalid: 'invalidState', empty: 'emptyState' })

const releaseParticipants = shape<{ service_sid: string; sid: string }>()((db, a) =>
  db.updateTable('participants').set({ open: 0 }).where('service_sid', '=', a.service_sid).where('conversation_sid', '=', a.sid),
)

/** https://www.twilio.com/docs/conversations/api/conversation-resource */
export const conversations = resource<ConversationRow>()({
  name: 'Conversation',
  path: 'Conversations',
  under: 'service',
  asParent: 'conversation_sid',
  table: 'conversations',
  sid: 'CH',
  alsoFoundBy: 'unique_name',
  unique: [{ column: 'unique_name', taken: 'uniqueNameTaken' }],
  params: {
    FriendlyName: text({ max: 256, tooLong: 'friendlyNameTooLong' }),
    UniqueName: text({
      max: 256,
      tooLong: 'uniqueNameTooLong',
      not: { test: (name) => isSid('CH', name), refuse: 'uniqueNameLikeSid' },
    }),
    DateCreated: date('invalidDateCreated'),
    DateUpdated: date('invalidDateUpdated'),
    MessagingServiceSid: sid('MG', 'invalidMessagingServiceSid'),
    Attributes: jsonText(16_384),
    State: states,
    'Timers.Inactive': inactiveTimer,
    'Timers.Closed': closedTimer,
    'Bindings.Email.Address': text({ max: 256 }),
    'Bindings.Email.Name': text({ max: 256 }),
  },

  create(p, { now, account }) {
    if (p.State === 'closed') throw refuse('initiallyClosed')
    const inactive_after = p['Timers.Inactive']
    const closed_after = p['Timers.Closed']
    const row = {
      account_sid: account.sid,
      service_sid: '',
      messaging_service_sid: p.MessagingServiceSid ?? account.default_messaging_service_sid,
      friendly_name: p.FriendlyName ?? null,
      unique_name: p.UniqueName ?? null,
      attributes: p.Attributes ?? '{}',
      state: p.State ?? 'active',
      // An explicit PT0S switches an account default off.
      inactive_after: inactive_after === undefined ? account.default_inactive_timer : inactive_after,
      closed_after: closed_after === undefined ? account.default_closed_timer : closed_after,
      date_inactive: null,
      date_closed: null,
      next_due: null,
      email_address: p['Bindings.Email.Address'] ?? null,
      email_name: p['Bindings.Email.Name'] ?? null,
      created_by: 'system',
      last_message_index: -1,
      webhook_count: 0,
      date_activity: p.DateCreated ?? now,
    }
    // Imported dates say when it happened elsewhere; its timers run from now.
    return arm(row, now)
  },

  update(was, p, { now }) {
    refuseClosed(was)
    const { 'Timers.Inactive': inactive_after, 'Timers.Closed': closed_after } = p
    const row: ConversationRow = {
      ...was,
      // observed: an empty FriendlyName leaves the old one.
      friendly_name: p.FriendlyName ?? was.friendly_name,
      unique_name: p.UniqueName === undefined ? was.unique_name : p.UniqueName,
      messaging_service_sid: p.MessagingServiceSid ?? was.messaging_service_sid,
      attributes: p.Attributes ?? was.attributes,
      inactive_after: inactive_after === undefined ? was.inactive_after : inactive_after,
      closed_after: closed_after === undefined ? was.closed_after : closed_after,
      email_address: p['Bindings.Email.Address'] === undefined ? was.email_address : p['Bindings.Email.Address'],
      email_name: p['Bindings.Email.Name'] === undefined ? was.email_name : p['Bindings.Email.Name'],
    }
    const moved = moveTo(row, p.State ?? was.state, now)
    return inactive_after === undefined && closed_after === undefined ? moved : arm(moved, now)
  },

  remove: () => {},

  elapse,

  /** Closed or gone, it holds no address pair and counts for nobody. */
  async follow(tx, { was, is }) {
    const freed = was !== null && was.state !== 'closed' && (is === null || is.state === 'closed')
    if (freed) await tx.run(releaseParticipants, was)
  },

  represent: (row, self) => ({
    sid: row.sid,
    account_sid: row.account_sid,
    chat_service_sid: row.service_sid,
    messaging_service_sid: row.messaging_service_sid,
    friendly_name: row.friendly_name,
    unique_name: row.unique_name,
    attributes: row.attributes,
    date_created: seconds(row.date_created),
    date_updated: seconds(row.date_updated),
    state: row.state,
    timers: shownTimers(row),
    bindings:
      row.email_address === null && row.email_name === null
        ? {}
        : { email: { projected_address: row.email_address, name: row.email_name } },
    url: self,
    links: {
      participants: `${self}/Participants`,
      messages: `${self}/Messages`,
      webhooks: `${self}/Webhooks`,
      export: `${self}/Export`,
    },
  }),

  list: {
    key: 'conversations',
    size: 50,
    max: 1000,
    params: {
      StartDate: dateBound('StartDate', false),
      EndDate: dateBound('EndDate', true),
      State: oneOf(['active', 'inactive', 'closed', 'initializing'], { invalid: 'invalidState' }),
    },
    order: (p) => ({
      by: p.StartDate === undefined && p.EndDate === undefined ? 'date_activity' : 'date_created',
      direction: 'desc',
      where: [
        ...(p.State === undefined ? [] : [{ column: 'state', operator: '=' as const, value: p.State }]),
        ...(p.StartDate === undefined ? [] : [{ column: 'date_created', operator: '>=' as const, value: p.StartDate }]),
        ...(p.EndDate === undefined ? [] : [{ column: 'date_created', operator: '<=' as const, value: p.EndDate }]),
      ],
    }),
  },

  events: {
    before: { create: 'onConversationAdd', update: 'onConversationUpdate', remove: 'onConversationRemove' },
    beforeForm: (change, { inbound }) => {
      const row = (change.is ?? change.was) as ConversationRow
      if (change.verb === 'create') {
        const Media = inbound?.media ? toldMedia(inbound.media) : null
        const opening = { ...toldBinding(inbound), MessageBody: inbound?.body, Media }
        return { ...told(row), ...opening, DateCreated: milliseconds(row.date_created), ConversationSid: null }
      }
      // Values as proposed, but the date of the last committed change.
      const was = change.was as ConversationRow
      return { ...told(row), DateCreated: milliseconds(row.date_created), DateUpdated: milliseconds(was.date_updated) }
    },
    amendable: {
      create: { friendly_name: 'FriendlyName', attributes: 'Attributes' },
      update: { friendly_name: 'FriendlyName' },
    },
    emits: ['onConversationAdded', 'onConversationUpdated', 'onConversationRemoved', 'onConversationStateUpdated'],
    after: (change, facts) => {
      const row = (change.is ?? change.was) as ConversationRow
      const stateEvent = (reason: string, by_itself: boolean) => ({
        type: 'onConversationStateUpdated',
        subject_sid: row.sid,
        by_itself,
        form: () => ({
          ConversationSid: row.sid,
          // observed: absent when a timer did it.
          MessagingServiceSid: reason === 'TIMER' ? null : row.messaging_service_sid,
          StateUpdated: milliseconds(reason === 'EVENT' ? facts.now : row.date_updated),
          StateFrom: change.was?.state,
          StateTo: change.is?.state,
          Reason: reason,
        }),
      })
      if (change.cause === 'deadline') return [stateEvent('TIMER', true)]
      if (change.cause === 'consequence') return changedState(change) ? [stateEvent('EVENT', true)] : []
      const dates = () => ({
        DateCreated: milliseconds(row.date_created),
        DateUpdated: milliseconds(row.date_updated),
        DateRemoved: change.verb === 'remove' ? milliseconds(facts.now) : null,
      })
      const type = { create: 'onConversationAdded', update: 'onConversationUpdated', remove: 'onConversationRemoved' }[
        change.verb
      ]
      const opening = change.verb === 'create' ? toldBinding(facts.inbound) : {}
      const event = { type, subject_sid: row.sid, by_itself: false, form: () => ({ ...told(row), ...dates(), ...opening }) }
      return changedState(change) ? [event, stateEvent('API', false)] : [event]
    },
    listeners: (read, event, { was, is }) => scopedTargets(read, event, (is ?? was) as ConversationRow),
  },
})

/** Only the armed ones. */
export function shownTimers(row: Pick<ConversationRow, 'date_inactive' | 'date_closed'>): object {
  return {
    ...(row.date_inactive !== null && { date_inactive: seconds(row.date_inactive) }),
    ...(row.date_closed !== null && { date_closed: seconds(row.date_closed) }),
  }
}

function changedState(change: Change<ConversationRow>): boolean {
  return change.verb === 'update' && change.was?.state !== change.is?.state
}

/** Whose message made the conversation. */
function toldBinding(inbound: Inbound | undefined): FormValues {
  return {
    'MessagingBinding.Address': inbound?.address,
    'MessagingBinding.ProxyAddress': inbound?.proxy_address,
    ChannelMetadata: inbound?.channel_metadata,
  }
}

/** What every event about a conversation but a change of state says of it. */
function told(row: ConversationRow): FormValues {
  return {
    ConversationSid: row.sid,
    FriendlyName: row.friendly_name,
    UniqueName: row.unique_name,
    Attributes: row.attributes,
    MessagingServiceSid: row.messaging_service_sid,
    State: row.state,
  }
}
