import { randomBytes } from 'node:crypto'
import { statSync } from 'node:fs'
import { setTimeout as pause } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import { type Child, memoryOf, startChild } from '../fuzz/child.ts'
import { type DatabaseSettings, withDatabase } from '../fuzz/databases.ts'
import { Probe, waitPercentile } from '../fuzz/probe.ts'
import { formatFigure, percentile } from '../reports/figures.ts'
import { heading, table } from '../reports/report.ts'
import { maxCacheBytes } from '../src/storage/sqlite/connection.ts'
import { openEndpoints } from './endpoints.ts'
import { Load } from './load.ts'
import { growthOf, type Minute, warmReadings } from './minutes.ts'

const help = `npm run soak -- [options]
  --hours N        how long, fractions too (2)
  --engine NAME    sqlite or postgres (sqlite); a PostgreSQL of its own is started
  --rate N         pieces of work per second (half of what a first burst reaches)
  --help

Mixed load: conversations with timers, messages, files, services that are deleted, webhooks that fail, hang or redirect, clients
that hang up. Exits with 1 if the server's memory grows by more than 5 % once it has warmed up, if anything is answered with
5xx, or if the log has an error.`

const max_growth = 0.05
/** Of a run of two hours; of a shorter one, the first third. */
const warm_up_s = 600
const workers = 32
const max_shown_errors = 10

const { values } = parseArgs({
  options: {
    hours: { type: 'string', default: '2' },
    engine: { type: 'string', default: 'sqlite' },
    rate: { type: 'string' },
    help: { type: 'boolean', default: false },
  },
})

if (values.help) console.log(help)
else {
  const faults = await withDatabase(values.engine, soak)
  for (const fault of faults) console.log(`- ${fault}`)
  console.log(faults.length === 0 ? 'Nothing was wrong.' : `${faults.length} faults`)
  process.exitCode = faults.length === 0 ? 0 : 1
}

async function soak(database: DatabaseSettings): Promise<string[]> {
  const seconds = Number(values.hours) * 3600
  if (!(seconds > 0)) throw new Error(`--hours must be a number above 0, not ${values.hours}`)
  const [sid, auth_token] = [`AC${randomBytes(16).toString('hex')}`, randomBytes(16).toString('hex')]
  await using endpoints = await openEndpoints()
  const child = await startChild({ PARLEY_ACCOUNT_SID: sid, PARLEY_AUTH_TOKEN: auth_token, ...database }, [auth_token])
  const load = new Load({ port: child.port, sid, auth_token }, endpoints)
  try {
    const rate = values.rate === undefined ? (await fullSpeed(load, Math.min(20, seconds / 10))) / 2 : Number(values.rate)
    console.log(heading(`${values.engine}, ${values.hours} hours, ${formatFigure(rate)} pieces of work per second`))
    const { minutes, errors, probe_fault } = await run(load, child, rate, seconds, databaseSize(database))
    console.log(`${endpoints.received()} webhooks, ${child.log.lines} lines of the log`)
    return [...verdict(minutes, Math.min(warm_up_s, seconds / 3), errors), ...(probe_fault === null ? [] : [probe_fault])].concat(
      child.ended() ?? [],
      child.log.faults,
    )
  } finally {
    await load.close()
    await child[Symbol.asyncDispose]()
  }
}

/** Pieces of work per second when everybody is always busy, over the second half of a burst. */
async function fullSpeed(load: Load, seconds: number): Promise<number> {
  let done = 0
  const startMs = performance.now()
  const [half_ms, end_ms] = [startMs + seconds * 500, startMs + seconds * 1000]
  const work = async () => {
    while (performance.now() < end_ms) {
      await load.piece()
      if (performance.now() > half_ms) done++
    }
  }
  await Promise.all(Array.from({ length: workers }, work))
  load.take()
  load.fetches_ms.length = 0
  return done / (seconds / 2)
}

