import type { Clock } from '../clock.ts'
import {
  type Changed,
  type ChangeRequest,
  madeBefore,
  type NamedChange,
  nextDueOf,
  type Proposal,
  propose,
  requestedChange,
} from '../model/change.ts'
import type { Ancestors, AnyResource, BaseRow, ChangeVerb, Slice } from '../model/declare.ts'
import type { Form } from '../model/form.ts'
import { issuerOf, type Page, type PageRequest, type PageSecrets, pageRequest, readPage, storedRows } from '../model/pages.ts'
import { parseParams, sealSecrets } from '../model/params.ts'
import { collectionUrl, urlsFor, writerOf, writerOfOne } from '../model/represent.ts'
import { type AncestorSids, commonSids, currentRow, findInstance, locate, type ResourcePath, scopeOf } from '../model/scope.ts'
import { newSid } from '../sids.ts'
import type { Reader } from '../storage/database.ts'
import { openCredentials } from '../urls.ts'
import type { ActionLimits } from './action-limits.ts'
import type { DirectReads, Found } from './direct-reads.ts'
import { callPreAction, type PreActionHooks, preActionHook } from './pre-action.ts'
import type { ResponseCache } from './response-cache.ts'

/** An authenticated request with its path, query and body parsed. */
export interface Call {
  readonly resource: AnyResource
  readonly family: 'default' | 'service'
  readonly path: ResourcePath
  /** Public base of urls, without `/v1`. */
  readonly base: string
  readonly query: Form
  readonly body: Form
  readonly webhooks: boolean
  /** The user who asks with a client SDK. */
  readonly client_identity?: string
  /** Names the request, see `ChangeRequest`. */
  readonly once?: string
  /** What is checked in the transaction, see `ChangeRequest`. */
  readonly guard?: object
  /** The trace context of the request; absent where traces are off. */
  readonly trace?: string
  /** Until when the pre-action webhook has to respond, by `performance.now()`; absent: as long as any webhook may take. */
  readonly preActionBy?: number
}

export interface Pipeline {
  readonly clock: Clock
  /** Reads committed rows; accounts and services are cached where possible. */
  readonly read: Reader
  readonly write: (resource: AnyResource, request: ChangeRequest) => Promise<Changed>
  /** Makes all changes or none, in this order; returns the first. */
  readonly writeAll: (changes: readonly [NamedChange, ...NamedChange[]]) => Promise<Changed>
  /** Null where there is no limit. */
  readonly actions: ActionLimits | null
  readonly preAction: PreActionHooks
  /** Signs page tokens: the same on every node. */
  readonly pageSecrets: PageSecrets
  /** Null where other processes write too. */
  readonly responses: ResponseCache | null
  /** Null where rows are not read on this thread. */
  readonly direct: DirectReads | null
  /** Throws ApiError where an account may not be changed here but by requests; absent: every account may. */
  readonly guard?: (account_sid: string) => void
  /** Applies every deadline that has passed. */
  readonly catchUp: () => Promise<void>
}

/** What reading a page needs of the pipeline. */
export interface Reading extends Pick<Pipeline, 'clock' | 'read' | 'pageSecrets' | 'catchUp'> {
  readonly preAction: Pick<PreActionHooks, 'vault'>
}

/** An operation that fits no resource declaration: a function over the same steps that `write` and `list` use. */
export interface Operation {
  /** As in the official reference. */
  readonly name: string
  readonly path: string
  readonly method: 'POST'
  /** Length of the longest body that it can make use of. */
  readonly maxBodyBytes: number
  /** The operation is in the same path families as this resource. */
  readonly resource: AnyResource
  readonly run: (pipeline: Pipeline, call: Call) => Promise<{ readonly status: number; readonly body: string }>
}

/**
 * Creates, updates or removes a row: parse, count the action and encrypt secrets → decide → call the pre-action webhook, if one is configured, with
 * no transaction open → one transaction { decide again on the rows as they are now, write the row and its deliveries } → represent.
 * Returns the JSON text, null after a removal. Throws ApiError.
 */
export async function write(pipeline: Pipeline, verb: ChangeVerb, call: Call): Promise<string | null> {
  const { row, ancestors, now } = await writeRow(pipeline, verb, call)
  return row && render(pipeline, ancestors, call, row, now)
}

