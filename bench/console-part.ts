import { setTimeout as sleep } from 'node:timers/promises'
import { request } from 'undici'
import { formatFigure, median, percentile } from '../reports/figures.ts'
import { atMost, type Goal, heading, table } from '../reports/report.ts'
import { hasBrowser, launchBrowser } from '../test/support/browser.ts'
import { freshConsole } from '../test/support/console.ts'
import { oldWord, words } from './console-population.ts'
import type { Options } from './options.ts'
import type { Server } from './parley.ts'
import { sidOf } from './population.ts'
import { customerOf } from './workload.ts'

/** No read of the console may take longer, whatever is stored. */
const goalMs = 50

/** Opens a page of the operator's API, or of `/v1` in the name of an account. */
interface Read {
  readonly what: string
  readonly path: string
}

/** Measures what the console reads, one request at a time, on a large database. */
export async function consolePart(parley: Server, token: string, options: Options): Promise<Goal[]> {
  const owner = await parley.file.owner()
  const take = (path: string) => timed(parley.ports[0], token, owner.account_sid, path)
  while (!(await take('/admin/v1/search?q=x')).text.includes('"complete":true')) await sleep(1000)
  const rows: { what: string; best: number; p50: number; p95: number; cpu: number }[] = []
  for (const { what, path } of await readsOf(parley, owner, take)) {
    await take(path)
    const taken: number[] = []
    const before = await parley.usage()
    for (let n = 0; n < 30 * options.scale; n++) taken.push((await take(path)).ms)
    const after = await parley.usage()
    const database_us = after.database_us - before.database_us
    const cpu = (after.all_us - before.all_us + (database_us || 0)) / 1000 / taken.length
    rows.push({ what, best: Math.min(...taken), p50: percentile(taken, 0.5), p95: percentile(taken, 0.95), cpu })
    if (options.scale === 1) console.error(`console: ${what}, ${formatFigure(cpu)} ms CPU`)
  }
  const conversations = parley.population.rows.toLocaleString('en-US')
  console.log(heading(`Console, among ${conversations} conversations`))
  console.log(
    table(
      ['read', 'best ms', 'p50 ms', 'p95 ms', 'CPU ms'],
      rows.map(({ what, best, p50, p95, cpu }) => [what, best, p50, p95, cpu]),
    ),
  )
  // Of a machine that does other work, the time that a read takes at best says more than its median.
  const slowest = Math.max(...rows.map(({ best }) => best))
  console.log(`\nThe slowest takes ${formatFigure(slowest)} ms.`)
  if (hasBrowser) await firstPaint(parley.ports[0], token, owner.service_sid)
  return [{ ...atMost('console: any read, ms', goalMs, slowest), by_cpu: Math.max(...rows.map(({ cpu }) => cpu)) }]
}

type Take = (path: string) => Promise<{ readonly ms: number; readonly text: string }>

