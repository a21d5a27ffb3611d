import { connect, type Socket } from 'node:net'
import { percentile } from '../reports/figures.ts'
import { serveParent } from './child.ts'
import { Framer } from './framer.ts'
import type { Population } from './population.ts'
import { requests, statusOf, type Workload } from './workload.ts'

export interface Burst {
  /** The connections are distributed over them. */
  readonly ports: readonly number[]
  readonly connections: number
  readonly ms: number
  readonly workload: Workload
  readonly population: Population
  /** The generator looks for responses without sleeping. */
  readonly polls: boolean
}

export interface Measured {
  readonly requests: number
  readonly ms: number
  readonly p50_ms: number
  readonly p99_ms: number
  /** CPU time of the generator without that of looking for responses in vain: near `ms`, the generator would be the bottleneck. */
  readonly generator_us: number
  /** CPU time that it looked for responses in vain. */
  readonly polling_us: number
}

/** Sends one request after the other on every connection until the time is up. Checks every response. */
async function run({ ports, connections, ms, workload, population, polls }: Burst): Promise<Measured> {
  const nodes = ports.map((port) => ({ port, next: requests(workload, port, population) }))
  const nodeOf = (i: number) => nodes[i % nodes.length] as (typeof nodes)[number]
  const sockets = await Promise.all(Array.from({ length: connections }, (_, i) => open(nodeOf(i).port)))
  const latencies: number[] = []
  const cpu = process.cpuUsage()
  const startMs = performance.now()
  const end_ms = startMs + ms
  const stopPolling = polls ? poll(() => latencies.length) : () => 0
  await Promise.all(sockets.map((socket, i) => keepBusy(socket, nodeOf(i).next, statusOf(workload), end_ms, latencies)))
  const took_ms = performance.now() - startMs
  const polling_us = stopPolling()
  const { user, system } = process.cpuUsage(cpu)
  for (const socket of sockets) socket.destroy()
  return {
    requests: latencies.length,
    ms: took_ms,
    p50_ms: percentile(latencies, 0.5),
    p99_ms: percentile(latencies, 0.99),
    generator_us: user + system - polling_us,
    polling_us,
  }
}

/**
 * Keeps the loop turning, so that it never sleeps until a response comes: to wake a process that sleeps costs the server that writes to it
 * up to 15 µs on a virtual machine, and more the seldomer it writes, so that whoever is slow would be measured slower than it is. Returns a
 * function that stops it, and returns the time of the turns in which nothing had come, in µs.
 */
function poll(received: () => number): () => number {
  let stopped = false
  let before = received()
  let sinceMs = performance.now()
  let inVainMs = 0
  const turn = () => {
    if (stopped) return
    const nowMs = performance.now()
    const now = received()
    if (now === before) inVainMs += nowMs - sinceMs
    before = now
    sinceMs = nowMs
    setImmediate(turn)
  }
  setImmediate(turn)
  return () => {
    stopped = true
    return inVainMs * 1000
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
      const nowMs = performance.now()
      latencies.push(nowMs - sent_ms)
      if (answered !== status) reject(new Error(`the response was ${answered}, not ${status}`))
      else if (nowMs < end_ms) send()
      else resolve()
    })
    socket.on('data', (chunk) => framer.push(chunk))
    socket.on('error', reject)
    socket.on('close', () => reject(new Error('the server closed a connection')))
    send()
  })
}

serveParent({}, (message) => run(message as Burst).catch((error: Error) => ({ error: error.message })))
