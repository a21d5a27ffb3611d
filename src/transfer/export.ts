import { ConfigError } from '../config-error.ts'
import type { Db, Row } from '../copy/tables.ts'
import { milliseconds } from '../dates.ts'
import { packageVersion } from '../package.ts'
import { formatVersion, type Json, type PlainKind, type ResourceKind } from '../records/format.ts'
import { plainRecordFor, plainTables } from '../records/plain.ts'
import { recordFor, type ShownContext } from '../records/shown.ts'
import type { MediaRow, ServiceRow } from '../storage/schema.ts'
import { ByConversation, rowsBelow, rowsBySid, rowsOfAccount, rowsOfMessages } from './read.ts'

/** What is exported: everything, or what is in one of these. */
export interface Scope {
  readonly account?: string | undefined
  readonly service?: string | undefined
  readonly conversation?: string | undefined
}

export interface ExportOptions {
  /** A snapshot: everything is as of one instant, whatever a server writes meanwhile. */
  readonly db: Db
  readonly scope: Scope
  /** Epoch ms. */
  readonly now: number
  readonly open: (sealed: string) => string
}

/** Conversations whose rows are read together. */
const conversationsAtOnce = 100
/** Messages whose receipts are read together. */
const messagesAtOnce = 200

/** Yields the lines of an export, from the header to the end. No more than a few pages of rows are held. Throws ConfigError. */
export async function* exportedLines(options: ExportOptions): AsyncGenerator<Json> {
  yield {
    kind: 'header',
    format: formatVersion,
    parley: packageVersion(),
    exported_at: milliseconds(options.now),
    scope: options.scope,
    left_out: leftOut(options.scope),
  }
  const counts: Record<string, number> = {}
  for await (const record of new Export(options).records()) {
    const kind = String(record.kind)
    counts[kind] = (counts[kind] ?? 0) + 1
    yield record
  }
  yield { kind: 'end', counts }
}

/** What an export has not, and why: whoever reads the file does not look for it. */
function leftOut({ service, conversation }: Scope): readonly { readonly what: string; readonly why: string }[] {
  const isPart = service !== undefined || conversation !== undefined
  return [
    { what: 'accounts and API keys', why: 'their secrets: create them with the values that your programs have' },
    { what: 'secrets of credentials and channels', why: 'a file is not where they belong: enter them anew' },
    ...(isPart ? [{ what: 'content templates, mail blocks, ids of carriers, channels', why: 'they belong to the account' }] : []),
    { what: 'deliveries, done or pending', why: 'they were sent, or will be, where they happened' },
    { what: 'who is online, and uploads that no message has taken', why: 'true of a moment only' },
    { what: 'audit and erasures', why: 'they are proofs of the installation in which they happened' },
  ]
}

/** Those whose conversations come before them. */
const afterContents = ['content', 'mail_block', 'external_id', 'channel'] as const satisfies readonly PlainKind[]

class Export {
  readonly #db: Db
  readonly #options: ExportOptions

  constructor(options: ExportOptions) {
    this.#db = options.db
    this.#options = options
  }