async function run(load: Load, child: Child, rate: number, seconds: number, database_bytes: () => number) {
  const minutes: Minute[] = []
  const errors: string[] = []
  const probe = new Probe(child)
  const startMs = performance.now()
  const end_ms = startMs + seconds * 1000
  // A short run has its readings more often.
  const every_ms = Math.min(60_000, (seconds * 1000) / 12)
  const pacing = pace(load, rate, () => performance.now() < end_ms && child.ended() === null)
  console.log('     s  requests  errors  RSS MB  /healthz p50  p99 ms  fetch p50  p99 ms')
  for (let next_ms = startMs + every_ms; next_ms <= end_ms + 1 && child.ended() === null; next_ms += every_ms) {
    await pause(Math.max(0, next_ms - performance.now()))
    const done = load.take()
    errors.push(...done.errors)
    const s = (performance.now() - startMs) / 1000
    minutes.push(
      reading(load, child, probe, { s, requests: done.requests, errors: done.errors.length, database_bytes: database_bytes() }),
    )
  }
  await pacing
  await probe.stop()
  return { minutes, errors, probe_fault: probe.fault }
}

function reading(
  load: Load,
  child: Child,
  probe: Probe,
  counted: Pick<Minute, 's' | 'requests' | 'errors' | 'database_bytes'>,
): Minute {
  const { s, requests, errors } = counted
  const [waits, fetches_ms] = [probe.take(), load.fetches_ms.splice(0)]
  const minute: Minute = {
    ...counted,
    rss_mb: memoryOf(child.pid).now_mb,
    ...{ health_p50_ms: waitPercentile(waits, 0.5), health_p99_ms: waitPercentile(waits, 0.99) },
    ...{ fetch_p50_ms: percentile(fetches_ms, 0.5), fetch_p99_ms: percentile(fetches_ms, 0.99) },
  }
  const { rss_mb, health_p50_ms, health_p99_ms, fetch_p50_ms, fetch_p99_ms } = minute
  const cells = [
    s.toFixed(0),
    String(requests),
    String(errors),
    formatFigure(rss_mb),
    formatFigure(health_p50_ms),
    formatFigure(health_p99_ms),
  ]
  const widths = [6, 10, 8, 8, 14, 8, 11, 8]
  console.log(
    [...cells, formatFigure(fetch_p50_ms), formatFigure(fetch_p99_ms)].map((cell, i) => cell.padStart(widths[i] ?? 8)).join(''),
  )
  return minute
}

function databaseSize({ PARLEY_DATABASE_URL: url = '' }: DatabaseSettings): () => number {
  return () => (url.startsWith('sqlite:') ? statSync(url.slice('sqlite:'.length)).size : Number.POSITIVE_INFINITY)
}

/** Starts work at an even rate, whatever the answers take; what cannot be started because everybody is busy is left out. */
async function pace(load: Load, rate: number, goesOn: () => boolean): Promise<void> {
  const tick_ms = 10
  const max_busy = 4 * workers
  let busy = 0
  let owed = 0
  let lastMs = performance.now()
  while (goesOn()) {
    await pause(tick_ms)
    const nowMs = performance.now()
    owed = Math.min(rate, owed + ((nowMs - lastMs) / 1000) * rate)
    lastMs = nowMs
    for (; owed >= 1 && busy < max_busy; owed--) {
      busy++
      load.piece().finally(() => busy--)
    }
  }
  while (busy > 0) await pause(tick_ms)
}

function verdict(minutes: readonly Minute[], warm_s: number, errors: readonly string[]): string[] {
  const growth = growthOf(warmReadings(minutes, warm_s, 2 * maxCacheBytes))
  const worst = (figure: keyof Minute) => Math.max(...minutes.map((minute) => minute[figure]))
  console.log(heading('All of it'))
  console.log(
    table(
      ['figure', 'goal', 'measured'],
      [
        ['growth of memory after the warm-up, %', `≤ ${max_growth * 100}`, growth * 100],
        ['answers of 5xx and lost ones', '0', errors.length],
        ['/healthz, worst p99 of a period, ms', '', worst('health_p99_ms')],
        ['fetch, worst p99 of a period, ms', '', worst('fetch_p99_ms')],
      ],
    ),
  )
  return [
    ...(growth > max_growth ? [`memory has grown by ${formatFigure(growth * 100)} %`] : []),
    ...errors.slice(0, max_shown_errors),
    ...(errors.length > max_shown_errors ? [`${errors.length - max_shown_errors} more such`] : []),
  ]
}