async function readsOf(parley: Server, owner: { account_sid: string; service_sid: string }, take: Take): Promise<Read[]> {
  const { population } = parley
  const { account_sid, service_sid } = owner
  const list = `/admin/v1/conversations?service_sid=${service_sid}`
  const middle = sidOf(population, Math.floor(population.rows / 10) * 5)
  const long = sidOf(population, population.rows - 1)
  const within = `/v1/Services/${service_sid}/Conversations`
  const dayBefore = new Date(Date.now() - 86_400_000).toISOString()
  const found = JSON.parse((await take(`/admin/v1/search?q=${words.rare}&type=message`)).text) as { hits: { sid: string }[] }
  const deliveries = `/admin/v1/deliveries`
  const search = '/admin/v1/search?limit=6&q='
  const place = `/admin/v1/services/${service_sid}/conversations/${long}/messages/${found.hits[0]?.sid}`
  const { page_url } = JSON.parse((await take(place)).text) as { page_url: string }
  return Object.entries({
    'the server': '/admin/v1/server',
    accounts: '/admin/v1/accounts',
    'conversations, first page': list,
    'of a state': `${list}&state=inactive`,
    'of a state that none has': `${list}&state=closed`,
    'with a common part of a name': `${list}&name=customer`,
    'with a name of nobody': `${list}&name=nobody`,
    'until yesterday': `${list}&to=${dayBefore}`,
    'of an identity': `${list}&identity=${customerOf(7)}`,
    'of nobody': `${list}&identity=nobody`,
    'with a common word in a message': `${list}&text=${words.common}`,
    'with an old word in a message': `${list}&text=${oldWord}`,
    'where a conversation is': `/admin/v1/sids/${middle}`,
    'a conversation': `${within}/${middle}`,
    'its people': `${within}/${middle}/Participants?PageSize=200`,
    'the latest messages of a long one': `${within}/${long}/Messages?Order=desc&PageSize=50`,
    'where a message is': place,
    'the page with a message': page_url,
    'its deliveries': `${deliveries}?service_sid=${service_sid}&conversation_sid=${middle}`,
    'search, a common word': `${search}${words.common}`,
    'search, a common word of one kind': `${search}${words.common}&type=message`,
    'search, an old word': `${search}${oldWord}`,
    'search, an old and a rare word': `${search}${oldWord}+${words.rare}`,
    'search, a rare word': `${search}${words.rare}`,
    'search, a common beginning': `${search}custom`,
    'search, a name': `${search}${customerOf(77)}`,
    'search, nobody': `${search}${words.none}`,
    'search, within an account': `${search}${words.common}&account_sid=${account_sid}`,
    deliveries,
    'deliveries that failed': `${deliveries}?status=failed`,
    'deliveries of a service and an event': `${deliveries}?service_sid=${service_sid}&event_type=onMessageAdded`,
    'deliveries of a service, an event of nobody': `${deliveries}?service_sid=${service_sid}&event_type=onUserAdded`,
    'deliveries with a text of nobody': `${deliveries}?text=nobody`,
    targets: `/admin/v1/targets?account_sid=${account_sid}`,
    'timers due next': '/admin/v1/timers?limit=100',
    'what somebody has on the phone': `/admin/v1/threads?service_sid=${service_sid}&address=%2B15551234567`,
    nodes: '/admin/v1/nodes',
    storage: '/admin/v1/storage',
    'users of a service': `/v1/Services/${service_sid}/Users?PageSize=50`,
    channels: `/admin/v1/accounts/${account_sid}/channels`,
  }).map(([what, path]) => ({ what, path }))
}

async function timed(port: number, token: string, account_sid: string, path: string): Promise<{ ms: number; text: string }> {
  const startMs = performance.now()
  const { statusCode, body } = await request(`http://127.0.0.1:${port}${path}`, {
    headers: { authorization: `Bearer ${token}`, ...(path.startsWith('/v1') && { 'x-parley-account': account_sid }) },
  })
  const text = await body.text()
  if (statusCode !== 200) throw new Error(`${path}: ${statusCode} ${text}`)
  return { ms: performance.now() - startMs, text }
}

/** From the address to the first conversations that are shown, in Chromium, with nothing in its cache. */
async function firstPaint(port: number, token: string, service_sid: string): Promise<void> {
  await freshConsole()
  const browser = await launchBrowser()
  const [paints, lists]: [number[], number[]] = [[], []]
  for (let n = 0; n < 5; n++) {
    const context = await browser.newContext()
    const url = `http://127.0.0.1:${port}`
    await context.request.post(`${url}/admin/v1/session`, { data: { token }, headers: { origin: url } })
    const page = await context.newPage()
    await page.goto(`${url}/console/services/${service_sid}/conversations`)
    await page.locator('.rows > li').first().waitFor()
    const { paint, list } = await page.evaluate<{ paint: number; list: number }>(
      `({ paint: performance.getEntriesByName('first-contentful-paint')[0]?.startTime ?? NaN, list: performance.now() })`,
    )
    paints.push(paint)
    lists.push(list)
    await context.close()
  }
  await browser.close()
  console.log(
    `\nFirst paint after ${formatFigure(median(paints))} ms, the first conversations after ${formatFigure(median(lists))} ms (Chromium, medians of 5).`,
  )
}
