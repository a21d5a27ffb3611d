import type { Clock } from '../clock.ts'
import { type Asked, type Changed, type ChangeRequest, type Proposal, propose } from '../model/change.ts'
import type { AnyResource, BaseRow, ChangeVerb, Facts, Slice } from '../model/declare.ts'
import type { Form } from '../model/form.ts'
import { issuerOf, pageRequest, readPage, storedRows } from '../model/pages.ts'
import { parseParams, sealSecrets } from '../model/params.ts'
import { type Above, collectionUrl, represent, urlsFor } from '../model/represent.ts'
import { type Address, findInstance, locate, within } from '../model/scope.ts'
import { newSid } from '../sids.ts'
import type { Reader } from '../storage/database.ts'
import type { Answers } from './answers.ts'
import { ask, isAsked, type Veto } from './pre-action.ts'

/** A request as the pipeline takes it: authenticated, its path taken apart. */
export interface Call {
  readonly resource: AnyResource
  readonly family: 'default' | 'service'
  readonly address: Address
  /** Public base for urls, without `/v1`. */
  readonly base: string
  /** Query string and body, parsed. */
  readonly query: Form
  readonly body: Form
  readonly webhooks: boolean
}

export interface Pipeline {
  readonly clock: Clock
  /** Committed rows; keeps accounts and services in memory where it may. */
  readonly read: Reader
  readonly write: (resource: AnyResource, request: ChangeRequest) => Promise<Changed>
  /** All or none, in this order; answers the first. */
  readonly writeAll: (changes: readonly [Asked, ...Asked[]]) => Promise<Changed>
  readonly veto: Veto
  readonly answers: Answers | null
  /** Applies every deadline that has passed; answers once that is done. */
  readonly catchUp: () => Promise<void>
}

/** What fits no declaration: a plain function over the steps that `write` and `list` take. */
export interface Operation {
  /** As in the official reference. */
  readonly name: string
  readonly path: string
  readonly method: 'POST'
  /** What it is about; its families are those of the operation. */
  readonly resource: AnyResource
  readonly run: (pipeline: Pipeline, call: Call) => Promise<{ readonly status: number; readonly body: string }>
}

/**
 * Every write of the API, in this order: parse, secrets sealed → decide (pure) → pre-action webhook, if one is configured, with no
 * transaction open → one transaction { decide on the rows as they are now, write the row and its deliveries } → represent.
 * Answers the JSON text, null after a removal. Throws ApiError.
 */
export async function write(pipeline: Pipeline, verb: ChangeVerb, call: Call): Promise<string | null> {
  const { resource, address } = call
  const now = pipeline.clock.now()
  const given = verb === 'remove' ? {} : await parsed(pipeline, verb, call)
  const params = sealSecrets(resource.params, given, (secret) => pipeline.veto.vault.seal(secret))
  const sid = verb === 'create' && resource.sid ? newSid(resource.sid, now) : ''
  const asked: ChangeRequest = { verb, address, params, sid, now, webhooks: call.webhooks, source: 'API' }
  const { row, above } = await pipeline.write(resource, await beforehand(pipeline, resource, asked))
  return row && render(resource, above, call, row, now)
}

/** What does not exist is not found, however wrong the parameters are; only then is that looked up first. */
async function parsed(pipeline: Pipeline, verb: 'create' | 'update', { resource, address, body }: Call) {
  try {
    return parseParams(resource.params, verb, body)
  } catch (refusal) {
    const above = await locate(pipeline.read, resource, address)
    if (verb === 'update') await findInstance(pipeline.read, resource, { ...above, now: pipeline.clock.now() }, address)
    throw refusal
  }
}

/**
 * Asks the pre-action webhook where there is one. It may take seconds: the clock is read again after it. `above`: what is not
 * stored yet.
 */
export async function beforehand(
  pipeline: Pipeline,
  resource: AnyResource,
  request: ChangeRequest,
  above?: Omit<Facts, 'now'>,
): Promise<ChangeRequest> {
  if (!request.webhooks || !resource.events) return request
  const facts = { ...(above ?? (await locate(pipeline.read, resource, request.address))), now: request.now }
  if (!isAsked(resource, request, facts)) return request
  const proposal = await propose(pipeline.read, resource, request, facts)
  const amended = await ask(pipeline.veto, resource, request, proposal)
  return { ...amended, address: above ? request.address : pinned(request.address, resource, proposal), now: pipeline.clock.now() }
}

