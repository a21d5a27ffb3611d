import { isJsonObject } from '../json.ts'
import type { Json } from '../records/format.ts'

/** Keys whose URLs lead back to the API. */
const ownUrls = /^(?:url|.*_page_url)$/
/** Signed by the host that it leads to. */
const foreign = 'content_direct_temporary'

/**
 * Returns a response with the URLs of its own kind (`url`, `links`, those of pages) below another base: a program that follows them would
 * leave the mirror, and take its credentials along. What people have written stays as it is.
 */
export function rehomed(json: Json, origins: readonly string[], base: string): Json {
  return Object.fromEntries(
    Object.entries(json).map(([key, value]) => {
      if (typeof value === 'string' && ownUrls.test(key)) return [key, moved(value, origins, base)]
      if (key === 'meta' && isJsonObject(value)) return [key, rehomed(value, origins, base)]
      if (key === 'links' && isJsonObject(value)) return [key, rehomedLinks(value, origins, base)]
      if (Array.isArray(value) && json.meta !== undefined) {
        return [key, value.map((row: unknown) => (isJsonObject(row) ? rehomed(row, origins, base) : row))]
      }
      return [key, value]
    }),
  )
}

function rehomedLinks(links: Json, origins: readonly string[], base: string): Json {
  return Object.fromEntries(
    Object.entries(links).map(([name, url]) => [
      name,
      typeof url === 'string' && name !== foreign ? moved(url, origins, base) : url,
    ]),
  )
}

function moved(url: string, origins: readonly string[], base: string): string {
  const origin = origins.find((one) => url.startsWith(`${one}/v1/`))
  return origin === undefined ? url : base + url.slice(origin.length)
}
