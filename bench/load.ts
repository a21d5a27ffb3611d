import { connect, type Socket } from 'node:net'
import { type Ask, requests, statusOf } from './asks.ts'
import { serveParent } from './child.ts'
import { percentile } from './figures.ts'
import { Framer } from './framer.ts'
import type { Population } from './population.ts'

export interface Burst {
  /** Connections are shared out among them. */
  readonly ports: readonly number[]
  readonly connections: number
  readonly ms: number
  readonly ask: Ask
  readonly population: Population
}

export interface Measured {
  readonly requests: number
  readonly ms: number
  readonly p50_ms: number
  readonly p99_ms: number
  /** What the generator itself used meanwhile: near `ms` it would be what is measured. */
  readonly generator_us: number
}

/** Keeps every connection busy with one request after the other until time is up; every answer is waited for and checked. */
async function run({ ports, connections, ms, ask, population }: Burst): Promise<Measured> {
  const nodes = ports.map((port) => ({ port, next: requests(ask, port, population) }))
  const nodeOf = (i: number) => nodes[i % nodes.length] as (typeof nodes)[number]
  const sockets = await Promise.all(Array.from({ length: connections }, (_, i) => open(nodeOf(i).port)))
  const latencies: number[] = []
  const cpu = process.cpuUsage()
  const start_ms = performance.now()
  const end_ms = start_ms + ms
  await Promise.all(sockets.map((socket, i) => keepBusy(socket, nodeOf(i).next, statusOf(ask), end_ms, latencies)))
  const took_ms = performance.now() - start_ms
  const { user, system } = process.cpuUsage(cpu)
  for (const socket of sockets) socket.destroy()
  return {
    requests: latencies.length,
    ms: took_ms,
    p50_ms: percentile(latencies, 0.5),
    p99_ms: percentile(latencies, 0.99),
    generator_us: user + system,
  }
}

function open(port: number): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const socket = connect({ port, host: '127.0.0.1', noDelay: true })
    socket.once('connect', () => resolve(socket))
    socket.once('error', reject)
  })
}

function keepBusy(socket: Socket, next: () => string, status: number, end_ms: number, latencies: number[]): Promise<void> {
  return new Promise((resolve, reject) => {
    let sent_ms = 0
    const send = () => {
      sent_ms = performance.now()
      socket.write(next(), 'latin1')
    }
    const framer = new Framer((answered) => {
      const now_ms = performance.now()
      latencies.push(now_ms - sent_ms)
      if (answered !== status) reject(new Error(`answered ${answered}, not ${status}`))
      else if (now_ms < end_ms) send()
      else resolve()
    })
    socket.on('data', (chunk) => framer.push(chunk))
    socket.on('error', reject)
    socket.on('close', () => reject(new Error('the server closed a connection')))
    send()
  })
}

serveParent({}, (message) => run(message as Burst).catch((error: Error) => ({ error: error.message })))
