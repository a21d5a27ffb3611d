import { refuse } from '../errors.ts'
import { emit } from '../events/outbox.ts'
import type { Reader, Tx } from '../storage/database.ts'
import { ConflictError } from '../storage/errors.ts'
import { deleteNames, insert, insertRow, rowsBy, rowsByNames, updateNames } from '../storage/rows.ts'
import type { MutationRow } from '../storage/schema.ts'
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
import { type AncestorSids, ancestorsOf, findInstance, locate, type ResourcePath, scopeColumns, scopeOf } from './scope.ts'
import { saveDocument } from './search.ts'

/** A requested change with its parameters parsed. Plain data: it is sent to the writer thread. */
export interface ChangeRequest {
  readonly verb: ChangeVerb
  readonly path: ResourcePath
  readonly params: Readonly<Record<string, unknown>>
  /** SID of the row to be created; unused for other verbs. */
  readonly sid: string
  readonly now: number
  /** Whether webhooks are called (`X-Twilio-Webhook-Enabled`). */
  readonly webhooks: boolean
  /** The `Source` parameter of webhooks: `API`, or the channel of an inbound message. */
  readonly source: string
  /** The user who asks for it with a client SDK; absent for any other request. */
  readonly client_identity?: string
  /** Names the request: repeated under the same name it changes nothing more. */
  readonly once?: string
  /** See `Facts`. */
  readonly trace?: string
  /** What a `Guard` checks; plain data. Absent for whoever may do everything. */
  readonly guard?: object
  readonly inbound?: Inbound
  /** See `Facts`. */
  readonly quiet?: true
  /** Set when the parent is created in the same transaction: its deadlines are not applied in between. */
  readonly setup?: 'ongoing' | 'complete'
}

/** A change as it is sent to the writer thread, which finds the resource by name. */
export interface NamedChange {
  readonly resource: string
  readonly request: ChangeRequest
}

/** The decision on a request: the steps in order, and the facts they are based on. */
export interface Proposal {
  readonly facts: Facts
  readonly steps: readonly Step[]
  /** The requested row after the change; null after a removal. */
  readonly row: BaseRow | null
}

/**
 * Checks whether a request is allowed, by the rows that it is decided on: inside the transaction, before any rule runs. `before`: the
 * row to be changed, null on create. Throws ApiError.
 */
export type Guard = (read: Reader, guard: object, facts: Facts, before: BaseRow | null) => Promise<void>

/**
 * Decides on a request without writing. Reads through `read` only, so that the same rules run on committed rows before a
 * pre-action webhook and again inside the transaction, where `check` is what the request's guard says of the facts. `ancestors`:
 * given when they are not stored yet. Throws ApiError.
 */
export async function propose(
  read: Reader,
  resource: AnyResource,
  request: ChangeRequest,
  ancestors?: Ancestors,
  check?: (facts: Facts, before: BaseRow | null) => Promise<void>,
): Promise<Proposal> {
  const { verb, path, params, now, source, client_identity, trace, inbound, quiet, setup } = request
  const located = ancestors ?? (await locate(read, resource, path))
  const by = { source, ...(client_identity !== undefined && { client_identity }), ...(trace !== undefined && { trace }) }
  const storedFacts = { ...located, now, ...by, ...(inbound && { inbound }), ...(quiet && { quiet }), ...(setup && { setup }) }
  const { facts, elapsed } = setup ? { facts: storedFacts, elapsed: [] } : withElapsedParents(resource, storedFacts)
  if (verb === 'create') {
    await check?.(facts, null)
    const loaded: unknown = await resource.load?.(read, params, facts, null)
    const after = created(resource, request, facts, loaded)
    await checkUnique(read, resource, after)
    const change = { verb, before: null, after, cause: 'request' } as const
    return { facts, steps: [...elapsed, ...stepsOf(resource, change, facts, loaded)], row: after }
  }
  const stored = await findInstance(read, resource, facts, path)
  const elapsedRow: BaseRow | undefined = resource.elapse?.(stored, now)
  const before = elapsedRow ? revised(elapsedRow) : stored
  const earlier: Step[] = elapsedRow
    ? [...elapsed, { resource, change: { verb: 'update', before: stored, after: before, cause: 'deadline' } }]
    : elapsed
  await check?.(facts, before)
  const loaded: unknown = await resource.load?.(read, params, facts, before)
  if (verb === 'remove') {
    resource.remove?.(before, facts, loaded)
    const change = { verb, before, after: null, cause: 'request' } as const
    return { facts, steps: [...earlier, ...stepsOf(resource, change, facts, loaded)], row: null }
  }
  const after = updated(resource, request, facts, before, loaded)
  // The rule has run for its refusals alone: an update without known parameters changes nothing, and is 200 with the row as it is.
  if (Object.keys(params).length === 0) return { facts, steps: elapsedRow ? earlier : [], row: before }
  await checkUnique(read, resource, after)
  const change = { verb, before, after, cause: 'request' } as const
  return { facts, steps: [...earlier, ...stepsOf(resource, change, facts, loaded)], row: after }
}