/** As `write`, but returns the row, as of `now`. */
export async function writeRow(pipeline: Pipeline, verb: ChangeVerb, call: Call): Promise<Changed & { readonly now: number }> {
  const { resource, path, client_identity, once, guard, trace, preActionBy } = call
  const now = pipeline.clock.now(path.account_sid)
  const given = verb === 'remove' ? {} : await parseBody(pipeline, verb, call)
  pipeline.actions?.count(resource, verb, path)
  const params = sealSecrets(resource.params, given, (secret) => pipeline.preAction.vault.seal(secret))
  const sid = verb === 'create' && resource.sid ? newSid(resource.sid, now) : ''
  const by = client_identity === undefined ? { source: 'API' } : { source: 'SDK', client_identity }
  const request: ChangeRequest = {
    verb,
    path,
    params,
    sid,
    now,
    webhooks: call.webhooks,
    ...by,
    ...(once !== undefined && { once }),
    ...(guard && { guard }),
    ...(trace !== undefined && { trace }),
  }
  return { ...(await pipeline.write(resource, await runPreAction(pipeline, resource, request, { by: preActionBy }))), now }
}

/** Parses the body. Throws 404 rather than the refusal of a parameter when what the path names does not exist. */
async function parseBody(pipeline: Pipeline, verb: 'create' | 'update', { resource, path, body }: Call) {
  try {
    return parseParams(resource.params, verb, body)
  } catch (refusal) {
    const ancestors = await locate(pipeline.read, resource, path)
    if (verb === 'update')
      await findInstance(pipeline.read, resource, { ...ancestors, now: pipeline.clock.now(path.account_sid) }, path)
    throw refusal
  }
}

/**
 * Calls the pre-action webhook, if one is configured, and returns the request as amended. The call may take seconds, so the clock
 * is read again after it. `ancestors`: given when they are not stored yet; `by`: see `Call`.
 */
export async function runPreAction(
  pipeline: Pipeline,
  resource: AnyResource,
  request: ChangeRequest,
  { ancestors, by }: { readonly ancestors?: Ancestors | undefined; readonly by?: number | undefined } = {},
): Promise<ChangeRequest> {
  if (!request.webhooks || !resource.events || (await madeBefore(pipeline.read, request))) return request
  const facts = { ...(ancestors ?? (await locate(pipeline.read, resource, request.path))), now: request.now }
  const target = preActionHook(resource, request, facts)
  if (!target) return request
  const proposal = await propose(pipeline.read, resource, request, facts)
  const amended = await callPreAction(pipeline.preAction, target, resource, { request, proposal, by })
  const path = ancestors ? request.path : pinPath(request.path, resource, proposal)
  return { ...amended, path, now: pipeline.clock.now(path.account_sid) }
}

/** Replaces names in a path by SIDs: the row that the webhook was called about is changed, even if it is renamed meanwhile. */
function pinPath(path: ResourcePath, resource: AnyResource, proposal: Proposal): ResourcePath {
  const { facts } = proposal
  return {
    ...path,
    service_sid: facts.service?.sid ?? null,
    parents: facts.parents.map((parent) => parent.sid),
    key: path.key === null ? null : (requestedChange(proposal, resource)?.before?.sid ?? path.key),
  }
}

/** Returns the ancestors of rows to be created below a row that is itself not stored yet. */
export async function ancestorsOfChildren(read: Reader, resource: AnyResource, request: ChangeRequest): Promise<Ancestors> {
  const ancestors = await locate(read, resource, request.path)
  const { row } = await propose(read, resource, request, ancestors)
  return { ...ancestors, parents: row ? [...ancestors.parents, row] : ancestors.parents }
}

/** Reads one row, or the singleton. Returns the JSON text, without a promise where that is possible. Throws 404. */
export function fetch(pipeline: Pipeline, call: Call): string | Promise<string> {
  const { resource, path, base } = call
  const key = `${path.account_sid} ${base} ${path.text}`
  const now = pipeline.clock.now(path.account_sid)
  const cached = pipeline.responses?.get(key, now)
  if (cached !== undefined) return cached
  const found = pipeline.direct?.find(resource, path)
  return found ? renderKept(pipeline, call, { ...found, now, key }) : fetchRow(pipeline, call, key)
}

async function fetchRow(pipeline: Pipeline, call: Call, key: string): Promise<string> {
  const { resource, path } = call
  const now = pipeline.clock.now(path.account_sid)
  const ancestors = await locate(pipeline.read, resource, path)
  const row = await findInstance(pipeline.read, resource, { ...ancestors, now }, path)
  return renderKept(pipeline, call, { ancestors, row, now, key })
}

