import { isJsonObject } from '../json.ts'
import type { Json, Kind } from '../records/format.ts'
import type { Removal } from '../records/remove.ts'
import { addresses } from '../resources/configuration/address.ts'
import { conversations } from '../resources/conversations/conversation.ts'
import { messages } from '../resources/conversations/messages/message.ts'
import { participants } from '../resources/conversations/participants/participant.ts'
import { webhooks } from '../resources/conversations/webhooks/webhook.ts'
import { credentials } from '../resources/credential.ts'
import { roles } from '../resources/role.ts'
import { services } from '../resources/services/service.ts'
import { conversationByName, conversationBySid, userByIdentity } from '../storage/lookups.ts'
import { type HostedClient, HostedError } from '../transfer/hosted/client.ts'
import { sidOf, textOf } from '../transfer/hosted/record.ts'
import { durationsOf } from '../transfer/hosted/timers.ts'
import { filesOf, type MediaSource } from './files.ts'
import type { LocalReader, Place } from './local.ts'
import { userScope } from './plan.ts'
import type { Line, MirrorStore, Stored } from './store.ts'
import { type Target, targetText } from './targets.ts'

export interface SettleOptions {
  readonly client: HostedClient
  readonly store: MirrorStore
  readonly local: LocalReader
  /** Null: files are left out. */
  readonly media: MediaSource | null
}

/** The hosted side shows something that cannot be stored yet, or not at all. */
export class UnsettledError extends Error {
  override readonly name = 'UnsettledError'
}

const inService = (service: string) => `/v1/Services/${service}`
const part = encodeURIComponent

/** Where the records of a list are, here and there. */
interface Listed {
  readonly kind: Kind
  readonly path: string
  readonly key: string
  readonly place: Place
  readonly size?: number
}

/** Reads targets from the hosted side and stores what it shows. Throws UnsettledError, and as HostedClient does. */
export class Settler {
  readonly #options: SettleOptions

  constructor(options: SettleOptions) {
    this.#options = options
  }

  /** What has to wait for each other with a target. */
  async scopeOf(target: Target): Promise<string | null> {
    const { kind, args } = target
    if (kind === 'account') return 'account'
    if (kind === 'newest') return null
    const [service] = args
    if (kind === 'service') return service
    if (kind === 'user') return userScope(service)
    if (kind === 'binding') return `${service} bindings`
    return this.conversationOf(service, kind === 'membership' ? target.args[2] : (args[1] ?? ''))
  }

  /** Returns the SID of a conversation that is known here by this key; else the key. */
  async conversationOf(service_sid: string, key: string): Promise<string> {
    const { read } = this.#options.store.options.database
    // No row has it, and PostgreSQL does not take it.
    if (service_sid.includes('\0') || key.includes('\0')) return key
    if (await read.one(conversationBySid, { service_sid, sid: key })) return key
    return (await read.one(conversationByName, { service_sid, unique_name: key }))?.sid ?? key
  }

  settle(target: Target): Promise<void> {
    switch (target.kind) {
      case 'account':
        return this.#account()
      case 'service':
        return this.#service(...target.args)
      case 'user':
        return this.#user(...target.args)
      case 'membership':
        return this.#membership(...target.args)
      case 'newest':
        return this.#newest(...target.args)
      case 'state':
        return this.#conversation(...target.args, false)
      case 'conversation':
        return this.#conversation(...target.args, true)
      case 'messages':
        return this.#messages(...target.args)
      case 'message':
        return this.#message(...target.args)
      case 'binding':
        return this.#binding(...target.args)
    }
  }

