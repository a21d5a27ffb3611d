import { setTimeout as wait } from 'node:timers/promises'
import { Command, Option } from 'commander'
import { ConfigError } from '../config-error.ts'
import { numberIn, parseUrl } from './import-hosted.ts'
import { asOperator, onServer } from './operator.ts'
import type { Output } from './output.ts'
import type { Call } from './server.ts'
import { configOf, withSettings } from './settings.ts'
import { printable } from './terminal.ts'

interface Options {
  readonly fromTwilio?: true
  readonly url: string
  readonly mediaUrl?: string
  readonly credentials?: string
  readonly rate: number
  readonly concurrency: number
  readonly reads: 'hosted' | 'here' | 'compare'
  readonly every: number
  readonly timeout: number
}

interface Difference {
  resource: string
  sid: string
  conversation?: string
  is: string
  keys: string[]
}

interface ReadDifference {
  operation: string
  sid: string
  is: string
  keys: string[]
}

/** The mirror as the operator's API represents it. */
interface Status {
  account_sid: string
  url: string
  state: string
  open_writes: number
  to_read: number
  failing: { target: string; attempts: number; error: string | null }[]
  lag_ms: number
  date_passed: string | null
  date_switched: string | null
  job: string | null
  job_error: string | null
  reads: { compared: number; skipped: number; different: number; differences: ReadDifference[] } | null
  report: { date: string; rows: number; count: number; differences: Difference[] } | null
}

/** `parley mirror …`: follows a hosted account until the switch. */
export function mirrorCommand(output: Output): Command {
  const mirror = withSettings(
    new Command('mirror').description(
      'start the server in front of a hosted account: writes go there and are stored here, until the switch',
    ),
  )
    .option(
      '--from-twilio',
      'the hosted account (credentials: TWILIO_ACCOUNT_SID, TWILIO_AUTH_TOKEN, or TWILIO_API_KEY, TWILIO_API_SECRET)',
    )
    .option('--url <url>', 'where its API is', parseUrl, 'https://conversations.twilio.com')
    .option('--media-url <url>', 'where its media API is (default: of the region of --url)', parseUrl)
    .option('--credentials <file>', 'file with the credentials, as lines NAME=value, instead of the environment')
    .option('--rate <number>', 'requests a second at most, besides those of programs', numberIn(1, 1000), 50)
    .option('--concurrency <number>', 'of these in flight at most', numberIn(1, 100), 8)
    .addOption(
      new Option('--reads <side>', 'which side answers reads; compare: hosted, and they are made here, too')
        .choices(['hosted', 'here', 'compare'])
        .default('hosted'),
    )
    .option('--every <minutes>', 'go through all lists so often, for what did not come this way', numberIn(1, 10_080), 60)
    .option('--timeout <seconds>', 'how long the hosted side may take to answer', numberIn(1, 600), 60)
    .action(async (_options, command: Command) => {
      const options = command.opts<Options>()
      if (!options.fromTwilio) throw new ConfigError('--from-twilio is needed: what is followed (parley mirror --help)')
      const config = configOf(command)
      const { hostedAccount, mediaUrlOf } = await import('../transfer/hosted/credentials.ts')
      const { serve } = await import('./serve.ts')
      const { url, mediaUrl = mediaUrlOf(url), rate: perSecond, concurrency, reads, every, timeout } = options
      const { auth_token: eventsToken, ...account } = hostedAccount(process.env, options.credentials ?? null)
      const times = { passEveryMs: every * 60_000, timeoutMs: timeout * 1000 }
      await serve(config, output, { mirror: { ...account, eventsToken, url, mediaUrl, perSecond, concurrency, reads, ...times } })
    })
  mirror.addCommand(
    withSettings(new Command('status').description('show how far it is behind, and what differs'))
      .option('--json', 'as JSON')
      .action((_options, command: Command) =>
        onServer(configOf(command), async (call) => {
          const status = await call<Status>('GET', '/mirror')
          if (command.opts<{ json?: true }>().json) console.log(printable(JSON.stringify(status)))
          else print(status)
        }),
      ),
  )
  mirror.addCommand(
    withSettings(new Command('compare').description('compare both sides row by row; the exit code is 1 when they differ')).action(
      (_options, command: Command) =>
        onServer(configOf(command), async (call) => {
          const { report } = await done(call, { job: 'compare' })
          if (report) printReport(report)
          if (report?.count !== 0) process.exitCode = 1
        }),
    ),
  )
  mirror.addCommand(
    withSettings(
      new Command('switch').description('end the following: hold writes, read the rest, compare, start the timers, answer here'),
    )
      .option('--quick', 'while writes are held, read only the conversations that have changed since the comparison before')
      .option('--force', 'even if both sides differ')
      .action((_options, command: Command) =>
        onServer(configOf(command), async (call) => {
          const { quick = false, force = false } = command.opts<{ quick?: true; force?: true }>()
          const status = await done(call, { job: 'switch', quick, force })
          if (status.report) printReport(status.report)
          console.log(`${status.account_sid} is answered here since ${status.date_switched}`)
        }),
      ),
  )
  mirror.addCommand(
    withSettings(
      new Command('forget').description('end the following without a switch: what was stored stays, its timers stand still'),
    ).action((_options, command: Command) =>
      asOperator(configOf(command), async (call) => {
        const { forgotten } = await call<{ forgotten: number }>('DELETE', '/mirror')
        console.log(forgotten === 0 ? 'nothing was followed' : 'no hosted account is followed any more')
      }),
    ),
  )
  return mirror
}

/** How often it is asked for how a job goes, in ms. */
const pollMs = 500

/** Begins a job and waits for its end. Throws ConfigError when it was in vain. */
async function done(call: Call, job: object): Promise<Status> {
  let status = await call<Status>('POST', '/mirror', job)
  while (status.job !== null) {
    await wait(pollMs)
    status = await call<Status>('GET', '/mirror')
  }
  if (status.job_error !== null) throw new ConfigError(status.job_error)
  return status
}

function print({
  account_sid,
  url,
  state,
  open_writes,
  to_read,
  failing,
  lag_ms,
  job,
  job_error,
  report,
  reads,
  date_passed,
}: Status): void {
  console.log(printable(`${account_sid}  ${state}  ${url}${job === null ? '' : `  busy: ${job}`}`))
  console.log(
    `open writes ${open_writes}, to read ${to_read}, behind by ${Math.round(lag_ms / 1000)} s, last pass ${date_passed ?? 'none'}`,
  )
  if (job_error !== null) console.log(printable(`the last job: ${job_error}`))
  for (const { target, attempts, error } of failing) console.log(printable(`not stored: ${target} (${attempts} times): ${error}`))
  if (reads) {
    console.log(`reads compared ${reads.compared}, different ${reads.different}, not compared ${reads.skipped}`)
    for (const { operation, sid, is, keys } of reads.differences) {
      console.log(printable(`${operation} ${sid}: ${is}${keys.length > 0 ? ` (${keys.join(', ')})` : ''}`))
    }
  }
  if (report) printReport(report)
}

function printReport({ date, rows, count, differences }: NonNullable<Status['report']>): void {
  console.log(`compared ${date}: ${rows} rows, ${count} not the same`)
  for (const { resource, sid, conversation, is, keys } of differences) {
    const inside = conversation === undefined ? '' : ` of ${conversation}`
    console.log(printable(`${resource} ${sid}${inside}: ${is}${keys.length > 0 ? ` (${keys.join(', ')})` : ''}`))
  }
}
