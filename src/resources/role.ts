import { seconds } from '../dates.ts'
import { refuse } from '../errors.ts'
import { parseStored } from '../json.ts'
import { resource } from '../model/declare.ts'
import { createOnly, oneOf, required, someOf, text } from '../model/params.ts'
import { newSid } from '../sids.ts'
import type { Reader, Tx } from '../storage/database.ts'
import { rowsBy } from '../storage/rows.ts'
import type { RoleRow, RoleType, ServiceRow } from '../storage/schema.ts'
import { type Builder, shape } from '../storage/shapes.ts'

/** What only a role of one type may hold. */
const forService = ['createConversation', 'joinConversation', 'editOwnUserInfo'] as const
const forConversation = ['deleteOwnMessage', 'leaveConversation', 'sendMessage', 'sendMediaMessage'] as const
const forEither = [
  'addParticipant',
  'removeParticipant',
  'deleteAnyMessage',
  'deleteConversation',
  'editAnyMessage',
  'editAnyMessageAttributes',
  'editAnyUserInfo',
  'editConversationAttributes',
  'editConversationName',
  'editOwnMessage',
  'editOwnMessageAttributes',
  // The vendor takes these too, and documents for neither type.
  'editNotificationLevel',
  'addNonChatParticipant',
  'editAnyParticipantAttributes',
  'editOwnParticipantAttributes',
] as const
const permissions = [...forService, ...forConversation, ...forEither] as const
type Permission = (typeof permissions)[number]
const notFor: Readonly<Record<RoleType, readonly Permission[]>> = { service: forConversation, conversation: forService }

/** What every service has from the start. Names are kept from the ancestor API (observed: live services). */
export interface DefaultRoles {
  readonly admin: RoleRow
  readonly user: RoleRow
  readonly creator: RoleRow
  readonly participant: RoleRow
}

/** The four roles of a new service, as rows to be stored with it. */
export function defaultRoles(account_sid: string, service_sid: string, now: number): DefaultRoles {
  const role = (type: RoleType, friendly_name: string, permissions: readonly string[]): RoleRow => ({
    service_sid,
    sid: newSid('role', now),
    account_sid,
    friendly_name,
    type,
    permissions: JSON.stringify(permissions),
    date_created: now,
    date_updated: now,
    revision: 1,
  })
  return {
    admin: role('service', 'service admin', [
      'joinConversation',
      'createConversation',
      'addParticipant',
      'removeParticipant',
      'deleteConversation',
      'editAnyUserInfo',
      'editOwnUserInfo',
      'editConversationName',
      'editConversationAttributes',
      'editAnyMessage',
      'editAnyMessageAttributes',
      'deleteAnyMessage',
    ]),
    user: role('service', 'service user', ['joinConversation', 'createConversation', 'editOwnUserInfo']),
    // observed: on a live service.
    creator: role('conversation', 'channel admin', [
      'deleteConversation',
      'removeParticipant',
      'editConversationName',
      'editConversationAttributes',
      'addParticipant',
      'sendMessage',
      'sendMediaMessage',
      'leaveConversation',
      'editAnyMessage',
      'editAnyMessageAttributes',
      'editAnyParticipantAttributes',
      'deleteAnyMessage',
      'editNotificationLevel',
    ]),
    participant: role('conversation', 'channel user', [
      'sendMessage',
      'sendMediaMessage',
      'leaveConversation',
      'editNotificationLevel',
      'editOwnParticipantAttributes',
      'editOwnMessage',
      'editOwnMessageAttributes',
      'deleteOwnMessage',
    ]),
  }
}

/** The permissions as stored. Throws when a role of this type may not hold one of them. */
function permitted(type: RoleType, given: readonly Permission[]): string {
  if (given.some((permission) => notFor[type].includes(permission))) throw refuse('permissionNotFound')
  return JSON.stringify(given)
}

