import fc from 'fast-check'
import { afterAll, beforeAll, expect, vi } from 'vitest'
import { test } from '../support/fixtures.ts'
import { newTenant, type Tenant } from '../support/tenant.ts'

/*
 * What a conversation is supposed to do, written down a second time and as plainly as possible: no rows, no transactions, every
 * deadline looked at whenever anything happens. Random sequences of operations must give the same answers on both sides.
 */

const second_ms = 1000
const minuteMs = 60 * second_ms

beforeAll(() => void vi.useFakeTimers({ toFake: ['Date'] }))
afterAll(() => void vi.useRealTimers())

const identities = ['alice', 'bob', 'carol']
const phone = '+15550000001'
const proxy = '+15559990001'
const people = [...identities, phone]

type Operation =
  | { does: 'create'; inactive: number; closed: number; state: 'active' | 'inactive' }
  | { does: 'retime'; at: number; inactive: number; closed: number }
  | { does: 'move'; at: number; state: 'active' | 'inactive' | 'closed' }
  | { does: 'join'; at: number; who: string }
  | { does: 'leave'; at: number; who: string }
  | { does: 'say'; at: number; who: string; body: string }
  | { does: 'edit'; at: number; message: number; who: string | null; body: string }
  | { does: 'erase'; at: number; message: number }
  | { does: 'read'; at: number; who: string; upto: number | null }
  | { does: 'wait'; seconds: number; swept: boolean }

const at = fc.nat({ max: 2 })
const who = fc.constantFrom(...people)
const body = fc.string({ maxLength: 5, unit: 'grapheme-ascii' })
/** Minutes; 0 is no timer. */
const inactive = fc.constantFrom(0, 1, 5, 12)
const closed = fc.constantFrom(0, 0, 10, 15)

const operation: fc.Arbitrary<Operation> = fc.oneof(
  {
    weight: 1,
    arbitrary: fc.record({ does: fc.constant('create'), inactive, closed, state: fc.constantFrom('active', 'inactive') }),
  },
  { weight: 1, arbitrary: fc.record({ does: fc.constant('retime'), at, inactive, closed }) },
  { weight: 1, arbitrary: fc.record({ does: fc.constant('move'), at, state: fc.constantFrom('active', 'inactive', 'closed') }) },
  { weight: 4, arbitrary: fc.record({ does: fc.constant('join'), at, who }) },
  { weight: 2, arbitrary: fc.record({ does: fc.constant('leave'), at, who }) },
  { weight: 6, arbitrary: fc.record({ does: fc.constant('say'), at, who, body }) },
  { weight: 2, arbitrary: fc.record({ does: fc.constant('edit'), at, message: fc.nat({ max: 6 }), who: fc.option(who), body }) },
  { weight: 2, arbitrary: fc.record({ does: fc.constant('erase'), at, message: fc.nat({ max: 6 }) }) },
  { weight: 2, arbitrary: fc.record({ does: fc.constant('read'), at, who, upto: fc.option(fc.nat({ max: 8 })) }) },
  {
    weight: 3,
    arbitrary: fc.record({ does: fc.constant('wait'), seconds: fc.integer({ min: 30, max: 400 }), swept: fc.boolean() }),
  },
)

interface Member {
  sid: string
  who: string
  read: number | null
}
interface Message {
  sid: string
  index: number
  author: string
  participant: string | null
  body: string
}
interface Room {
  sid: string
  state: 'active' | 'inactive' | 'closed'
  /** Minutes. */
  inactive: number
  closed: number
  inactiveAt: number | null
  closedAt: number | null
  next: number
  members: Member[]
  messages: Message[]
}

/** What an operation comes to: the status, and the code of a refusal. */
type Outcome = readonly [number, number?]

const final: Outcome = [400, 50377]
const missing: Outcome = [404, 20404]

/** What should happen. Sids are those that the server gave. */
class Model {
  readonly rooms: Room[] = []
  now = 0

  create(given: { inactive: number; closed: number; state: 'active' | 'inactive' }, sid: string): Outcome {
    const room: Room = { ...given, sid, inactiveAt: null, closedAt: null, next: 0, members: [], messages: [] }
    this.#arm(room)
    this.rooms.push(room)
    return [201]
  }

  retime(room: Room, given: { inactive: number; closed: number }): Outcome {
    if (room.state === 'closed') return final
    Object.assign(room, given)
    this.#arm(room)
    return [200]
  }

  move(room: Room, state: Room['state']): Outcome {
    if (room.state === 'closed') return final
    const changed = room.state !== state
    room.state = state
    if (changed) this.#arm(room)
    if (state !== 'active') room.inactiveAt = null
    if (state === 'closed') room.closedAt = null
    return [200]
  }

