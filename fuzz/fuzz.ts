import { parseArgs } from 'node:util'
import { formatFigure } from '../reports/figures.ts'
import { heading } from '../reports/report.ts'
import { withDatabase } from './databases.ts'
import { targets } from './operations.ts'
import { type FuzzReport, fuzz } from './run.ts'
import { failureText, rate } from './tally.ts'

const help = `npm run fuzz -- [options]
  --requests N     how many (20000)
  --seed N         the same seed makes the same requests (a new one, which is printed)
  --engine NAME    sqlite, postgres or both (sqlite); a PostgreSQL of its own is started
  --from N         begins with this request of the seed (0)
  --count N        as --requests: --from 1234 --count 1 sends one request again
  --lanes N        requests under way at a time (24)
  --health-ms N    how long /healthz may take while the server is busy (1000)
  --help

Exits with 1 if anything is wrong with an answer, the log or the process.`

const { values } = parseArgs({
  options: {
    requests: { type: 'string', default: '20000' },
    count: { type: 'string' },
    from: { type: 'string', default: '0' },
    seed: { type: 'string', default: String(Math.floor(Math.random() * 2 ** 31)) },
    engine: { type: 'string', default: 'sqlite' },
    lanes: { type: 'string', default: '24' },
    'health-ms': { type: 'string', default: '1000' },
    help: { type: 'boolean', default: false },
  },
})

if (values.help) console.log(help)
else await main()

async function main(): Promise<void> {
  const options = {
    seed: whole('seed'),
    from: whole('from'),
    count: values.count === undefined ? whole('requests') : whole('count'),
    lanes: whole('lanes'),
    health_ms: whole('health-ms'),
    progress: (text: string) => console.error(text),
  }
  const engines = values.engine === 'both' ? ['sqlite', 'postgres'] : [values.engine]
  for (const engine of engines) {
    console.log(heading(`${engine}, seed ${options.seed}`))
    const report = await withDatabase(engine, (database) => fuzz({ ...options, database }))
    print(report, options.seed)
    if (report.tally.failed > 0 || report.faults.length > 0) process.exitCode = 1
  }
}

function whole(name: 'requests' | 'count' | 'from' | 'seed' | 'lanes' | 'health-ms'): number {
  const value = Number(values[name])
  if (!Number.isSafeInteger(value) || value < 0) throw new Error(`--${name} must be a whole number, not ${values[name]}`)
  return value
}

function print({ tally, faults, ms, memory, health, log_lines, webhooks }: FuzzReport, seed: number): void {
  const never = tally.neverSucceeded(targets.map(({ operation }) => operation.operationId))
  console.log(tally.operations())
  console.log(`\n${tally.statuses()}\n`)
  console.log(rate(tally.requests, ms))
  console.log(`${webhooks} webhooks, ${log_lines} lines of the log`)
  console.log(
    `/healthz: p50 ${formatFigure(health.p50_ms)} ms, p99 ${formatFigure(health.p99_ms)} ms, longest hold ${formatFigure(health.longest_hold_ms)} ms`,
  )
  console.log(`memory: ${formatFigure(memory.now_mb)} MB, at most ${formatFigure(memory.highest_mb)} MB`)
  // A short run is not expected to reach everything.
  if (tally.requests >= 5_000 && never.length > 0) console.log(`never succeeded: ${never.join(', ')}`)
  for (const failure of tally.failures) console.log(failureText(failure, seed))
  for (const fault of faults) console.log(`\n- ${fault}`)
  console.log(`\n${tally.failed} requests failed, ${faults.length} other faults`)
}
