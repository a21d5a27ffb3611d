import type { FastifyPluginAsync } from 'fastify'
import { defaultLifetimeS, maxLifetimeS, signToken } from '../client/tokens.ts'
import { milliseconds } from '../dates.ts'
import { refuse } from '../errors.ts'
import type { Installation } from '../installation/open.ts'
import { identity } from '../resources/users/user.ts'
import { newSid, randomToken } from '../sids.ts'
import { accountBySid, apiKeysOfAccount, serviceOfAccount } from '../storage/lookups.ts'
import type { ApiKeyRow } from '../storage/schema.ts'
import { needsInGivenAccount } from './access.ts'
import { notFound } from './replies.ts'
import { bodyErrors, instant, type OperationSchema, object, response, shortText, sid } from './schemas.ts'

interface TokenBody {
  identity: string
  account_sid?: string
  service_sid?: string
  push_credential_sid?: string
  lifetime?: number
}

/** The key that signs tokens for the operator; made at the first of them. */
const keyName = 'Access tokens of the operator'

const createToken: OperationSchema = {
  operationId: 'createToken',
  summary: 'Create an access token for a client SDK',
  description: `It is signed by the API key "${keyName}" of the account; deleting or rotating that key ends all of these tokens.`,
  tags: ['Access tokens'],
  body: {
    title: 'NewToken',
    type: 'object',
    properties: {
      identity: { ...shortText, description: 'Who the bearer is' },
      account_sid: { ...shortText, description: 'The first account by default' },
      service_sid: { ...shortText, description: 'The default service of the account by default' },
      push_credential_sid: { ...shortText, description: 'SID of the credential by which its devices are notified' },
      lifetime: {
        type: 'integer',
        minimum: 1,
        maximum: maxLifetimeS,
        description: `Seconds for which it is valid, ${defaultLifetimeS} by default`,
      },
    },
    required: ['identity'],
    additionalProperties: false,
  },
  response: {
    201: response(
      'The token',
      object('Token', {
        token: { type: 'string', description: 'Shown only once' },
        identity: { type: 'string' },
        account_sid: sid('account', 'SID of its account'),
        service_sid: sid('service', 'SID of its service'),
        key_sid: sid('apiKey', 'SID of the API key that signed it'),
        date_expires: instant,
      }),
    ),
    ...bodyErrors(404),
  },
}

/** Access tokens of client SDKs, for development and for operators. */
export function tokenRoutes(installation: Installation): FastifyPluginAsync {
  const { database, vault, clock, account: first } = installation
  return async (routes) => {
    routes.post<{ Body: TokenBody }>(
      '/tokens',
      { schema: createToken, config: needsInGivenAccount('manage', first.sid) },
      async ({ body }, reply) => {
        const { account_sid = first.sid, lifetime = defaultLifetimeS } = body
        if (!identity.parse(body.identity, [body.identity])) throw refuse('identityNotProvided')
        const account = await database.read.one(accountBySid, { sid: account_sid })
        if (!account) return notFound(reply, [account_sid])
        const service_sid = body.service_sid ?? account.default_service_sid
        const service = await database.read.one(serviceOfAccount, { sid: service_sid, account_sid })
        if (!service) return notFound(reply, [account_sid, service_sid])
        const now = clock.now(account_sid)
        const key = await operatorsKey(installation, account_sid, now)
        if (!key) return notFound(reply, [account_sid])
        const bearer = { account_sid, service_sid, identity: body.identity }
        const push_credential_sid = body.push_credential_sid ?? null
        const token = await signToken(
          { sid: key.sid, secret: vault.open(key.secret) },
          { ...bearer, push_credential_sid },
          lifetime,
          now,
        )
        const date_expires = milliseconds((Math.floor(now / 1000) + lifetime) * 1000)
        return reply.code(201).send({ token, ...bearer, key_sid: key.sid, date_expires })
      },
    )
  }
}

/** Returns the key that signs for the operator; undefined when the account has just been deleted. */
async function operatorsKey({ database, vault }: Installation, account_sid: string, now: number): Promise<ApiKeyRow | undefined> {
  const keys = await database.read.all(apiKeysOfAccount, { account_sid })
  const found = keys.find(({ friendly_name, policy }) => friendly_name === keyName && policy === null)
  if (found) return found
  const dates = { date_created: now, date_updated: now }
  const key = {
    sid: newSid('apiKey', now),
    account_sid,
    friendly_name: keyName,
    secret: vault.seal(randomToken()),
    policy: null,
    ...dates,
  }
  return (await database.write('createKey', key)) === 'created' ? key : undefined
}
