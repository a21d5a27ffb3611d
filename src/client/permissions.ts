import { parseStored } from '../json.ts'
import type { Permission } from '../resources/permissions.ts'
import { withCurrentRole } from '../resources/role-holders.ts'
import type { Reader } from '../storage/database.ts'
import { roleBySid } from '../storage/lookups.ts'
import type { ParticipantRow, ServiceRow, UserRow } from '../storage/schema.ts'

export type Permissions = ReadonlySet<Permission>

/** Reads the permissions of one role. */
export async function permissionsOfRole(read: Reader, service: ServiceRow, role_sid: string): Promise<Permissions> {
  const role = await read.one(roleBySid, { service_sid: service.sid, sid: role_sid })
  return new Set(role ? parseStored<Permission[]>(role.permissions) : [])
}

/** Reads the permissions of the role that a user or a participant has now. */
export async function permissionsOf(read: Reader, service: ServiceRow, holder: UserRow | ParticipantRow): Promise<Permissions> {
  const { role_sid } = withCurrentRole(holder, service)
  return role_sid === null ? new Set() : permissionsOfRole(read, service, role_sid)
}

/** Permissions in the service that concern every conversation, whoever is in it. */
const overAll: readonly Permission[] = [
  'addParticipant',
  'removeParticipant',
  'deleteConversation',
  'editConversationName',
  'editConversationAttributes',
  'editAnyMessage',
  'editAnyMessageAttributes',
  'deleteAnyMessage',
]

/** Whether a user with these permissions in the service sees every conversation (observed: an admin fetches foreign ones). */
export function seesEverything(permissions: Permissions): boolean {
  return overAll.some((permission) => permissions.has(permission))
}
