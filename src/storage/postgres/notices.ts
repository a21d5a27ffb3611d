import { randomUUID } from 'node:crypto'
import pg from 'pg'
import type { Notice } from '../database.ts'
import { connectionSettings } from './connection.ts'

const channel = 'parley'
/** What the database takes in one notification, less what surrounds it. */
const most_bytes = 7000
const reconnect_ms = 500
const ping_ms = 5000
/** Wakes of one burst travel together. */
const gather_ms = 5

/** What other nodes need to know at once. The rest is told to this process alone: others keep nothing in memory. */
const travelling: readonly Notice['topic'][] = ['deliveries', 'removal', 'clock', 'slots']

/**
 * Notices between the nodes of one database, by LISTEN and NOTIFY on a connection of its own: inside the transactions of the
 * writes it would let only one commit at a time. A notice only wakes; whoever misses it finds the work by looking, which
 * `missed` tells it to do after each gap.
 */
export class Wire {
  readonly #url: string
  readonly #heard: (notices: readonly Notice[]) => void
  readonly #failed: (error: Error) => void
  readonly #self = randomUUID()
  #client: pg.Client | undefined
  #outgoing = new Map<string, Notice>()
  #timers = new Set<NodeJS.Timeout>()
  #closed = false

  constructor(url: string, options: { heard: (notices: readonly Notice[]) => void; failed: (error: Error) => void }) {
    this.#url = url
    this.#heard = options.heard
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

  publish(notices: readonly Notice[]): void {
    for (const notice of notices) {
      if (!travelling.includes(notice.topic)) continue
      if (this.#outgoing.size === 0) this.#later(() => this.#send(), gather_ms)
      this.#outgoing.set(JSON.stringify(notice), notice)
    }
  }

  /** What is still to be told goes out first. */
  async close(): Promise<void> {
    this.#closed = true
    for (const timer of this.#timers) clearTimeout(timer)
    this.#send()
    await this.#client?.end()
  }

  /** A network that swallows everything does not end the connection: only an answer shows that it is whole. */
  #ping(client: pg.Client): void {
    this.#later(() => {
      if (this.#client !== client) return
      client.query({ name: 'ping', text: 'select 1' }).then(
        () => this.#ping(client),
        () => client.end().catch(() => {}),
      )
    }, ping_ms)
  }

  #send(): void {
    const texts = [...this.#outgoing.keys()]
    this.#outgoing = new Map()
    while (texts.length > 0) {
      const some: string[] = []
      for (let bytes = 0; texts.length > 0 && bytes < most_bytes; ) {
        const text = texts.shift() as string
        bytes += text.length + 1
        some.push(text)
      }
      const payload = `${this.#self}[${some}]`
      this.#client?.query({ name: 'notify', text: `select pg_notify('${channel}', $1)`, values: [payload] }).catch(this.#failed)
    }
  }

  #receive(payload: string): void {
    const [from, notices] = [payload.slice(0, this.#self.length), payload.slice(this.#self.length)]
    if (from !== this.#self) this.#heard(JSON.parse(notices) as Notice[])
  }

  #lost(client: pg.Client): void {
    if (this.#client !== client) return
    this.#client = undefined
    this.#reconnect()
  }

  #reconnect(): void {
    this.#later(() => {
      this.connect().then(
        () => this.#heard([{ topic: 'missed' }]),
        (error: Error) => {
          this.#failed(error)
          this.#reconnect()
        },
      )
    }, reconnect_ms)
  }

  #later(act: () => void, ms: number): void {
    const timer = setTimeout(() => {
      this.#timers.delete(timer)
      if (!this.#closed) act()
    }, ms)
    this.#timers.add(timer)
  }
}
