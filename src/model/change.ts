import { refuse } from '../errors.ts'
import { emit } from '../events/outbox.ts'
import type { Reader, Tx } from '../storage/database.ts'
import { ConflictError } from '../storage/errors.ts'
import { deleteNames, insert, insertRow, rowsByNames, updateNames } from '../storage/rows.ts'
import {
  type Ancestors,
  type AnyResource,
  type BaseRow,
  type Change,
  type ChangeVerb,
  type Facts,
  type Inbound,
  rowOf,
  type Step,
} from './declare.ts'
import type { Registry } from './registry.ts'
import type { AncestorSids } from './represent.ts'
import { ancestorsOf, findInstance, locate, type ResourcePath, scopeColumns, scopeOf } from './scope.ts'

/** A change as it is asked for: plain data, the parameters already parsed. */
export interface ChangeRequest {
  readonly verb: ChangeVerb
  readonly path: ResourcePath
  readonly params: Readonly<Record<string, unknown>>
  /** Sid of the row to be made; unused for other verbs. */
  readonly sid: string
  readonly now: number
  /** Whether the caller asks for webhooks (`X-Twilio-Webhook-Enabled`). */
  readonly webhooks: boolean
  /** Who acts, as webhooks name it: `API`, or the channel by which something came in. */
  readonly source: string
  /** What came in by that channel. */
  readonly inbound?: Inbound
}

/** A change as it crosses to the writer: resources go by name. */
export interface NamedChange {
  readonly resource: string
  readonly request: ChangeRequest
}

/** What would happen: the steps in order, and what was known when they were decided. */
export interface Proposal {
  readonly facts: Facts
  readonly steps: readonly Step[]
  /** The row the request is about as it will be; null when it will be gone. */
  readonly row: BaseRow | null
}

/**
 * Decides, without writing: everything is read through `read`, so that the same rule runs before a pre-action webhook on
 * committed rows and again inside the transaction. `ancestors`: rows above that are not stored yet; else they are read.
 * Throws ApiError.
 */
export async function propose(
  read: Reader,
  resource: AnyResource,
  request: ChangeRequest,
  ancestors?: Ancestors,
): Promise<Proposal> {
  const { verb, path, params, now, source, inbound } = request
  const known = { ...(ancestors ?? (await locate(read, resource, path))), now, source, ...(inbound && { inbound }) }
  const { facts, elapsed } = withElapsedParents(resource, known)
  if (verb === 'create') {
    const loaded: unknown = await resource.load?.(read, params, facts, null)
    const after = created(resource, request, facts, loaded)
    await recheckUnique(read, resource, after)
    const change = { verb, before: null, after, cause: 'request' } as const
    return { facts, steps: [...elapsed, ...stepsOf(resource, change, facts, loaded)], row: after }
  }
  const stored = await findInstance(read, resource, facts, path)
  const elapsedRow: BaseRow | undefined = resource.elapse?.(stored, now)
  const before = elapsedRow ? revised(elapsedRow) : stored
  const earlier: Step[] = elapsedRow
    ? [...elapsed, { resource, change: { verb: 'update', before: stored, after: before, cause: 'deadline' } }]
    : elapsed
  const loaded: unknown = await resource.load?.(read, params, facts, before)
  if (verb === 'remove') {
    resource.remove?.(before, facts, loaded)
    const change = { verb, before, after: null, cause: 'request' } as const
    return { facts, steps: [...earlier, ...stepsOf(resource, change, facts, loaded)], row: null }
  }
  const after = updated(resource, request, facts, before, loaded)
  // Without a parameter that the resource knows nothing changes: 200 and the row as it was.
  if (Object.keys(params).length === 0) return { facts, steps: elapsedRow ? earlier : [], row: before }
  await recheckUnique(read, resource, after)
  const change = { verb, before, after, cause: 'request' } as const
  return { facts, steps: [...earlier, ...stepsOf(resource, change, facts, loaded)], row: after }
}

function stepsOf(resource: AnyResource, change: Change<BaseRow>, facts: Facts, loaded: unknown): readonly Step[] {
  const steps: readonly (Change<BaseRow> | Step)[] = resource.steps?.(change, facts, loaded) ?? [change]
  return steps.map((step) => ('resource' in step ? step : { resource, change: step, loaded }))
}

