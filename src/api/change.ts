import { refuse } from '../errors.ts'
import { below } from '../resources/index.ts'
import type { Reader, Tx } from '../storage/database.ts'
import { deleteRow, insertRow, rowsBy, type Table, updateRow } from '../storage/rows.ts'
import { enqueue } from '../webhooks/outbox.ts'
import type { AnyResource, BaseRow, Change, ChangeVerb, Facts } from './declare.ts'
import type { Above } from './represent.ts'
import { type Address, find, locate, within } from './scope.ts'

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
  /** Who acts, as webhooks name it. */
  readonly source: 'API'
}

/** What would happen: the changes in order, and what was known when they were decided. */
export interface Proposal {
  readonly facts: Facts
  readonly changes: readonly Change<BaseRow>[]
}

/**
 * Decides, without writing: everything is read through `read`, so that the same rule runs before a pre-action webhook on
 * committed rows and again inside the transaction. Throws ApiError.
 */
export async function propose(read: Reader, resource: AnyResource, request: ChangeRequest): Promise<Proposal> {
  const { verb, address, params, now } = request
  const above = await locate(read, resource, address)
  const facts: Facts = { ...above, now }
  if (verb === 'create') {
    await resource.check?.(read, params, facts)
    const is = created(resource, request, facts)
    await recheckUnique(read, resource, facts, is)
    return { facts, changes: [{ verb, was: null, is }] }
  }
  const stored = await find(read, resource, above, address.key, address.path)
  await resource.check?.(read, params, facts)
  const elapsed = resource.elapse?.(stored, now)
  const changes: Change<BaseRow>[] = elapsed ? [{ verb: 'elapse', was: stored, is: revised(elapsed) }] : []
  const was = changes[0]?.is ?? stored
  if (verb === 'remove') {
    resource.remove?.(was, facts)
    return { facts, changes: [...changes, { verb, was, is: null }] }
  }
  const updated = resource.update?.(was, params, facts) as BaseRow
  // Without a parameter that the resource knows nothing changes: 200 and the row as it was.
  if (Object.keys(params).length === 0) return { facts, changes }
  const is = revised({ ...updated, ...givenDates(params, was.date_created, now) })
  await recheckUnique(read, resource, facts, is)
  return { facts, changes: [...changes, { verb, was, is }] }
}

/** What the caller is shown of a committed change. */
export interface Changed {
  /** Null after a removal. */
  readonly row: BaseRow | null
  readonly above: Above
}

/** The transaction of a change: decide on the rows as they are now, write them and the deliveries. */
export async function change(tx: Tx, resource: AnyResource, request: ChangeRequest): Promise<Changed> {
  const { facts, changes } = await propose(tx, resource, request)
  for (const step of changes) await commit(tx, resource, facts, step, request)
  const last = changes.at(-1)
  const row = last ? last.is : await find(tx, resource, facts, request.address.key, request.address.path)
  const above = { service: facts.service && { sid: facts.service.sid }, parents: facts.parents.map(({ sid }) => ({ sid })) }
  return { row, above }
}

/** Writes one change and everything that follows from it. */
export async function commit(
  tx: Tx,
  resource: AnyResource,
  facts: Facts,
  step: Change<BaseRow>,
  by: Pick<ChangeRequest, 'webhooks' | 'source'>,
): Promise<void> {
  await save(tx, resource, facts, step)
  const row = (step.is ?? step.was) as BaseRow
  tx.notify({ topic: 'changed', table: resource.table as string, sid: row.sid, revision: row.revision })
  for (const event of resource.events?.after(step, facts) ?? []) {
    if (event.by_itself || by.webhooks) await enqueue(tx, facts, event, by.source)
  }
}

async function save(tx: Tx, resource: AnyResource, facts: Facts, { was, is }: Change<BaseRow>): Promise<void> {
  const table = resource.table as Table
  const key = [...Object.keys(within(resource, facts)), 'sid']
  if (is && !was) await tx.run(insertRow(table, Object.keys(is)), { ...is })
  if (is && was) {
    const changed = Object.keys(is).filter((column) => is[column as keyof BaseRow] !== was[column as keyof BaseRow])
    await tx.run(updateRow(table, key, changed), { ...is })
  }
  if (was && !is) {
    await tx.run(deleteRow(table, key), { ...was })
    if (below(resource)) {
      // What it held goes later, in batches; without its parent nothing of it can be reached.
      await tx.run(insertRow('removals', ['sid', 'date_created']), { sid: was.sid, date_created: facts.now })
      tx.notify({ topic: 'removal' })
    }
  }
  const due = (is as { next_due?: number | null } | null)?.next_due
  if (typeof due === 'number') tx.notify({ topic: 'due', at: due })
}

function created(resource: AnyResource, { params, sid, now }: ChangeRequest, facts: Facts): BaseRow {
  const dates = givenDates(params, now, now)
  return {
    ...(resource.create?.(params, facts, sid) as object),
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

function revised(row: BaseRow): BaseRow {
  return { ...row, revision: row.revision + 1 }
}

async function recheckUnique(read: Reader, resource: AnyResource, facts: Facts, row: BaseRow): Promise<void> {
  for (const { column, taken } of resource.unique ?? []) {
    const value = (row as unknown as Record<string, unknown>)[column]
    if (value === null || value === undefined) continue
    const columns = within(resource, facts)
    const holder = await read.one(rowsBy(resource.table as Table, [...Object.keys(columns), column]), {
      ...columns,
      [column]: value,
    })
    if (holder && (holder as unknown as BaseRow).sid !== row.sid) throw refuse(taken)
  }
}
