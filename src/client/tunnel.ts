import { refuse } from '../errors.ts'
import { isJsonObject, parseJsonObject } from '../json.ts'
import { type Form, formOf, parseForm } from '../model/form.ts'
import { type Frame, payloadText } from './frames.ts'

/** A request inside a frame. Its host is chosen by the client: only the path counts. */
export interface TunnelRequest {
  readonly method: Method
  /** Decoded. */
  readonly segments: readonly string[]
  readonly query: Form
  /** By name in lower case. */
  readonly headers: Readonly<Record<string, string>>
  readonly content_type: string
  readonly body: string
}

export interface TunnelResponse {
  readonly status: number
  /** JSON text, or what becomes it; null: none. */
  readonly body: string | object | null
}

type Method = 'GET' | 'POST' | 'DELETE'

const maxPath = 8192
/** A client that was given a region with a slash at its end has this in front of each path. */
const regionPrefix = '.twilio.com'

/** Reads the request of a frame. Throws ApiError. */
export function parseRequest(frame: Frame): TunnelRequest {
  const { http_request: request, payload_type } = frame.header
  if (!isJsonObject(request)) throw refuse('invalidValue')
  const { method, path, params, headers } = request
  if (typeof path !== 'string' || path.length > maxPath) throw refuse('invalidValue')
  if (method !== 'GET' && method !== 'POST' && method !== 'DELETE') throw refuse('methodNotAllowed')
  return {
    method,
    segments: segmentsOf(path),
    query: queryOf(params),
    headers: textsOf(headers),
    content_type: typeof payload_type === 'string' ? payload_type : '',
    body: payloadText(frame),
  }
}

function segmentsOf(path: string): readonly string[] {
  const segments = path.replace(/^\//, '').split('/').map(decoded)
  return segments[0] === regionPrefix ? segments.slice(1) : segments
}

/** Decodes once what the client has encoded once. Throws `invalidValue`. */
function decoded(text: string): string {
  try {
    return decodeURIComponent(text)
  } catch {
    throw refuse('invalidValue')
  }
}

function queryOf(params: unknown): Form {
  if (!isJsonObject(params)) return formOf({})
  const values = Object.entries(params).map(([name, value]) => {
    const all: readonly unknown[] = Array.isArray(value) ? value : [value]
    return [name, all.flatMap((one) => (isPlain(one) ? [decoded(String(one))] : []))] as const
  })
  return formOf(Object.fromEntries(values))
}

function isPlain(value: unknown): value is string | number | boolean {
  return typeof value === 'string' || typeof value === 'number' || typeof value === 'boolean'
}

function textsOf(headers: unknown): Readonly<Record<string, string>> {
  const entries = isJsonObject(headers) ? Object.entries(headers) : []
  return Object.fromEntries(
    entries.flatMap(([name, value]): [string, string][] => (isPlain(value) ? [[name.toLowerCase(), String(value)]] : [])),
  )
}

/** Returns under which name requests are carried out one after the other; null for those that change nothing. */
export function orderOf({ method, segments }: TunnelRequest): string | null {
  if (method === 'GET') return null
  const at = segments.indexOf('Conversations')
  return at === -1 ? (segments.at(-1) ?? '') : segments.slice(0, at + 2).join('/')
}

/** Returns the body of a request as a JSON object; an empty one when there is none. Throws ApiError. */
export function jsonOf({ body }: TunnelRequest): Readonly<Record<string, unknown>> {
  const parsed = body === '' ? {} : parseJsonObject(body)
  if (!parsed) throw refuse('invalidValue')
  return parsed
}

/** Returns the body of a request that is a form. Throws ApiError. */
export function bodyForm({ content_type, body }: TunnelRequest): Form {
  return content_type.startsWith('application/x-www-form-urlencoded') ? parseForm(body) : formOf({})
}

/**
 * Returns the parameters of a write from the body of a command. `names`: by key of the body. A null is what an official client of
 * `/v1` sends for it: an empty text. Throws ApiError.
 */
export function paramsOf(json: Readonly<Record<string, unknown>>, names: Readonly<Record<string, string>>): Form {
  const pairs = Object.entries(names).flatMap(([key, name]): [string, string][] => {
    const value = Object.hasOwn(json, key) ? json[key] : undefined
    if (value === undefined) return []
    if (value !== null && !isPlain(value)) throw refuse('invalidValue')
    return [[name, value === null ? '' : String(value)]]
  })
  return formOf(Object.fromEntries(pairs))
}

/** A path with its parameters as `:name`. */
export interface Route<C> {
  readonly method: Method
  readonly path: string
  readonly run: (context: C, args: Readonly<Record<string, string>>) => Promise<TunnelResponse>
}

/** Finds the route of a request. */
export class Router<C> {
  readonly #routes: readonly { readonly route: Route<C>; readonly parts: readonly string[] }[]

  constructor(routes: readonly Route<C>[]) {
    this.#routes = routes.map((route) => ({ route, parts: route.path.slice(1).split('/') }))
  }

  /** Returns the route and the values of its parameters. Throws 404, or 405 where only the method has none. */
  find({ method, segments }: Pick<TunnelRequest, 'method' | 'segments'>): {
    readonly route: Route<C>
    readonly args: Readonly<Record<string, string>>
  } {
    let known = false
    for (const { route, parts } of this.#routes) {
      if (parts.length !== segments.length) continue
      if (!parts.every((part, i) => part.startsWith(':') || part === segments[i])) continue
      known = true
      if (route.method !== method) continue
      const named = parts.flatMap((part, i) => (part.startsWith(':') ? [[part.slice(1), segments[i] ?? ''] as const] : []))
      return { route, args: Object.fromEntries(named) }
    }
    throw known ? refuse('methodNotAllowed') : refuse('notFound', { path: `/${segments.join('/')}` })
  }
}