/** Renders a row that was read as of `now`, and caches it by `key` if that is possible. */
function renderKept(
  pipeline: Pipeline,
  call: Call,
  { ancestors, row, now, key }: Found & { readonly now: number; readonly key: string },
): string {
  const { resource } = call
  const body = render(pipeline, ancestors, call, row, now)
  // Below a parent that may be renamed or removed a change of the row alone would not invalidate it.
  if (typeof resource.under === 'string') pipeline.responses?.set(key, { body, sid: row.sid, validUntil: validUntil(row, now) })
  return body
}

/** Reads one page of a collection. Returns the JSON text. Throws 404 for a missing parent, 400 for bad parameters. */
export async function list(pipeline: Reading, call: Call): Promise<string> {
  const { resource, path, query } = call
  const declared = resource.list
  if (!declared) throw new Error(`${resource.name} has no list`)
  const ancestors = await locate(pipeline.read, resource, path)
  const params = parseParams(declared.params, 'list', query)
  const page = pageRequest(query, { default: declared.size, max: declared.max })
  const order = declared.order(params)
  // Filters compare stored values, so the deadlines that have passed must be applied first.
  if (resource.elapse && order.where.length > 0) await pipeline.catchUp()
  const now = pipeline.clock.now(path.account_sid)
  const urls = urlsFor(call.base, ancestors, call.family)
  const collection = collectionUrl(resource, ancestors, urls)
  const shown = (stored: BaseRow): BaseRow => {
    const current = currentRow(resource, stored, ancestors)
    const row: BaseRow = declared.shown?.(current) ?? current
    return openedRow(pipeline, resource, resource.elapse?.(row, now) ?? row)
  }
  const common = commonSids(resource, ancestors.account.sid, ancestors)
  const write = writerOf(resource, collection, urls, common)
  const found = await readPage(
    issuerOf(pipeline.pageSecrets, resource, ancestors, order),
    order,
    page,
    (slice: Slice) =>
      resource.view?.page
        ? resource.view.page(pipeline.read, { ...ancestors, now }, params, slice)
        : storedRows(pipeline.read, resource, scopeOf(resource, ancestors), order, slice, common),
    (row) => write(shown(row)),
  )
  const meta = pageMeta(page, query.last('PageToken') || null, found, (number, token) =>
    pageUrl(collection, filtersOf(query, params), page.size, number, token),
  )
  return `{"meta":${JSON.stringify({ ...meta, key: declared.key })},${JSON.stringify(declared.key)}:[${found.json}]}`
}

/** Returns the `meta` of a page but for its key. `token`: the one that the page was requested with. */
function pageMeta(
  { number, size }: PageRequest,
  token: string | null,
  { previous, next }: Page,
  url: (number: number, token: string | null) => string,
) {
  return {
    page: number,
    page_size: size,
    first_page_url: url(0, null),
    previous_page_url: previous && url(Math.max(0, number - 1), previous),
    url: url(number, token),
    next_page_url: next && url(number + 1, next),
  }
}

function render(pipeline: Pipeline, ancestors: AncestorSids, call: Call, row: BaseRow, now: number): string {
  const { resource, base, path, family } = call
  const current = openedRow(pipeline, resource, resource.elapse?.(row, now) ?? row)
  return writerOfOne(resource, base, path.account_sid, ancestors, family)(current)
}

/** Returns the row with its URLs as the caller gave them. */
function openedRow({ preAction: { vault } }: Pick<Reading, 'preAction'>, resource: AnyResource, row: BaseRow): BaseRow {
  return resource.opened?.(row, (url) => openCredentials(url, (sealed) => vault.open(sealed))) ?? row
}

/** Returns until when a response with this row may be cached, in epoch ms. */
function validUntil(row: BaseRow, now: number): number {
  const due = nextDueOf(row)
  // A deadline that has passed but is not applied yet may be followed by another: not cached.
  return typeof due === 'number' ? (due > now ? due : 0) : Number.POSITIVE_INFINITY
}

/** Returns the url of a page: filters first, then `PageSize`, `Page`, `PageToken`, in the order of the vendor's urls. */
function pageUrl(collection: string, filters: [string, string][], size: number, number: number, token: string | null): string {
  const query = new URLSearchParams(filters)
  query.append('PageSize', String(size))
  query.append('Page', String(number))
  if (token !== null) query.append('PageToken', token)
  return `${collection}?${query}`
}

/** Returns the filters of a request for the urls of its pages, words in their declared spelling. */
function filtersOf(query: Form, params: Readonly<Record<string, unknown>>): [string, string][] {
  return Object.entries(params).flatMap(([name, value]): [string, string][] => {
    const texts = Array.isArray(value) ? value.map(String) : typeof value === 'string' ? [value] : query.all(name)
    return texts.map((text) => [name, text])
  })
}
