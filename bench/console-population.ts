import { documentFor } from '../src/model/search.ts'
import { registry } from '../src/resources/index.ts'
import type { ConversationRow, DeliveryRow, MessageRow } from '../src/storage/schema.ts'
import { deliveryOf } from './added-rows.ts'
import { messageOf, participantOf } from './chat-population.ts'
import type { Filling } from './contents.ts'
import { type Owner, type Population, rowOf } from './population.ts'
import { customerOf } from './workload.ts'

/** Of so many conversations one has a participant, a message and a delivery, and so many messages are in the last one. */
const share = 5

/** A word of a quarter of the messages, the first ones: none of the latest has it. */
export const oldWord = 'refund'
/** A word of all messages, one of every thousandth, and one of nobody. */
export const words = { common: 'arrived', rare: 'parcel', none: 'xylophone' } as const

const port = 9

/**
 * What an installation has that is looked at: many conversations with people and messages, a very long one, a log of deliveries of which
 * a tenth has failed, and the documents of all of them.
 */
export function consoleFilling(population: Population): Filling {
  const { rows } = population
  const now_ms = Date.now()
  const some = Math.floor(rows / share)
  return (insert, owner) => {
    const conversation = (i: number) => conversationOf(population, i, owner, now_ms, some)
    const participant = (i: number) =>
      participantOf({ owner, identity: customerOf(i), user_sid: `US${'0'.repeat(32)}` }, conversation(i * share))
    const message = (i: number): MessageRow => {
      const long = i >= some
      const index = long ? i - some : 0
      const of = conversation(long ? rows - 1 : i * share)
      const at = long ? now_ms - 2 * some + i : of.date_created
      const extra = `${i < some / 2 ? ` ${oldWord}` : ''}${i % 1000 === 0 ? ` ${words.rare}` : ''}`
      const row = messageOf(of, customerOf(i), index, at)
      return { ...row, sid: sidAt('IM', at, i), body: `${row.body}${extra}` }
    }
    const participants = keep(participant)
    insert('conversations', rows, conversation)
    insert('participants', some, participants)
    insert('messages', 2 * some, message)
    insert('deliveries', some, (i) => deliveryAt(i, some, conversation(i * share), now_ms))
    const documents = [
      { table: 'conversations', count: rows, row: conversation },
      { table: 'participants', count: some, row: participants },
      { table: 'messages', count: 2 * some, row: message },
    ] as const
    const all = documents.reduce((sum, { count }) => sum + count, 0)
    insert('search_documents', all, (i) => {
      let at = i
      for (const { table, count, row } of documents) {
        if (at < count) return { id: i + 1, ...documentOf(table, row(at)) }
        at -= count
      }
      throw new Error(`there is no document ${i}`)
    })
  }
}

function conversationOf(population: Population, i: number, owner: Owner, now_ms: number, some: number): ConversationRow {
  const row = rowOf(population, i, owner, now_ms)
  const last_message_index = i === population.rows - 1 ? some - 1 : i % share === 0 ? 0 : -1
  return { ...row, last_message_index }
}

/** Of the last minutes: what is older than PARLEY_DELIVERY_LOG_DAYS would be cleaned up. */
function deliveryAt(i: number, some: number, of: ConversationRow, now_ms: number): DeliveryRow {
  const { sid, account_sid, service_sid } = of
  const created = now_ms - some + i
  const failed = i % 10 === 0
  const target = { service_sid, url: `http://127.0.0.1:${port}/` }
  const row = deliveryOf(sid, i, target, account_sid, 1, created)
  const attempt = { at: created, duration_ms: 5 + (i % 200), status: failed ? 500 : 200, error: null }
  return {
    ...row,
    id: sidAt('WD', created, i),
    event_type: i % 3 === 0 ? 'onMessageAdded' : 'onConversationAdded',
    status: failed ? 'failed' : 'delivered',
    attempts: JSON.stringify([attempt]),
    date_created: created,
    date_finished: created,
  }
}

/** In order of time, and different for each number. */
function sidAt(prefix: string, at_ms: number, i: number): string {
  return `${prefix}${at_ms.toString(16).padStart(12, '0')}${i.toString(16).padStart(20, '0')}`
}

function documentOf(table: string, row: object): object {
  const resource = registry.resources.find((one) => one.table === table)
  const document = resource && documentFor(resource, { ...row })
  if (!document) throw new Error(`a row of ${table} without words`)
  return document
}

/** Rows with random SIDs are the same whenever they are asked for. */
function keep<R>(make: (i: number) => R): (i: number) => R {
  const made = new Map<number, R>()
  return (i) => {
    const row = made.get(i) ?? make(i)
    made.set(i, row)
    return row
  }
}
