import { request } from 'undici'
import type { SettingTexts } from '../src/config.ts'
import { Child, type Usage } from './child.ts'
import type { Contents, Filling } from './contents.ts'
import { DatabaseFile } from './database-file.ts'
import { newPopulation, type Population, rowOf } from './population.ts'
import type { Sink } from './sink.ts'
import type { Held } from './stalls/watch.ts'
import { authorization } from './workload.ts'

/** One or several nodes of Parley on a filled database, with a service for each kind of webhook endpoint. */
export interface Server {
  readonly ports: readonly [number, ...number[]]
  readonly file: Contents
  readonly population: Population
  /** SIDs of the services that send events to the ports of the sink. */
  readonly services: Readonly<Record<keyof Sink, string>>
  usage(): Promise<Usage>
  /** Resolves when no deliveries of this service are pending. */
  drained(service_sid: string): Promise<void>
  stop(): Promise<void>
  kill(): Promise<void>
}

/** A server with a SQLite database. */
export interface Parley extends Server {
  readonly path: string
  readonly file: DatabaseFile
  /** Looks at the turns of the server's loop from now on, until `held` tells of the longest. */
  watch(): Promise<unknown>
  held(): Promise<Held>
  /** Resident memory; with the flag `--expose-gc`, without garbage. */
  memory(): Promise<{ readonly bytes: number }>
}

export interface ParleyOptions {
  readonly path: string
  readonly rows: number
  readonly sink: Sink
  readonly largestBatch?: number
  readonly profile: string | null
  /** Besides those that all have. */
  readonly settings?: SettingTexts
  /** Of Node. */
  readonly flags?: readonly string[]
  /** By default the population. */
  readonly filling?: (population: Population) => Filling
}

export async function startParley(options: ParleyOptions): Promise<Parley> {
  const { path } = options
  const population = newPopulation(options.rows, Date.now())
  const services = await prepare(options, population)
  const profiling = options.profile === null ? [] : ['--cpu-prof', `--cpu-prof-dir=${options.profile}`]
  const server = await spawn(options, [...profiling, ...(options.flags ?? [])])
  const file = new DatabaseFile(path)
  const { port } = server.ready
  return {
    ports: [port],
    path,
    file,
    population,
    services,
    usage: () => server.usage(),
    watch: () => server.request({ watch: true }),
    held: () => server.request<Held>({ held: true }),
    memory: () => server.request<{ bytes: number }>({ memory: true }),
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

function spawn({ path, largestBatch, settings }: ParleyOptions, flags: readonly string[] = []): Promise<Child<{ port: number }>> {
  const module = new URL('./contestants/parley.ts', import.meta.url)
  return Child.start(
    module,
    // Rows are put there past the server, and adding them to the index of the search would run into what is measured.
    {
      settings: { PARLEY_DATABASE_URL: `sqlite:${path}`, PARLEY_SEARCH: 'off', ...settings },
      ...(largestBatch && { largestBatch }),
    },
    flags,
  )
}

/** A first start creates schema and account, the API creates services, and rows are inserted into the closed file. */
async function prepare(options: ParleyOptions, population: Population): Promise<Parley['services']> {
  const server = await spawn(options)
  const { port } = server.ready
  const services = await createWebhookServices(port, options.sink)
  await server.stop()
  const file = new DatabaseFile(options.path)
  file.fill(options.filling?.(population) ?? plain(population))
  file.close()
  return services
}

/** Creates a service for each port of the sink. */
export async function createWebhookServices(port: number, { sink, hang, down }: Sink): Promise<Server['services']> {
  return {
    sink: await createWebhookService(port, sink),
    hang: await createWebhookService(port, hang),
    down: await createWebhookService(port, down),
  }
}

/** Returns the filling of a database with only the conversations of the population. */
export function plain(population: Population): Filling {
  const nowMs = Date.now()
  return (insert, owner) => insert('conversations', population.rows, (i) => rowOf(population, i, owner, nowMs))
}

/** Creates a service that sends all events to an endpoint. Returns its SID. */
export async function createWebhookService(port: number, endpoint_port: number): Promise<string> {
  const { sid } = await call<{ sid: string }>(port, '/v1/Services', 'FriendlyName=Hooked')
  await configureWebhook(port, sid, endpoint_port, ['onConversationAdded', 'onConversationUpdated', 'onConversationStateUpdated'])
  return sid
}

/** Configures a service to send these events to an endpoint. */
export async function configureWebhook(
  port: number,
  sid: string,
  endpoint_port: number,
  filters: readonly string[],
): Promise<void> {
  const form = new URLSearchParams()
  for (const filter of filters) form.append('Filters', filter)
  form.append('PostWebhookUrl', `http://127.0.0.1:${endpoint_port}/hook`)
  await call(port, `/v1/Services/${sid}/Configuration/Webhooks`, form.toString())
}

/** Sends a request that is not measured; with a form, a POST with webhooks enabled. Throws unless it succeeds. */
export async function call<R>(port: number, path: string, form?: string): Promise<R> {
  const response = await request(`http://127.0.0.1:${port}${path}`, {
    method: form === undefined ? 'GET' : 'POST',
    headers: {
      authorization,
      'x-twilio-webhook-enabled': 'true',
      ...(form !== undefined && { 'content-type': 'application/x-www-form-urlencoded' }),
    },
    body: form ?? null,
  })
  const text = await response.body.text()
  if (response.statusCode >= 300) throw new Error(`${path}: ${response.statusCode} ${text}`)
  return JSON.parse(text) as R
}
