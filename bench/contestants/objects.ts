import { conversations } from '../../src/resources/conversations/conversation.ts'
import type { ConversationRow } from '../../src/storage/schema.ts'
import { type Owner, type Population, rowOf } from '../population.ts'
import { account_sid } from '../workload.ts'

/** The responses of contestants without a database: the same objects from the same code. */

export const owner: Owner = {
  account_sid,
  service_sid: 'IS00000000000000000000000000000b01',
  messaging_service_sid: 'MG00000000000000000000000000000b01',
}
const collection = 'http://127.0.0.1:50000/v1/Conversations'

export function toJson(row: ConversationRow): object {
  return conversations.represent(row, `${collection}/${row.sid}`, { root: '', family: '' })
}

export function rowObject(population: Population, i: number): object {
  return toJson(rowOf(population, i, owner, population.base_ms))
}

export function pageObject(population: Population): object {
  return pageOf(Array.from({ length: 50 }, (_, i) => rowObject(population, i)))
}

export function pageOf(rows: readonly object[]): object {
  return {
    meta: {
      page: 0,
      page_size: 50,
      first_page_url: `${collection}?PageSize=50&Page=0`,
      previous_page_url: null,
      url: `${collection}?PageSize=50&Page=0`,
      next_page_url: `${collection}?PageSize=50&Page=1&PageToken=PT${'x'.repeat(100)}`,
      key: 'conversations',
    },
    conversations: rows,
  }
}
