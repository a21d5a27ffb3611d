import type { AnyResource } from '../model/declare.ts'
import type { Json } from '../records/format.ts'
import { addresses } from '../resources/configuration/address.ts'
import { configuration } from '../resources/configuration/configuration.ts'
import { accountWebhooks } from '../resources/configuration/webhooks.ts'
import { conversations } from '../resources/conversations/conversation.ts'
import { messages } from '../resources/conversations/messages/message.ts'
import { receipts } from '../resources/conversations/messages/receipt.ts'
import { participants } from '../resources/conversations/participants/participant.ts'
import { webhooks } from '../resources/conversations/webhooks/webhook.ts'
import { credentials } from '../resources/credential.ts'
import { roles } from '../resources/role.ts'
import { serviceConfiguration } from '../resources/services/configuration/configuration.ts'
import { serviceNotifications } from '../resources/services/configuration/notifications.ts'
import { serviceWebhooks } from '../resources/services/configuration/webhooks.ts'
import { services } from '../resources/services/service.ts'
import { users } from '../resources/users/user.ts'
import { type HostedClient, HostedError } from '../transfer/hosted/client.ts'
import { sidOf } from '../transfer/hosted/record.ts'
import type { LocalReader, Place } from './local.ts'
import { targetText } from './targets.ts'

/** A row that is not the same on both sides. */
export interface Difference {
  /** Name of its resource. */
  readonly resource: string
  /** Its SID; of settings their path. */
  readonly sid: string
  readonly conversation?: string
  readonly is: 'missing here' | 'missing there' | 'different'
  /** Names of what is different in it. Values are not said: they may be personal. */
  readonly keys: readonly string[]
  /** What has to be read so that it is the same. */
  readonly target: string
}

/** A difference, which may be one of the moment: `again` looks once more. */
export interface Suspicion {
  readonly difference: Difference
  readonly again: () => Promise<Difference | null>
}

/** What is of one host or of one moment. */
const left = new Set(['url', 'links', 'meta', 'is_online', 'is_notifiable', 'unread_messages_count'])

/** Returns the names of what is different in two rows. */
export function differentKeys(here: Json, there: Json): string[] {
  const keys = new Set([...Object.keys(here), ...Object.keys(there)])
  return [...keys].filter((key) => !left.has(key) && canonical(here[key]) !== canonical(there[key])).sort()
}

/** The same text for the same content, whatever the order of its keys. */
function canonical(value: unknown): string {
  return (
    JSON.stringify(value, (_key, inner: unknown) =>
      typeof inner === 'object' && inner !== null && !Array.isArray(inner)
        ? Object.fromEntries(Object.entries(inner).sort(([a], [b]) => (a < b ? -1 : 1)))
        : inner,
    ) ?? 'null'
  )
}

/** A date before all others: with a filter by date no conversation moves in the list while it is read. */
export const allConversations = '1970-01-01T00:00:00Z'

/** How a list is read on both sides. */
interface Both {
  readonly resource: AnyResource
  readonly path: string
  readonly query?: Readonly<Record<string, string>>
  readonly service: string | null
  readonly parents?: readonly string[]
  readonly target: (sid: string) => string
}

const inService = (service: string) => `/v1/Services/${service}`

/** Compares an account on both sides, row by row. Throws as HostedClient does. */
export class Comparison {
  readonly #client: HostedClient
  readonly #local: LocalReader
  /** Rows that were compared. */
  rows = 0

  constructor(client: HostedClient, local: LocalReader) {
    this.#client = client
    this.#local = local
  }

  /** `wanted`: only these conversations, and nothing else; null for everything. */
  async *all(wanted: ReadonlySet<string> | null): AsyncGenerator<Suspicion> {
    const account = () => targetText('account')
    if (!wanted) {
      yield* this.#single({ resource: configuration, service: null }, '/v1/Configuration', account())
      yield* this.#single({ resource: accountWebhooks, service: null }, '/v1/Configuration/Webhooks', account())
      yield* this.#list({ resource: credentials, path: '/v1/Credentials', service: null, target: account })
      yield* this.#list({ resource: addresses, path: '/v1/Configuration/Addresses', service: null, target: account })
      yield* this.#list({ resource: services, path: '/v1/Services', service: null, target: account })
    }
    for await (const { rows } of this.#client.pages('/v1/Services?PageSize=100', 'services')) {
      for (const row of rows) yield* this.#service(sidOf(row), wanted)
    }
  }

