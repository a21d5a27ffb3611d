import { once } from 'node:events'
import { createServer, type IncomingHttpHeaders, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { text } from 'node:stream/consumers'
import twilio from 'twilio'

/** One webhook request as it arrived. */
export interface Caught {
  readonly method: string
  /** Without the query. */
  readonly path: string
  /** As the sender had it, which is what the signature covers. */
  readonly url: string
  readonly headers: IncomingHttpHeaders
  /** Of the form for POST, of the query for GET; the last one where a name is repeated. */
  readonly params: Record<string, string>
  /** Whether the official package accepts the signature; always false for a catcher without a token. */
  readonly signed: boolean
}

export interface Reply {
  readonly status?: number
  readonly body?: string
  readonly headers?: Record<string, string>
  /** The answer waits for this, which lets a test act while the sender waits. */
  readonly delayUntil?: Promise<unknown>
  /** Cuts the connection instead of answering. */
  readonly hangUp?: boolean
}

export interface WebhookCatcher {
  url(path?: string): string
  /** Everything that arrived, in order, consumed or not. */
  readonly requests: Caught[]
  /** The first matching request that no earlier call took, be it here already or yet to come. */
  next(match?: Match): Promise<Caught>
  reply(fn: Answer): void
  close(): Promise<void>
  [Symbol.asyncDispose](): Promise<void>
}

type Match = (caught: Caught) => boolean
type Answer = (caught: Caught) => Reply | Promise<Reply>

interface Waiter {
  readonly match: Match
  readonly resolve: (caught: Caught) => void
  readonly reject: (error: unknown) => void
}

/** A bound against hangs. */
const patienceMs = 60_000

/** A real listener, so that tests see what a customer's server would see. */
export async function catchWebhooks(options: { authToken?: string } = {}): Promise<WebhookCatcher> {
  const inbox = openInbox()
  let answer: Answer = () => ({})
  const server = createServer((request, response) => {
    receive(request, options.authToken)
      .then((caught) => {
        inbox.add(caught)
        return send(response, () => answer(caught))
      })
      .catch(() => response.destroy())
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo

  async function close(): Promise<void> {
    inbox.close()
    if (!server.listening) return
    const closed = once(server, 'close')
    server.close()
    server.closeAllConnections()
    await closed
  }

  return {
    url: (path = '/') => `http://127.0.0.1:${port}${path.startsWith('/') ? path : `/${path}`}`,
    requests: inbox.requests,
    next: inbox.next,
    reply: (fn) => {
      answer = fn
    },
    close,
    [Symbol.asyncDispose]: close,
  }
}

async function receive(request: IncomingMessage, authToken: string | undefined): Promise<Caught> {
  const method = request.method ?? ''
  const url = `http://${request.headers.host}${request.url}`
  const { pathname, searchParams } = new URL(url)
  const body = await text(request)
  const isForm = request.headers['content-type']?.startsWith('application/x-www-form-urlencoded')
  const form = new URLSearchParams(isForm ? body : '')
  return {
    method,
    path: pathname,
    url,
    headers: request.headers,
    params: Object.fromEntries(method === 'GET' ? searchParams : form),
    signed: authToken !== undefined && isSigned(authToken, request, url, form),
  }
}

/** The query is signed as part of the url, only the form counts as parameters. */
function isSigned(authToken: string, request: IncomingMessage, url: string, form: URLSearchParams): boolean {
  const signature = request.headers['x-twilio-signature']
  if (typeof signature !== 'string') return false
  const params = Object.fromEntries([...form.keys()].map((name) => [name, form.getAll(name)]))
  return twilio.validateRequest(authToken, signature, url, params)
}

async function send(response: ServerResponse, answer: () => Reply | Promise<Reply>): Promise<void> {
  const reply = await replyFrom(answer)
  await reply.delayUntil
  if (reply.hangUp) response.destroy()
  else if (!response.destroyed) response.writeHead(reply.status ?? 200, reply.headers).end(reply.body)
}

/** A reply that throws is a fault of the test, so it is told in the answer instead of looking like a dead connection. */
async function replyFrom(answer: () => Reply | Promise<Reply>): Promise<Reply> {
  try {
    return await answer()
  } catch (error) {
    return { status: 500, body: `reply failed: ${error}` }
  }
}

function openInbox() {
  const requests: Caught[] = []
  const consumed = new Set<Caught>()
  const waiters = new Set<Waiter>()

  function add(caught: Caught): void {
    requests.push(caught)
    for (const waiter of waiters) if (offer(waiter, caught)) break
  }

  function next(match: Match = () => true): Promise<Caught> {
    const { promise, resolve, reject } = Promise.withResolvers<Caught>()
    const waiter: Waiter = { match, resolve, reject }
    const timer = setTimeout(() => reject(new Error(`no such webhook within ${patienceMs / 1000} s; ${story()}`)), patienceMs)
    const settled = promise.finally(() => {
      clearTimeout(timer)
      waiters.delete(waiter)
    })
    // A test that fails before it awaits this must report its own fault, not an unhandled rejection.
    settled.catch(() => {})
    waiters.add(waiter)
    requests.some((caught) => !consumed.has(caught) && offer(waiter, caught))
    return settled
  }

  /** True once the waiter is done. It leaves the set at once, or it would swallow the next request as well. */
  function offer(waiter: Waiter, caught: Caught): boolean {
    try {
      if (!waiter.match(caught)) return false
      consumed.add(caught)
      waiter.resolve(caught)
    } catch (error) {
      waiter.reject(error)
    }
    waiters.delete(waiter)
    return true
  }

  function story(): string {
    if (requests.length === 0) return 'nothing arrived'
    const lines = requests.map((caught) => `  - ${caught.method} ${caught.path} ${JSON.stringify(caught.params)}${taken(caught)}`)
    return `arrived:\n${lines.join('\n')}\n`
  }

  function taken(caught: Caught): string {
    return consumed.has(caught) ? ' (taken by an earlier next)' : ''
  }

  function close(): void {
    for (const waiter of waiters) waiter.reject(new Error(`the webhook catcher was closed; ${story()}`))
  }

  return { requests, add, next, close }
}
