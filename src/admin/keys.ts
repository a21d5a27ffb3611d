import type { FastifyPluginAsync } from 'fastify'
import { newPolicy, type Policy } from '../api/key-permissions.ts'
import { operationsOf } from '../api/operations.ts'
import { milliseconds } from '../dates.ts'
import type { Installation } from '../installation/open.ts'
import { parseStored } from '../json.ts'
import { mediaOperations } from '../media/http.ts'
import { operations, resources } from '../resources/index.ts'
import { newSid, randomToken } from '../sids.ts'
import { accountBySid, apiKeyOfAccount, apiKeysOfAccount } from '../storage/lookups.ts'
import type { ApiKeyRow } from '../storage/schema.ts'
import { needs, needsInAccount } from './access.ts'
import { notFound } from './replies.ts'
import {
  bodyErrors,
  errors,
  givenSecret,
  givenSid,
  instant,
  list,
  named,
  type OperationSchema,
  object,
  path,
  removed,
  response,
  sid,
} from './schemas.ts'

interface OfAccount {
  Params: { sid: string }
}

interface NewApiKey {
  readonly friendly_name?: string
  readonly sid?: string
  readonly secret?: string
  readonly type?: 'standard' | 'restricted'
  readonly policy?: Policy | null
}

interface OfKey {
  Params: { sid: string; key: string }
}

const policy = {
  type: ['object', 'null'],
  properties: { allow: { type: 'array', items: { type: 'string' } } },
  required: ['allow'],
  additionalProperties: false,
  description: 'What a restricted key may do: permissions of `GET /permissions`, or `/twilio/conversations/…/*` for any action',
} as const
const type = { type: 'string', enum: ['standard', 'restricted'] } as const
const key = object('ApiKey', {
  sid: sid('apiKey', 'SID of the key'),
  account_sid: sid('account', 'SID of its account'),
  friendly_name: { type: 'string' },
  type,
  policy: { ...policy, description: 'What a restricted key may do; null for a standard key, which may do everything' },
  date_created: instant,
  date_updated: instant,
})
const secret = { type: 'string', description: 'Shown only once' } as const
const ofAccount = path({ sid: 'SID of the account' })
const ofKey = path({ sid: 'SID of the account', key: 'SID of the key' })
const tags = ['API keys'] as const

const listKeys: OperationSchema = {
  operationId: 'listKeys',
  summary: 'List the API keys of an account',
  tags,
  params: ofAccount,
  response: { 200: response('The API keys', list('ApiKeyList', 'keys', key)), ...errors(400, 404) },
}
const createKey: OperationSchema = {
  operationId: 'createKey',
  summary: 'Create an API key',
  description:
    'Its secret is shown only once. A key that moves here keeps its SID and its secret. A restricted key may do what its policy allows, at ' +
    'most 100 permissions, and signs no access tokens.',
  tags,
  params: ofAccount,
  body: {
    title: 'NewApiKey',
    type: ['object', 'null'],
    properties: {
      ...named.properties,
      sid: givenSid('apiKey'),
      secret: givenSecret,
      type: { ...type, description: 'By default restricted with a policy, else standard' },
      policy,
    },
    additionalProperties: false,
  },
  response: {
    201: response('The key and its secret', object('ApiKeyWithSecret', { ...key.properties, secret })),
    ...bodyErrors(404, 409),
  },
}
const listPermissions: OperationSchema = {
  operationId: 'listPermissions',
  summary: 'List what the policy of a restricted API key can allow',
  tags,
  response: {
    200: response(
      'The permissions',
      list(
        'PermissionList',
        'permissions',
        object('Permission', {
          permission: { type: 'string', description: 'As a policy has it' },
          operations: { type: 'array', items: { type: 'string' }, description: 'The operations that need it' },
        }),
      ),
    ),
    ...errors(),
  },
}
const fetchKey: OperationSchema = {
  operationId: 'fetchKey',
  summary: 'Fetch an API key',
  tags,
  params: ofKey,
  response: { 200: response('The key', key), ...errors(400, 404) },
}
const rotateKey: OperationSchema = {
  operationId: 'rotateKey',
  summary: 'Replace the secret of an API key',
  description: 'The old one stops working at once.',
  tags,
  params: ofKey,
  response: {
    200: response('The new secret', object('ApiKeySecret', { sid: key.properties.sid, secret })),
    ...bodyErrors(404),
  },
}
const deleteKey: OperationSchema = {
  operationId: 'deleteKey',
  summary: 'Delete an API key',
  description: 'It stops working at once.',
  tags,
  params: ofKey,
  response: { 204: removed, ...bodyErrors(404) },
}

