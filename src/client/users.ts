import { type Pipeline, writeRow } from '../api/requests.ts'
import { ApiError } from '../errors.ts'
import { formOf } from '../model/form.ts'
import { users } from '../resources/users/user.ts'
import { roleBySid, userByIdentity } from '../storage/lookups.ts'
import type { UserRow } from '../storage/schema.ts'
import type { Verified } from './tokens.ts'

/** Returns the user of a token; the first connection of an identity creates it, as any other first use does. Throws ApiError. */
export async function userOf(pipeline: Pipeline, token: Verified): Promise<Pick<UserRow, 'sid'>> {
  const { service_sid, identity } = token
  const key = { service_sid, identity }
  const found = await pipeline.read.one(userByIdentity, key)
  if (found) return found
  try {
    return await createUser(pipeline, token)
  } catch (error) {
    // Another connection of the same identity may have been faster.
    const user = error instanceof ApiError && error.kind === 'userExists' && (await pipeline.read.one(userByIdentity, key))
    if (!user) throw error
    return user
  }
}

async function createUser(pipeline: Pipeline, token: Verified): Promise<Pick<UserRow, 'sid'>> {
  const { account_sid, service_sid, identity, role_sid } = token
  const role = role_sid === null ? undefined : await pipeline.read.one(roleBySid, { service_sid, sid: role_sid })
  const { row } = await writeRow(pipeline, 'create', {
    resource: users,
    family: 'service',
    path: { account_sid, service_sid, parents: [], key: null, text: '/Users' },
    base: '',
    query: formOf({}),
    // Inferred: a role that is none of the service is ignored.
    body: formOf({ Identity: identity, ...(role?.type === 'service' && { RoleSid: role.sid }) }),
    webhooks: true,
    client_identity: identity,
  })
  if (!row) throw new Error('no row of the created user')
  return row
}
