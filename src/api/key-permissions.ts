import { type ApiError, refuse } from '../errors.ts'
import { isJsonObject } from '../json.ts'

/*
 * What a restricted API key may do. Names have the form that the vendor gives them, `/twilio/{product}/{resource[.child]}/{action}`;
 * those of Conversations follow from the paths of the operations by `permissionOf`, and from nothing else.
 */

/** What an operation does; the first word of its name. */
export type Verb = 'List' | 'Create' | 'Fetch' | 'Update' | 'Delete'

const actions: Readonly<Record<Verb, string>> = {
  List: 'list',
  Create: 'create',
  Fetch: 'read',
  Update: 'update',
  Delete: 'delete',
}

/** Documented: permissions of one key. */
export const maxPermissions = 100

/** Longer ones are none. */
const maxLength = 200

/**
 * Returns the permission that an operation needs, by the fixed words of its path without the service: `Users/Conversations`. Those of both path
 * families need the same one.
 */
export function permissionOf(verb: Verb, path: string): string {
  const words = path.split('/').filter((word) => word !== '')
  const [first = '', last] = [words[0], words.length > 1 ? words.at(-1) : undefined].map((word) => word && hyphenated(word))
  return `/twilio/conversations/${last === undefined ? first : `${first}.${last}`}/${actions[verb]}`
}

function hyphenated(word: string): string {
  return word.replace(/(?<=[a-z])(?=[A-Z])/g, '-').toLowerCase()
}

/** Returns the permission to do anything with what a permission is about. */
export function anyActionOf(permission: string): string {
  return `${permission.slice(0, permission.lastIndexOf('/'))}/*`
}

/** What a restricted key may do. */
export type Permissions = ReadonlySet<string>

/** Returns the refusal unless a key may do what needs `permission`; undefined: nothing permits it. */
export function permissionRefusal(permissions: Permissions, permission: string | undefined): ApiError | undefined {
  if (permission !== undefined && (permissions.has(permission) || permissions.has(anyActionOf(permission)))) return undefined
  return refuse('permissionMissing', { permission: permission?.slice(1) ?? 'twilio/conversations' })
}

/** The policy of a restricted key, as requests and responses have it. */
export interface Policy {
  readonly allow: readonly string[]
}

/**
 * Checks a policy that is given for a new key. `known`: all permissions that operations need. Returns it as it is stored, JSON text. Throws
 * `invalidPolicy`, `tooManyPermissions` and, for the first that is unknown, `invalidAssertion`.
 */
export function newPolicy(given: unknown, known: Pick<ReadonlyMap<string, unknown>, 'keys'>): string {
  const allow: unknown = isJsonObject(given) && Object.keys(given).length === 1 ? given.allow : undefined
  if (!Array.isArray(allow) || allow.length === 0) throw refuse('invalidPolicy')
  if (allow.length > maxPermissions) throw refuse('tooManyPermissions')
  const names = [...known.keys()]
  const accepted = new Set([...names, ...names.map(anyActionOf)])
  const permissions = allow.map((permission: unknown) => {
    if (typeof permission === 'string' && accepted.has(permission)) return permission
    throw refuse('invalidAssertion', { assertion: shown(permission) })
  })
  return JSON.stringify({ allow: [...new Set(permissions)] })
}

function shown(permission: unknown): string {
  const text = typeof permission === 'string' ? permission : (JSON.stringify(permission) ?? '')
  return text.slice(0, maxLength)
}
