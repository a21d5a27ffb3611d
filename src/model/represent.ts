import type { AnyResource, BaseRow } from './declare.ts'
import { familyOfUrls, type Urls } from './representation.ts'
import { ancestorsOf } from './scope.ts'

/** The SIDs of a row's ancestors that its urls contain. */
export interface AncestorSids {
  readonly service: { readonly sid: string } | null
  readonly parents: readonly { readonly sid: string }[]
}

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
 * declaration may look at any. `common`: what is known of the row, by column; whoever writes it needs none of it.
 */
export function columnsShown(resource: AnyResource, common: object = {}): readonly string[] | null {
  const { represent, elapse, elapsesBy, current, currentBy, opened } = resource
  if (!represent.columns || opened || (elapse && !elapsesBy) || (current && !currentBy)) return null
  const represented = represent.columns.filter((column) => !(column in common))
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

/** Returns a text as it is inside a JSON string. */
function escaped(text: string): string {
  return JSON.stringify(text).slice(1, -1)
}
