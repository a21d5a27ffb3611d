import type { ServiceRow, UserRow } from '../../storage/schema.ts'

/**
 * Returns a user with what the service says of its users' reachability: nothing while it is off, and of who is online only what has
 * been seen since it was turned on.
 */
export function withReachability(row: UserRow, service: ServiceRow): UserRow {
  if (service.reachability_enabled === 0) return unknown(row, { is_online: null, is_notifiable: null })
  return row.reachability_epoch === service.reachability_epoch ? row : unknown(row, { is_online: null })
}

function unknown(row: UserRow, values: Partial<UserRow>): UserRow {
  return row.is_online === null && row.is_notifiable === null ? row : { ...row, ...values }
}

/** Lists leave it out (documented): only a fetch shows it. */
export function withoutReachability(row: UserRow): UserRow {
  return unknown(row, { is_online: null, is_notifiable: null })
}
