import { isSid } from '../sids.ts'
import type { AnyResource } from './declare.ts'
import { ancestorsOf } from './scope.ts'

/** The resources whose rows are removed with their parent, and the column by which they refer to it. */
export interface Dependents {
  readonly column: string
  readonly resources: readonly AnyResource[]
}

/** All resources. It is passed to the core, which therefore imports none. */
export class Registry {
  readonly resources: readonly AnyResource[]
  readonly #byName: ReadonlyMap<string, AnyResource>
  readonly #dependents: ReadonlyMap<AnyResource, Dependents>

  constructor(resources: readonly AnyResource[]) {
    this.resources = resources
    this.#byName = new Map(resources.map((resource) => [resource.name, resource]))
    this.#dependents = new Map(
      resources.flatMap((resource) => {
        const dependents = dependentsOf(resource, resources)
        return dependents ? [[resource, dependents] as const] : []
      }),
    )
  }

  /** Returns the resource of a name: commands are sent to the writer thread by name. Throws when there is none. */
  named(name: string): AnyResource {
    const found = this.#byName.get(name)
    if (!found) throw new Error(`no resource ${name}`)
    return found
  }

  /** Returns the resource whose SIDs have this one's prefix. */
  ofSid(sid: string): AnyResource | undefined {
    return this.resources.find((resource) => resource.sid !== null && isSid(resource.sid, sid))
  }

  dependents(parent: AnyResource): Dependents | undefined {
    return this.#dependents.get(parent)
  }
}

/** Of a service only its direct children: rows below a conversation are removed with the conversation. */
function dependentsOf(parent: AnyResource, resources: readonly AnyResource[]): Dependents | undefined {
  const column = parent.childColumn
  if (!column) return undefined
  const found = resources.filter((candidate) => {
    if (candidate.sid === null || candidate.view) return false
    if (parent.isService) return candidate.under === 'service' || candidate.under === 'only service'
    return ancestorsOf(candidate).includes(parent)
  })
  return found.length > 0 ? { column, resources: found } : undefined
}
