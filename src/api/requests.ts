import type { Clock } from '../clock.ts'
import {
  type Changed,
  type ChangeRequest,
  type NamedChange,
  nextDueOf,
  type Proposal,
  propose,
  requestedChange,
} from '../model/change.ts'
import type { Ancestors, AnyResource, BaseRow, ChangeVerb, Slice } from '../model/declare.ts'
import type { Form } from '../model/form.ts'
import { issuerOf, pageRequest, readPage, storedRows } from '../model/pages.ts'
import { parseParams, sealSecrets } from '../model/params.ts'
import { type AncestorSids, collectionUrl, represent, urlsFor } from '../model/represent.ts'
import { findInstance, locate, type ResourcePath, scopeOf } from '../model/scope.ts'
import { newSid } from '../sids.ts'
import type { Reader } from '../storage/database.ts'
import { callPreAction, type PreActionHooks, preActionHook } from './pre-action.ts'
import type { Answers } from './response-cache.ts'

/** A request as the pipeline takes it: authenticated, its path taken apart. */
export interface Call {
  readonly resource: AnyResource
  readonly family: 'default' | 'service'
  readonly path: ResourcePath
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
  /** All or none, in this order; returns the first. */
  readonly writeAll: (changes: readonly [NamedChange, ...NamedChange[]]) => Promise<Changed>
  readonly preAction: PreActionHooks
  /** Bodies kept in memory; null where other processes write too. */
  readonly answers: Answers | null
  /** Applies every deadline that has passed; resolves once that is done. */
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
 * Returns the JSON text, null after a removal. Throws ApiError.
 */
export async function write(pipeline: Pipeline, verb: ChangeVerb, call: Call): Promise<string | null> {
  const { resource, path } = call
  const now = pipeline.clock.now()
  const given = verb === 'remove' ? {} : await parsed(pipeline, verb, call)
  const params = sealSecrets(resource.params, given, (secret) => pipeline.preAction.vault.seal(secret))
  const sid = verb === 'create' && resource.sid ? newSid(resource.sid, now) : ''
  const request: ChangeRequest = { verb, path, params, sid, now, webhooks: call.webhooks, source: 'API' }
  const { row, ancestors } = await pipeline.write(resource, await runPreAction(pipeline, resource, request))
  return row && render(resource, ancestors, call, row, now)
}

/** What does not exist is not found, however wrong the parameters are; only then is that looked up first. */
async function parsed(pipeline: Pipeline, verb: 'create' | 'update', { resource, path, body }: Call) {
  try {
    return parseParams(resource.params, verb, body)
  } catch (refusal) {
    const ancestors = await locate(pipeline.read, resource, path)
    if (verb === 'update') await findInstance(pipeline.read, resource, { ...ancestors, now: pipeline.clock.now() }, path)
    throw refusal
  }
}

/**
 * Asks the pre-action webhook where there is one. It may take seconds: the clock is read again after it. `ancestors`: rows above
 * that are not stored yet.
 */
export async function runPreAction(
  pipeline: Pipeline,
  resource: AnyResource,
  request: ChangeRequest,
  ancestors?: Ancestors,
): Promise<ChangeRequest> {
  if (!request.webhooks || !resource.events) return request
  const facts = { ...(ancestors ?? (await locate(pipeline.read, resource, request.path))), now: request.now }
  const target = preActionHook(resource, request, facts)
  if (!target) return request
  const proposal = await propose(pipeline.read, resource, request, facts)
  const amended = await callPreAction(pipeline.preAction, target, resource, request, proposal)
  const path = ancestors ? request.path : pinned(request.path, resource, proposal)
  return { ...amended, path, now: pipeline.clock.now() }
}

/** What the webhook was asked about is what will be changed, though names and the default service may have moved meanwhile. */
function pinned(path: ResourcePath, resource: AnyResource, proposal: Proposal): ResourcePath {
  const { facts } = proposal
  return {
    ...path,
    service_sid: facts.service?.sid ?? null,
    parents: facts.parents.map((parent) => parent.sid),
    key: path.key === null ? null : (requestedChange(proposal, resource)?.before?.sid ?? path.key),
  }
}

/** Decides on a row that is not stored yet, and returns it as the last of the rows above what is made below it. */
export async function ancestorsBelow(read: Reader, resource: AnyResource, request: ChangeRequest): Promise<Ancestors> {
  const ancestors = await locate(read, resource, request.path)
  const { row } = await propose(read, resource, request, ancestors)
  return { ...ancestors, parents: row ? [...ancestors.parents, row] : ancestors.parents }
}

/** One row, or the singleton. Returns the JSON text, at once when it is still in memory. Throws 404. */
export function fetch(pipeline: Pipeline, call: Call): string | Promise<string> {
  const { path, base } = call
  const key = `${path.account_sid} ${base} ${path.text}`
  return pipeline.answers?.get(key, pipeline.clock.now()) ?? fetchRow(pipeline, call, key)
}

async function fetchRow(pipeline: Pipeline, call: Call, key: string): Promise<string> {
  const { resource, path } = call
  const now = pipeline.clock.now()
  const ancestors = await locate(pipeline.read, resource, path)
  const row = await findInstance(pipeline.read, resource, { ...ancestors, now }, path)
  const body = render(resource, ancestors, call, row, now)
  // Only what depends on one row: below a parent that may be renamed or removed it would not be known when to drop it.
  if (typeof resource.under === 'string') pipeline.answers?.set(key, { body, sid: row.sid, until: trueUntil(row, now) })
  return body
}

/** One page of a collection. Returns the JSON text. Throws 404 for a missing parent, 400 for bad parameters. */
export async function list(pipeline: Pipeline, call: Call): Promise<string> {
  const { resource, path, query } = call
  const declared = resource.list
  if (!declared) throw new Error(`${resource.name} has no list`)
  const ancestors = await locate(pipeline.read, resource, path)
  const params = parseParams(declared.params, 'list', query)
  const page = pageRequest(query, { default: declared.size, max: declared.max })
  const order = declared.order(params)
  // A filter compares what is stored: first let the deadlines that have passed be applied.
  if (resource.elapse && order.where.length > 0) await pipeline.catchUp()
  const now = pipeline.clock.now()
  const found = await readPage(issuerOf(resource, ancestors, order), order, page, (slice: Slice) =>
    resource.view
      ? resource.view.page(pipeline.read, { ...ancestors, now }, params, slice)
      : storedRows(pipeline.read, resource, scopeOf(resource, ancestors), order, slice),
  )
  const urls = urlsFor(call.base, ancestors, call.family)
  const collection = collectionUrl(resource, ancestors, urls)
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

function render(resource: AnyResource, ancestors: AncestorSids, call: Call, row: BaseRow, now: number): string {
  const urls = urlsFor(call.base, ancestors, call.family)
  const current = resource.elapse?.(row, now) ?? row
  return JSON.stringify(represent(resource, current, collectionUrl(resource, ancestors, urls), urls))
}

/** When a response that shows this row has to be made anew, in epoch ms. */
function trueUntil(row: BaseRow, now: number): number {
  const due = nextDueOf(row)
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
