import { ApiError } from '../errors.ts'
import { applyStep } from '../model/change.ts'
import type { BaseRow, Change, Step } from '../model/declare.ts'
import { findInstance, locate, type ResourcePath } from '../model/scope.ts'
import { registry } from '../resources/index.ts'
import type { Tx } from '../storage/database.ts'

/** A row that is gone where it came from. Plain data. */
export interface Removal {
  /** Name of its resource. */
  readonly resource: string
  readonly path: ResourcePath
}

/** Without any event, those that are always sent included. */
const silent = { webhooks: false, source: 'API', silent: true } as const

/**
 * Removes a row, and what is below it, as a request does, but without the rules of who may, and without webhooks and pushes. Connected
 * client SDKs are told. Returns false where it is not there.
 */
export async function removeRow(tx: Tx, { resource: name, path }: Removal, now: number): Promise<boolean> {
  // No row has such a key, and PostgreSQL does not take it.
  if ([path.service_sid, ...path.parents, path.key].some((part) => part?.includes('\0'))) return false
  const resource = registry.named(name)
  try {
    const facts = { ...(await locate(tx, resource, path)), now, quiet: true } as const
    const before = await findInstance(tx, resource, facts, path)
    const change: Change<BaseRow> = { verb: 'remove', before, after: null, cause: 'operator' }
    const loaded: unknown = await resource.load?.(tx, {}, facts, before)
    const steps: readonly (Change<BaseRow> | Step)[] = resource.steps?.(change, facts, loaded) ?? [change]
    for (const step of steps) await applyStep(tx, registry, 'resource' in step ? step : { resource, change: step }, facts, silent)
    return true
  } catch (error) {
    if (error instanceof ApiError && error.kind === 'notFound') return false
    throw error
  }
}
