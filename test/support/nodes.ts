import { randomBytes } from 'node:crypto'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { request } from 'undici'
import { newDatabase } from './databases.ts'
import type { Postgres } from './postgres.ts'
import { type Ended, type Serving, serve } from './process.ts'
import { startProxy, type TcpProxy } from './tcp-proxy.ts'

export const account_sid = `AC${'e'.repeat(32)}`
export const auth_token = 'aTokenOfTheNodes'
export const adminToken = 'operator-token-of-the-nodes'

export interface NodeAnswer {
  /** 0: the connection broke before there was an answer. */
  readonly status: number
  // Tests look into bodies of every kind.
  // biome-ignore lint/suspicious/noExplicitAny: see above
  readonly body: any
  readonly ms: number
}

export type Form = Readonly<Record<string, string>> | readonly (readonly [string, string])[]

/** One server process of several on one database, which it reaches by a network of its own. */
export interface Node {
  readonly name: string
  /** Where it listens since its last start. */
  readonly url: string
  readonly network: TcpProxy
  /** False from the moment on at which it was told to end. */
  readonly alive: boolean
  /** A request as the account, who wants webhooks told. Never throws for what the server does. */
  call(method: string, path: string, form?: Form): Promise<NodeAnswer>
  /** The same below `/admin/v1`, as the operator. */
  admin(method: string, path: string, body?: object): Promise<NodeAnswer>
  kill9(): Promise<void>
  stop(): Promise<Ended>
  restart(): Promise<void>
}

export interface Nodes extends AsyncDisposable {
  readonly all: readonly Node[]
  /** Of their database, not by way of their networks. */
  readonly database: string
  /** What each is started with, but for its database. */
  readonly env: Readonly<Record<string, string>>
}

export interface NodesOptions {
  /** A server of PostgreSQL for these nodes alone, where the test ends it. */
  readonly postgres?: Postgres
  readonly env?: Readonly<Record<string, string>>
}

/** Real processes on one fresh database, with the same secrets and one folder, as on machines that share a disk. */
export async function startNodes(count: number, { postgres, env = {} }: NodesOptions = {}): Promise<Nodes> {
  const place = postgres ? await placeOn(postgres) : await anyPlace()
  const common = {
    PARLEY_DATA_DIR: place.folder,
    PARLEY_SECRET_KEY: randomBytes(32).toString('hex'),
    PARLEY_ADMIN_TOKEN: adminToken,
    PARLEY_ACCOUNT_SID: account_sid,
    PARLEY_AUTH_TOKEN: auth_token,
    PARLEY_TEST_CLOCK: '1',
    PARLEY_LOG_LEVEL: 'silent',
    PARLEY_MAX_CONCURRENT_REQUESTS: '0',
    ...env,
  }
  const started = await Promise.allSettled(
    Array.from({ length: count }, (_, i) => startNode(String.fromCharCode(65 + i), place.database, common)),
  )
  const running = started.flatMap((one) => (one.status === 'fulfilled' ? [one.value] : []))
  const dispose = async () => {
    await Promise.all(running.map((one) => one.dispose()))
    await place.dispose()
  }
  const failed = started.find((one) => one.status === 'rejected')
  if (failed) {
    await dispose()
    throw failed.reason
  }
  return { all: running.map(({ node }) => node), database: place.database, env: common, [Symbol.asyncDispose]: dispose }
}

interface Place {
  readonly database: string
  readonly folder: string
  dispose(): Promise<void>
}

async function anyPlace(): Promise<Place> {
  const { env, dispose } = await newDatabase()
  return { database: env.PARLEY_DATABASE_URL, folder: env.PARLEY_DATA_DIR, dispose }
}

/** Goes with its server. */
async function placeOn(postgres: Postgres): Promise<Place> {
  const folder = mkdtempSync(join(tmpdir(), 'parley-test-'))
  return {
    database: await postgres.createDatabase(),
    folder,
    dispose: async () => rmSync(folder, { recursive: true, force: true }),
  }
}

async function startNode(name: string, database: string, common: Readonly<Record<string, string>>) {
  const network = await startProxy(database)
  const env = { ...common, PARLEY_DATABASE_URL: network.url }
  let serving: Serving
  let alive = true
  const end = async (signal: NodeJS.Signals) => {
    alive = false
    return serving.end(signal)
  }
  try {
    serving = await serve({ env })
  } catch (error) {
    await network[Symbol.asyncDispose]()
    throw error
  }
  const basic = `Basic ${btoa(`${account_sid}:${auth_token}`)}`
  const node: Node = {
    name,
    network,
    get url() {
      return serving.url
    },
    get alive() {
      return alive
    },
    call: (method, path, form) =>
      ask(`${serving.url}${path}`, method, {
        headers: {
          authorization: basic,
          'x-twilio-webhook-enabled': 'true',
          ...(form && { 'content-type': 'application/x-www-form-urlencoded' }),
        },
        body: form && new URLSearchParams(form as Record<string, string>).toString(),
      }),
    admin: (method, path, body) =>
      ask(`${serving.url}/admin/v1${path}`, method, {
        headers: { authorization: `Bearer ${adminToken}`, ...(body && { 'content-type': 'application/json' }) },
        body: body && JSON.stringify(body),
      }),
    kill9: async () => void (await end('SIGKILL')),
    stop: () => end('SIGTERM'),
    async restart() {
      serving = await serve({ env })
      alive = true
    },
  }
  const dispose = async () => {
    await end('SIGKILL')
    await network[Symbol.asyncDispose]()
  }
  return { node, dispose }
}

/** Far above what any request may take: a test sees how long it took, and does not hang. */
const longest_ms = 60_000

interface Sent {
  readonly headers: Record<string, string>
  readonly body: string | undefined
}

async function ask(url: string, method: string, { headers, body }: Sent): Promise<NodeAnswer> {
  const from = performance.now()
  const taken = () => Math.round(performance.now() - from)
  try {
    const signal = AbortSignal.timeout(longest_ms)
    const answer = await request(url, { method: method as 'GET', headers, body: body ?? null, signal })
    const text = await answer.body.text()
    return { status: answer.statusCode, body: text === '' ? '' : JSON.parse(text), ms: taken() }
  } catch (error) {
    if ((error as Error).name === 'TimeoutError') throw new Error(`${method} ${url}: no answer in ${longest_ms} ms`)
    return { status: 0, body: String(error), ms: taken() }
  }
}
