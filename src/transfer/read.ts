import { sql } from 'kysely'
import type { Db, Row } from '../copy/tables.ts'
import { checkedOnly } from '../storage/sets.ts'

/** Rows of a page. */
const pageRows = 1000

/** Reads the rows of a table by SID, those with the given values in other columns. */
export async function* rowsBySid(db: Db, table: string, where: Readonly<Record<string, string>>): AsyncGenerator<Row> {
  let after = ''
  for (;;) {
    let query = db.selectFrom(table).selectAll().where('sid', '>', after).orderBy('sid').limit(pageRows)
    for (const [column, value] of Object.entries(where)) query = query.where(column, '=', value)
    const rows = await query.execute()
    yield* rows
    if (rows.length < pageRows) return
    after = String(rows.at(-1)?.sid)
  }
}

/** Reads the rows of an account by columns that tell them apart, the first of which has an index behind the account. */
export async function* rowsOfAccount(db: Db, table: string, order: readonly string[], account_sid: string): AsyncGenerator<Row> {
  let after: Row | undefined
  for (;;) {
    let query = db.selectFrom(table).selectAll().where('account_sid', '=', account_sid).limit(pageRows)
    for (const column of order) query = query.orderBy(column)
    const last = after
    if (last) {
      const columns = sql.join(order.map((column) => sql.ref(column)))
      query = query.where(sql<boolean>`(${columns}) > (${sql.join(order.map((column) => last[column]))})`)
    }
    const rows = await query.execute()
    yield* rows
    if (rows.length < pageRows) return
    after = rows.at(-1)
  }
}

/**
 * Reads the rows below some conversations of a service: one conversation after the other by its SID, in each by `order`. No query
 * reads again what another has read, however much is in one conversation.
 */
export async function* rowsBelow(
  db: Db,
  table: string,
  order: 'sid' | 'message_index',
  service_sid: string,
  conversations: readonly string[],
): AsyncGenerator<Row> {
  let rest = conversations.toSorted()
  const service = checkedOnly(db, 'service_sid')
  while (rest.length > 0) {
    const rows = await db
      .selectFrom(table)
      .selectAll()
      .where(service, '=', service_sid)
      .where('conversation_sid', 'in', rest)
      .orderBy('conversation_sid')
      .orderBy(order)
      .limit(pageRows)
      .execute()
    yield* rows
    if (rows.length < pageRows) return
    let last = rows.at(-1)
    const sid = String(last?.conversation_sid)
    // The last one may have more.
    for (let more = pageRows; more === pageRows; ) {
      const page: Row[] = await db
        .selectFrom(table)
        .selectAll()
        .where(service, '=', service_sid)
        .where('conversation_sid', '=', sid)
        .where(order, '>', last?.[order] ?? '')
        .orderBy(order)
        .limit(pageRows)
        .execute()
      yield* page
      more = page.length
      last = page.at(-1) ?? last
    }
    rest = rest.filter((one) => one > sid)
  }
}

/** Reads the rows below some messages of a conversation by SID. */
export async function rowsOfMessages(
  db: Db,
  table: string,
  service_sid: string,
  conversation_sid: string,
  messages: readonly string[],
): Promise<Row[]> {
  if (messages.length === 0) return []
  const query = db.selectFrom(table).selectAll().where(checkedOnly(db, 'service_sid'), '=', service_sid)
  const chosen = query.where('conversation_sid', '=', conversation_sid).where('message_sid', 'in', messages)
  return chosen.orderBy('sid').execute()
}

/** Takes rows that are sorted by conversation, one conversation at a time. */
export class ByConversation {
  readonly #rows: AsyncGenerator<Row>
  #next: Row | undefined
  #isRead = false

  constructor(rows: AsyncGenerator<Row>) {
    this.#rows = rows
  }

  /** Rows of a conversation, which comes after those that have been asked for. */
  async *of(conversation_sid: string): AsyncGenerator<Row> {
    for (;;) {
      if (!this.#isRead) {
        const { value, done } = await this.#rows.next()
        this.#next = done ? undefined : value
        this.#isRead = true
      }
      if (this.#next?.conversation_sid !== conversation_sid) return
      this.#isRead = false
      yield this.#next
    }
  }
}
