/** Whatever the console knows it reads from `/v1` and `/admin/v1`. Types name what it uses of their responses. */

export type Right = 'read' | 'text' | 'act' | 'manage' | 'audit'

/** Who is signed in, and what they may do. */
export interface SignedIn {
  readonly id: string
  readonly name: string
  readonly role: 'viewer' | 'support' | 'admin' | 'auditor'
  readonly rights: readonly Right[]
  /** Null: all accounts. */
  readonly accounts: readonly string[] | null
}

export interface Session {
  /** Null: nobody is signed in. */
  readonly operator: SignedIn | null
  /** The OpenID provider at which one can sign in; null: none. */
  readonly openid: string | null
}

export interface Server {
  readonly version: string
  readonly engine: 'sqlite' | 'postgres'
  readonly first_account_sid: string
  readonly now: string
  readonly offset_ms: number
  readonly test_clock: boolean
  readonly test_mode: boolean
}

export interface Account {
  readonly sid: string
  readonly friendly_name: string
  readonly status: 'active' | 'suspended'
  readonly default_chat_service_sid: string
}

export interface Place {
  readonly kind: 'account' | 'service' | 'conversation'
  readonly account_sid: string
  readonly service_sid: string
  readonly conversation_sid: string | null
}

export interface Service {
  readonly sid: string
  readonly friendly_name: string
  readonly date_created: string
}

export type State = 'initializing' | 'active' | 'inactive' | 'closed'

export interface ConversationSummary {
  readonly sid: string
  readonly friendly_name: string | null
  readonly unique_name: string | null
  readonly state: State
  readonly date_inactive: string | null
  readonly date_closed: string | null
  readonly messages: number
  readonly date_activity: string
}

export interface ConversationPage {
  readonly conversations: readonly ConversationSummary[]
  readonly next_before: string | null
}

/** What was found. `snippet`: text, of which some pieces are what was looked for. */
export interface SearchHit {
  readonly type: 'conversation' | 'participant' | 'user' | 'message'
  readonly sid: string
  readonly account_sid: string
  readonly service_sid: string
  readonly conversation_sid: string | null
  readonly conversation_name: string | null
  readonly name: string | null
  readonly snippet: readonly { readonly text: string; readonly match: boolean }[]
  readonly date_created: string
}

export interface SearchPage {
  readonly hits: readonly SearchHit[]
  readonly next_before: string | null
  readonly total: number
  readonly total_capped: boolean
  readonly complete: boolean
}

export interface Conversation {
  readonly sid: string
  readonly account_sid: string
  readonly chat_service_sid: string
  readonly friendly_name: string | null
  readonly unique_name: string | null
  readonly attributes: string
  readonly state: State
  readonly timers: { readonly date_inactive?: string; readonly date_closed?: string }
  readonly date_created: string
  readonly date_updated: string
}

export interface Media {
  readonly sid: string
  readonly filename: string | null
  readonly content_type: string
  readonly size: number
}

export interface Message {
  readonly sid: string
  readonly index: number
  readonly author: string
  readonly participant_sid: string | null
  readonly body: string | null
  readonly media: readonly Media[] | null
  readonly attributes: string
  readonly delivery: Readonly<Record<string, number | string>> | null
  readonly date_created: string
  readonly date_updated: string
}

export interface Participant {
  readonly sid: string
  readonly identity: string | null
  readonly messaging_binding: { readonly address?: string; readonly proxy_address?: string; readonly type?: string } | null
  readonly role_sid: string | null
  readonly attributes: string
  readonly last_read_message_index: number | null
  readonly last_read_timestamp: string | null
}

export interface Receipt {
  readonly sid: string
  readonly participant_sid: string
  readonly status: string
  readonly error_code: number
  readonly date_updated: string
}

export interface Webhook {
  readonly sid: string
  readonly target: string
  readonly configuration: { readonly url?: string; readonly filters?: readonly string[]; readonly flow_sid?: string }
}

export interface Role {
  readonly sid: string
  readonly friendly_name: string
  readonly type: 'service' | 'conversation'
  readonly permissions: readonly string[]
}

export interface Attempt {
  readonly at: string
  readonly duration_ms: number
  readonly status: number | null
  readonly error: string | null
}

export interface Delivery {
  readonly id: string
  readonly kind: 'webhook' | 'message' | 'loopback' | 'push'
  readonly account_sid: string
  readonly service_sid: string
  readonly target_sid: string | null
  readonly subject_sid: string
  readonly event_type: string
  readonly method: string
  readonly url: string | null
  readonly message_sid: string | null
  readonly params: Readonly<Record<string, string>>
  readonly status: 'pending' | 'delivered' | 'failed'
  readonly attempts: readonly Attempt[]
  readonly date_created: string
  readonly date_finished: string | null
}

export interface Header {
  readonly name: string
  readonly value: string
}

/** One delivery as a whole. */
export interface DeliveryDetail extends Delivery {
  readonly request_headers: readonly Header[] | null
  readonly attempts: readonly (Attempt & {
    /** Of a channel. */
    readonly response: string | null
    readonly response_headers: readonly Header[] | null
    readonly response_body: string | null
    readonly response_truncated: boolean
  })[]
}

export interface DeliveryPage {
  readonly deliveries: readonly Delivery[]
  readonly next_before: string | null
  readonly stopped_early: boolean
}

export interface Timer {
  readonly conversation_sid: string
  readonly account_sid: string
  readonly service_sid: string
  readonly friendly_name: string | null
  readonly state: State
  readonly next_state: State
  readonly date_due: string
}

/** What a server in test mode can go back to. */
export interface Snapshot {
  readonly snapshot: string
  /** The time in it. */
  readonly now: string
}