const roleOfService = rowsBy('roles', ['service_sid', 'sid'])

/**
 * The role that a parameter names, which must be one of this service and of this type; null when none is named.
 * Throws 50100, or the code for a role of the other type.
 */
export async function wantedRole(
  read: Reader,
  service: ServiceRow | null,
  role_sid: string | null | undefined,
  type: RoleType,
): Promise<RoleRow | null> {
  if (!role_sid) return null
  const role = await read.one(roleOfService, { service_sid: service?.sid ?? '', sid: role_sid })
  if (!role) throw refuse('roleNotFound')
  if (role.type !== type) throw refuse(type === 'service' ? 'serviceRoleNotFound' : 'conversationRoleNotFound')
  return role
}

/** Whether new conversations, their participants or users get this role. */
function isDefault(sid: string, service: ServiceRow): boolean {
  const { default_conversation_creator_role_sid, default_conversation_role_sid, default_chat_service_role_sid } = service
  return [default_conversation_creator_role_sid, default_conversation_role_sid, default_chat_service_role_sid].includes(sid)
}

const fallBack = (holders: 'participants' | 'users') =>
  shape<{ service_sid: string; role_sid: string; fallback: string; now: number }>()((db: Builder, a) =>
    db
      .updateTable(holders)
      .set((eb) => ({ role_sid: a.fallback, date_updated: a.now, revision: eb('revision', '+', 1) }))
      .where('service_sid', '=', a.service_sid)
      .where('role_sid', '=', a.role_sid),
  )
const participantsFallBack = fallBack('participants')
const usersFallBack = fallBack('users')

/** Who held a deleted role gets the service's default of its type. */
async function releaseHolders(tx: Tx, role: RoleRow, service: ServiceRow, now: number): Promise<void> {
  const ofConversation = role.type === 'conversation'
  const fallback = ofConversation ? service.default_conversation_role_sid : service.default_chat_service_role_sid
  const args = { service_sid: service.sid, role_sid: role.sid, fallback, now }
  const holders = await tx.run(ofConversation ? participantsFallBack : usersFallBack, args)
  // One notice for all of them, however many: one about the service drops every answer that is kept.
  if (holders > 0) tx.notify({ topic: 'changed', table: 'services', sid: service.sid, revision: service.revision })
}

/** https://www.twilio.com/docs/conversations/api/role-resource */
export const roles = resource<RoleRow>()({
  name: 'Role',
  path: 'Roles',
  under: 'service',
  table: 'roles',
  sid: 'role',
  params: {
    FriendlyName: createOnly(required(text({ max: 256, tooLong: 'friendlyNameTooLong' }))),
    Type: createOnly(required(oneOf(['conversation', 'service'], { invalid: 'invalidRoleType' }))),
    Permission: required(someOf(permissions, 'permissionNotFound'), ['create', 'update']),
  },
  create(p) {
    const type = p.Type ?? 'conversation'
    return {
      friendly_name: p.FriendlyName ?? '',
      type,
      permissions: permitted(type, p.Permission ?? []),
    }
  },
  update: (before, p) => ({ ...before, permissions: permitted(before.type, p.Permission ?? []) }),
  remove(before, { service }) {
    if (service && isDefault(before.sid, service)) throw refuse('conflict')
  },
  async afterWrite(tx, { before, after }, { service, now }) {
    if (before && !after && service) await releaseHolders(tx, before, service, now)
  },
  represent: (row, self) => ({
    sid: row.sid,
    account_sid: row.account_sid,
    chat_service_sid: row.service_sid,
    friendly_name: row.friendly_name,
    type: row.type,
    permissions: parseStored<unknown>(row.permissions),
    date_created: seconds(row.date_created),
    date_updated: seconds(row.date_updated),
    url: self,
  }),
  list: { key: 'roles', size: 50, max: 1000, params: {}, order: () => ({ by: 'date_created', direction: 'asc', where: [] }) },
})
