import fc from 'fast-check'
import { expect, onTestFinished, test } from 'vitest'
import { newAccount } from '../../src/accounts/accounts.ts'
import type { ParleyCommands } from '../../src/commands.ts'
import { conversations } from '../../src/resources/conversations/conversation.ts'
import { lowestSid } from '../../src/sids.ts'
import type { Database, Notice } from '../../src/storage/database.ts'
import { openDatabase } from '../../src/storage/open.ts'
import type { ConversationRow, DeliveryRow, ParticipantRow } from '../../src/storage/schema.ts'
import { type Inspection, inspect, newDatabase } from '../support/databases.ts'

/*
 * Deadlines are applied to many rows in one statement (`model/sweep-many.ts`). Here it is compared with what applies them one row after the
 * other by the rules of a conversation: whatever the rows, both leave the same behind.
 */

const now = 1_800_000_000_000
const account = newAccount({ sid: undefined, friendly_name: '', sealedToken: 'sealed', now })
/** One whose events nobody wants, one whose webhook is sent them, and one that is not there any more. */
const services = { quiet: 'IS1', heard: 'IS2', gone: 'IS3' } as const
const created = conversations.create?.({}, { ...account, parents: [], now }, undefined, '')
if (!created) throw new Error('conversations can be created')
const plain = created

/** A conversation, what belongs to it, and when each deadline is, in ms from now. */
interface Given {
  readonly service: keyof typeof services
  readonly state: 'active' | 'inactive' | 'initializing'
  readonly initial: 'active' | 'inactive'
  readonly inactive: number | null
  readonly closed: number | null
  /** Null: the first of the two, as rules set it. */
  readonly due: number | null
  readonly participants: number
  readonly webhook: 'none' | 'deaf' | 'listening'
  /** Whether it has a delivery with an id from a time to come. */
  readonly toldBefore: boolean
}

const moment = fc.integer({ min: -3, max: 3 })
const given: fc.Arbitrary<Given> = fc.record({
  service: fc.constantFrom('quiet', 'heard', 'heard', 'quiet', 'gone'),
  state: fc.constantFrom('active', 'active', 'active', 'inactive', 'initializing'),
  initial: fc.constantFrom('active', 'inactive'),
  inactive: fc.option(moment),
  closed: fc.option(moment),
  due: fc.option(moment, { freq: 2 }),
  participants: fc.nat(2),
  webhook: fc.constantFrom('none', 'none', 'deaf', 'listening'),
  toldBefore: fc.boolean(),
})

const sidOf = (kind: 'CH' | 'MB' | 'WH', i: number) => `${kind}${i.toString(16).padStart(32, '0')}`

function conversationOf({ service, state, initial, inactive, closed, due, webhook }: Given, i: number): ConversationRow {
  const at = (ms: number | null) => (ms === null ? null : now + ms)
  const date_inactive = state === 'active' ? at(inactive) : null
  const armed = [date_inactive, at(closed)].filter((date) => date !== null)
  return {
    ...plain,
    account_sid: account.account.sid,
    service_sid: services[service],
    sid: sidOf('CH', i),
    state,
    initial_state: state === 'initializing' ? initial : null,
    date_inactive,
    date_closed: at(closed),
    next_due: at(due) ?? (armed.length > 0 ? Math.min(...armed) : null),
    webhook_count: webhook === 'none' ? 0 : 1,
    date_activity: now - 1000 - i,
    date_state: now - 500,
    date_created: now - 2000,
    date_updated: now - 700,
    revision: i + 1,
  }
}

function participantOf(row: ConversationRow, i: number, n: number): ParticipantRow {
  return {
    ...{ service_sid: row.service_sid, conversation_sid: row.sid, sid: sidOf('MB', i * 10 + n), account_sid: row.account_sid },
    ...{ identity: `user${n}`, user_sid: null, binding_type: null, address: null, address_as_given: null, binding_level: null },
    ...{ binding_name: null, proxy_address: null, projected_address: null, attributes: '{}', role_sid: null },
    ...{
      last_read_message_index: null,
      last_read_timestamp: null,
      notification_level: 'default',
      open: 1,
      closed_activity: null,
    },
    ...{ event_id: 1, created_event_id: 1, membership_event_id: 1, membership_created_event_id: 1 },
    ...{ date_created: now, date_updated: now, revision: 1 },
  }
}

const futureId = (i: number) => `${lowestSid('delivery', now + 60_000).slice(0, -4)}${i.toString(16).padStart(4, '0')}`