/** Returns the step that a request asked for, among those that follow from it. */
export function requestedChange({ steps }: Proposal, resource: AnyResource): Change<BaseRow> | undefined {
  return steps.find((step) => step.resource === resource && step.change.cause === 'request')?.change
}

/** Rows above whose deadline has passed are seen as they are now; what their deadlines did comes first. */
function withElapsedParents(resource: AnyResource, facts: Facts): { facts: Facts; elapsed: Step[] } {
  const elapsed: Step[] = []
  const ancestors = ancestorsOf(resource)
  const parents = facts.parents.map((before, i) => {
    const parent = ancestors[i]
    const due: BaseRow | undefined = parent?.elapse?.(before, facts.now)
    if (!parent || !due) return before
    const after = revised(due)
    elapsed.push({
      resource: parent,
      change: { verb: 'update', before, after, cause: 'deadline' },
      facts: { ...facts, parents: facts.parents.slice(0, i) },
    })
    return after
  })
  return { facts: { ...facts, parents }, elapsed }
}

/** What the caller is shown of a committed change. */
export interface Changed {
  /** Null after a removal. */
  readonly row: BaseRow | null
  readonly ancestors: AncestorSids
}

/** The transaction of a change: decides on the rows as they are now, writes them and the deliveries. */
export async function change(tx: Tx, registry: Registry, { resource: name, request }: NamedChange): Promise<Changed> {
  const resource = registry.named(name)
  const { facts, steps, row } = await propose(tx, resource, request)
  await applySteps(tx, registry, steps, facts, request)
  const ancestors = {
    service: facts.service && { sid: facts.service.sid },
    parents: facts.parents.map(({ sid }) => ({ sid })),
  }
  // What a view shows besides the row may follow from the change.
  return { row: row && resource.view ? await findInstance(tx, resource, facts, request.path) : row, ancestors }
}

/** Makes several changes, all or none, each decided on what those before it have written. Returns the first. */
export async function changeAll(
  tx: Tx,
  registry: Registry,
  [first, ...more]: readonly [NamedChange, ...NamedChange[]],
): Promise<Changed> {
  const changed = await change(tx, registry, first)
  for (const next of more) await change(tx, registry, next)
  return changed
}

type By = Pick<ChangeRequest, 'webhooks' | 'source'>

/** Writes one change and the deliveries that follow from it. */
export function applyStep(tx: Tx, registry: Registry, step: Step, facts: Facts, by: By): Promise<void> {
  return applySteps(tx, registry, [step], facts, by)
}

/** Rows are written side by side, each through its changes in order; then their events are emitted in order. */
async function applySteps(tx: Tx, registry: Registry, steps: readonly Step[], facts: Facts, by: By): Promise<void> {
  const rows = Map.groupBy(steps, ({ change }) => rowOf(change).sid)
  await Promise.all(
    [...rows.values()].map(async (ofRow) => {
      for (const step of ofRow) await save(tx, registry, step, step.facts ?? facts)
    }),
  )
  for (const step of steps) await announce(tx, step, step.facts ?? facts, by)
}

/** Notifies the caches of the change and emits its events. */
async function announce(tx: Tx, { resource, change }: Step, facts: Facts, by: By): Promise<void> {
  const { sid, revision } = rowOf(change)
  tx.notify({ topic: 'changed', table: resource.table, sid, revision })
  for (const event of resource.events?.postAction(change, facts) ?? []) {
    if (!event.always && !by.webhooks) continue
    const listeners = (await resource.events?.listeners?.(tx, event, change, facts)) ?? []
    await emit(tx, facts, event, by.source, listeners)
  }
}

async function save(tx: Tx, registry: Registry, { resource, change, loaded }: Step, facts: Facts): Promise<void> {
  const { verb, before, after } = change
  if (verb === 'create') await tx.run(insertRow(resource.table, Object.keys(after)), { ...after })
  if (verb === 'update') await saveUpdate(tx, resource, before, after)
  if (verb === 'remove') await saveRemoval(tx, registry, resource, before, facts)
  await resource.afterWrite?.(tx, change, facts, loaded)
  const due = after && nextDueOf(after)
  if (typeof due === 'number') tx.notify({ topic: 'due', at: due })
}

