import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import type { SettingTexts } from '../../src/config.ts'
import { Child } from '../child.ts'
import type { Filling } from '../contents.ts'
import { createWebhookServices, type Server as ParleyServer, plain } from '../parley.ts'
import { newPopulation, type Population } from '../population.ts'
import type { Sink } from '../sink.ts'
import { SharedContents } from './contents.ts'
import { nameOf, type Server } from './server.ts'

/** One or several nodes on one database. */
export interface Nodes extends ParleyServer {
  readonly url: string
  readonly file: SharedContents
}

/** A filled database to copy. */
export interface Template {
  readonly url: string
  readonly population: Population
  readonly services: ParleyServer['services']
}

export const adminToken = 'b'.repeat(64)

export interface Bench {
  readonly server: Server
  readonly folder: string
  readonly profile: string | null
}

export interface NodesOptions {
  /** For the file names of CPU profiles. */
  readonly name: string
  readonly nodes: number
  readonly largestBatch?: number
  readonly coalesce?: boolean
}

/** Returns the settings that all nodes of an installation share. A copy of a database belongs to the same `installation`. */
export function settingsOf(url: string, folder: string, installation: string): SettingTexts {
  const dataDir = join(folder, installation)
  mkdirSync(dataDir, { recursive: true })
  return {
    PARLEY_DATABASE_URL: url,
    PARLEY_DATA_DIR: dataDir,
    PARLEY_SECRET_KEY: 'b'.repeat(64),
    PARLEY_ADMIN_TOKEN: adminToken,
  }
}

/** A first start creates schema and account, the API creates services, and rows are inserted into the tables. */
export async function makeTemplate(
  { server, folder }: Bench,
  { rows, sink, filling = plain }: { rows: number; sink: Sink; filling?: (population: Population) => Filling },
): Promise<Template> {
  const url = await server.create()
  const population = newPopulation(rows, Date.now())
  const node = await spawn({ settings: settingsOf(url, folder, nameOf(url)) })
  const services = await createWebhookServices(node.ready.port, sink)
  await node.stop()
  const contents = new SharedContents(url)
  await contents.fill(filling(population))
  await contents.close()
  return { url, population, services }
}

/** Starts nodes on a copy of a filled database; resolves when the leases of deliveries are distributed. */
export async function startNodes(bench: Bench, template: Template, options: NodesOptions): Promise<Nodes> {
  const url = await bench.server.create(template.url)
  const { nodes: count, name, ...input } = options
  const nodes: Child<{ port: number }>[] = []
  for (let n = 1; n <= count; n++) {
    const flags = bench.profile === null ? [] : profiling(bench.profile, `${name}-${n}`)
    nodes.push(await spawn({ settings: settingsOf(url, bench.folder, nameOf(template.url)), ...input }, flags))
  }
  const file = new SharedContents(url)
  while ((await file.owners()) < count) await sleep(100)
  const [first, ...others] = nodes.map(({ ready }) => ready.port) as [number, ...number[]]
  return {
    url,
    ports: [first, ...others],
    file,
    population: template.population,
    services: template.services,
    async usage() {
      const usages = await Promise.all(nodes.map((node) => node.usage()))
      const sum = (figure: 'all_us' | 'main_us') => usages.reduce((all, usage) => all + usage[figure], 0)
      return { all_us: sum('all_us'), main_us: sum('main_us'), database_us: bench.server.cpu_us() }
    },
    drained: async (service_sid) => {
      while (await file.hasPendingDeliveries(service_sid)) await sleep(10)
    },
    async stop() {
      await file.close()
      // `stop` writes profiles, and waits for the endpoint that never responds.
      await Promise.all(nodes.map((node) => (bench.profile === null ? node.kill() : node.stop())))
    },
    async kill() {
      await file.close()
      await Promise.all(nodes.map((node) => node.kill()))
    },
  }
}

function spawn(input: object, flags: readonly string[] = []): Promise<Child<{ port: number }>> {
  return Child.start(new URL('../contestants/parley.ts', import.meta.url), input, flags)
}

function profiling(folder: string, name: string): string[] {
  return ['--cpu-prof', `--cpu-prof-dir=${folder}`, `--cpu-prof-name=${name}.cpuprofile`]
}
