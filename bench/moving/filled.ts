import type { StoredRow } from '../../src/records/values.ts'
import { DatabaseFile } from '../database-file.ts'
import { attributesOf, nameOf, type Population, sidOf } from '../population.ts'
import { createdAt, identityOf, messagesEach, phoneOf, sided, usersOf, withPhone } from './records.ts'

/** After so many conversations everything about one but its dates and names is as it was: a multiple of what `records.ts` counts by. */
export const patternLength = 30

const dates = /^(date_|next_due$|last_read_timestamp$|closed_activity$)/

/**
 * Puts the conversations of a population into a database whose `first` ones have been imported with all users, as an import of the others would: each
 * row is that of an imported one, with its own SIDs, names and dates. No server may be running.
 */
export function fillLike(path: string, first: number, population: Population): void {
  const file = new DatabaseFile(path)
  const rowsOf = (table: string, order: string) => file.all<StoredRow>(`select * from ${table} order by ${order}`)
  const conversations = bySid(rowsOf('conversations', 'sid'), 'sid')
  const participants = bySid(rowsOf('participants', 'conversation_sid, sid'), 'conversation_sid')
  const messages = bySid(rowsOf('messages', 'conversation_sid, message_index'), 'conversation_sid')
  const receipts = bySid(rowsOf('receipts', 'conversation_sid, sid'), 'conversation_sid')
  const users = usersOf(population.rows)
  const moved = (rows: ReadonlyMap<string, readonly StoredRow[]>, i: number, n: number): StoredRow => {
    const like = i % patternLength
    const row = rows.get(sidOf(population, like))?.[n]
    if (!row) throw new Error(`conversation ${like} has no row ${n}`)
    const later = createdAt(population, i) - createdAt(population, like)
    return Object.fromEntries(
      Object.entries(row).map(([column, value]) => [
        column,
        dates.test(column) && typeof value === 'number' ? value + later : value,
      ]),
    )
  }
  const agentOf = (i: number) => sided('MB', 2 * i).sid
  const customerOf = (i: number) => sided('MB', 2 * i + 1).sid
  const userOf = (i: number) => ({ identity: identityOf(i % users), user_sid: sided('US', i % users).sid })
  const sent = (i: number) => sided('IM', i * messagesEach + messagesEach - 1).sid
  const phones = (from: number, to: number) => Math.ceil(to / withPhone) - Math.ceil(from / withPhone)
  const phone = (n: number) => (Math.ceil(first / withPhone) + n) * withPhone
  file.fill((insert) => {
    insert('conversations', population.rows - first, (n) => {
      const i = first + n
      const names = { friendly_name: `Order ${i}`, unique_name: nameOf(i), attributes: attributesOf(i) }
      return { ...moved(conversations, i, 0), sid: sidOf(population, i), ...names }
    })
    insert('participants', population.rows - first, (n) => {
      const i = first + n
      return { ...moved(participants, i, 0), conversation_sid: sidOf(population, i), sid: agentOf(i), ...userOf(i) }
    })
    insert('participants', phones(first, population.rows), (n) => {
      const i = phone(n)
      return { ...moved(participants, i, 1), conversation_sid: sidOf(population, i), sid: customerOf(i), address: phoneOf(i) }
    })
    insert('messages', (population.rows - first) * messagesEach, (n) => {
      const i = first + Math.floor(n / messagesEach)
      const index = n % messagesEach
      const row = moved(messages, i, index)
      const body = String(row.body).replace(/ of \d+:/, ` of ${i}:`)
      const mine = { ...sided('IM', i * messagesEach + index), author: userOf(i).identity, participant_sid: agentOf(i), body }
      return { ...row, conversation_sid: sidOf(population, i), ...mine }
    })
    insert('receipts', phones(first, population.rows), (n) => {
      const i = phone(n)
      const names = { message_sid: sent(i), participant_sid: customerOf(i), channel_message_sid: `SM${sent(i).slice(2)}` }
      return { ...moved(receipts, i, 0), ...sided('DY', i), conversation_sid: sidOf(population, i), ...names }
    })
  })
  file.close()
}

function bySid(rows: readonly StoredRow[], column: string): ReadonlyMap<string, readonly StoredRow[]> {
  return Map.groupBy(rows, (row) => String(row[column]))
}
