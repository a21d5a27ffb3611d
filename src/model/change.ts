import { refuse } from '../errors.ts'
import { enqueue } from '../events/outbox.ts'
import { Conflict, type Reader, type Tx } from '../storage/database.ts'
import { deleteRow, insertRow, rowsBy, updateRow } from '../storage/rows.ts'
import type { AnyResource, BaseRow, Change, ChangeVerb, Facts, Inbound, Step } from './declare.ts'
import { below } from './registry.ts'
import type { Above } from './represent.ts'
import { type Address, chainAbove, findInstance, locate, scopeColumns, within } from './scope.ts'

/** A change as it is asked for: plain data, the parameters already parsed. */
export interface ChangeRequest {
  readonly verb: ChangeVerb
  readonly address: Address
  readonly params: Readonly<Record<string, unknown>>
  /** Sid of the row to be made; unused for other verbs. */
  readonly sid: string
  readonly now: number
  /** Whether the caller wants webhooks told (`X-Twilio-Webhook-Enabled`). */
  readonly webhooks: boolean
  /** Who acts, as webhooks name it: `API`, or the channel by which something came in. */
  readonly source: string
  /** What came in by that channel. */
  readonly inbound?: Inbound
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
 * committed rows and again inside the transaction. `above`: what is not stored yet, else it is read. Throws ApiError.
 */
export async function propose(
  read: Reader,
  resource: AnyResource,
  request: ChangeRequest,
  above?: Omit<Facts, 'now'>,
): Promise<Proposal> {
  const { verb, address, params, now, source, inbound } = request
  const known = { ...(above ?? (await locate(read, resource, address))), now, source, ...(inbound && { inbound }) }
  const { facts, elapsed } = settled(resource, known)
  const stored = verb === 'create' ? null : await findInstance(read, resource, facts, address)
  const due = stored && resource.elapse?.(stored, now)
  const was = due ? revised(due) : stored
  const earlier: Step[] = [
    ...elapsed,
    ...(due ? [{ resource, change: { verb: 'update', was: stored, is: was, cause: 'deadline' } } as const] : []),
  ]
  const seen = await resource.look?.(read, params, facts, was)
  const is = decided(resource, request, facts, was, seen)
  // Without a parameter that the resource knows nothing changes: 200 and the row as it was.
  if (verb === 'update' && Object.keys(params).length === 0) return { facts, steps: due ? earlier : [], row: was }
  if (is) await recheckUnique(read, resource, is)
  const step: Step = { resource, change: { verb, was, is, cause: 'request' } }
  return { facts, steps: [...earlier, ...(resource.steps?.(step, facts, seen) ?? [step])], row: is }
}

/** The row as the rule of the resource wants it; null for a removal. Throws its refusals. */
function decided(
  resource: AnyResource,
  request: ChangeRequest,
  facts: Facts,
  was: BaseRow | null,
  seen: unknown,
): BaseRow | null {
  const { verb, params, now } = request
  if (!was) return created(resource, request, facts, seen)
  if (verb === 'remove') {
    resource.remove?.(was, facts, seen)
    return null
  }
  const quiet = Object.keys(params).every((name) => resource.quiet?.includes(name))
  const updated = resource.update?.(was, params, facts, seen) as BaseRow
  return revised({ ...updated, ...givenDates(params, was.date_created, quiet ? was.date_updated : now) })
}

/** Rows above whose deadline has passed are seen as they are now; what their deadlines did comes first. */
function settled(resource: AnyResource, facts: Facts): { facts: Facts; elapsed: Step[] } {
  const elapsed: Step[] = []
  const parents = chainAbove(resource).map((parent, i) => {
    const was = facts.parents[i] as BaseRow
    const due = parent.elapse?.(was, facts.now)
    if (!due) return was
    const is = revised(due)
    elapsed.push({
      resource: parent,
      change: { verb: 'update', was, is, cause: 'deadline' },
      facts: { ...facts, parents: facts.parents.slice(0, i) },
    })
    return is
  })
  return { facts: { ...facts, parents }, elapsed }
}

/** What the caller is shown of a committed change. */
export interface Changed {
  /** Null after a removal. */
  readonly row: BaseRow | null
  readonly above: Above
}

/** The transaction of a change: decide on the rows as they are now, write them and the deliveries. */
export async function change(tx: Tx, resource: AnyResource, request: ChangeRequest): Promise<Changed> {
  const { facts, steps, row } = await propose(tx, resource, request)
  await commitAll(tx, steps, facts, request)
  const above = { service: facts.service && { sid: facts.service.sid }, parents: facts.parents.map(({ sid }) => ({ sid })) }
  // What a view shows besides the row may follow from the change.
  return { row: row && resource.view ? await findInstance(tx, resource, facts, request.address) : row, above }
}

/** Several changes, all or none, each decided on what those before it have written. Answers the first. */
export async function changeAll(
  tx: Tx,
  [first, ...more]: readonly [Asked, ...Asked[]],
  resourceNamed: (name: string) => AnyResource,
): Promise<Changed> {
  const changed = await change(tx, resourceNamed(first.resource), first.request)
  for (const { resource, request } of more) await change(tx, resourceNamed(resource), request)
  return changed
}

/** A change as it crosses to the writer: resources go by name. */
export interface Asked {
  readonly resource: string
  readonly request: ChangeRequest
}

type By = Pick<ChangeRequest, 'webhooks' | 'source'>

/** Writes one change and the deliveries that follow from it. */
export function commit(tx: Tx, step: Step, facts: Facts, by: By): Promise<void> {
  return commitAll(tx, [step], facts, by)
}

/** Rows are written side by side, each through its changes in order; then they are told in order. */
async function commitAll(tx: Tx, steps: readonly Step[], facts: Facts, by: By): Promise<void> {
  const rows = Map.groupBy(steps, ({ change }) => (change.is ?? change.was)?.sid)
  await Promise.all(
    [...rows.values()].map(async (own) => {
      for (const step of own) await save(tx, step.resource, step.facts ?? facts, step.change)
    }),
  )
  for (const step of steps) await tell(tx, step, step.facts ?? facts, by)
}

async function tell(tx: Tx, { resource, change }: Step, facts: Facts, by: By): Promise<void> {
  const row = (change.is ?? change.was) as BaseRow
  tx.notify({ topic: 'changed', table: resource.table, sid: row.sid, revision: row.revision })
  for (const event of resource.events?.after(change, facts) ?? []) {
    if (!event.by_itself && !by.webhooks) continue
    const listeners = (await resource.events?.listeners?.(tx, event, change, facts)) ?? []
    await enqueue(tx, facts, event, by.source, listeners)
  }
}

async function save(tx: Tx, resource: AnyResource, facts: Facts, { was, is }: Change<BaseRow>): Promise<void> {
  const table = resource.table
  const key = [...scopeColumns(resource), 'sid']
  if (is && !was) await tx.run(insertRow(table, Object.keys(is)), { ...is })
  if (is && was) {
    const changed = Object.keys(is).filter((column) => is[column as keyof BaseRow] !== was[column as keyof BaseRow])
    // The revision it was decided on is part of the key: nothing that others have done meanwhile is overwritten.
    if (changed.length > 0) {
      const query = updateRow(table, [...key, 'revision'], changed)
      if ((await tx.run(query, { ...is, was_revision: was.revision })) === 0) throw new Conflict(`${table} ${is.sid}`)
    }
  }
  if (was && !is) {
    if ((await tx.run(deleteRow(table, key), { ...was })) === 0) throw new Conflict(`${table} ${was.sid}`)
    const held = below(resource)
    if (held && resource.holdsFew) {
      for (const child of held.resources)
        await tx.run(deleteRow(child.table, scopeColumns(child)), { ...was, [held.column]: was.sid })
    } else if (held) {
      // What it held goes later, in batches; without its parent nothing of it can be reached.
      await tx.run(insertRow('removals', ['sid', 'date_created']), { sid: was.sid, date_created: facts.now })
      tx.notify({ topic: 'removal' })
    }
  }
  await resource.follow?.(tx, { was, is }, facts)
  const due = (is as { next_due?: number | null } | null)?.next_due
  if (typeof due === 'number') tx.notify({ topic: 'due', at: due })
}

function created(resource: AnyResource, { params, sid, now }: ChangeRequest, facts: Facts, seen: unknown): BaseRow {
  const dates = givenDates(params, now, now)
  return {
    ...(resource.create?.(params, facts, seen, sid) as object),
    ...within(resource, facts),
    sid,
    ...dates,
    // Equal to the date of creation unless the request says otherwise.
    date_updated: params.DateUpdated === undefined ? dates.date_created : dates.date_updated,
    revision: 1,
  }
}

/** Imports carry dates of their own; a given DateUpdated wins over the clock. */
function givenDates(params: Readonly<Record<string, unknown>>, date_created: number, now: number) {
  return {
    date_created: (params.DateCreated as number | undefined) ?? date_created,
    date_updated: (params.DateUpdated as number | undefined) ?? now,
  }
}

/** Every committed change counts: the counter orders what is told about a row. */
export function revised<R extends BaseRow>(row: R): R {
  return { ...row, revision: row.revision + 1 }
}

async function recheckUnique(read: Reader, resource: AnyResource, row: BaseRow): Promise<void> {
  const values = row as unknown as Record<string, unknown>
  for (const { column, taken } of resource.unique ?? []) {
    const value = values[column]
    if (value === null || value === undefined) continue
    const holder = await read.one(rowsBy(resource.table, [...scopeColumns(resource), column]), values)
    if (holder && (holder as unknown as BaseRow).sid !== row.sid) throw refuse(taken)
  }
}
