import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import type { FactsUnder } from '../../model/declare.ts'
import type { Parsed } from '../../model/params.ts'
import type { AccountRow, ConversationRow, ServiceRow } from '../../storage/schema.ts'
import { defaultRoles } from '../role.ts'
import { newService } from '../services/service.ts'
import { conversations } from './conversation.ts'
import { elapse, initialize, refuseClosed, refuseUnusable, restartTimers, withNewMessage, withState } from './lifecycle.ts'

const minuteMs = 60_000
const start = Date.UTC(2026, 0, 1)
const account: AccountRow = {
  sid: `AC${'0'.repeat(32)}`,
  friendly_name: '',
  status: 'active',
  auth_token: '',
  default_service_sid: `IS${'0'.repeat(32)}`,
  default_messaging_service_sid: `MG${'0'.repeat(32)}`,
  default_inactive_timer: null,
  default_closed_timer: null,
  pre_webhook_url: null,
  post_webhook_url: null,
  webhook_method: 'POST',
  webhook_filters: '[]',
  webhook_target: 'webhook',
  date_created: start,
  date_updated: start,
  revision: 1,
}

const roles = defaultRoles(account.sid, '', start)
const service: ServiceRow = {
  sid: account.default_service_sid,
  account_sid: account.sid,
  ...newService('Service', roles),
  date_created: start,
  date_updated: start,
  revision: 1,
}

type Given = Parsed<typeof conversations.params>
type Verbs = Required<Pick<typeof conversations, 'create' | 'update'>>
const { create, update } = conversations as typeof conversations & Verbs

function facts(now: number, defaults: Partial<AccountRow> = {}): FactsUnder<'service'> {
  return { now, account: { ...account, ...defaults }, service, parents: [] }
}

function made(given: Given, now = start, defaults: Partial<AccountRow> = {}): ConversationRow {
  const sid = `CH${'0'.repeat(32)}`
  const scope = { account_sid: account.sid, service_sid: service.sid }
  const dates = { date_created: now, date_updated: now, revision: 1 }
  return { ...create(given, facts(now, defaults), undefined, sid), ...scope, sid, ...dates }
}

/** Applies deadlines that have passed and then the change, as every write does. */
function changed(row: ConversationRow, given: Given, now: number): ConversationRow {
  return { ...update(elapse(row, now) ?? row, given, facts(now), undefined), date_updated: now }
}

function deadlines({ state, date_inactive, date_closed, next_due }: ConversationRow) {
  const after = (at: number | null) => (at === null ? null : (at - start) / minuteMs)
  return { state, date_inactive: after(date_inactive), date_closed: after(date_closed), next_due: after(next_due) }
}

const at = (minutes: number) => start + minutes * minuteMs

describe('the worked example', () => {
  test('without its messages: inactive, active, inactive on request, active, inactive, closed', () => {
    let row = made({ 'Timers.Inactive': 'PT10M', 'Timers.Closed': 'PT30M' })
    expect(deadlines(row)).toEqual({ state: 'active', date_inactive: 10, date_closed: 30, next_due: 10 })
    expect(elapse(row, at(10) - 1)).toBeUndefined()
    row = elapse(row, at(14)) as ConversationRow
    expect(deadlines(row)).toEqual({ state: 'inactive', date_inactive: null, date_closed: 30, next_due: 30 })
    row = changed(row, { State: 'active' }, at(20))
    expect(deadlines(row)).toEqual({ state: 'active', date_inactive: 30, date_closed: 50, next_due: 30 })
    row = changed(row, { State: 'inactive' }, at(25))
    expect(deadlines(row)).toEqual({ state: 'inactive', date_inactive: null, date_closed: 55, next_due: 55 })
    row = changed(row, { State: 'active' }, at(26))
    expect(deadlines(row)).toEqual({ state: 'active', date_inactive: 36, date_closed: 56, next_due: 36 })
    row = elapse(row, at(36)) as ConversationRow
    expect(deadlines(row)).toEqual({ state: 'inactive', date_inactive: null, date_closed: 56, next_due: 56 })
    row = elapse(row, at(56)) as ConversationRow
    expect(deadlines(row)).toEqual({ state: 'closed', date_inactive: null, date_closed: null, next_due: null })
    expect(elapse(row, at(1_000_000))).toBeUndefined()
  })
})