  join(room: Room, who: string, sid: string): Outcome {
    if (room.state === 'closed') return final
    const holds = (one: Room) => one.state !== 'closed' && one.members.some((member) => member.who === who)
    if (who === phone && this.rooms.some(holds)) return [409, 50416]
    if (holds(room)) return [409, 50433]
    room.members.push({ sid, who, read: null })
    return [201]
  }

  leave(room: Room, who: string): Outcome {
    const index = room.members.findIndex((member) => member.who === who)
    if (index < 0) return missing
    if (room.state === 'closed') return final
    room.members.splice(index, 1)
    return [204]
  }

  say(room: Room, author: string, body: string, sid: string): Outcome {
    if (room.state === 'closed') return final
    room.messages.push({ sid, index: room.next, author, participant: member(room, author)?.sid ?? null, body })
    room.next += 1
    room.state = 'active'
    this.#arm(room)
    return [201]
  }

  edit(room: Room, message: Message | undefined, author: string | null, body: string): Outcome {
    if (!message) return missing
    if (room.state === 'closed') return final
    if (author !== null && author !== message.author) {
      message.author = author
      message.participant = member(room, author)?.sid ?? null
    }
    message.body = body
    return [200]
  }

  erase(room: Room, message: Message | undefined): Outcome {
    if (!message) return missing
    if (room.state === 'closed') return final
    room.messages = room.messages.filter((one) => one !== message)
    return [204]
  }

  read(room: Room, who: string, upto: number | null): Outcome {
    const found = member(room, who)
    if (!found) return missing
    if (room.state === 'closed') return final
    found.read = upto
    return [200]
  }

  /** Time goes on, and deadlines pass. */
  pass(now: number): void {
    this.now = now
    for (const room of this.rooms) {
      if (room.closedAt !== null && room.closedAt <= now)
        Object.assign(room, { state: 'closed', closedAt: null, inactiveAt: null })
      if (room.inactiveAt !== null && room.inactiveAt <= now) Object.assign(room, { state: 'inactive', inactiveAt: null })
    }
  }

  /** Both timers from now. */
  #arm(room: Room): void {
    room.inactiveAt = room.state === 'active' && room.inactive > 0 ? this.now + room.inactive * minuteMs : null
    room.closedAt = room.closed > 0 ? this.now + room.closed * minuteMs : null
  }
}

function member(room: Room, who: string): Member | undefined {
  return room.members.find((one) => one.who === who)
}

const shown = (instant: number) => `${new Date(instant).toISOString().slice(0, -5)}Z`
const duration = (minutes: number) => `PT${minutes}M`
const timers = (given: { inactive: number; closed: number }) => ({
  'Timers.Inactive': given.inactive === 0 ? '' : duration(given.inactive),
  'Timers.Closed': given.closed === 0 ? 'PT0S' : duration(given.closed),
})

/** The same conversations on the server. */
class Real {
  readonly #tenant: Tenant
  constructor(tenant: Tenant) {
    this.#tenant = tenant
  }

  async send(method: string, path: string, form?: Record<string, string>): Promise<{ outcome: Outcome; sid: string }> {
    const { status, body } = await this.#tenant.call(method, `/v1/Conversations${path}`, form)
    return { outcome: status < 300 ? [status] : [status, body.code], sid: body.sid ?? '' }
  }

  advance(duration: string) {
    return this.#tenant.advance(duration)
  }

