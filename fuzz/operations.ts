import { type Operation, officialOperations } from '../test/support/contract.ts'

/** An official operation, its path taken apart. */
export interface Target {
  readonly operation: Operation
  readonly family: 'account' | 'default' | 'service'
  /** The names in its path, without those of keys and of the family. */
  readonly collection: string
  /** The collection of the row that lies above; '' where there is none. */
  readonly parent: string
  readonly segments: readonly string[]
  /** Whether the path ends with the key of a row. */
  readonly instance: boolean
}

const service_prefix = '/v1/Services/{ChatServiceSid}/'
/** Lie below the account, although no service is in the path. */
const of_account = /^\/v1\/(?:Configuration|Credentials|Services)\b/

export const targets: readonly Target[] = officialOperations().map(targetOf)

function targetOf(operation: Operation): Target {
  const { path } = operation
  const family = path.startsWith(service_prefix) ? 'service' : of_account.test(path) ? 'account' : 'default'
  const segments = path.slice(family === 'service' ? service_prefix.length : '/v1/'.length).split('/')
  const names = segments.filter((segment) => !isKey(segment))
  const instance = isKey(segments.at(-1) ?? '')
  return { operation, family, collection: names.join('/'), parent: names.slice(0, -1).join('/'), segments, instance }
}

export function isKey(segment: string): boolean {
  return segment.startsWith('{')
}

export function keysIn({ segments }: Target): number {
  return segments.filter(isKey).length
}