describe('rules', () => {
  test('a change of neither state nor timer leaves the deadlines as they are', () => {
    const row = made({ 'Timers.Inactive': 'PT10M', 'Timers.Closed': 'PT30M' })
    const given = { FriendlyName: 'x', Attributes: '[]', DateCreated: 0, DateUpdated: 0, UniqueName: null }
    expect(deadlines(changed(row, given, at(5)))).toEqual(deadlines(row))
  })

  test('the date of the state changes with the state alone, and is the deadline that has changed it', () => {
    const row = made({ 'Timers.Inactive': 'PT10M', 'Timers.Closed': 'PT30M' })
    expect(row.date_state).toBe(start)
    const renamed = changed(row, { FriendlyName: 'x', State: 'active' }, at(5))
    expect([renamed.date_state, withNewMessage(renamed, at(6)).date_state]).toEqual([start, start])
    const inactive = elapse(row, at(14)) as ConversationRow
    expect(inactive.date_state).toBe(at(10))
    expect(changed(inactive, { State: 'inactive' }, at(20)).date_state).toBe(at(10))
    expect(changed(inactive, { State: 'active' }, at(20)).date_state).toBe(at(20))
    expect(withNewMessage(inactive, at(21)).date_state).toBe(at(21))
    expect(made({ DateCreated: at(-9), DateUpdated: at(-8) }).date_state).toBe(at(-8))
  })

  test('imported dates do not affect the deadlines', () => {
    const row = made({ DateCreated: 0, DateUpdated: 0, 'Timers.Closed': 'PT10M' })
    expect(deadlines(row)).toMatchObject({ date_closed: 10, next_due: 10 })
  })

  test('both overdue is one transition, straight to closed, dated by the deadline', () => {
    const row = made({ 'Timers.Inactive': 'PT1M', 'Timers.Closed': 'PT10M' })
    expect(elapse(row, at(500))).toMatchObject({ state: 'closed', date_updated: at(10), next_due: null })
  })

  test('of deadlines at the same instant the closed one wins', () => {
    const row = made({ 'Timers.Inactive': 'PT10M', 'Timers.Closed': 'PT10M' })
    expect(elapse(row, at(10))?.state).toBe('closed')
  })

  test('a day is 24 hours', () => {
    const january = made({ 'Timers.Inactive': 'P29D', 'Timers.Closed': 'P366D' }, Date.UTC(2024, 0, 31, 12))
    expect(january.date_inactive).toBe(Date.UTC(2024, 1, 29, 12))
    expect(january.date_closed).toBe(Date.UTC(2025, 0, 31, 12))
  })

  test("the account's defaults fill in what a request leaves out, and only that", () => {
    const defaults = { default_inactive_timer: 'PT1M', default_closed_timer: 'PT20M' }
    expect(deadlines(made({}, start, defaults))).toMatchObject({ date_inactive: 1, date_closed: 20 })
    expect(deadlines(made({ 'Timers.Inactive': null }, start, defaults))).toMatchObject({ date_inactive: null, date_closed: 20 })
    expect(deadlines(made({ 'Timers.Closed': 'PT30M' }, start, defaults))).toMatchObject({ date_inactive: 1, date_closed: 30 })
  })

  test('while it is set up nothing changes it; it is due from the start', () => {
    const timers = { 'Timers.Inactive': 'PT10M', 'Timers.Closed': 'PT30M' }
    const row = initialize(made(timers), start)
    expect(deadlines(row)).toEqual({ state: 'initializing', date_inactive: 10, date_closed: 30, next_due: 0 })
    const message = "Conversation in 'initializing' state may not be updated or used for message sending"
    expect(() => update(row, { FriendlyName: 'x' }, facts(start), undefined)).toThrow(message)
    expect(() => withState(row, 'closed', start)).toThrow(message)
    expect(() => refuseUnusable(row)).toThrow(message)
    expect(elapse(row, start)).toEqual({ ...made(timers), initial_state: null })
    expect(elapse(initialize(made({ ...timers, State: 'inactive' }), start), start)?.state).toBe('inactive')
    expect(elapse(row, at(40))).toEqual(elapse(made(timers), at(40)))
    // Somebody who reads it has looked at the clock before it was there.
    expect(elapse(row, at(-1))?.state).toBe('active')
  })

  test('setting the current state changes nothing; closed is final', () => {
    const row = made({ 'Timers.Inactive': 'PT10M' })
    expect(withState(row, 'active', at(5))).toEqual(row)
    const closed = withState(row, 'closed', at(5))
    expect(deadlines(closed)).toEqual({ state: 'closed', date_inactive: null, date_closed: null, next_due: null })
    for (const state of ['active', 'inactive', 'closed'] as const) {
      expect(() => withState(closed, state, at(6))).toThrow("Can't update conversation as it's in final closed state")
    }
    expect(() => refuseClosed(closed)).toThrow()
    expect(() => refuseClosed(row)).not.toThrow()
  })

  test('rows are not changed in place', () => {
    const row = Object.freeze(made({ 'Timers.Inactive': 'PT10M', 'Timers.Closed': 'PT30M' }))
    restartTimers(row, at(1))
    withState(row, 'inactive', at(1))
    elapse(row, at(100))
    changed(row, { State: 'closed', 'Timers.Inactive': null }, at(1))
    expect(deadlines(row)).toEqual({ state: 'active', date_inactive: 10, date_closed: 30, next_due: 10 })
  })
})