  async #account(): Promise<void> {
    const { client, local, store } = this.#options
    const unknown: string[] = []
    const there = new Set<string>()
    for await (const { rows } of client.pages('/v1/Services?PageSize=100', 'services')) {
      for (const row of rows) {
        const sid = sidOf(row)
        there.add(sid)
        if (!(await local.row({ resource: services, service: sid }, sid))) unknown.push(sid)
      }
    }
    const configuration = await client.get('/v1/Configuration')
    const webhook = await client.get('/v1/Configuration/Webhooks')
    const lists = [
      await this.#list({
        kind: 'credential',
        path: '/v1/Credentials',
        key: 'credentials',
        place: { resource: credentials, service: null },
      }),
      await this.#list({
        kind: 'address',
        path: '/v1/Configuration/Addresses',
        key: 'address_configurations',
        place: { resource: addresses, service: null },
        size: 50,
      }),
    ]
    // The default service goes when another has taken its place.
    for (const sid of unknown) await this.#service(sid)
    const settings: Line[] = [
      { kind: 'configuration', service: null, resource: configuration },
      { kind: 'webhook', service: null, resource: webhook },
    ]
    const gone: Removal[] = []
    await this.#store(
      [...settings, ...lists.flatMap(({ lines }) => lines)],
      lists.flatMap(({ removals }) => removals),
    )
    for await (const row of local.rows({ resource: services, service: null })) {
      if (!there.has(sidOf(row))) gone.push(store.removal('Service', sidOf(row), [], sidOf(row)))
    }
    await this.#store([], gone)
  }

  async #service(service: string): Promise<void> {
    const { client, store } = this.#options
    const row = await this.#find(inService(service))
    if (!row) return this.#store([], [store.removal('Service', service, [], service)])
    const configuration = await client.get(`${inService(service)}/Configuration`)
    const extra = Object.fromEntries(defaultRoles.map((key) => [key, configuration[key] ?? null]))
    const [notification, webhook] = [
      await client.get(`${inService(service)}/Configuration/Notifications`),
      await client.get(`${inService(service)}/Configuration/Webhooks`),
    ]
    const list = await this.#list({
      kind: 'role',
      path: `${inService(service)}/Roles`,
      key: 'roles',
      place: { resource: roles, service },
      size: 50,
    })
    const lines: Line[] = [
      { kind: 'service', service, resource: row, extra },
      ...list.lines,
      { kind: 'configuration', service, resource: configuration },
      { kind: 'notification', service, resource: notification },
      { kind: 'webhook', service, resource: webhook },
    ]
    await this.#store(lines, list.removals)
  }

  async #user(service: string, key: string): Promise<void> {
    const row = await this.#find(`${inService(service)}/Users/${part(key)}`)
    if (!row) return this.#store([], [this.#options.store.removal('User', service, [], key)])
    await this.#store([{ kind: 'user', service, resource: row }], [])
  }

  async #membership(service: string, user: string, conversation: string): Promise<void> {
    const { client } = this.#options
    const row = await this.#find(`${inService(service)}/Users/${part(user)}/Conversations/${part(conversation)}`)
    if (!row) return
    const sid = sidOf(row, 'conversation_sid')
    const path = `${inService(service)}/Conversations/${sid}/Participants/${sidOf(row, 'participant_sid')}`
    const resource = await client.get(path)
    const extra = { notification_level: row.notification_level }
    await this.#store([{ kind: 'participant', service, conversation: sid, resource, extra }], [])
  }

  async #newest(service: string, day: string): Promise<void> {
    const { client, local, store } = this.#options
    const targets: string[] = []
    const path = `${inService(service)}/Conversations?StartDate=${day}T00:00:00Z&PageSize=100`
    try {
      for await (const { rows } of client.pages(path, 'conversations')) {
        for (const row of rows) {
          const sid = sidOf(row)
          if (await local.row({ resource: conversations, service }, sid)) continue
          targets.push(targetText('conversation', service, sid), targetText('messages', service, sid))
        }
      }
    } catch (error) {
      if (!isGone(error)) throw error
      // The service itself.
      targets.push(targetText('service', service), targetText('account'))
    }
    await store.store({ targets })
  }

  async #conversation(service: string, key: string, isWhole: boolean): Promise<void> {
    const { client, store, local } = this.#options
    const row = await this.#find(`${inService(service)}/Conversations/${part(key)}`)
    if (!row) return this.#store([], [store.removal('Conversation', service, [], key)])
    const sid = sidOf(row)
    if (row.state === 'initializing') throw new UnsettledError('it is still being made')
    const isKnown = (await local.row({ resource: conversations, service }, sid)) !== null
    const extra = isKnown ? {} : durationsOf(row, await this.#lastMessage(service, sid))
    const line: Line = { kind: 'conversation', service, resource: row, extra }
    // What is new here is read wholly.
    if (!isWhole && isKnown) return this.#store([line], [])
    const inside = { service, parents: [sid] }
    const path = `${inService(service)}/Conversations/${sid}`
    const members = await this.#list({
      kind: 'participant',
      path: `${path}/Participants`,
      key: 'participants',
      place: { resource: participants, ...inside },
    })
    const hooks = await this.#list({
      kind: 'conversation_webhook',
      path: `${path}/Webhooks`,
      key: 'webhooks',
      place: { resource: webhooks, ...inside },
      size: 5,
    })
    const unknown: Line[] = []
    const { read } = store.options.database
    for (const { resource } of members.lines) {
      const { identity } = resource
      if (typeof identity !== 'string' || (await read.one(userByIdentity, { service_sid: service, identity }))) continue
      unknown.push({ kind: 'user', service, resource: await client.get(`${inService(service)}/Users/${part(identity)}`) })
    }
    const lines = [...unknown, line, ...members.lines, ...hooks.lines]
    await this.#store(lines, [...members.removals, ...hooks.removals], isKnown ? [] : [targetText('messages', service, sid)])
  }

  async #lastMessage(service: string, sid: string): Promise<Json | null> {
    const path = `${inService(service)}/Conversations/${sid}/Messages?Order=desc&PageSize=1`
    return (await this.#options.client.page(path, 'messages')).rows[0] ?? null
  }

  /** Reads messages from the last one down to a page of which nothing is new. */
  async #messages(service: string, conversation: string): Promise<void> {
    const { client, local, store } = this.#options
    const path = `${inService(service)}/Conversations/${conversation}`
    const place = { resource: messages, service, parents: [conversation] }
    if (!(await local.row({ resource: conversations, service }, conversation)))
      await this.#conversation(service, conversation, true)
    try {
      // Both go down together: what is here between two rows of the other side is gone there.
      const here = local.rows(place, { Order: 'desc' })
      let next = await here.next()
      for await (const page of client.pages(`${path}/Messages?Order=desc&PageSize=100`, 'messages')) {
        const { outcomes } = await this.#storeMessages(service, conversation, page.rows)
        const lowest = page.next === null ? -1 : Math.min(...page.rows.map(({ index }) => Number(index)))
        const there = new Set(page.rows.map((row) => sidOf(row)))
        const gone: Removal[] = []
        for (; !next.done && Number(next.value.index) >= lowest; next = await here.next()) {
          const sid = sidOf(next.value)
          if (!there.has(sid)) gone.push(store.removal('Message', service, [conversation], sid))
        }
        await this.#store([], gone)
        if (gone.length === 0 && outcomes.every((outcome) => outcome === 'unchanged')) break
      }
    } catch (error) {
      // It is gone: what is asked for next says so.
      if (!isGone(error)) throw error
      await store.store({ targets: [targetText('conversation', service, conversation)] })
    }
  }

  async #storeMessages(service: string, conversation: string, rows: readonly Json[]): Promise<Stored> {
    const lines = await Promise.all(rows.map((row) => this.#messageLine(service, conversation, row)))
    const stored = await this.#options.store.store({ lines })
    this.#refuse(stored)
    const receipts: Line[] = []
    for (const [i, row] of rows.entries()) {
      if (stored.outcomes[i] !== 'unchanged') receipts.push(...(await this.#receipts(service, conversation, row)))
    }
    await this.#store(receipts, [])
    return stored
  }

  async #message(service: string, conversation: string, message: string): Promise<void> {
    const row = await this.#find(`${inService(service)}/Conversations/${part(conversation)}/Messages/${message}`)
    if (!row) return this.#store([], [this.#options.store.removal('Message', service, [conversation], message)])
    const sid = textOf(row, 'conversation_sid') || conversation
    const lines = [await this.#messageLine(service, sid, row), ...(await this.#receipts(service, sid, row))]
    await this.#store(lines, [])
  }

  async #messageLine(service: string, conversation: string, resource: Json): Promise<Line> {
    const files = await filesOf(this.#options, service, resource)
    return { kind: 'message', service, conversation, resource, ...(files && { extra: { media: files } }) }
  }

  async #receipts(service: string, conversation: string, { sid, delivery }: Json): Promise<Line[]> {
    if (!isJsonObject(delivery)) return []
    const path = `${inService(service)}/Conversations/${conversation}/Messages/${sid}/Receipts?PageSize=50`
    const lines: Line[] = []
    for await (const { rows } of this.#options.client.pages(path, 'delivery_receipts')) {
      for (const resource of rows) lines.push({ kind: 'receipt', service, conversation, message: String(sid), resource })
    }
    return lines
  }

  async #binding(service: string, sid: string): Promise<void> {
    const row = await this.#find(`${inService(service)}/Bindings/${part(sid)}`)
    if (!row) return this.#store([], [this.#options.store.removal('Binding', service, [], sid)])
    await this.#store([{ kind: 'binding', service, resource: row }], [])
  }

  /** Reads a whole list, and what is here and not in it. */
  async #list({ kind, path, key, place, size = 100 }: Listed): Promise<{ lines: Line[]; removals: Removal[] }> {
    const { client, local, store } = this.#options
    const { service, parents = [], resource } = place
    const lines: Line[] = []
    for await (const { rows } of client.pages(`${path}?PageSize=${size}`, key)) {
      for (const row of rows) lines.push({ kind, service, conversation: parents[0] ?? null, resource: row })
    }
    const there = new Set(lines.map((line) => sidOf(line.resource)))
    const removals: Removal[] = []
    for await (const row of local.rows(place)) {
      if (!there.has(sidOf(row))) removals.push(store.removal(resource.name, service, parents, sidOf(row)))
    }
    return { lines, removals }
  }

  async #store(lines: readonly Line[], removals: readonly Removal[], targets: readonly string[] = []): Promise<void> {
    if (lines.length + removals.length + targets.length === 0) return
    this.#refuse(await this.#options.store.store({ lines, removals, targets }))
  }

  #refuse({ refusals }: Stored): void {
    if (refusals.length > 0) throw new UnsettledError(refusals.slice(0, 3).join('; '))
  }

  /** Returns a resource; null where the hosted side has none. */
  async #find(path: string): Promise<Json | null> {
    try {
      return await this.#options.client.get(path)
    } catch (error) {
      if (isGone(error)) return null
      throw error
    }
  }
}

function isGone(error: unknown): boolean {
  return error instanceof HostedError && error.status === 404
}

/** The roles that a service gives to those who come new: a service's record has them. */
const defaultRoles = [
  'default_conversation_creator_role_sid',
  'default_conversation_role_sid',
  'default_chat_service_role_sid',
] as const