  async *records(): AsyncGenerator<Json> {
    const { scope } = this.#options
    if (scope.conversation !== undefined) yield* this.#oneConversation(scope.conversation)
    else if (scope.service !== undefined) yield* this.#oneService(scope.service)
    else {
      let found = false
      for await (const account of rowsBySid(this.#db, 'accounts', scope.account === undefined ? {} : { sid: scope.account })) {
        found = true
        yield* this.#account(account)
      }
      if (!found && scope.account !== undefined) throw new ConfigError(`there is no account ${scope.account}`)
    }
  }

  async *#account(account: Row): AsyncGenerator<Json> {
    const account_sid = String(account.sid)
    const services: ServiceRow[] = []
    for await (const row of rowsBySid(this.#db, 'services', { account_sid })) {
      services.push(serviceOf(row))
      yield* this.#service(row)
    }
    yield this.#record('configuration', account, null)
    yield this.#record('webhook', account, null)
    for (const [kind, table] of [
      ['credential', 'credentials'],
      ['address', 'addresses'],
    ] as const) {
      for await (const row of rowsBySid(this.#db, table, { account_sid })) yield this.#record(kind, row, null)
    }
    for (const service of services) yield* this.#contents(service)
    for (const kind of afterContents) yield* this.#plain(kind, account_sid)
  }

  async *#plain(kind: PlainKind, account_sid: string): AsyncGenerator<Json> {
    const { table, order } = plainTables[kind]
    for await (const row of rowsOfAccount(this.#db, table, order, account_sid)) {
      // Statuses that wait for a sending to be recorded are over in a minute.
      if (kind === 'external_id' && row.early !== null) continue
      yield plainRecordFor(kind, row)
    }
  }

  async *#oneService(sid: string): AsyncGenerator<Json> {
    const row = await this.#db.selectFrom('services').selectAll().where('sid', '=', sid).executeTakeFirst()
    if (!row) throw new ConfigError(`there is no service ${sid}`)
    yield* this.#service(row)
    for await (const credential of rowsBySid(this.#db, 'credentials', { account_sid: String(row.account_sid) })) {
      yield this.#record('credential', credential, null)
    }
    yield* this.#contents(serviceOf(row))
  }

  async *#oneConversation(sid: string): AsyncGenerator<Json> {
    // By its key, service by service: there is no index by SID alone.
    for await (const service of rowsBySid(this.#db, 'services', {})) {
      const service_sid = String(service.sid)
      const query = this.#db.selectFrom('conversations').selectAll().where('service_sid', '=', service_sid).where('sid', '=', sid)
      const row = await query.executeTakeFirst()
      if (!row) continue
      for await (const member of rowsBelow(this.#db, 'participants', 'sid', service_sid, [sid])) {
        if (member.user_sid === null) continue
        const users = this.#db.selectFrom('users').selectAll().where('service_sid', '=', service_sid)
        const user = await users.where('sid', '=', member.user_sid ?? '').executeTakeFirst()
        if (user) yield this.#record('user', user, serviceOf(service))
      }
      yield* this.#conversations(serviceOf(service), [row])
      return
    }
    throw new ConfigError(`there is no conversation ${sid}`)
  }

  async *#service(row: Row): AsyncGenerator<Json> {
    const service = serviceOf(row)
    yield this.#record('service', row, service)
    for await (const role of rowsBySid(this.#db, 'roles', { service_sid: service.sid })) yield this.#record('role', role, service)
    for (const kind of ['configuration', 'notification', 'webhook'] as const) yield this.#record(kind, row, service)
  }

  async *#contents(service: ServiceRow): AsyncGenerator<Json> {
    const service_sid = service.sid
    for await (const row of rowsBySid(this.#db, 'users', { service_sid })) yield this.#record('user', row, service)
    for await (const row of rowsBySid(this.#db, 'bindings', { service_sid })) {
      if (!(await this.#isGone(row.credential_sid))) yield this.#record('binding', row, service)
    }
    let page: Row[] = []
    for await (const row of rowsBySid(this.#db, 'conversations', { service_sid })) {
      page.push(row)
      if (page.length < conversationsAtOnce) continue
      yield* this.#conversations(service, page)
      page = []
    }
    yield* this.#conversations(service, page)
  }

  async *#conversations(service: ServiceRow, rows: readonly Row[]): AsyncGenerator<Json> {
    const sids = rows.map(({ sid }) => String(sid))
    const below = (table: string, order: 'sid' | 'message_index') =>
      new ByConversation(rowsBelow(this.#db, table, order, service.sid, sids))
    const participants = below('participants', 'sid')
    const messages = below('messages', 'message_index')
    const webhooks = below('conversation_webhooks', 'sid')
    for (const row of rows) {
      const sid = String(row.sid)
      yield this.#record('conversation', row, service)
      for await (const member of participants.of(sid)) {
        if (!(await this.#isGone(member.user_sid))) yield this.#record('participant', member, service)
      }
      let some: Row[] = []
      for await (const message of messages.of(sid)) {
        some.push(message)
        if (some.length < messagesAtOnce) continue
        yield* this.#messages(service, sid, some)
        some = []
      }
      yield* this.#messages(service, sid, some)
      for await (const webhook of webhooks.of(sid)) yield this.#record('conversation_webhook', webhook, service)
    }
  }

  async *#messages(service: ServiceRow, conversation_sid: string, rows: readonly Row[]): AsyncGenerator<Json> {
    const below = (table: string, some: readonly Row[]) =>
      rowsOfMessages(
        this.#db,
        table,
        service.sid,
        conversation_sid,
        some.map(({ sid }) => String(sid)),
      )
    const receipts = await below(
      'receipts',
      rows.filter(({ delivery }) => delivery !== null),
    )
    const media = await below(
      'media',
      rows.filter((row) => row.media !== null),
    )
    for (const row of rows) {
      const own = media.filter(({ message_sid }) => message_sid === row.sid)
      // Rows of the table of media.
      yield this.#record('message', row, service, own as unknown as MediaRow[])
      for (const receipt of receipts) if (receipt.message_sid === row.sid) yield this.#record('receipt', receipt, service)
    }
  }

  /** Whether rows that refer to it are being removed. */
  async #isGone(sid: string | number | null | undefined): Promise<boolean> {
    if (sid === null || sid === undefined) return false
    return (await this.#removals()).has(String(sid))
  }

  #removed: Promise<ReadonlySet<string>> | undefined

  /** They are few, and done within seconds. */
  #removals(): Promise<ReadonlySet<string>> {
    this.#removed ??= this.#db
      .selectFrom('removals')
      .select('sid')
      .execute()
      .then((rows) => new Set(rows.map(({ sid }) => String(sid))))
    return this.#removed
  }

  #record(kind: ResourceKind, row: Row, service: ServiceRow | null, media: readonly MediaRow[] = []): Json {
    const { now, open } = this.#options
    const context: ShownContext = { now, open, service }
    return recordFor(kind, row, context, media)
  }
}

/** A row of services, with the types that its table has. */
function serviceOf(row: Row): ServiceRow {
  return row as unknown as ServiceRow
}