/** A row by the names of its columns. */
type Values = Readonly<Record<string, unknown>>

async function saveUpdate(tx: Tx, resource: AnyResource, before: BaseRow, after: BaseRow): Promise<void> {
  const old: Values = { ...before }
  const values: Values = { ...after }
  const changed = Object.keys(values).filter((column) => values[column] !== old[column])
  if (changed.length === 0) return
  // The revision it was decided on is part of the key: nothing that others have done meanwhile is overwritten.
  const query = updateNames(resource.table, [...scopeColumns(resource), 'sid', 'revision'], changed)
  const updated = await tx.run(query, { ...values, was_revision: before.revision })
  if (updated === 0) throw new ConflictError(`${resource.table} ${after.sid}`)
}

async function saveRemoval(tx: Tx, registry: Registry, resource: AnyResource, before: BaseRow, facts: Facts): Promise<void> {
  const { table } = resource
  const deleted = await tx.run(deleteNames(table, [...scopeColumns(resource), 'sid']), { ...before })
  if (deleted === 0) throw new ConflictError(`${table} ${before.sid}`)
  const dependents = registry.dependents(resource)
  if (!dependents) return
  if (resource.cascade === 'inline') {
    for (const child of dependents.resources)
      await tx.run(deleteNames(child.table, scopeColumns(child)), { ...before, [dependents.column]: before.sid })
    return
  }
  // What is below it is removed later, in batches; without its parent nothing of it can be reached.
  await insert(tx, 'removals', { sid: before.sid, date_created: facts.now })
  tx.notify({ topic: 'removal' })
}

function created(resource: AnyResource, { params, sid, now }: ChangeRequest, facts: Facts, loaded: unknown): BaseRow {
  const dates = givenDates(params, now, now)
  const scope = { account_sid: facts.account.sid, ...scopeOf(resource, facts) }
  return {
    ...resource.create?.(params, facts, loaded, sid),
    ...scope,
    sid,
    ...dates,
    // Equal to the date of creation unless the request says otherwise.
    date_updated: params.DateUpdated === undefined ? dates.date_created : dates.date_updated,
    revision: 1,
  }
}

/** The row as the rule of the resource wants it. Throws its refusals. */
function updated(resource: AnyResource, { params, now }: ChangeRequest, facts: Facts, before: BaseRow, loaded: unknown): BaseRow {
  const untouched = Object.keys(params).every((name) => resource.untouched?.includes(name))
  const row: BaseRow = { ...before, ...resource.update?.(before, params, facts, loaded) }
  return revised({ ...row, ...givenDates(params, before.date_created, untouched ? before.date_updated : now) })
}

/** Imports carry dates of their own; a given DateUpdated wins over the clock. */
function givenDates({ DateCreated, DateUpdated }: ChangeRequest['params'], date_created: number, now: number) {
  return {
    date_created: typeof DateCreated === 'number' ? DateCreated : date_created,
    date_updated: typeof DateUpdated === 'number' ? DateUpdated : now,
  }
}

/** Returns the row with its counter of committed changes moved on: it orders the events about the row. */
export function revised<R extends BaseRow>(row: R): R {
  return { ...row, revision: row.revision + 1 }
}

/** Returns the next deadline of a row that has any, in epoch ms; undefined for a row of another kind. */
export function nextDueOf(row: BaseRow): number | null | undefined {
  return 'next_due' in row && (typeof row.next_due === 'number' || row.next_due === null) ? row.next_due : undefined
}

async function recheckUnique(read: Reader, resource: AnyResource, row: BaseRow): Promise<void> {
  if (!resource.unique) return
  const values: Values = { ...row }
  for (const { column, taken } of resource.unique) {
    const value = values[column]
    if (value === null || value === undefined) continue
    const holder = await read.one(rowsByNames<BaseRow>(resource.table, [...scopeColumns(resource), column]), values)
    if (holder && holder.sid !== row.sid) throw refuse(taken)
  }
}
