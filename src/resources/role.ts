import { seconds } from '../dates.ts'
import { refuse } from '../errors.ts'
import { parseStored } from '../json.ts'
import { resource } from '../model/declare.ts'
import { createOnly, oneOf, required, someOf, text } from '../model/params.ts'
import { newSid } from '../sids.ts'
import type { Reader } from '../storage/database.ts'
import { roleBySid } from '../storage/lookups.ts'
import type { RoleRow, RoleType, ServiceRow } from '../storage/schema.ts'
import { notFor, type Permission, permissions } from './permissions.ts'
import { replaceDeletedRole, replaceMore } from './role-holders.ts'

/** The roles of a new service. Their names are those of the ancestor API (observed: live services). */
export interface DefaultRoles {
  readonly admin: RoleRow
  readonly user: RoleRow
  readonly creator: RoleRow
  readonly participant: RoleRow
}

/** Returns the rows of a new service's roles. */
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
    // The ancestor API's page, in today's words. `editOwnUserInfo` is not among them.
    admin: role('service', 'service admin', [
      'createConversation',
      'joinConversation',
      'deleteConversation',
      'editConversationName',
      'editConversationAttributes',
      'addParticipant',
      'removeParticipant',
      'editAnyParticipantAttributes',
      'editAnyMessage',
      'editAnyMessageAttributes',
      'deleteAnyMessage',
      'editAnyUserInfo',
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

/** Returns the permissions as JSON. Throws when a role of this type may not have one of them. */
function permissionsJson(type: RoleType, given: readonly Permission[]): string {
  if (given.some((permission) => notFor[type].includes(permission))) throw refuse('permissionNotFound')
  return JSON.stringify(given)
}

/**
 * Reads the role that a parameter refers to, of this service and this type; null without the parameter.
 * Throws 50100, or the code for a role of the other type.
 */
export async function roleGiven(
  read: Reader,
  service: ServiceRow | null,
  role_sid: string | null | undefined,
  type: RoleType,
): Promise<RoleRow | null> {
  if (!role_sid) return null
  const role = await read.one(roleBySid, { service_sid: service?.sid ?? '', sid: role_sid })
  if (!role) throw refuse('roleNotFound')
  if (role.type !== type) throw refuse(type === 'service' ? 'serviceRoleNotFound' : 'conversationRoleNotFound')
  return role
}

/** Whether the role is a default of the service. */
function isDefault(sid: string, service: ServiceRow): boolean {
  const { default_conversation_creator_role_sid, default_conversation_role_sid, default_chat_service_role_sid } = service
  return [default_conversation_creator_role_sid, default_conversation_role_sid, default_chat_service_role_sid].includes(sid)
}

/** https://www.twilio.com/docs/conversations/api/role-resource */
export const roles = resource<RoleRow>()({
  name: 'Role',
  path: 'Roles',
  countsFor: { create: 'service', update: 'service', remove: 'service' },
  under: 'service',
  table: 'roles',
  sid: 'role',
  params: {
    FriendlyName: createOnly(required(text({ max: 64, tooLong: 'friendlyNameTooLong' }))),
    Type: createOnly(required(oneOf(['conversation', 'service'], { invalid: 'invalidRoleType' }))),
    Permission: required(someOf(permissions, 'permissionNotFound'), ['create', 'update']),
  },
  create(p) {
    const type = p.Type ?? 'conversation'
    return {
      friendly_name: p.FriendlyName ?? '',
      type,
      permissions: permissionsJson(type, p.Permission ?? []),
    }
  },
  update: (before, p) => ({ ...before, permissions: permissionsJson(before.type, p.Permission ?? []) }),
  remove(before, { service }) {
    if (service && isDefault(before.sid, service)) throw refuse('conflict')
  },
  async afterWrite(tx, { before, after }, { service, now }) {
    if (before) tx.notify({ topic: 'access', sid: before.sid })
    if (before && !after && service) await replaceDeletedRole(tx, before, service, now)
  },
  cleanUp: replaceMore,
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