  async *#service(service: string, wanted: ReadonlySet<string> | null): AsyncGenerator<Suspicion> {
    const path = inService(service)
    const target = () => targetText('service', service)
    if (!wanted) {
      yield* this.#single({ resource: serviceConfiguration, service }, `${path}/Configuration`, target())
      yield* this.#single({ resource: serviceNotifications, service }, `${path}/Configuration/Notifications`, target())
      yield* this.#single({ resource: serviceWebhooks, service }, `${path}/Configuration/Webhooks`, target())
      yield* this.#list({ resource: roles, path: `${path}/Roles`, service, target })
      const ofUser = (sid: string) => targetText('user', service, sid)
      yield* this.#list({ resource: users, path: `${path}/Users`, service, target: ofUser })
    }
    const found: { readonly sid: string; readonly state: unknown }[] = []
    const whole = (sid: string) => targetText('conversation', service, sid)
    const list = {
      resource: conversations,
      path: `${path}/Conversations`,
      query: { StartDate: allConversations },
      service,
      target: whole,
    }
    for await (const suspicion of this.#list(list, (row) => found.push({ sid: sidOf(row), state: row.state }))) {
      const { difference } = suspicion
      if (!wanted || wanted.has(difference.sid) || difference.is !== 'different') yield suspicion
    }
    for (const { sid, state } of found) {
      if (!wanted || wanted.has(sid)) yield* this.#conversation(service, sid, state)
    }
  }

  async *#conversation(service: string, sid: string, state: unknown): AsyncGenerator<Suspicion> {
    const path = `${inService(service)}/Conversations/${sid}`
    const inside = { service, parents: [sid] }
    const whole = () => targetText('conversation', service, sid)
    try {
      yield* this.#list({ resource: participants, path: `${path}/Participants`, ...inside, target: whole })
      // An import leaves those of closed conversations behind: they are never called again.
      if (state !== 'closed') yield* this.#list({ resource: webhooks, path: `${path}/Webhooks`, ...inside, target: whole })
      const target = (message: string) => targetText('message', service, sid, message)
      const delivered: string[] = []
      const seen = (row: Json) => row.delivery !== null && delivered.push(sidOf(row))
      yield* this.#list({ resource: messages, path: `${path}/Messages`, ...inside, target }, seen)
      for (const message of delivered) {
        const ofMessage = { service, parents: [sid, message], target: () => target(message) }
        yield* this.#list({ resource: receipts, path: `${path}/Messages/${message}/Receipts`, ...ofMessage })
      }
    } catch (error) {
      // Deleted since it was listed.
      if (!(error instanceof HostedError && error.status === 404)) throw error
    }
  }

  async *#single(place: Place, path: string, target: string): AsyncGenerator<Suspicion> {
    const of = { resource: place.resource.name, sid: path, target }
    const again = () => this.#compared(of, place, null, path)
    this.rows++
    const difference = await again()
    if (difference) yield { difference, again }
  }

  /** `seen` is told of each row of the hosted side. */
  async *#list(both: Both, seen?: (row: Json) => void): AsyncGenerator<Suspicion> {
    const { resource, path, query = {}, service, parents = [], target } = both
    const place = { resource, service, parents }
    const here = new Map<string, Json>()
    for await (const row of this.#local.rows(place, query)) here.set(sidOf(row), row)
    const conversation = parents[0]
    const suspicion = (sid: string, is: Difference['is'], keys: readonly string[]): Suspicion => {
      const of = { resource: resource.name, sid, ...(conversation !== undefined && { conversation }), target: target(sid) }
      return { difference: { ...of, is, keys }, again: () => this.#compared(of, place, sid, `${path}/${sid}`) }
    }
    const filters = new URLSearchParams({ ...query, PageSize: String(Math.min(resource.list?.max ?? 50, 100)) })
    for await (const { rows } of this.#client.pages(`${path}?${filters}`, resource.list?.key ?? '')) {
      for (const there of rows) {
        const sid = sidOf(there)
        this.rows++
        seen?.(there)
        const known = here.get(sid)
        here.delete(sid)
        const keys = known ? differentKeys(known, there) : []
        if (!known) yield suspicion(sid, 'missing here', [])
        else if (keys.length > 0) yield suspicion(sid, 'different', keys)
      }
    }
    for (const sid of here.keys()) yield suspicion(sid, 'missing there', [])
  }

  /** Compares one row; null where it is the same, or on neither side. */
  async #compared(
    of: Omit<Difference, 'is' | 'keys'>,
    place: Place,
    key: string | null,
    path: string,
  ): Promise<Difference | null> {
    const [here, there] = [await this.#local.row(place, key), await this.#there(path)]
    if (!here && !there) return null
    if (!here) return { ...of, is: 'missing here', keys: [] }
    if (!there) return { ...of, is: 'missing there', keys: [] }
    const keys = differentKeys(here, there)
    return keys.length === 0 ? null : { ...of, is: 'different', keys }
  }

  async #there(path: string): Promise<Json | null> {
    try {
      return await this.#client.get(path)
    } catch (error) {
      if (error instanceof HostedError && error.status === 404) return null
      throw error
    }
  }
}
