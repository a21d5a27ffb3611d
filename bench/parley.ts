import { request } from 'undici'
import { authorization } from './asks.ts'
import { Child, type Usage } from './child.ts'
import type { Contents, Filling } from './contents.ts'
import { DatabaseFile } from './database-file.ts'
import { type Population, population, rowOf } from './population.ts'
import type { Sink } from './sink.ts'

/** Parley, one node or several, on a database of its own, filled, with a service for each kind of webhook endpoint. */
export interface Server {
  readonly ports: readonly [number, ...number[]]
  readonly file: Contents
  readonly population: Population
  /** Sids of the services whose events go to the sink's ports. */
  readonly services: Readonly<Record<keyof Sink, string>>
  usage(): Promise<Usage>
  /** Resolves when everything due to this service's endpoint has been sent. */
  drained(service_sid: string): Promise<void>
  stop(): Promise<void>
  kill(): Promise<void>
}

/** A server whose database is a file. */
export interface Parley extends Server {
  readonly path: string
  readonly file: DatabaseFile
}

export interface ParleyOptions {
  readonly path: string
  readonly rows: number
  readonly sink: Sink
  readonly largest_batch?: number
  readonly profile: string | null
  /** What to fill it with; else the population, as its rows are. */
  readonly filling?: (made: Population) => Filling
}

export async function startParley(options: ParleyOptions): Promise<Parley> {
  const { path } = options
  const made = population(options.rows, Date.now())
  const services = await prepare(options, made)
  const server = await spawn(options, options.profile === null ? [] : ['--cpu-prof', `--cpu-prof-dir=${options.profile}`])
  const file = new DatabaseFile(path)
  const { port } = server.ready
  return {
    ports: [port],
    path,
    file,
    population: made,
    services,
    usage: () => server.usage(),
    drained: async (service_sid) => {
      while (file.hasPendingDeliveries(service_sid)) await new Promise((resolve) => setTimeout(resolve, 10))
    },
    stop: async () => {
      file.close()
      await server.stop()
    },
    kill: async () => {
      file.close()
      await server.kill()
    },
  }
}

function spawn({ path, largest_batch }: ParleyOptions, flags: readonly string[] = []): Promise<Child<{ port: number }>> {
  const module = new URL('./contestants/parley.ts', import.meta.url)
  return Child.start(
    module,
    { settings: { PARLEY_DATABASE_URL: `sqlite:${path}` }, ...(largest_batch && { largest_batch }) },
    flags,
  )
}

/** A first start makes the schema and the account; services come through the API, rows straight into the closed file. */
async function prepare(options: ParleyOptions, made: Population): Promise<Parley['services']> {
  const server = await spawn(options)
  const { port } = server.ready
  const services = await hookedAll(port, options.sink)
  await server.stop()
  const file = new DatabaseFile(options.path)
  file.fill(options.filling?.(made) ?? plain(made))
  file.close()
  return services
}

/** A service for each of the sink's ports. */
export async function hookedAll(port: number, { sink, hang, down }: Sink): Promise<Server['services']> {
  return { sink: await hooked(port, sink), hang: await hooked(port, hang), down: await hooked(port, down) }
}

/** The conversations of the population and nothing else. */
export function plain(made: Population): Filling {
  const now_ms = Date.now()
  return (insert, owner) => insert('conversations', made.rows, (i) => rowOf(made, i, owner, now_ms))
}

/** Makes a service that tells an endpoint of everything; answers its sid. */
export async function hooked(port: number, endpoint_port: number): Promise<string> {
  const { sid } = await call<{ sid: string }>(port, '/v1/Services', 'FriendlyName=Hooked')
  await hook(port, sid, endpoint_port, ['onConversationAdded', 'onConversationUpdated', 'onConversationStateUpdated'])
  return sid
}

/** Lets an endpoint know of some events of a service. */
export async function hook(port: number, sid: string, endpoint_port: number, filters: readonly string[]): Promise<void> {
  const form = new URLSearchParams()
  for (const filter of filters) form.append('Filters', filter)
  form.append('PostWebhookUrl', `http://127.0.0.1:${endpoint_port}/hook`)
  await call(port, `/v1/Services/${sid}/Configuration/Webhooks`, form.toString())
}

/** One API request, outside of what is timed. With a form it is a POST, webhooks told. Throws unless it succeeds. */
export async function call<R>(port: number, path: string, form?: string): Promise<R> {
  const answer = await request(`http://127.0.0.1:${port}${path}`, {
    method: form === undefined ? 'GET' : 'POST',
    headers: {
      authorization,
      'x-twilio-webhook-enabled': 'true',
      ...(form !== undefined && { 'content-type': 'application/x-www-form-urlencoded' }),
    },
    body: form ?? null,
  })
  const text = await answer.body.text()
  if (answer.statusCode >= 300) throw new Error(`${path}: ${answer.statusCode} ${text}`)
  return JSON.parse(text) as R
}
