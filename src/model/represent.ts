import type { AnyResource, BaseRow, Urls } from './declare.ts'
import { chainAbove } from './scope.ts'

/** What urls need to know of the rows above one. */
export interface Above {
  readonly service: { readonly sid: string } | null
  readonly parents: readonly { readonly sid: string }[]
}

/** Roots of the urls in an answer: those of the family the caller used. */
export function urlsFor(base: string, above: Above, family: 'default' | 'service'): Urls {
  const root = `${base}/v1`
  return { root, family: family === 'service' && above.service ? `${root}/Services/${above.service.sid}` : root }
}

/** Address of a collection (or of a singleton): always by sid, whatever name the caller used. */
export function collectionUrl(resource: AnyResource, above: Above, urls: Urls): string {
  let url = urls.family
  for (const [i, parent] of chainAbove(resource).entries()) url += `/${parent.path}/${above.parents[i]?.sid}`
  return `${url}/${resource.path}`
}

/** One row as the caller sees it. */
export function represent(resource: AnyResource, row: BaseRow, collection: string, urls: Urls): object {
  return resource.represent(row, resource.sid === null ? collection : `${collection}/${row.sid}`, urls)
}