/** The tables that a sweep writes to, with what goes in before it. */
async function fill(inside: Inspection, all: readonly Given[]): Promise<void> {
  for (const table of ['conversations', 'participants', 'deliveries', 'conversation_webhooks'])
    await inside.query(`delete from ${table}`)
  for (const [i, one] of all.entries()) {
    const row = conversationOf(one, i)
    const { account_sid, service_sid, sid } = row
    await inside.insert('conversations', row)
    for (let n = 0; n < one.participants; n++) await inside.insert('participants', participantOf(row, i, n))
    if (one.webhook !== 'none') {
      await inside.insert('conversation_webhooks', {
        ...{
          service_sid,
          conversation_sid: sid,
          sid: sidOf('WH', i),
          account_sid,
          target: 'webhook',
          url: 'http://127.0.0.1/own',
        },
        filters: one.webhook === 'listening' ? '["onConversationStateUpdated"]' : '["onMessageAdded"]',
        ...{
          method: 'GET',
          triggers: null,
          flow_sid: null,
          replay_after: null,
          date_created: now,
          date_updated: now,
          revision: 1,
        },
      })
    }
    if (!one.toldBefore) continue
    await inside.insert('deliveries', {
      ...{ id: futureId(i), kind: 'webhook', account_sid, service_sid, target_sid: 'other', subject_sid: sid, slot: 0 },
      ...{
        event_type: 'onMessageAdded',
        method: 'POST',
        url: '',
        form: '{}',
        idempotency_token: '',
        status: 'delivered',
        due: now,
      },
      ...{ message_sid: null, participant_sid: null, attempts: '[]', date_created: now, responses: null, date_finished: now },
    })
  }
}

/** What is left, without what is made at random; deliveries of each subject in their order. */
async function leftIn(inside: Inspection) {
  const bySid = (a: { sid: string }, b: { sid: string }) => (a.sid < b.sid ? -1 : 1)
  const inOrder = (a: DeliveryRow, b: DeliveryRow) => (`${a.subject_sid} ${a.id}` < `${b.subject_sid} ${b.id}` ? -1 : 1)
  const deliveries = (await inside.rows('deliveries')).sort(inOrder)
  return {
    conversations: (await inside.rows('conversations')).sort(bySid),
    participants: (await inside.rows('participants')).sort(bySid),
    deliveries: deliveries.map(({ id: _id, idempotency_token: _token, ...told }) => told),
    tokens: new Set(deliveries.map(({ idempotency_token }) => idempotency_token)).size,
  }
}

/** What whoever listens learns from notices, in whichever form it comes. */
function toldBy(notices: readonly Notice[]): string[] {
  const facts = notices.flatMap((notice) => {
    if (notice.topic === 'elapsed')
      return [...notice.sids.map((sid) => `changed ${sid}`), ...notice.objects.map((name) => `sync ${name}`)]
    if (notice.topic === 'changed') return [`changed ${notice.sid}`]
    if (notice.topic === 'sync') return [`sync ${notice.object}`]
    if (notice.topic === 'deliveries') return [`deliveries ${notice.slot} ${notice.target_sid}`]
    return []
  })
  return [...new Set(facts)].sort()
}

/** Sweeps until nothing is due. `ahead`: of some account, so that each row is swept by itself. */
async function sweepAll(database: Database<ParleyCommands>, limit: number, ahead: Record<string, number>): Promise<number> {
  const request = { resource: 'Conversation', now, ahead, limit }
  let rows = 0
  for (;;) {
    const swept = await database.write('sweep', request)
    rows += swept
    if (swept === 0) return rows
  }
}

test('many deadlines applied at once are as if each had been applied by itself', async () => {
  const place = await newDatabase()
  onTestFinished(() => place.dispose())
  const failures: Error[] = []
  const database = await openDatabase<ParleyCommands>(place.config.database, {
    commands: new URL('../../src/commands.ts', import.meta.url),
    failed: (error) => void failures.push(error),
  })
  onTestFinished(() => database.close())
  await using inside = inspect(place.config)
  await inside.insert('accounts', account.account)
  for (const sid of [services.quiet, services.heard]) {
    const heard = {
      post_webhook_url: 'http://127.0.0.1/hook',
      webhook_method: 'POST',
      webhook_filters: '["onConversationStateUpdated"]',
    } as const
    await inside.insert('services', { ...account.service, sid, ...(sid === services.heard && heard) })
  }
  let notices: Notice[] = []
  database.subscribe((some) => void notices.push(...some))
  const run = async (all: readonly Given[], limit: number, ahead: Record<string, number>) => {
    await fill(inside, all)
    notices = []
    const rows = await sweepAll(database, limit, ahead)
    return { rows, left: await leftIn(inside), told: toldBy(notices) }
  }
  const property = fc.asyncProperty(
    fc.array(given, { minLength: 1, maxLength: 15 }),
    fc.integer({ min: 1, max: 40 }),
    async (all, limit) => {
      const many = await run(all, limit, {})
      const each = await run(all, limit, { ACnobody: 0 })
      expect(many).toEqual(each)
      // What was due is not any more, and told in the order in which it was written.
      expect(many.left.conversations.filter(({ next_due }) => next_due !== null && next_due <= now)).toEqual([])
    },
  )
  await fc.assert(property, {
    numRuns: 15,
    examples: [
      // Enough of them that one batch does not take all, and all that can be told.
      [
        Array.from({ length: 12 }, (_, i) => example({ service: i % 2 === 0 ? 'heard' : 'quiet', closed: i % 3 === 0 ? -1 : 2 })),
        5,
      ],
      [[example({ state: 'initializing', closed: -1 }), example({ webhook: 'listening', toldBefore: true })], 40],
    ],
  })
  expect(failures).toEqual([])
})

function example(what: Partial<Given>): Given {
  const usual = { service: 'heard', state: 'active', initial: 'active', inactive: -2, closed: null, due: null } as const
  return { ...usual, participants: 1, webhook: 'none', toldBefore: false, ...what }
}
