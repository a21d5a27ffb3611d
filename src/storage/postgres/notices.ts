import { randomUUID } from 'node:crypto'
import pg from 'pg'
import { parseStored } from '../../json.ts'
import type { Listener, Notice } from '../database.ts'
import type { Tables } from '../schema.ts'
import { connectionSettings } from './connection.ts'

const channel = 'parley'
/** The limit of PostgreSQL for one notification, less what surrounds the notices. */
const maxBytes = 7000
const reconnectMs = 500
const pingMs = 5000
/** Notices of one burst are sent together. */
const gatherMs = 5

/** Their rows are kept in memory on all nodes: a change is made known before whoever has made it gets its response. */
const cachedTables: readonly string[] = ['accounts', 'api_keys', 'services'] satisfies (keyof Tables)[]

/** The topics that other nodes receive. The others concern state in memory, which only a sole owner of a database keeps. */
const sharedTopics: readonly Notice['topic'][] = [
  'deliveries',
  'recorded',
  'removal',
  'erasure',
  'clock',
  'emptied',
  'slots',
  'access',
  'sync',
  'typing',
  'read',
]

/** A notice of many would be too long for one notification, and so may be the row of a delivery, which has personal data besides. */
function toShare(notice: Notice): Notice | Notice[] {
  if (notice.topic === 'deliveries') return { topic: notice.topic, target_sid: notice.target_sid, slot: notice.slot }
  return notice.topic === 'elapsed' ? notice.objects.map((object) => ({ topic: 'sync', object })) : notice
}

/**
 * Exchanges notices between the nodes of one database, by LISTEN and NOTIFY on a connection of its own: in the transactions of
 * the writes, NOTIFY would serialise their commits. A notice only wakes a node; after each gap, `missed` makes it query for work
 * whose notice was lost.
 */
export class NoticeExchange {
  readonly #url: string
  readonly #received: Listener
  readonly #failed: (error: Error) => void
  readonly #self = randomUUID()
  #client: pg.Client | undefined
  /** As JSON. */
  #outgoing = new Set<string>()
  /** When the first of them was committed. */
  #since = 0
  #timers = new Set<NodeJS.Timeout>()
  #closed = false

  constructor(url: string, options: { received: Listener; failed: (error: Error) => void }) {
    this.#url = url
    this.#received = options.received
    this.#failed = options.failed
  }

  async connect(): Promise<void> {
    const client = new pg.Client({ ...connectionSettings(this.#url), application_name: 'parley notices' })
    client.on('error', this.#failed)
    client.on('end', () => this.#lost(client))
    client.on('notification', ({ payload }) => this.#receive(payload ?? ''))
    try {
      await client.connect()
      await client.query(`listen ${channel}`)
    } catch (error) {
      client.end().catch(() => {})
      throw error
    }
    this.#client = client
    this.#ping(client)
  }

  /** `at`: see `Listener`. Returns a promise where whoever has made the change has to wait until its notice is sent. */
  publish(notices: readonly Notice[], at: number): Promise<void> | undefined {
    let urgent = false
    for (const notice of notices.flatMap(toShare)) {
      const cached = notice.topic === 'changed' && cachedTables.includes(notice.table)
      if (!cached && !sharedTopics.includes(notice.topic)) continue
      urgent ||= cached
      if (this.#outgoing.size === 0) {
        this.#since = at
        this.#later(() => void this.#send(), gatherMs)
      }
      this.#outgoing.add(JSON.stringify(notice))
    }
    return urgent ? this.#send() : undefined
  }

  /** Sends what is pending first. */
  async close(): Promise<void> {
    this.#closed = true
    for (const timer of this.#timers) clearTimeout(timer)
    void this.#send()
    await this.#client?.end()
  }

  /** A network that drops packets does not end the connection: only an answer shows that it works. */
  #ping(client: pg.Client): void {
    this.#later(() => {
      if (this.#client !== client) return
      client.query({ name: 'ping', text: 'select 1' }).then(
        () => this.#ping(client),
        () => client.end().catch(() => {}),
      )
    }, pingMs)
  }

  /** Resolves when the database has what is pending, or has failed to take it. */
  async #send(): Promise<void> {
    const sent: (Promise<void> | undefined)[] = []
    let some: string[] = []
    let bytes = 0
    for (const text of this.#outgoing) {
      if (some.length > 0 && bytes + text.length >= maxBytes) {
        sent.push(this.#notify(some))
        some = []
        bytes = 0
      }
      bytes += text.length + 1
      some.push(text)
    }
    if (some.length > 0) sent.push(this.#notify(some))
    this.#outgoing = new Set()
    await Promise.all(sent)
  }

  #notify(notices: readonly string[]): Promise<void> | undefined {
    const values = [`${this.#self}${this.#since}[${notices}]`]
    const notify = { name: 'notify', text: `select pg_notify('${channel}', $1)`, values }
    return this.#client?.query(notify).then(() => {}, this.#failed)
  }

  #receive(payload: string): void {
    const start = payload.indexOf('[')
    const [from, at] = [payload.slice(0, this.#self.length), payload.slice(this.#self.length, start)]
    if (from !== this.#self) this.#received(parseStored(payload.slice(start)), Number(at))
  }

  #lost(client: pg.Client): void {
    if (this.#client !== client) return
    this.#client = undefined
    this.#reconnect()
  }

  #reconnect(): void {
    this.#later(() => {
      this.connect().then(
        () => this.#received([{ topic: 'missed' }], Date.now()),
        (error: Error) => {
          this.#failed(error)
          this.#reconnect()
        },
      )
    }, reconnectMs)
  }

  #later(act: () => void, ms: number): void {
    const timer = setTimeout(() => {
      this.#timers.delete(timer)
      if (!this.#closed) act()
    }, ms)
    this.#timers.add(timer)
  }
}