/** A page of a list of `/v1`. */
export interface V1Page<T> {
  readonly items: readonly T[]
  /** The path of the next page; null on the last one. */
  readonly next: string | null
  /** That of the page before it; null on the first one. */
  readonly previous: string | null
}

/** The server has refused a request. The message is a sentence that says why. */
export class RefusedError extends Error {
  override readonly name = 'RefusedError'
  /** 0: there was no response. */
  readonly status: number
  readonly code: number | null

  constructor(status: number, message: string, code: number | null) {
    super(message)
    this.status = status
    this.code = code
  }
}

export type Form = Readonly<Record<string, string | readonly string[] | undefined>>

interface Options {
  /** In whose name `/v1` is asked. */
  readonly account?: string
  /** Several texts of a name repeat it. */
  readonly form?: Form
  readonly json?: object
  /** A mail, as it came. */
  readonly mail?: string
  /** Whether webhooks are sent, as for a request of the account. */
  readonly webhooks?: boolean
  readonly signal?: AbortSignal
}

const signedOut = new Set<() => void>()

/** Calls `listener` whenever the server says that nobody is signed in. Returns what removes it. */
export function onSignedOut(listener: () => void): () => void {
  signedOut.add(listener)
  return () => signedOut.delete(listener)
}

async function request(method: string, path: string, options?: Options): Promise<unknown> {
  return parsed(await (await send(method, path, options)).text())
}

/** Returns a response that is no refusal. */
async function send(
  method: string,
  path: string,
  { account, form, json, mail, webhooks, signal }: Options = {},
): Promise<Response> {
  const given =
    form && Object.entries(form).flatMap(([name, value]) => [value ?? []].flat().map((text): [string, string] => [name, text]))
  const response = await fetch(path, {
    method,
    headers: {
      ...(account !== undefined && { 'x-parley-account': account }),
      ...(json && { 'content-type': 'application/json' }),
      ...(mail !== undefined && { 'content-type': 'message/rfc822' }),
      ...(webhooks && { 'x-twilio-webhook-enabled': 'true' }),
    },
    ...(given && { body: new URLSearchParams(given) }),
    ...(json && { body: JSON.stringify(json) }),
    ...(mail !== undefined && { body: mail }),
    ...(signal && { signal }),
  }).catch((error: Error) => {
    if (error.name === 'AbortError') throw error
    throw new RefusedError(0, 'The server cannot be reached. Is it running?', null)
  })
  if (response.ok) return response
  if (response.status === 401 && path !== '/admin/v1/session') for (const listener of signedOut) listener()
  throw refusal(response, parsed(await response.text()))
}

function parsed(text: string): unknown {
  try {
    return text === '' ? null : JSON.parse(text)
  } catch {
    return null
  }
}

function refusal({ status, headers }: Response, body: unknown): RefusedError {
  const { error, message, code } = (typeof body === 'object' && body !== null ? body : {}) as Record<string, unknown>
  const wait = headers.get('retry-after')
  const text = typeof error === 'string' ? error : typeof message === 'string' ? message : `The server responded with ${status}.`
  return new RefusedError(status, wait ? `${text}: try again in ${wait} s` : text, typeof code === 'number' ? code : null)
}

/** Reads a resource. The caller says what it is; both APIs are described and tested. */
export async function get<T>(path: string, options?: Options): Promise<T> {
  return (await request('GET', path, options)) as T
}

export async function post<T>(path: string, options?: Options): Promise<T> {
  return (await request('POST', path, options)) as T
}

/** Sends a request whose response is a file. */
export async function postForFile(path: string, json: object): Promise<Blob> {
  const response = await send('POST', path, { json })
  return response.blob().catch(() => {
    throw new RefusedError(0, 'The connection has ended before the file was complete. Try again.', null)
  })
}

export async function put<T>(path: string, options?: Options): Promise<T> {
  return (await request('PUT', path, options)) as T
}

export async function remove(path: string, options?: Options): Promise<void> {
  await request('DELETE', path, options)
}

/** Reads a file as text, by a link that needs nothing else. */
export async function getText(path: string): Promise<string> {
  const response = await fetch(path)
  if (!response.ok) throw new RefusedError(response.status, 'The file cannot be read: reload the page.', null)
  return response.text()
}

/** Reads one page of a list of `/v1`. */
export async function getPage<T>(path: string, options: Options): Promise<V1Page<T>> {
  const body = await get<{ meta: PageMeta } & Record<string, unknown>>(path, options)
  const items = body[body.meta.key] as readonly T[]
  const { next_page_url: next, previous_page_url: previous } = body.meta
  return { items, next: next === null ? null : pathOf(next), previous: previous === null ? null : pathOf(previous) }
}

interface PageMeta {
  readonly key: string
  readonly next_page_url: string | null
  readonly previous_page_url: string | null
}

/** A URL of a response has the public name of the server, perhaps with a path before `/v1`; the console stays where it is. */
export function pathOf(url: string): string {
  const { pathname, search } = new URL(url, location.href)
  return pathname.slice(Math.max(0, pathname.indexOf('/v1/'))) + search
}

/** Returns a path with those parameters that are set. */
export function withQuery(path: string, params: Readonly<Record<string, string | number | undefined>>): string {
  const query = new URLSearchParams()
  for (const [name, value] of Object.entries(params)) if (value !== undefined && value !== '') query.set(name, String(value))
  return query.size === 0 ? path : `${path}?${query}`
}

export const aSid = /^[A-Z]{2}[0-9a-f]{32}$/

export function servicePath(service: string): string {
  return `/v1/Services/${service}`
}

export function conversationPath(service: string, sid: string): string {
  return `${servicePath(service)}/Conversations/${sid}`
}
