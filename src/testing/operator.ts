/** Where a server listens, and its operator token: plain data, which a test runner can hand to its workers. */
export interface Connection {
  readonly url: string
  readonly adminToken: string
}

/** As it was when this module was loaded: what a test puts in its place is for the code under test. */
const { fetch } = globalThis

interface Request {
  readonly method: 'GET' | 'POST' | 'PUT' | 'DELETE'
  readonly path: string
  readonly authorization: string
  readonly content_type?: string
  readonly body?: string
}

/** Requests to a server. They throw an error with the server's own sentence when it refuses. */
export class Operator {
  readonly connection: Connection

  constructor(connection: Connection) {
    this.connection = connection
  }

  /** A request to `/admin/v1`. `T`: the type of the response, which the caller knows from the path. */
  admin<T>(method: Request['method'], path: string, body?: object): Promise<T> {
    return this.#send<T>({
      method,
      path: `/admin/v1${path}`,
      authorization: `Bearer ${this.connection.adminToken}`,
      ...(body && { content_type: 'application/json', body: JSON.stringify(body) }),
    })
  }

  /** A request to `/v1` as an account. */
  async api<T>(account: { readonly sid: string; readonly authToken: string }, path: string, form?: URLSearchParams): Promise<T> {
    return this.#send<T>({
      method: form ? 'POST' : 'GET',
      path: `/v1${path}`,
      authorization: `Basic ${Buffer.from(`${account.sid}:${account.authToken}`).toString('base64')}`,
      ...(form && { content_type: 'application/x-www-form-urlencoded', body: form.toString() }),
    })
  }

  async #send<T>({ method, path, authorization, content_type, body }: Request): Promise<T> {
    const response = await fetch(this.connection.url + path, {
      method,
      headers: { authorization, ...(content_type && { 'content-type': content_type }) },
      ...(body !== undefined && { body }),
    })
    const text = await response.text()
    if (!response.ok) throw new Error(`Parley refuses ${method} ${path} with ${response.status}: ${sentenceIn(text)}`)
    return JSON.parse(text === '' ? 'null' : text)
  }
}

function sentenceIn(text: string): string {
  try {
    const { error, message } = JSON.parse(text)
    return error ?? message ?? text
  } catch {
    return text
  }
}
