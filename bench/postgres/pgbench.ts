import { spawn } from 'node:child_process'
import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { existsSync, readdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { setTimeout as sleep } from 'node:timers/promises'
import { slots } from '../../src/storage/postgres/leases.ts'
import { createdRow, deliveryOf } from '../added-rows.ts'
import { type Owner, type Population, rowOf } from '../population.ts'
import { cpuOf } from '../processes.ts'
import { busyCores, type Sample } from '../rounds.ts'
import { SharedContents } from './contents.ts'
import type { Bench, Template } from './nodes.ts'

export type Script = 'create' | 'fetch'

/** The load generator of PostgreSQL, with bare statements. */
export interface Pgbench {
  burst(script: Script, connections: number, ms: number): Promise<Sample>
  stop(): Promise<void>
}

const system_folder = '/usr/lib/postgresql'

/** Returns the newest pgbench on this machine; null without any. */
export function findPgbench(): string | null {
  const versions = existsSync(system_folder) ? readdirSync(system_folder).sort((a, b) => Number(b) - Number(a)) : []
  const found = versions.map((version) => join(system_folder, version, 'bin', 'pgbench'))
  const path = (process.env.PATH ?? '').split(':').map((folder) => join(folder, 'pgbench'))
  return [...found, ...path].find((program) => existsSync(program)) ?? null
}

export async function startPgbench(program: string, bench: Bench, template: Template): Promise<Pgbench> {
  const { server, folder } = bench
  const url = await server.create(template.url)
  const contents = new SharedContents(url)
  const population = template.population
  // The same rows, except for SIDs, which a script can compute.
  await contents.forget('conversations')
  await contents.fill((insert, owner) =>
    insert('conversations', population.rows, (i) => ({
      ...rowOf(population, i, owner, Date.now()),
      sid: countedSid(population, i),
    })),
  )
  const owner = await contents.owner()
  const { post_webhook_url } = await contents.service(template.services.hang)
  const target = { service_sid: template.services.hang, url: post_webhook_url as string }
  const { scripts, values } = scriptsOf(population, owner, target)
  for (const [name, script] of Object.entries(scripts)) writeFileSync(join(folder, `${name}.sql`), script)
  const definitions = Object.entries(values).flatMap(([name, value]) => ['-D', `${name}=${value}`])

  async function burst(script: Script, connections: number, ms: number): Promise<Sample> {
    const seconds = Math.max(1, Math.round(ms / 1000))
    const file = join(folder, `${script}.sql`)
    const options = ['-n', '-M', 'prepared', '-c', String(connections), '-j', '1', '-T', String(seconds), '-f', file]
    const ended_us = endedCpu_us()
    const child = spawn(program, [...options, ...definitions, url], { stdio: ['ignore', 'pipe', 'pipe'] })
    const output = Promise.all([text(child.stdout), text(child.stderr)])
    const exit = once(child, 'exit')
    // Measured from the time when all are connected, so that connecting does not count.
    while (child.exitCode === null && (await contents.clients('pgbench')) < connections) await sleep(5)
    const busy = busyCores()
    const connecting_us = livingCpu_us(child.pid)
    const before_us = server.cpu_us()
    await exit
    const database_us = server.cpu_us() - before_us
    const client_us = endedCpu_us() - ended_us - connecting_us
    const cores = busy()
    const [out, err] = await output
    const requests = Number(/number of transactions actually processed: (\d+)/.exec(out)?.[1])
    // On a busy machine its connections may take all of the time.
    if (requests === 0) return burst(script, connections, 2000 * seconds)
    if (child.exitCode !== 0 || !(requests > 0)) throw new Error(`pgbench ended with ${child.exitCode}: ${err.split('\n')[0]}`)
    if (script === 'create') await contents.deleteDeliveries()
    return {
      requests_per_s: Number(/tps = ([\d.]+)/.exec(out)?.[1]),
      p50_ms: Number.NaN,
      p99_ms: Number.NaN,
      cpu_us: client_us / requests,
      main_us: Number.NaN,
      database_us: database_us / requests,
      total_us: (client_us + database_us) / requests,
      generator_us: 0,
      generator_busy: client_us / 1e6 / seconds,
      foreign_cores: cores.foreign((database_us || 0) + (client_us || 0)),
    }
  }

  return { burst, stop: () => contents.close() }
}

/** Time-ordered like all SIDs, but computable in SQL. */
function countedSid({ base_ms, step_ms }: Population, i: number): string {
  const time = (base_ms + i * step_ms).toString(16).padStart(12, '0')
  return `CH${time}${createHash('md5').update(String(i)).digest('hex').slice(0, 20)}`
}

/** Constants are passed as variables, because a colon in a script begins the name of a variable. */
function scriptsOf(population: Population, owner: Owner, target: { service_sid: string; url: string }) {
  const sid = 'CH'.padEnd(34, '0')
  const conversation = { ...createdRow(sid, 0, owner, 0), unique_name: 'made below' }
  const delivery = deliveryOf(sid, 0, target, owner.account_sid, slots, 0)
  const [head, tail] = delivery.form.split(sid) as [string, string]
  const values: Record<string, string> = { head, tail, base: String(population.base_ms), step: String(population.step_ms) }
  const now = '(extract(epoch from now()) * 1000)::bigint'
  const time = `lpad(to_hex(${now}), 12, '0')`
  const hex = (name: string) => `lpad(to_hex(:${name}::bigint), 8, '0')`
  const random = `${hex('a')} || ${hex('b')} || left(${hex('c')}, 4)`
  const new_sid = `'CH' || ${time} || ${random}`
  const insert = (table: string, row: object, made_here: Record<string, string>) => {
    const columns = Object.keys(row)
    const places = Object.entries(row).map(([column, value]) => {
      if (column in made_here) return made_here[column]
      if (value === null) return 'null'
      if (typeof value === 'number') return column.startsWith('date_') || column === 'due' ? now : String(value)
      const name = `${table}_${column}`
      values[name] = value
      return `:${name}::text`
    })
    return `insert into ${table} (${columns}) values (${places});`
  }
  const numbers = (...names: string[]) => names.map((name) => `\\set ${name} random(0, 4294967295)`)
  const create = [
    ...numbers('a', 'b', 'c'),
    'begin;',
    insert('conversations', conversation, {
      sid: new_sid,
      unique_name: `${hex('b')} || '-order-' || ${hex('a')}`,
      friendly_name: `'Order ' || ${hex('a')}`,
    }),
    insert('deliveries', delivery, {
      id: `'WD' || ${time} || ${random}`,
      subject_sid: new_sid,
      slot: `:c::bigint % ${slots}`,
      form: `:head::text || ${new_sid} || :tail::text`,
      idempotency_token: 'gen_random_uuid()::text',
    }),
    'commit;',
  ]
  const counted = `'CH' || lpad(to_hex(:base::bigint + :i::bigint * :step::bigint), 12, '0') || left(md5(:i::text), 20)`
  const fetch = [
    `\\set i random(0, ${population.rows - 1})`,
    `select * from conversations where service_sid = :conversations_service_sid::text and sid = ${counted};`,
  ]
  return { scripts: { create: `${create.join('\n')}\n`, fetch: `${fetch.join('\n')}\n` }, values }
}

function endedCpu_us(): number {
  try {
    return cpuOf('self').ended_us
  } catch {
    return Number.NaN
  }
}

function livingCpu_us(pid: number | undefined): number {
  try {
    return cpuOf(pid ?? -1).own_us
  } catch {
    return Number.NaN
  }
}
