import type { AnyResource, BaseRow } from './declare.ts'
import { familyOfUrls, type Urls } from './representation.ts'
import { type AncestorSids, ancestorsOf, commonSids } from './scope.ts'

/** Returns the bases of the urls in a response, in the family that the caller used. */
export function urlsFor(base: string, ancestors: AncestorSids, family: 'default' | 'service'): Urls {
  const root = `${base}/v1`
  return { root, family: family === 'service' && ancestors.service ? `${root}/Services/${ancestors.service.sid}` : root }
}

/** Returns the url of a collection or singleton. It contains SIDs, also where the caller used a name. */
export function collectionUrl(resource: AnyResource, ancestors: AncestorSids, urls: Urls): string {
  let url = urls.family
  for (const [i, parent] of ancestorsOf(resource).entries()) url += `/${parent.path}/${ancestors.parents[i]?.sid}`
  return `${url}/${resource.path}`
}

/**
 * Returns the columns that a row is shown from, if it is shown alone or in a list without `shown`; null where a function of the
 * declaration may look at any. `common`: columns whose values are known; whoever writes the row needs none of them.
 */
export function columnsShown(resource: AnyResource, common: readonly string[] = []): readonly string[] | null {
  const { represent, elapse, elapsesBy, current, currentBy, opened } = resource
  if (!represent.columns || opened || (elapse && !elapsesBy) || (current && !currentBy)) return null
  const represented = represent.columns.filter((column) => !common.includes(column))
  return [...new Set([...represented, ...(elapsesBy ?? []), ...(currentBy ?? []), 'sid'])]
}

/** Returns the JSON object of a row. */
export function represent(
  resource: AnyResource,
  row: BaseRow,
  collection: string,
  urls: Urls,
): Readonly<Record<string, unknown>> {
  return resource.represent(row, resource.sid === null ? collection : `${collection}/${row.sid}`, urls)
}

/**
 * Returns a function that returns the JSON text of a row: what `JSON.stringify` gives for `represent`. `scope`: SIDs by the columns that
 * all rows have in common, and need not have then.
 */
export function writerOf(
  resource: AnyResource,
  collection: string,
  urls: Urls,
  scope: Readonly<Record<string, string>> = {},
): (row: BaseRow) => string {
  const { writer } = resource.represent
  // Of a singleton there are no lists.
  if (!writer || resource.sid === null) return (row) => JSON.stringify(represent(resource, row, collection, urls))
  return writer(familyOfUrls(urls), { collection: escaped(collection), family: escaped(urls.family), scope })
}

/** Writers of rows that are shown alone, by resource; as many as there may be hosts, services and families, within bounds. */
const keptWriters = new WeakMap<AnyResource, Map<string, (row: BaseRow) => string>>()
const maxKept = 1000
/** Callers choose the host, in up to 16 KB, and a writer holds it several times. No name of one is longer than this. */
const maxBaseLength = 300

/**
 * As `writerOf`, for a row that is shown alone. `account_sid`: of the row. Below a service or an account the rows have few collections:
 * their writers are kept, since making one takes longer than a row is written in.
 *
 * Measured, µs of the main thread for a fetch of a random row of 100,000 by its SID: 50.6 with a writer made for each, 43.8 with this.
 */
export function writerOfOne(
  resource: AnyResource,
  base: string,
  account_sid: string,
  ancestors: AncestorSids,
  family: 'default' | 'service',
): (row: BaseRow) => string {
  const make = () => {
    const urls = urlsFor(base, ancestors, family)
    return writerOf(resource, collectionUrl(resource, ancestors, urls), urls, commonSids(resource, account_sid, ancestors))
  }
  if (typeof resource.under !== 'string' || base.length > maxBaseLength) return make()
  const key = `${family} ${ancestors.service?.sid ?? account_sid} ${base}`
  const writers = keptWriters.get(resource) ?? new Map<string, (row: BaseRow) => string>()
  const known = writers.get(key)
  if (known) return known
  if (writers.size >= maxKept) writers.clear()
  const write = make()
  keptWriters.set(resource, writers.set(key, write))
  return write
}

/** Returns a text as it is inside a JSON string. */
function escaped(text: string): string {
  return JSON.stringify(text).slice(1, -1)
}
