import { parse, stringify } from 'node:querystring'
import { isSigned } from '../../delivery/signature.ts'

/** Scheme, user information and host of a URL, and its port. */
const authorityForm = /^(https?:\/\/(?:[^/?#]*@)?(?:\[[^/?#\]]*\]|[^/?#:@[\]]*))(:\d*)?(?=[/?#]|$)/i

/**
 * Whether the carrier has signed a request with this URL and form body, in one of the spellings that the vendor's validator accepts:
 * with or without the scheme's port, as received or as the URL standard writes it, with its query encoded either way.
 */
export function isProven(auth_token: string, url: string, form: Readonly<Record<string, string>>, signature: string): boolean {
  return [...spellings(url)].some((spelling) => isSigned(auth_token, spelling, form, signature))
}

function spellings(url: string): Set<string> {
  const standard = URL.canParse(url) ? new URL(url).href : url
  return new Set([url, standard, withEncodedQuery(standard)].flatMap((one) => [withoutPort(one), withPort(one)]))
}

function withoutPort(url: string): string {
  return url.replace(authorityForm, '$1')
}

function withPort(url: string): string {
  return url.replace(authorityForm, (all, host: string, port?: string) =>
    port ? all : `${host}${/^https/i.test(url) ? ':443' : ':80'}`,
  )
}

/** Encodes the query as Node's older module does: some carriers sign `%27` where the URL standard leaves `'`. */
function withEncodedQuery(url: string): string {
  const query = url.indexOf('?')
  return query === -1 || query === url.length - 1 ? url : `${url.slice(0, query)}?${stringify(parse(url.slice(query + 1)))}`
}