  async get(path: string) {
    return (await this.#tenant.call('GET', `/v1${path}`)).body
  }
}

const person = (who: string): Record<string, string> =>
  who === phone ? { 'MessagingBinding.Address': phone, 'MessagingBinding.ProxyAddress': proxy } : { Identity: who }

/** Does one thing on both sides; answers what each made of it. */
async function both(model: Model, real: Real, one: Operation): Promise<{ expected: Outcome; got: Outcome } | null> {
  if (one.does === 'wait') {
    // With the sweep, or so that nobody has looked at the deadlines yet.
    if (one.swept) await real.advance(`PT${one.seconds}S`)
    else vi.setSystemTime(Date.now() + one.seconds * second_ms)
    return null
  }
  if (one.does === 'create') {
    const { outcome, sid } = await real.send('POST', '', { ...timers(one), State: one.state })
    return { expected: model.create({ inactive: one.inactive, closed: one.closed, state: one.state }, sid), got: outcome }
  }
  const room = model.rooms[one.at % model.rooms.length] as Room
  const path = `/${room.sid}`
  if (one.does === 'retime') {
    const { outcome } = await real.send('POST', path, timers(one))
    return { expected: model.retime(room, { inactive: one.inactive, closed: one.closed }), got: outcome }
  }
  if (one.does === 'move') {
    return { expected: model.move(room, one.state), got: (await real.send('POST', path, { State: one.state })).outcome }
  }
  if (one.does === 'join') {
    const { outcome, sid } = await real.send('POST', `${path}/Participants`, person(one.who))
    return { expected: model.join(room, one.who, sid), got: outcome }
  }
  if (one.does === 'say') {
    const { outcome, sid } = await real.send('POST', `${path}/Messages`, { Author: one.who, Body: one.body })
    return { expected: model.say(room, one.who, one.body, sid), got: outcome }
  }
  if (one.does === 'edit' || one.does === 'erase') {
    const message = room.messages[one.message]
    const which = `${path}/Messages/${message?.sid ?? `IM${'0'.repeat(32)}`}`
    if (one.does === 'erase') return { expected: model.erase(room, message), got: (await real.send('DELETE', which)).outcome }
    const { outcome } = await real.send('POST', which, { Body: one.body, ...(one.who !== null && { Author: one.who }) })
    return { expected: model.edit(room, message, one.who, one.body), got: outcome }
  }
  // An address stands in no path.
  const key = one.who === phone ? (member(room, phone)?.sid ?? phone) : one.who
  const which = `${path}/Participants/${encodeURIComponent(key)}`
  if (one.does === 'leave') return { expected: model.leave(room, one.who), got: (await real.send('DELETE', which)).outcome }
  const form = { LastReadMessageIndex: one.upto === null ? '' : String(one.upto) }
  return { expected: model.read(room, one.who, one.upto), got: (await real.send('POST', which, form)).outcome }
}

function expectedView(room: Room) {
  return {
    state: room.state,
    timers: {
      ...(room.inactiveAt !== null && { date_inactive: shown(room.inactiveAt) }),
      ...(room.closedAt !== null && { date_closed: shown(room.closedAt) }),
    },
    messages: room.messages.map(({ sid, index, author, participant, body }) => [sid, index, author, participant, body]),
    participants: room.members.map(({ sid, who, read }) => [sid, who, read]),
  }
}

type Row = Record<string, unknown>

async function actualView(real: Real, { sid }: Room) {
  const { state, timers } = await real.get(`/Conversations/${sid}`)
  const { messages } = await real.get(`/Conversations/${sid}/Messages`)
  const { participants } = await real.get(`/Conversations/${sid}/Participants`)
  return {
    state,
    timers,
    messages: messages.map((m: Row) => [m.sid, m.index, m.author, m.participant_sid, m.body]),
    participants: participants.map((p: Row) => [
      p.sid,
      p.identity ?? (p.messaging_binding as Row).address,
      p.last_read_message_index,
    ]),
  }
}

/** Unread messages of everybody in every conversation, as a table of texts. */
function expectedUnread(model: Model, identity: string): string[] {
  return model.rooms
    .flatMap((room) => {
      const found = member(room, identity)
      if (!found) return []
      const { read } = found
      const unread = read === null ? null : room.messages.filter(({ index }) => index > read).length
      return [`${room.sid} ${room.state} ${unread}`]
    })
    .sort()
}

async function actualUnread(real: Real, identity: string): Promise<string[]> {
  const { conversations = [] } = await real.get(`/Users/${identity}/Conversations`)
  return conversations.map((one: Row) => `${one.conversation_sid} ${one.conversation_state} ${one.unread_messages_count}`).sort()
}

test('any sequence of operations gives the answers of the model', async ({ server }) => {
  await fc.assert(
    fc.asyncProperty(fc.array(operation, { minLength: 5, maxLength: 40, size: 'max' }), async (operations) => {
      const model = new Model()
      const real = new Real(await newTenant(server))
      const begin: Operation = { does: 'create', inactive: 5, closed: 10, state: 'active' }
      for (const one of [begin, ...operations]) {
        // Nothing happens twice in the same second: what is ordered by date has one order.
        vi.setSystemTime(Date.now() + second_ms)
        model.pass(server.clock.now())
        const outcomes = await both(model, real, one)
        model.pass(server.clock.now())
        expect([one, outcomes?.got]).toEqual([one, outcomes?.expected])
        const touched = model.rooms[('at' in one ? one.at : model.rooms.length - 1) % model.rooms.length] as Room
        expect([one, await actualView(real, touched)]).toEqual([one, expectedView(touched)])
      }
      for (const room of model.rooms) expect(await actualView(real, room)).toEqual(expectedView(room))
      for (const identity of identities) expect(await actualUnread(real, identity)).toEqual(expectedUnread(model, identity))
    }),
    { numRuns: 60 },
  )
})
