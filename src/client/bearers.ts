import { hash } from 'node:crypto'
import type { Logins } from '../api/operator.ts'
import type { Pipeline } from '../api/requests.ts'
import { ApiError } from '../errors.ts'
import type { Bearers } from '../media/http.ts'
import { messagesList, objectNamed } from '../resources/sync-objects.ts'
import { userByIdentity } from '../storage/lookups.ts'
import { serviceOf } from './rows.ts'
import { reach } from './sync/access.ts'
import { type Verified, verifyToken } from './tokens.ts'

/** Verifies a token, with guessing slowed down as for any credentials. Throws ApiError. */
export async function verifyBearer(
  pipeline: Pipeline,
  { throttle, onFailedLogin }: Logins,
  token: string,
  address: string,
): Promise<Verified> {
  const { read, clock, preAction } = pipeline
  const proof = hash('sha256', token, 'base64')
  throttle.check(address, null, proof)
  try {
    const verified = await verifyToken({ read, vault: preAction.vault, now: (sid) => clock.now(sid) }, token)
    throttle.succeeded(address, verified.account_sid, proof)
    return verified
  } catch (error) {
    // An expired token is no guess.
    if (error instanceof ApiError && error.entry.status === 401 && error.kind !== 'tokenExpired') {
      throttle.failed(address, null)
      onFailedLogin({ address, username: null }, { interface: 'client', kind: 'client', name: null, agent: null })
    }
    throw error
  }
}

/** Lets users of client SDKs up and down load media. */
export function mediaBearers(pipeline: Pipeline, logins: Logins): Bearers {
  return {
    verify: (token, address) => verifyBearer(pipeline, logins, token, address),
    async mayRead(bearer, conversation_sid) {
      const { read, clock } = pipeline
      const { service_sid, identity } = bearer
      const user = await read.one(userByIdentity, { service_sid, identity })
      const object = objectNamed(messagesList(conversation_sid))
      if (!user || !object) return false
      const service = await serviceOf({ pipeline, session: bearer })
      return (
        (await reach({ read, service, now: clock.now(bearer.account_sid) }, { ...bearer, user_sid: user.sid }, object)) !== null
      )
    },
  }
}
