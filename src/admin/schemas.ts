import type { FastifySchema } from 'fastify'
import { prefixOf, type SidKind } from '../sids.ts'

/** What operations are about: their tags, in the order of the description. */
export const subjects = [
  'Accounts',
  'API keys',
  'Access tokens',
  'Channels',
  'Content templates',
  'Conversations',
  'Deliveries',
  'Events',
  'Gateway',
  'Identity',
  'Installation',
  'Mail',
  'Privacy',
  'Retention',
  'Moving',
  'Session',
  'Test clock',
  'Test mode',
] as const

/** The published description of a route. Requests are validated against it, responses are not (see `routes.ts`). */
export interface OperationSchema extends FastifySchema {
  readonly operationId: string
  readonly summary: string
  readonly description?: string
  readonly tags: readonly [(typeof subjects)[number]]
  /** Empty: no token is needed. */
  readonly security?: readonly []
  readonly response: Readonly<Record<string, object>>
}

/** A name, or an identifier whose format is checked later. */
export const shortText = { type: 'string', maxLength: 256 } as const
/** A name that is shown on terminals: a control character could act on one. */
export const shownName = { ...shortText, pattern: '^[^\\u0000-\\u001f\\u007f-\\u009f]*$' } as const
export const instant = { type: 'string', format: 'date-time' } as const

/** A schema with a title becomes a component of the description, which several operations can share. */
export const named = {
  title: 'Named',
  type: ['object', 'null'],
  properties: { friendly_name: { ...shownName, description: 'Empty by default' } },
  additionalProperties: false,
} as const

const error = object('Error', {
  error: { type: 'string', description: 'What is wrong, as a sentence' },
  code: { type: 'integer', description: 'The code that `/v1` returns for the same error' },
})

const statuses = {
  400: 'A parameter is unknown, missing or invalid',
  401: 'The operator token is missing or wrong',
  403: 'The account is suspended, a rule refuses the change, or a page of another site has sent the request',
  404: 'The resource does not exist',
  408: 'The body was not complete in time',
  409: 'The request conflicts with an existing resource',
  413: 'The body is too large',
  415: 'There is a body that is not JSON, or that has a Content-Encoding',
  422: 'The mail is refused',
  429: 'The address has failed to log in too often; Retry-After has the seconds to wait',
} as const

type Status = keyof typeof statuses

/** The schema of an object in a response. All properties are always present, except the `code` of an error. */
export function object<K extends string>(title: string, properties: Readonly<Record<K, object>>) {
  return { title, type: 'object', properties, required: Object.keys(properties).filter((name) => name !== 'code') }
}

export function list(title: string, key: string, items: object) {
  return object(title, { [key]: { type: 'array', items } })
}

/** The schema of a SID in a response. */
export function sid(kind: SidKind, description: string) {
  return { type: 'string', pattern: `^${prefixOf(kind)}[0-9a-fA-F]{32}$`, description }
}

/** The schema of path parameters: any text, because a malformed SID returns 404. */
export function path(descriptions: Readonly<Record<string, string>>) {
  const properties = Object.entries(descriptions).map(([name, description]) => [name, { type: 'string', description }])
  return { type: 'object', properties: Object.fromEntries(properties) }
}

/** A schema with the description of its response. */
export function response(description: string, schema: object) {
  return { 'x-response-description': description, ...schema }
}

export const removed = { type: 'null', description: 'Deleted' } as const

/** The error responses of an operation: those of the given statuses, and those that all operations share. */
export function errors(...own: readonly Status[]) {
  const described = ([401, 403, 415, 429, ...own] as const).map((status) => [status, response(statuses[status], error)])
  return { ...Object.fromEntries(described), '5xx': response('The server failed or is unavailable; try again later', error) }
}

/** The error responses of an operation with a body. */
export function bodyErrors(...own: readonly Status[]) {
  return errors(400, 408, 413, ...own)
}
