import { type Dispatcher, request } from 'undici'
import { median } from '../../reports/figures.ts'
import { atMost, type Goal, heading, table } from '../../reports/report.ts'
import type { Options } from '../options.ts'
import { call, type Parley, startParley } from '../parley.ts'
import { sidOf } from '../population.ts'
import type { Sink } from '../sink.ts'
import { adminToken, authorization } from '../workload.ts'
import { type StallRequest, stallRequests } from './requests.ts'
import { newLandmarks, stallsFilling } from './rows.ts'
import type { Held } from './watch.ts'

const goal_ms = 50
const tries = 5
const spare = 5
const shown_worst = 10

interface Stall extends Held {
  readonly name: string
  readonly status: number
  /** Of an error, its code. */
  readonly code: string
  readonly mb: number
}

/** How long one request, alone, keeps everybody else's waiting: the longest turn of the server's loop while it is answered. */
export async function stallsPart(sink: Sink, options: Options, folder: string): Promise<Goal[]> {
  const nowMs = Date.now()
  const landmarks = newLandmarks(nowMs)
  const filling = (population: Parley['population']) => stallsFilling(landmarks, population, nowMs)
  const parley = await startParley({ path: `${folder}/stalls.db`, rows: options.rows, sink, profile: options.profile, filling })
  const { service_sid } = parley.file.owner()
  const [port] = parley.ports
  let taken = 1
  const requests = stallRequests({
    ...{ landmarks, service: service_sid, services: Object.values(parley.services) },
    credentials: await create(port, '/v1/Credentials', () => 'Type=fcm&Secret=s'),
    addresses: await create(port, '/v1/Configuration/Addresses', (i) => `Type=sms&Address=%2B1556000000${i}`),
    empty: () => sidOf(parley.population, taken++),
  })
  const stalls: Stall[] = []
  for (const each of requests) stalls.push(await stallOf(parley, each))
  await parley.stop()
  const worst = stalls.toSorted((a, b) => b.held_ms - a.held_ms)
  report(worst, options)
  return [atMost(`stalls: longest by one request (${worst[0]?.name}), ms`, goal_ms, worst[0]?.held_ms ?? Number.NaN)]
}

/** Rows of an account, to be read and deleted. */
async function create(port: number, path: string, form: (i: number) => string): Promise<string[]> {
  const sids: string[] = []
  for (let i = 0; i < spare; i++) sids.push((await call<{ sid: string }>(port, path, form(i))).sid)
  return sids
}

async function stallOf(parley: Parley, asked: StallRequest): Promise<Stall> {
  const found: Stall[] = []
  for (let n = 0; n < (asked.once ? 1 : tries); n++) {
    await parley.watch()
    const answer = await answerOf(parley, asked)
    found.push({ ...(await parley.held()), name: asked.name, ...answer })
  }
  // A moment that others took the processor is in one try, what the request itself holds is in all of them.
  const middle = (figure: keyof Held) => median(found.map((stall) => stall[figure]))
  const last = found.at(-1) as Stall
  return { ...last, held_ms: middle('held_ms'), clock_ms: middle('clock_ms') }
}

async function answerOf(
  { ports: [port] }: Parley,
  { method, path, body, type }: StallRequest,
): Promise<Pick<Stall, 'status' | 'mb' | 'code'>> {
  const target = path()
  const answer = await request(`http://127.0.0.1:${port}${target}`, {
    method: method as Dispatcher.HttpMethod,
    headers: { authorization: target.startsWith('/admin') ? `Bearer ${adminToken}` : authorization, 'content-type': type },
    body: body(),
  })
  const bytes = await answer.body.arrayBuffer()
  const code = answer.statusCode < 400 ? '' : (/"code":(\d+)/.exec(Buffer.from(bytes).toString())?.[1] ?? '')
  return { status: answer.statusCode, code, mb: bytes.byteLength / 1_000_000 }
}

function report(worst: readonly Stall[], options: Options): void {
  const refused = worst.filter(({ status }) => status >= 400)
  console.log(heading(`Event-loop stalls by one request, beside ${options.rows.toLocaleString('en-US')} conversations`))
  console.log(
    table(
      ['the worst ten', 'ms held', 'by the clock', 'status', 'MB answered', `goal ${goal_ms} ms`],
      worst
        .slice(0, shown_worst)
        .map(({ name, held_ms, clock_ms, status, mb }) => [
          name,
          held_ms,
          clock_ms,
          String(status),
          mb,
          held_ms <= goal_ms ? 'met' : 'MISSED',
        ]),
    ),
  )
  console.log(
    `\n${worst.length} requests tried, ${worst.filter(({ held_ms }) => held_ms > goal_ms).length} held the loop for longer.`,
  )
  if (refused.length > 0)
    console.log(`Refused: ${refused.map(({ name, status, code }) => `${name} (${status} ${code})`).join('; ')}`)
}
