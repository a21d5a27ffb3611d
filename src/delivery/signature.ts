import { createHmac, type KeyObject } from 'node:crypto'
import { LRUCache } from 'lru-cache'
import { sameSecret } from '../vault.ts'
import type { ClientRequest } from './exchange.ts'
import { encodedForm } from './form-encoding.ts'

/** A signed request: its URL is exactly the string that was signed, its credentials are those of the configured URL, decoded. */
export interface Prepared extends ClientRequest {
  readonly method: 'GET' | 'POST'
  readonly body: string | null
}

/** Percent-decodes a user name or password; what does not decode to UTF-8 is returned as it is. */
function decoded(text: string): string {
  try {
    return decodeURIComponent(text)
  } catch {
    return text
  }
}

/**
 * Returns the URL to request and sign for a configured one, and the credentials in it. Throws if it is no URL.
 * The official validator compares with the WHATWG form, so `https://h.test` must be signed as `https://h.test/`.
 * The fragment is ignored: the vendor's connection overrides exclude Conversations.
 */
export function deliverableUrl(configured: string): { url: string; username: string; password: string } {
  const url = new URL(configured)
  const username = decoded(url.username)
  const password = decoded(url.password)
  url.username = ''
  url.password = ''
  url.hash = ''
  return { url: url.href, username, password }
}

/** Serialised by configured URL, of those without credentials: nothing secret is kept. To parse one takes 1 µs. */
const serialised = new LRUCache<string, string>({ max: 1000 })

/** As `deliverableUrl`, which it asks about a URL that it has not met lately. */
function knownUrl(configured: string): ReturnType<typeof deliverableUrl> {
  const known = serialised.get(configured)
  if (known !== undefined) return { url: known, username: '', password: '' }
  const made = deliverableUrl(configured)
  // Longer ones than anybody configures would fill the memory.
  if (made.username === '' && made.password === '' && configured.length <= 2048) serialised.set(configured, made.url)
  return made
}

function withQuery(url: string, query: string): string {
  if (query === '') return url
  return url + (url.includes('?') ? '&' : '?') + query
}

/** Returns the HMAC-SHA1 of the URL followed by the names and values of the form body, in code unit order of the names. */
function sign(auth_token: string | KeyObject, url: string, form: Readonly<Record<string, string>>): string {
  let text = url
  for (const name of Object.keys(form).sort()) text += name + form[name]
  return createHmac('sha1', auth_token).update(text, 'utf8').digest('base64')
}

/** Whether `signature`, a header, is that of a request with this URL and form body. The form of a GET is empty. */
export function isSigned(
  auth_token: string,
  url: string,
  form: Readonly<Record<string, string>>,
  signature: string | readonly string[] | undefined,
): boolean {
  return typeof signature === 'string' && sameSecret(signature, sign(auth_token, url, form))
}

/** Proves that a request is of whoever has the account's auth token. */
export const signatureHeader = 'X-Twilio-Signature'

/**
 * Returns the signed request for one event and one target.
 * observed: the header set and values below, and `+` for a space in queries and bodies alike.
 */
export function prepare(input: {
  method: 'GET' | 'POST'
  url: string
  form: Readonly<Record<string, string>>
  /** As a key object it is cheaper, when it signs more than once. */
  auth_token: string | KeyObject
  idempotency_token: string
}): Prepared {
  const { url, username, password } = knownUrl(input.url)
  const encoded = encodedForm(input.form)
  const isPost = input.method === 'POST'
  const target = isPost ? url : withQuery(url, encoded)
  const headers = {
    ...(isPost && { 'Content-Type': 'application/x-www-form-urlencoded; charset=utf-8' }),
    [signatureHeader]: sign(input.auth_token, target, isPost ? input.form : {}),
    'I-Twilio-Idempotency-Token': input.idempotency_token,
    Accept: '*/*',
    'User-Agent': 'TwilioProxy/1.1',
  }
  return { method: input.method, url: target, headers, body: isPost ? encoded : null, username, password }
}

/** Adds the header by which the receiver continues a trace. It is not signed. */
export function withTraceparent<R extends ClientRequest>(request: R, traceparent: string | undefined): R {
  return traceparent === undefined ? request : { ...request, headers: { ...request.headers, traceparent } }
}