function stepsOf(resource: AnyResource, change: Change<BaseRow>, facts: Facts, loaded: unknown): readonly Step[] {
  const steps: readonly (Change<BaseRow> | Step)[] = resource.steps?.(change, facts, loaded) ?? [change]
  return steps.map((step) => ('resource' in step ? step : { resource, change: step, loaded }))
}

/** Returns the requested change itself, without the steps that follow from it. */
export function requestedChange({ steps }: Proposal, resource: AnyResource): Change<BaseRow> | undefined {
  return steps.find((step) => step.resource === resource && step.change.cause === 'request')?.change
}

/** Applies the deadlines of the parents that have passed. Returns the facts after it, and the steps that write it. */
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

/** A committed change as the response represents it. */
export interface Changed {
  /** Null after a removal. */
  readonly row: BaseRow | null
  readonly ancestors: AncestorSids
}

/** Runs a change in a transaction: decides on the rows as they are now, writes them and the deliveries. */
export async function change(
  tx: Tx,
  registry: Registry,
  { resource: name, request }: NamedChange,
  guard?: Guard,
): Promise<Changed> {
  const resource = registry.named(name)
  const before = await madeBefore(tx, request)
  if (before) return repeated(tx, resource, request, before)
  const { facts, steps, row } = await propose(tx, resource, request, undefined, checkOf(tx, request, guard))
  await applySteps(tx, registry, steps, facts, request)
  if (request.once !== undefined && facts.service) {
    await insert(tx, 'mutations', {
      service_sid: facts.service.sid,
      id: request.once,
      row_sid: row?.sid ?? null,
      date_created: request.now,
    })
  }
  const ancestors = {
    service: facts.service && { sid: facts.service.sid },
    parents: facts.parents.map(({ sid }) => ({ sid })),
  }
  // The rows that a view joins may have changed too.
  return { row: row && resource.view ? await findInstance(tx, resource, facts, request.path) : row, ancestors }
}

function checkOf(tx: Tx, { guard: given }: ChangeRequest, guard: Guard | undefined) {
  if (!given) return undefined
  // Never let through because nobody looks.
  if (!guard) throw new Error('a request with a guard, and nothing that checks it')
  return (facts: Facts, before: BaseRow | null) => guard(tx, given, facts, before)
}

const mutationById = rowsBy('mutations', ['service_sid', 'id'])

/** Reads what a request with a name has done; undefined when it has not been made before. */
export async function madeBefore(
  read: Reader,
  { once, path }: Pick<ChangeRequest, 'once' | 'path'>,
): Promise<MutationRow | undefined> {
  if (once === undefined || path.service_sid === null) return undefined
  return read.one(mutationById, { service_sid: path.service_sid, id: once })
}

/** Returns what the request returned before, as the row is now. */
async function repeated(tx: Tx, resource: AnyResource, request: ChangeRequest, { row_sid }: MutationRow): Promise<Changed> {
  if (row_sid === null) return { row: null, ancestors: { service: null, parents: [] } }
  const ancestors = await locate(tx, resource, request.path)
  const facts = { ...ancestors, now: request.now }
  // A view finds its row by another name than its SID.
  const key = resource.view ? request.path.key : row_sid
  return { row: await findInstance(tx, resource, facts, { ...request.path, key }), ancestors }
}

/** Runs several changes, all or none, each decided on what the previous ones have written. Returns the first. */
export async function changeAll(
  tx: Tx,
  registry: Registry,
  [first, ...more]: readonly [NamedChange, ...NamedChange[]],
): Promise<Changed> {
  const changed = await change(tx, registry, first)
  for (const next of more) await change(tx, registry, next)
  return changed
}

/** Who asked for a change, and whether with webhooks; `silent`: without those events, too, that are always sent. */
export type Origin = Pick<ChangeRequest, 'webhooks' | 'source'> & { readonly silent?: true }

/** Writes one change and the deliveries of its events. */
export function applyStep(tx: Tx, registry: Registry, step: Step, facts: Facts, origin: Origin): Promise<void> {
  return applySteps(tx, registry, [step], facts, origin)
}

