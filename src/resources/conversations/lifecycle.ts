import { plusDuration } from '../../dates.ts'
import { refuse } from '../../errors.ts'
import type { ConversationRow, ConversationState } from '../../storage/schema.ts'

/*
 *              State=inactive, inactive timer
 *            ┌────────────────────────────────▶┐
 *  create ─▶ active                         inactive ◀─ create with State=inactive
 *            └◀────────────────────────────────┘
 *              State=active, a message
 *
 *  create with participants ─▶ initializing ── at once, as by a deadline ──▶ active, or inactive if created with State=inactive
 *
 *  active, inactive ── State=closed, closed timer ──▶ closed (final for the account: only reads and deletion)
 *  closed ── the operator reopens it ──▶ active
 *
 * Both deadlines are counted from one anchor: creation, the last message, or a request that changes a timer or the state.
 * Sources disagree on the closed one: a guide counts it from the moment of becoming inactive, the official example from that anchor.
 * observed: a conversation with a lone closed timer of ten minutes closed exactly ten minutes after creation.
 */

type Deadlines = Pick<ConversationRow, 'state' | 'date_state' | 'initial_state' | 'date_inactive' | 'date_closed' | 'next_due'>
/** What `elapse` reads of a row. */
export const deadlineColumns = [
  'state',
  'initial_state',
  'date_inactive',
  'date_closed',
  'next_due',
] as const satisfies readonly (keyof Deadlines)[]
type Timed = Deadlines & Pick<ConversationRow, 'inactive_after' | 'closed_after'>

/** Restarts both deadlines from `anchor`. */
export function restartTimers<R extends Timed>(row: R, anchor: number): R {
  return deadlines(row, {
    date_inactive: due(anchor, row.inactive_after),
    date_closed: due(anchor, row.closed_after),
  })
}

/**
 * Makes a new conversation initializing. It is due from the start, so that the first who reads, changes or sweeps it finds it in
 * its initial state.
 */
export function initialize<R extends Deadlines>(row: R, now: number): R {
  const initialState = row.state === 'inactive' ? 'inactive' : 'active'
  return { ...inState(row, 'initializing', now), initial_state: initialState, next_due: now }
}

/**
 * Changes the state of a conversation. A change restarts both deadlines from `now` (documented in the guide on states and timers).
 * Throws when the conversation is closed or initializing.
 */
export function withState(row: ConversationRow, state: ConversationState, now: number): ConversationRow {
  refuseUnusable(row)
  if (state === row.state) return row
  return restartTimers(inState(row, state, now), now)
}

/** Undoes the closing of a conversation, which nobody but the operator can. Both deadlines restart: the old ones have passed. */
export function reopened(row: ConversationRow, now: number): ConversationRow {
  return restartTimers(inState(row, 'active', now), now)
}

/** Throws when the conversation is closed: it can only be read and deleted. */
export function refuseClosed(row: Pick<ConversationRow, 'state'>): void {
  if (row.state === 'closed') throw refuse('conversationClosed')
}

/** Throws when the conversation is closed or initializing: nothing in it can be changed. */
export function refuseUnusable(row: Pick<ConversationRow, 'state'>): void {
  refuseClosed(row)
  if (row.state === 'initializing') throw refuse('conversationInitializing')
}

/** Applies a new message: the conversation is active, and both deadlines restart. Its `date_updated` is unchanged (documented). */
export function withNewMessage(row: ConversationRow, now: number): ConversationRow {
  return restartTimers({ ...inState(row, 'active', now), date_activity: now }, now)
}

/**
 * Applies deadlines that have passed; undefined when none has. If both are overdue (the server was down), the conversation is
 * closed in one transition. `date_updated` is the deadline, so that a read just before the sweep returns what the sweep will write.
 */
export function elapse<R extends Deadlines & { date_updated: number }>(row: R, now: number): R | undefined {
  if (row.next_due === null) return undefined
  // Over from the start, also for whoever has looked at the clock a moment before the row was created.
  if (row.state === 'initializing') {
    const initial = inState(row, row.initial_state ?? 'active', row.next_due)
    const started = deadlines({ ...initial, initial_state: null }, row)
    return elapse(started, now) ?? started
  }
  if (row.next_due > now) return undefined
  const closed = row.date_closed !== null && row.date_closed <= now
  const state = closed ? 'closed' : 'inactive'
  const at = (closed ? row.date_closed : row.date_inactive) ?? row.next_due
  return deadlines({ ...inState(row, state, at), date_updated: at }, row)
}

/** Puts a conversation into a state, in which it may be already. Whoever changes a state does it by this. */
function inState<R extends Pick<ConversationRow, 'state' | 'date_state'>>(row: R, state: ConversationState, at: number): R {
  return state === row.state ? row : { ...row, state, date_state: at }
}

/** Sets the deadlines that apply to the state: none when closed, the inactive one only when active. */
function deadlines<R extends Deadlines>(row: R, given: Pick<Deadlines, 'date_inactive' | 'date_closed'>): R {
  const date_inactive = row.state === 'active' ? given.date_inactive : null
  const date_closed = row.state === 'closed' ? null : given.date_closed
  const armed = [date_inactive, date_closed].filter((at) => at !== null)
  return { ...row, date_inactive, date_closed, next_due: armed.length > 0 ? Math.min(...armed) : null }
}

function due(anchor: number, after: string | null): number | null {
  return after === null ? null : (plusDuration(anchor, after) ?? null)
}