/** What restricted keys can be allowed, with the operations that need it. */
const permissions = Map.groupBy([...operationsOf(resources, operations), ...mediaOperations], ({ permission }) => permission)

/** The API keys of an account. */
export function keyRoutes({ database, vault, clock }: Pick<Installation, 'database' | 'vault' | 'clock'>): FastifyPluginAsync {
  return async (routes) => {
    routes.get('/permissions', { schema: listPermissions, config: needs('read', 'none') }, async () => ({
      permissions: [...permissions].map(([permission, operations]) => ({
        permission,
        operations: operations.map(({ operation }) => operation),
      })),
    }))

    routes.get<OfAccount>(
      '/accounts/:sid/keys',
      { schema: listKeys, config: needsInAccount('read') },
      async ({ params: { sid } }, reply) => {
        if (!(await database.read.one(accountBySid, { sid }))) return notFound(reply)
        return { keys: (await database.read.all(apiKeysOfAccount, { account_sid: sid })).map(toJson) }
      },
    )

    routes.post<OfAccount & { Body: NewApiKey | null }>(
      '/accounts/:sid/keys',
      { schema: createKey, config: needsInAccount('manage') },
      async ({ params, body }, reply) => {
        const now = clock.now(params.sid)
        const { friendly_name = '', sid = newSid('apiKey', now), secret = randomToken(), policy = null } = body ?? {}
        const type = body?.type ?? (policy === null ? 'standard' : 'restricted')
        if ((type === 'restricted') !== (policy !== null)) return reply.code(400).send({ error: policyWanted[type] })
        const key: ApiKeyRow = {
          sid,
          account_sid: params.sid,
          friendly_name,
          secret: vault.seal(secret),
          policy: policy && newPolicy(policy, permissions),
          date_created: now,
          date_updated: now,
        }
        const outcome = await database.write('createKey', key)
        if (outcome === 'no account') return notFound(reply)
        if (outcome === 'taken') return reply.code(409).send({ error: `${sid} is an API key already` })
        return reply.code(201).send({ ...toJson(key), secret })
      },
    )

    routes.get<OfKey>(
      '/accounts/:sid/keys/:key',
      { schema: fetchKey, config: needsInAccount('read') },
      async ({ params }, reply) => {
        const key = await database.read.one(apiKeyOfAccount, { account_sid: params.sid, sid: params.key })
        return key ? toJson(key) : notFound(reply)
      },
    )

    routes.post<OfKey>(
      '/accounts/:sid/keys/:key/rotate',
      { schema: rotateKey, config: needsInAccount('manage') },
      async ({ params }, reply) => {
        const secret = randomToken()
        const sealed = {
          account_sid: params.sid,
          sid: params.key,
          secret: vault.seal(secret),
          date_updated: clock.now(params.sid),
        }
        return (await database.write('updateKey', sealed)) ? { sid: params.key, secret } : notFound(reply)
      },
    )

    routes.delete<OfKey>(
      '/accounts/:sid/keys/:key',
      { schema: deleteKey, config: needsInAccount('manage') },
      async ({ params }, reply) => {
        const removed = await database.write('deleteKey', { account_sid: params.sid, sid: params.key })
        return removed ? reply.code(204).send() : notFound(reply)
      },
    )
  }
}

const policyWanted = {
  standard: 'a standard key has no policy: leave it out, or ask for type restricted',
  restricted: 'a restricted key needs a policy, {"allow":["/twilio/…"]}; GET /admin/v1/permissions lists what it can allow',
} as const

function toJson(row: ApiKeyRow) {
  return {
    sid: row.sid,
    account_sid: row.account_sid,
    friendly_name: row.friendly_name,
    type: row.policy === null ? 'standard' : 'restricted',
    policy: row.policy && parseStored<Policy>(row.policy),
    date_created: milliseconds(row.date_created),
    date_updated: milliseconds(row.date_updated),
  }
}