/** Writes rows concurrently, the changes of one row in order; then emits the events in order. */
async function applySteps(tx: Tx, registry: Registry, steps: readonly Step[], facts: Facts, origin: Origin): Promise<void> {
  const rows = Map.groupBy(steps, ({ change }) => rowOf(change).sid)
  await Promise.all(
    [...rows.values()].map(async (ofRow) => {
      for (const step of ofRow) await save(tx, registry, step, step.facts ?? facts)
    }),
  )
  for (const step of steps) await notifyAndEmit(tx, step, step.facts ?? facts, origin)
}

/** Notifies the caches of the change and emits its events. */
async function notifyAndEmit(tx: Tx, { resource, change }: Step, facts: Facts, origin: Origin): Promise<void> {
  const { sid, revision } = rowOf(change)
  tx.notify({ topic: 'changed', table: resource.table, sid, revision })
  if (origin.silent) return
  for (const event of resource.events?.postAction(change, facts) ?? []) {
    if (!event.always && !origin.webhooks) continue
    const listeners = (await resource.events?.listeners?.(tx, event, change, facts)) ?? []
    await emit(tx, facts, event, origin.source, listeners)
  }
}

async function save(tx: Tx, registry: Registry, { resource, change, loaded }: Step, facts: Facts): Promise<void> {
  const { verb, before } = change
  const after: BaseRow | null = resource.number ? await resource.number(tx, change, facts) : change.after
  if (verb === 'create' && after) await tx.must(insertRow(resource.table, Object.keys(after)), { ...after })
  if (verb === 'update' && after) await saveUpdate(tx, resource, before, after)
  if (after) await saveDocument(tx, resource, before, after)
  if (verb === 'remove') await saveRemoval(tx, registry, resource, before, facts)
  await resource.afterWrite?.(tx, change, facts, loaded)
  const due = after && nextDueOf(after)
  if (typeof due === 'number') tx.notify({ topic: 'due', at: due })
}

/** The values of a row by column name. */
type Values = Readonly<Record<string, unknown>>

async function saveUpdate(tx: Tx, resource: AnyResource, before: BaseRow, after: BaseRow): Promise<void> {
  const old: Values = { ...before }
  const values: Values = { ...after }
  const changed = Object.keys(values).filter((column) => values[column] !== old[column])
  if (changed.length === 0) return
  // The revision that the rule decided on is part of the key, so that no concurrent change is overwritten.
  const query = updateNames(resource.table, [...scopeColumns(resource), 'sid', 'revision'], changed)
  await tx.must(query, { ...values, was_revision: before.revision })
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
  // Child rows are removed later, in batches: no path leads to them without their parent.
  await insert(tx, 'removals', { sid: before.sid, date_created: facts.now, service_sid: null })
  tx.notify({ topic: 'removal' })
}

function created(resource: AnyResource, { params, sid, now }: ChangeRequest, facts: Facts, loaded: unknown): BaseRow {
  const date_created = givenDate(params.DateCreated, now)
  const scope = { account_sid: facts.account.sid, ...scopeOf(resource, facts) }
  return {
    ...resource.create?.(params, facts, loaded, sid),
    ...scope,
    sid,
    date_created,
    date_updated: givenDate(params.DateUpdated, date_created),
    revision: 1,
  }
}

/** Returns the row as the resource's rule updates it. Throws the rule's refusals. */
function updated(resource: AnyResource, { params, now }: ChangeRequest, facts: Facts, before: BaseRow, loaded: unknown): BaseRow {
  const untouched = Object.keys(params).every((name) => resource.untouched?.includes(name))
  const row: BaseRow = { ...before, ...resource.update?.(before, params, facts, loaded) }
  return revised({
    ...row,
    date_created: givenDate(params.DateCreated, before.date_created),
    date_updated: givenDate(params.DateUpdated, untouched ? before.date_updated : now),
  })
}

/** Imports carry dates of their own. */
function givenDate(given: unknown, otherwise: number): number {
  return typeof given === 'number' ? given : otherwise
}

/** Returns the row with its revision incremented: the revision counts committed changes. */
export function revised<R extends BaseRow>(row: R): R {
  return { ...row, revision: row.revision + 1 }
}

/** Returns the next deadline of a row in epoch ms; null when none is set, undefined when the resource has no deadlines. */
export function nextDueOf(row: BaseRow): number | null | undefined {
  return 'next_due' in row && (typeof row.next_due === 'number' || row.next_due === null) ? row.next_due : undefined
}

async function checkUnique(read: Reader, resource: AnyResource, row: BaseRow): Promise<void> {
  if (!resource.unique) return
  const values: Values = { ...row }
  for (const { column, taken } of resource.unique) {
    const value = values[column]
    if (value === null || value === undefined) continue
    const holder = await read.one(rowsByNames<BaseRow>(resource.table, [...scopeColumns(resource), column]), values)
    if (holder && holder.sid !== row.sid) throw refuse(taken)
  }
}
