import type { AnyResource } from '../model/declare.ts'
import { ancestorsOf, familyOf } from '../model/scope.ts'
import { permissionOf, type Verb } from './key-permissions.ts'
import type { Call, Operation } from './requests.ts'

/*
 * Which operations there are: follows from the declarations alone. `routes.ts` makes their routes.
 */

type Family = Call['family']

/** An operation, by its name in the official description, with what a restricted API key needs for it. */
export interface NamedOperation {
  readonly operation: string
  readonly permission: string
}

/** Returns what can be done with a resource. */
export function verbsOf({ list, create, view, update, remove }: AnyResource): readonly Verb[] {
  const declared: readonly [Verb, unknown][] = [
    ['List', list],
    ['Create', create],
    ['Fetch', !view || view.find],
    ['Update', update],
    ['Delete', remove],
  ]
  return declared.filter(([, is]) => is).map(([verb]) => verb)
}

/** Returns an operation of a resource in a path family, such as `FetchServiceConversationMessage`. */
export function operationOf(verb: Verb, resource: AnyResource, family: Family): NamedOperation {
  const chain = [...ancestorsOf(resource), resource]
  const names = chain.map(({ name, operation }) => operation ?? name)
  const operation = [verb, family === 'service' && 'Service', ...names].filter((word) => word !== false).join('')
  return { operation, permission: permissionOf(verb, chain.map(({ path }) => path).join('/')) }
}

/** Returns an operation that no resource declares, in a path family. */
export function otherOperationOf({ name, path }: Operation, family: Family): NamedOperation {
  return { operation: `Create${family === 'service' ? 'Service' : ''}${name}`, permission: permissionOf('Create', path) }
}

/** Returns the prefix of a path in each family that has it. */
export function rootsOf(resource: AnyResource): { readonly root: string; readonly family: Family }[] {
  const family = familyOf(resource)
  return [
    ...(family === 'only service' ? [] : [{ root: '', family: 'default' as const }]),
    ...(family === 'account' ? [] : [{ root: '/Services/:service', family: 'service' as const }]),
  ]
}

/** Returns all operations of the resources, and those that no resource declares. */
export function operationsOf(resources: readonly AnyResource[], others: readonly Operation[]): NamedOperation[] {
  return [
    ...resources.flatMap((resource) =>
      rootsOf(resource).flatMap(({ family }) => verbsOf(resource).map((verb) => operationOf(verb, resource, family))),
    ),
    ...others.flatMap((other) => rootsOf(other.resource).map(({ family }) => otherOperationOf(other, family))),
  ]
}
