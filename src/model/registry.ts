import { resources } from '../resources/index.ts'
import { services } from '../resources/services/service.ts'
import type { AnyResource } from './declare.ts'
import { chainAbove } from './scope.ts'

/** Commands cross to the writer thread by the resource's name. */
export function resourceNamed(name: string): AnyResource {
  const found = resources.find((candidate) => candidate.name === name)
  if (!found) throw new Error(`no resource ${name}`)
  return found
}

/**
 * Resources whose rows go with a row of this one, and the column by which they refer to it. Of a service only those right below
 * it: what lies below a conversation is found by the conversation.
 */
export function below(parent: AnyResource): { column: string; resources: readonly AnyResource[] } | undefined {
  const column = parent.asParent
  if (!column) return undefined
  const found = resources.filter((candidate) => {
    if (candidate.sid === null || candidate.view) return false
    if (parent === services) return candidate.under === 'service' || candidate.under === 'only service'
    return chainAbove(candidate).includes(parent)
  })
  return found.length > 0 ? { column, resources: found } : undefined
}