/** What the webhook was asked about is what will be changed, though names and the default service may have moved meanwhile. */
function pinned(address: Address, resource: AnyResource, { facts, steps }: Proposal): Address {
  const change = steps.find((step) => step.resource === resource && step.change.cause === 'request')?.change
  return {
    ...address,
    service_sid: facts.service?.sid ?? null,
    parents: facts.parents.map((parent) => parent.sid),
    key: address.key === null ? null : (change?.was?.sid ?? address.key),
  }
}

/** One row, or the singleton. Answers the JSON text, at once when it is still in memory. Throws 404. */
export function fetch(pipeline: Pipeline, call: Call): string | Promise<string> {
  const { address, base } = call
  const key = `${address.account_sid} ${base} ${address.path}`
  return pipeline.answers?.get(key, pipeline.clock.now()) ?? fetchRow(pipeline, call, key)
}

async function fetchRow(pipeline: Pipeline, call: Call, key: string): Promise<string> {
  const { resource, address } = call
  const now = pipeline.clock.now()
  const above = await locate(pipeline.read, resource, address)
  const row = await findInstance(pipeline.read, resource, { ...above, now }, address)
  const body = render(resource, above, call, row, now)
  // Only what depends on one row: below a parent that may be renamed or removed it would not be known when to drop it.
  if (typeof resource.under === 'string') pipeline.answers?.set(key, { body, sid: row.sid, until: nextDue(row, now) })
  return body
}

/** One page of a collection. Answers the JSON text. Throws 404 for a missing parent, 400 for bad parameters. */
export async function list(pipeline: Pipeline, call: Call): Promise<string> {
  const { resource, address, query } = call
  const declared = resource.list as NonNullable<AnyResource['list']>
  const above = await locate(pipeline.read, resource, address)
  const params = parseParams(declared.params, 'list', query)
  const page = pageRequest(query, { default: declared.size, max: declared.max })
  const order = declared.order(params)
  // A filter compares what is stored: first let the deadlines that have passed be applied.
  if (resource.elapse && order.where.length > 0) await pipeline.catchUp()
  const now = pipeline.clock.now()
  const found = await readPage(issuerOf(resource, above, order), order, page, (slice: Slice) =>
    resource.view
      ? resource.view.page(pipeline.read, { ...above, now }, params, slice)
      : storedRows(pipeline.read, resource, within(resource, above), order, slice),
  )
  const urls = urlsFor(call.base, above, call.family)
  const collection = collectionUrl(resource, above, urls)
  const rows = found.rows.map((row) => represent(resource, resource.elapse?.(row, now) ?? row, collection, urls))
  const at = (number: number, token: string | null) => pageUrl(collection, echo(query, params), page.size, number, token)
  return JSON.stringify({
    meta: {
      page: page.number,
      page_size: page.size,
      first_page_url: at(0, null),
      previous_page_url: found.previous && at(Math.max(0, page.number - 1), found.previous),
      url: at(page.number, query.last('PageToken') || null),
      next_page_url: found.next && at(page.number + 1, found.next),
      key: declared.key,
    },
    [declared.key]: rows,
  })
}

function render(resource: AnyResource, above: Above, call: Call, row: BaseRow, now: number): string {
  const urls = urlsFor(call.base, above, call.family)
  const current = resource.elapse?.(row, now) ?? row
  return JSON.stringify(represent(resource, current, collectionUrl(resource, above, urls), urls))
}

function nextDue(row: BaseRow, now: number): number {
  const due = (row as { next_due?: number | null }).next_due
  // Passed already: what is shown now may change once more at the next deadline, so it is not kept.
  return typeof due === 'number' ? (due > now ? due : 0) : Number.POSITIVE_INFINITY
}

/** Filters first, then `PageSize`, `Page`, `PageToken`, as the vendor's urls have it. Words in their declared spelling. */
function pageUrl(collection: string, filters: [string, string][], size: number, number: number, token: string | null): string {
  const query = new URLSearchParams(filters)
  query.append('PageSize', String(size))
  query.append('Page', String(number))
  if (token !== null) query.append('PageToken', token)
  return `${collection}?${query}`
}

function echo(query: Form, params: Readonly<Record<string, unknown>>): [string, string][] {
  return Object.entries(params).flatMap(([name, value]): [string, string][] => {
    const texts = Array.isArray(value) ? value.map(String) : typeof value === 'string' ? [value] : query.all(name)
    return texts.map((text) => [name, text])
  })
}
