import { milliseconds } from '../../dates.ts'
import type { Event } from '../../events/event.ts'
import type { Change } from '../../model/declare.ts'
import type { ConversationRow, ConversationState } from '../../storage/schema.ts'

/** What the events of a conversation's states tell. */
type Moved = Pick<ConversationRow, 'sid' | 'messaging_service_sid' | 'state' | 'initial_state' | 'next_due' | 'date_updated'>

/** Returns the event of a change of state; two when a conversation was set up and has been closed by a deadline since. */
export function stateEvents(change: Change<Moved>, now: number): Event[] {
  if (change.verb !== 'update' || change.before.state === change.after.state) return []
  const { before, after, cause } = change
  const { state: from } = before
  const { state: to } = after
  // The vendor has no such change, and so no event for it.
  if (cause === 'operator') return []
  if (cause === 'request') return [stateEvent(after, { from, to, reason: 'API', at: after.date_updated })]
  if (cause === 'consequence') return [stateEvent(after, { from, to, reason: 'EVENT', at: now })]
  if (from !== 'initializing') return [stateEvent(after, { from, to, reason: 'TIMER', at: after.date_updated })]
  const initial = before.initial_state ?? 'active'
  const started = stateEvent(after, { from, to: initial, reason: 'EVENT', at: before.next_due ?? now })
  if (to === initial) return [started]
  return [started, stateEvent(after, { from: initial, to, reason: 'TIMER', at: after.date_updated })]
}

interface StateMove {
  readonly from: ConversationState
  readonly to: ConversationState
  readonly reason: 'API' | 'EVENT' | 'TIMER'
  readonly at: number
}

function stateEvent(row: Moved, { from, to, reason, at }: StateMove): Event {
  return {
    type: 'onConversationStateUpdated',
    subject_sid: row.sid,
    always: reason !== 'API',
    payload: () => ({
      ConversationSid: row.sid,
      // observed: absent when a timer has changed the state.
      MessagingServiceSid: reason === 'TIMER' ? null : row.messaging_service_sid,
      StateUpdated: milliseconds(at),
      StateFrom: from,
      StateTo: to,
      Reason: reason,
    }),
  }
}
