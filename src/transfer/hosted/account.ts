import type { Kind } from '../../records/format.ts'
import { Batch } from './batch.ts'
import { HostedError, type Json } from './client.ts'
import { noteAbsent } from './conversation.ts'
import { optional, type Reading, recordOf, rowsOf, take, takeList } from './reader.ts'
import { sidOf, textOf } from './record.ts'

/** The most rows of a page that are documented. */
const perPage = { services: 100, roles: 50, credentials: 100, users: 50, userConversations: 50, addresses: 50, bindings: 100 }

/** The three roles that a service gives to those who come new: a service's record has them. */
const defaultRoles = [
  'default_conversation_creator_role_sid',
  'default_conversation_role_sid',
  'default_chat_service_role_sid',
] as const

/** Returns the rows of all services of the account. Throws HostedError: without them nothing can be read. */
export async function servicesOf(reading: Reading): Promise<Json[]> {
  const services: Json[] = []
  for await (const rows of rowsOf(reading, '/v1/Services', 'services', perPage.services)) services.push(...rows)
  // Read again after a stale position, a row comes twice.
  return [...new Map(services.map((row) => [sidOf(row), row])).values()]
}

/** Reads each service with its roles and configuration; then what belongs to the account itself. */
export async function* readAccount(reading: Reading, services: readonly Json[]): AsyncGenerator<Batch> {
  for (const service of services) {
    const batch = new Batch()
    await takeService(reading, batch, service)
    yield batch
  }
  const batch = new Batch()
  await takeSingle(reading, batch, 'configuration', null, '/v1/Configuration')
  await takeSingle(reading, batch, 'webhook', null, '/v1/Configuration/Webhooks')
  await takeList(reading, batch, { kind: 'credential', path: '/v1/Credentials', key: 'credentials', size: perPage.credentials })
  const addresses = { path: '/v1/Configuration/Addresses', key: 'address_configurations', size: perPage.addresses }
  await takeList(reading, batch, { kind: 'address', ...addresses })
  yield batch
}

async function takeService(reading: Reading, batch: Batch, row: Json): Promise<void> {
  const sid = sidOf(row)
  const path = `/v1/Services/${sid}`
  await optional(reading, batch, 'service', sid, async () => {
    const configuration = await reading.client.get(`${path}/Configuration`)
    const extra = Object.fromEntries(defaultRoles.map((key) => [key, configuration[key] ?? null]))
    take(reading, batch, { kind: 'service', sid, service: sid }, recordOf(reading, 'service', sid, row, extra))
    await takeList(reading, batch, { kind: 'role', path: `${path}/Roles`, key: 'roles', size: perPage.roles, service: sid })
    const place: { kind: Kind; sid: string; service: string } = {
      kind: 'configuration',
      sid: `${path}/Configuration`,
      service: sid,
    }
    take(reading, batch, place, recordOf(reading, 'configuration', sid, configuration))
    await takeSingle(reading, batch, 'notification', sid, `${path}/Configuration/Notifications`)
    await takeSingle(reading, batch, 'webhook', sid, `${path}/Configuration/Webhooks`)
  })
}

/** Takes what there is one of. */
async function takeSingle(reading: Reading, batch: Batch, kind: Kind, service: string | null, path: string): Promise<void> {
  await optional(reading, batch, kind, path, async () => {
    const resource = await reading.client.get(path)
    take(reading, batch, { kind, sid: path, ...(service !== null && { service }) }, recordOf(reading, kind, service, resource))
  })
}

/** Reads the users of a service, and what only the list of their conversations shows. */
export async function* readUsers(reading: Reading, service: string): AsyncGenerator<Batch> {
  const { checkpoint, options } = reading
  const last = new Batch()
  try {
    for await (const rows of rowsOf(reading, `/v1/Services/${service}/Users`, 'users', perPage.users)) {
      const batch = new Batch()
      for (const row of rows) {
        // Of the moment, and different at each read.
        const { is_online: _online, is_notifiable: _notifiable, ...resource } = row
        take(reading, batch, { kind: 'user', sid: sidOf(row), service }, recordOf(reading, 'user', service, resource))
      }
      if (options.memberships) await Promise.all(rows.map((row) => noteMemberships(reading, batch, service, row)))
      yield batch
    }
    last.afterwards(() => {
      noteAbsent(reading, 'user', service)
      checkpoint.solved('user', service)
    })
  } catch (error) {
    if (!(error instanceof HostedError)) throw error
    last.afterwards(() => checkpoint.problem({ kind: 'user', sid: service, reason: error.message }))
  }
  if (options.bindings) {
    const path = `/v1/Services/${service}/Bindings`
    await takeList(reading, last, { kind: 'binding', path, key: 'bindings', size: perPage.bindings, service })
  }
  yield last
}

/** Notes who made the conversations of a user, and which of them they have muted. */
async function noteMemberships(reading: Reading, batch: Batch, service: string, user: Json): Promise<void> {
  const { checkpoint } = reading
  const sid = sidOf(user)
  const key = `memberships ${sid}`
  if (checkpoint.known(key)?.read_in === checkpoint.pass) return
  await optional(reading, batch, 'conversations of a user', sid, async () => {
    const path = `/v1/Services/${service}/Users/${sid}/Conversations`
    for await (const rows of rowsOf(reading, path, 'conversations', perPage.userConversations)) {
      for (const row of rows) {
        const conversation = sidOf(row, 'conversation_sid')
        const creator = textOf(row, 'created_by')
        batch.afterwards(() => {
          checkpoint.setMuted(textOf(row, 'participant_sid'), conversation, row.notification_level === 'muted')
          if (creator !== '') checkpoint.setCreator(conversation, creator)
        })
      }
    }
    batch.afterwards(() => {
      checkpoint.seen('memberships', key, service)
      checkpoint.stored(key, '')
    })
  })
}