describe('against a model', () => {
  /** The same rules, in minutes and with one anchor in place of deadlines. */
  class Model {
    state: 'active' | 'inactive' | 'closed'
    inactive: number | null
    closed: number | null
    anchor = 0
    constructor({ state, inactive, closed }: Setting) {
      this.state = state ?? 'active'
      this.inactive = inactive ?? null
      this.closed = closed ?? null
    }
    elapse(now: number): void {
      if (this.state === 'active' && this.inactive !== null && this.anchor + this.inactive <= now) this.state = 'inactive'
      if (this.state !== 'closed' && this.closed !== null && this.anchor + this.closed <= now) this.state = 'closed'
    }
    /** Returns whether the change is refused. */
    set({ state, inactive, closed }: Setting, now: number): boolean {
      this.elapse(now)
      if (this.state === 'closed') return true
      const moved = state !== undefined && state !== this.state
      if (moved || inactive !== undefined || closed !== undefined) this.anchor = now
      if (inactive !== undefined) this.inactive = inactive
      if (closed !== undefined) this.closed = closed
      this.state = state ?? this.state
      return false
    }
    deadlines() {
      const date_inactive = this.state === 'active' && this.inactive !== null ? this.anchor + this.inactive : null
      const date_closed = this.state !== 'closed' && this.closed !== null ? this.anchor + this.closed : null
      const next_due = Math.min(date_inactive ?? Number.POSITIVE_INFINITY, date_closed ?? Number.POSITIVE_INFINITY)
      return { state: this.state, date_inactive, date_closed, next_due: Number.isFinite(next_due) ? next_due : null }
    }
  }

  /** Undefined: absent; null: unset. */
  interface Setting {
    readonly state?: 'active' | 'inactive' | 'closed' | undefined
    readonly inactive?: number | null | undefined
    readonly closed?: number | null | undefined
  }

  const timer = (min: number) => fc.option(fc.option(fc.integer({ min, max: 40 }), { nil: null }), { nil: undefined })
  const setting = fc.record({
    state: fc.constantFrom('active' as const, 'inactive' as const, undefined, undefined, 'closed' as const),
    inactive: timer(1),
    closed: timer(10),
  })
  const initial = setting.map(({ state, ...timers }) => ({ ...timers, state: state === 'closed' ? ('active' as const) : state }))
  const step = fc.record({
    wait: fc.integer({ min: 0, max: 15 }),
    /** Whether a sweep applies deadlines before the change: the result must be the same. */
    swept: fc.boolean(),
    change: fc.option(setting, { nil: undefined }),
  })

  function givenFor({ state, inactive, closed }: Setting): Given {
    const text = (minutes: number | null) => (minutes === null ? null : `PT${minutes}M`)
    return {
      ...(state !== undefined && { State: state }),
      ...(inactive !== undefined && { 'Timers.Inactive': text(inactive) }),
      ...(closed !== undefined && { 'Timers.Closed': text(closed) }),
    }
  }

  function refused(change: () => void): boolean {
    try {
      change()
      return false
    } catch (error) {
      expect(error).toMatchObject({ kind: 'conversationClosed' })
      return true
    }
  }

  test('any sequence of changes and waiting leads to the same state and deadlines', () => {
    fc.assert(
      fc.property(initial, fc.array(step, { maxLength: 30 }), (begin, steps) => {
        let row = made(givenFor(begin))
        const model = new Model(begin)
        let now = 0
        for (const { wait, swept, change } of steps) {
          now += wait
          if (swept) row = elapse(row, at(now)) ?? row
          if (change) {
            const refusal = refused(() => {
              row = changed(row, givenFor(change), at(now))
            })
            expect(refusal).toBe(model.set(change, now))
          }
          model.elapse(now)
          expect(deadlines(elapse(row, at(now)) ?? row)).toEqual(model.deadlines())
        }
      }),
      { numRuns: 2000 },
    )
  })

  test('how often deadlines are applied makes no difference, not even to the date of the change', () => {
    fc.assert(
      fc.property(initial, fc.array(fc.integer({ min: 0, max: 60 }), { maxLength: 10 }), (begin, instants) => {
        const row = made(givenFor(begin))
        let swept = row
        for (const minutes of instants.toSorted((a, b) => a - b)) swept = elapse(swept, at(minutes)) ?? swept
        expect(elapse(swept, at(60)) ?? swept).toEqual(elapse(row, at(60)) ?? row)
      }),
    )
  })

  test('after deadlines are applied none is due, and applying them again changes nothing', () => {
    fc.assert(
      fc.property(initial, fc.integer({ min: 0, max: 60 }), (begin, minutes) => {
        const row = elapse(made(givenFor(begin)), at(minutes))
        if (!row) return
        expect(row.next_due ?? Number.POSITIVE_INFINITY).toBeGreaterThan(at(minutes))
        expect(row.date_updated).toBeLessThanOrEqual(at(minutes))
        expect(elapse(row, at(minutes))).toBeUndefined()
      }),
    )
  })
})
