import type { FastifySchema } from 'fastify'
import { prefixOf, type SidKind } from '../sids.ts'

/** A route as the published description shows it. It is what requests are validated with; responses are not, see `routes.ts`. */
export interface OperationSchema extends FastifySchema {
  readonly operationId: string
  readonly summary: string
  readonly description?: string
  readonly tags: readonly ['Accounts' | 'API keys' | 'Channels' | 'Deliveries' | 'Test clock']
  readonly response: Readonly<Record<string, object>>
}

/** A name that a person gives, or an identifier whose form is checked later. */
export const short_text = { type: 'string', maxLength: 256 } as const
export const instant = { type: 'string', format: 'date-time' } as const

/** What several operations share has a title: it becomes a component of the description. */
export const named = {
  title: 'Named',
  type: ['object', 'null'],
  properties: { friendly_name: { ...short_text, description: 'Empty when absent' } },
  additionalProperties: false,
} as const

const error = object('Error', {
  error: { type: 'string', description: 'What is wrong, for people' },
  code: { type: 'integer', description: 'The code under which `/v1` refuses the same' },
})

const statuses = {
  400: 'A parameter is unknown, missing or not valid',
  401: 'The operator token is missing or wrong',
  403: 'The account is suspended, or a rule refuses the change',
  404: 'There is no such row',
  409: 'It conflicts with what there is',
  413: 'The body is too large',
  415: 'The body is not JSON',
} as const

type Status = keyof typeof statuses

/** An object of a response. Its properties are always there, but for an error's `code`. */
export function object<K extends string>(title: string, properties: Readonly<Record<K, object>>) {
  return { title, type: 'object', properties, required: Object.keys(properties).filter((name) => name !== 'code') }
}

export function list(title: string, key: string, items: object) {
  return object(title, { [key]: { type: 'array', items } })
}

/** A SID in a response. */
export function sid(kind: SidKind, description: string) {
  return { type: 'string', pattern: `^${prefixOf(kind)}[0-9a-fA-F]{32}$`, description }
}

/** Path parameters: any text, since a name that no row has is answered with 404. */
export function path(descriptions: Readonly<Record<string, string>>) {
  const properties = Object.entries(descriptions).map(([name, description]) => [name, { type: 'string', description }])
  return { type: 'object', properties: Object.fromEntries(properties) }
}

/** A response of one status. */
export function response(description: string, schema: object) {
  return { 'x-response-description': description, ...schema }
}

export const removed = { type: 'null', description: 'Deleted' } as const

/** The errors of an operation: its own, and those of every operation. */
export function errors(...own: readonly Status[]) {
  const described = ([401, ...own] as const).map((status) => [status, response(statuses[status], error)])
  return { ...Object.fromEntries(described), '5xx': response('The server failed, or is not available: try again later', error) }
}

/** The errors of an operation that reads a body. */
export function bodyErrors(...own: readonly Status[]) {
  return errors(400, 413, 415, ...own)
}
