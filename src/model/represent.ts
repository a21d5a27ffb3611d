import type { AnyResource, BaseRow, Urls } from './declare.ts'
import { ancestorsOf } from './scope.ts'

/** What urls need to know of the rows above one. */
export interface AncestorSids {
  readonly service: { readonly sid: string } | null
  readonly parents: readonly { readonly sid: string }[]
}

/** Returns the roots of the urls in a response: those of the family the caller used. */
export function urlsFor(base: string, ancestors: AncestorSids, family: 'default' | 'service'): Urls {
  const root = `${base}/v1`
  return { root, family: family === 'service' && ancestors.service ? `${root}/Services/${ancestors.service.sid}` : root }
}

/** Returns the url of a collection (or of a singleton): always by sid, whatever name the caller used. */
export function collectionUrl(resource: AnyResource, ancestors: AncestorSids, urls: Urls): string {
  let url = urls.family
  for (const [i, parent] of ancestorsOf(resource).entries()) url += `/${parent.path}/${ancestors.parents[i]?.sid}`
  return `${url}/${resource.path}`
}

/** Returns one row as the caller sees it. */
export function represent(
  resource: AnyResource,
  row: BaseRow,
  collection: string,
  urls: Urls,
): Readonly<Record<string, unknown>> {
  return resource.represent(row, resource.sid === null ? collection : `${collection}/${row.sid}`, urls)
}
