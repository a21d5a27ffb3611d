import { once } from 'node:events'
import { createServer, type IncomingHttpHeaders, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { text } from 'node:stream/consumers'
import { isSigned } from '../delivery/signature.ts'

/** A webhook request whose signature is right. */
export interface CaughtWebhook {
  readonly method: string
  /** With the query. */
  readonly url: string
  readonly path: string
  readonly headers: IncomingHttpHeaders
  /** The form of a POST, the query of a GET. */
  readonly params: Readonly<Record<string, string>>
}

/** What the catcher answers. */
export interface WebhookReply {
  /** 200 by default. */
  readonly status?: number
  readonly body?: string
  readonly headers?: Readonly<Record<string, string>>
  /** Cuts the connection instead. */
  readonly drop?: boolean
}

/** Parameters that a webhook must have, or a function that says whether it is the one. */
export type WebhookMatch = Readonly<Record<string, string>> | ((webhook: CaughtWebhook) => boolean)

type Replier = (webhook: CaughtWebhook) => WebhookReply | Promise<WebhookReply>

interface Waiter {
  readonly matches: (webhook: CaughtWebhook) => boolean
  readonly resolve: (webhook: CaughtWebhook) => void
  readonly reject: (error: Error) => void
}

const defaultTimeoutMs = 10_000

/** An endpoint that receives the webhooks of an account, and refuses with 403 what is not signed with its auth token. */
export class WebhookCatcher {
  /** To be configured as the URL of webhooks; any path and query below it do as well. */
  readonly url: string
  readonly #server: Server
  readonly #authToken: string
  #caught: CaughtWebhook[] = []
  #taken = new Set<CaughtWebhook>()
  readonly #waiters = new Set<Waiter>()
  #refused = 0
  #reply: Replier = () => ({})

  private constructor(server: Server, authToken: string) {
    const { port } = server.address() as AddressInfo
    this.url = `http://127.0.0.1:${port}/`
    this.#server = server
    this.#authToken = authToken
    server.on('request', (request, response) => {
      this.#receive(request, response).catch(() => response.destroy())
    })
  }

  static async start(authToken: string): Promise<WebhookCatcher> {
    // A test that forgets to stop it must not keep its process alive.
    const server = createServer().listen(0, '127.0.0.1').unref()
    await once(server, 'listening')
    return new WebhookCatcher(server, authToken)
  }

  /** Every webhook since the start or the last `clear`, in the order of arrival. */
  get requests(): readonly CaughtWebhook[] {
    return this.#caught
  }

  /**
   * Resolves with the first webhook that matches and that no earlier call has returned, whether it is here already or still to
   * come. Rejects after `timeout_ms`, 10,000 by default, with a list of what has arrived.
   */
  next(
    match: WebhookMatch = {},
    { timeout_ms = defaultTimeoutMs }: { readonly timeout_ms?: number } = {},
  ): Promise<CaughtWebhook> {
    const matches = typeof match === 'function' ? match : (webhook: CaughtWebhook) => hasParams(webhook, match)
    const found = this.#caught.find((webhook) => !this.#taken.has(webhook) && matches(webhook))
    if (found) {
      this.#taken.add(found)
      return Promise.resolve(found)
    }
    if (!this.#server.listening) return Promise.reject(this.#closed())
    const { promise, resolve, reject } = Promise.withResolvers<CaughtWebhook>()
    const waiter = { matches, resolve, reject }
    this.#waiters.add(waiter)
    const timer = setTimeout(() => reject(new Error(`no such webhook within ${timeout_ms} ms: ${this.#story()}`)), timeout_ms)
    return promise.finally(() => {
      clearTimeout(timer)
      this.#waiters.delete(waiter)
    })
  }

  /** Sets what is answered from now on: always the same, or what a function returns for each webhook. */
  reply(reply: WebhookReply | Replier): void {
    this.#reply = typeof reply === 'function' ? reply : () => reply
  }

  /** Forgets what has arrived, and answers with 200 again. */
  clear(): void {
    this.#caught = []
    this.#taken = new Set()
    this.#refused = 0
    this.#reply = () => ({})
  }

  async close(): Promise<void> {
    for (const { reject } of this.#waiters) reject(this.#closed())
    if (!this.#server.listening) return
    const closed = once(this.#server, 'close')
    this.#server.close()
    this.#server.closeAllConnections()
    await closed
  }

  async #receive(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const url = `http://${request.headers.host}${request.url}`
    const form = Object.fromEntries(new URLSearchParams(request.method === 'POST' ? await text(request) : ''))
    if (!isSigned(this.#authToken, url, form, request.headers['x-twilio-signature'])) {
      this.#refused++
      response.writeHead(403).end('the signature is missing or wrong')
      return
    }
    const { pathname, searchParams } = new URL(url)
    const params = request.method === 'GET' ? Object.fromEntries(searchParams) : form
    const webhook: CaughtWebhook = { method: request.method ?? '', url, path: pathname, headers: request.headers, params }
    this.#add(webhook)
    const { status = 200, body, headers, drop } = await this.#answer(webhook)
    if (drop) response.destroy()
    else response.writeHead(status, headers).end(body)
  }

  #add(webhook: CaughtWebhook): void {
    this.#caught.push(webhook)
    for (const waiter of this.#waiters) {
      if (!waiter.matches(webhook)) continue
      this.#taken.add(webhook)
      this.#waiters.delete(waiter)
      waiter.resolve(webhook)
      return
    }
  }

  /** A reply that throws is a fault of the test: the delivery log shows it as the response. */
  async #answer(webhook: CaughtWebhook): Promise<WebhookReply> {
    try {
      return await this.#reply(webhook)
    } catch (error) {
      return { status: 500, body: `the reply has failed: ${error}` }
    }
  }

  #closed(): Error {
    return new Error(`the webhook catcher was closed: ${this.#story()}`)
  }

  #story(): string {
    const refused = this.#refused > 0 ? `${this.#refused} with a missing or wrong signature were refused; ` : ''
    const lines = this.#caught.map(
      (webhook) => `\n  ${this.#taken.has(webhook) ? '(returned before) ' : ''}${webhook.path} ${JSON.stringify(webhook.params)}`,
    )
    return refused + (lines.length === 0 ? 'none has arrived' : `arrived were${lines.join('')}`)
  }
}

function hasParams({ params }: CaughtWebhook, match: Readonly<Record<string, string>>): boolean {
  return Object.entries(match).every(([name, value]) => params[name] === value)
}
