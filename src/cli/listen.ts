import { setTimeout as delay } from 'node:timers/promises'
import { Command } from 'commander'
import { type Delivery, type Filter, pagesOf, pathOf, withFilter } from './deliveries.ts'
import { onServer } from './operator.ts'
import type { Call } from './server.ts'
import { configOf, withSettings } from './settings.ts'
import { printable, printRow } from './terminal.ts'

interface Format {
  readonly params?: true
  readonly json?: true
}

/** How often the log is read. */
const intervalMs = 250

/** Ids begin with the time: a node whose clock is behind writes some that sort before those that have been seen. */
const overlapMs = 5000

/** Small: mostly there is nothing new. */
const pageSize = 100

/** Pending deliveries that are looked at again in one round. */
const maxRefetched = 100

/** `parley listen`: prints webhooks and channel messages as the running server sends them. */
export function listenCommand(): Command {
  return withFilter(
    withSettings(new Command('listen').description('print webhooks and channel messages as they are sent, until Ctrl-C')),
  )
    .option('--params', 'print the parameters as well')
    .option('--json', 'print each attempt as a line of JSON')
    .action((_options, command: Command) => {
      const { params, json, ...filter } = command.opts<Filter & Format>()
      return onServer(configOf(command), async (call) => {
        const log = new LogFollower(call, filter)
        await log.news()
        console.error('Waiting for webhooks. They are sent to the URLs that configurations name, for the events that they name.')
        for (;;) {
          for (const delivery of await log.news()) print(delivery, { ...(params && { params }), ...(json && { json }) })
          await delay(intervalMs)
        }
      })
    })
}

/** Reads what is new in the log of deliveries. */
export class LogFollower {
  readonly #call: Call
  readonly #filter: Filter
  /** By id: how many attempts have been returned; those that are not finished stay. */
  readonly #open = new Map<string, number>()
  readonly #finished = new Set<string>()
  #newest = ''

  constructor(call: Call, filter: Filter) {
    this.#call = call
    this.#filter = filter
  }

  /**
   * Returns the deliveries that have been attempted, or given up, since the last call, oldest first. Those that were finished at
   * the first call are never returned.
   */
  async news(): Promise<Delivery[]> {
    const first = this.#newest === ''
    const floor = first ? undefined : beforeId(this.#newest)
    const added: Delivery[] = []
    const known = [...this.#open.keys()].slice(0, maxRefetched)
    for await (const page of pagesOf(this.#call, this.#filter, pageSize)) {
      added.push(...page.filter(({ id }) => floor === undefined || id >= floor))
      if (first || page.some(({ id }) => floor !== undefined && id < floor)) break
    }
    const refetched = []
    for (const id of known) {
      if (!added.some((delivery) => delivery.id === id)) refetched.push(await this.#call<Delivery>('GET', pathOf(id)))
    }
    const changed = [...refetched, ...added.toReversed()].filter((delivery) => this.#isNew(delivery))
    for (const { id } of added) if (id > this.#newest) this.#newest = id
    this.#newest ||= oldestId
    this.#forget()
    return first ? [] : changed
  }

  #isNew({ id, status, attempts }: Delivery): boolean {
    if (this.#finished.has(id)) return false
    const before = this.#open.get(id) ?? 0
    this.#open.delete(id)
    if (status === 'pending') this.#open.set(id, attempts.length)
    else this.#finished.add(id)
    return attempts.length > before || status !== 'pending'
  }

  /** Finished deliveries that will not be read again. */
  #forget(): void {
    const floor = beforeId(this.#newest)
    for (const id of this.#finished) if (id < floor) this.#finished.delete(id)
  }
}

const oldestId = `WD${'0'.repeat(32)}`

/** Returns the least id of the time `overlapMs` before that of an id. */
function beforeId(id: string): string {
  const ms = Math.max(0, Number.parseInt(id.slice(2, 14), 16) - overlapMs)
  return `WD${ms.toString(16).padStart(12, '0')}${'0'.repeat(20)}`
}

function print(delivery: Delivery, { params, json }: Format): void {
  if (json) {
    console.log(printable(JSON.stringify(delivery)))
    return
  }
  const { event_type, subject_sid, method, url, status } = delivery
  const last = delivery.attempts.at(-1)
  const result = last ? `${last.status ?? last.error}` : status
  printRow(
    last?.at ?? delivery.date_created,
    event_type,
    subject_sid,
    method,
    url,
    result,
    last ? `${last.duration_ms} ms` : null,
  )
  if (params) for (const [name, value] of Object.entries(delivery.params)) console.log(`  ${printable(`${name}=${value}`)}`)
}
