import { writeFile } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { setTimeout as wait } from 'node:timers/promises'
import { type Command, InvalidArgumentError, Option } from 'commander'
import { SystemClock } from '../clock.ts'
import { ConfigError } from '../config-error.ts'
import { codeOf, isDiskFull } from '../errors.ts'
import { isConfidential } from '../urls.ts'
import { terminalProgress } from './copy.ts'
import { printable } from './terminal.ts'

/** What the options of `withHostedOptions` say. */
export interface HostedOptions {
  readonly url: string
  readonly mediaUrl?: string
  readonly credentials?: string
  readonly folder: string
  readonly fetchOnly?: true
  readonly rate: number
  readonly concurrency: number
  readonly pageSize?: number
  readonly since?: true
  readonly dryRun?: true
  readonly service?: readonly string[]
  readonly receipts: 'all' | 'open' | 'none'
  readonly files: boolean
  readonly bindings?: true
  readonly memberships: boolean
  readonly recheck: number
}

/** Adds the options with which `parley import` reads a hosted account. */
export function withHostedOptions(command: Command): Command {
  return command
    .option(
      '--from-twilio',
      'read a hosted account first (credentials: TWILIO_ACCOUNT_SID, TWILIO_AUTH_TOKEN, or TWILIO_API_KEY, TWILIO_API_SECRET)',
    )
    .option('--url <url>', 'with --from-twilio: where its API is', parseUrl, 'https://conversations.twilio.com')
    .option('--media-url <url>', 'where its media API is (default: of the region of --url)', parseUrl)
    .option('--credentials <file>', 'file with the credentials, as lines NAME=value, instead of the environment')
    .option('--folder <folder>', 'where records, files and the position are kept', 'parley-import')
    .option('--fetch-only', 'leave it at the folder: --from stores it later')
    .option('--rate <number>', 'requests a second at most', numberIn(1, 1000), 50)
    .option('--concurrency <number>', 'requests in flight at most', numberIn(1, 100), 8)
    .option(
      '--page-size <number>',
      'rows of a page (default: the most that the vendor documents for each list)',
      numberIn(1, 1000),
    )
    .option('--since', 'another pass: fetch what has changed since the last one')
    .option('--dry-run', 'count what there is, and stop; with --from, say what would become of each record and store nothing')
    .option('--service <sid...>', 'only these services')
    .addOption(receipts())
    .option('--no-files', 'leave media files out')
    .option('--bindings', 'read the devices of users, too')
    .option('--no-memberships', 'leave out muted conversations and who made them: saves a request for each user')
    .option(
      '--recheck <number>',
      'with --since, read so many earlier messages of open conversations again; or all',
      parseRecheck,
      100,
    )
}

function receipts(): Option {
  const description = 'receipts of all messages, of those in conversations that are not closed, or none'
  return new Option('--receipts <which>', description).choices(['all', 'open', 'none']).default('all')
}

/** What was read of a hosted account. */
interface FetchedRecords {
  /** The file of records; null after a dry run. */
  readonly file: string | null
  /** SIDs of the services that this pass or an earlier one has read. */
  readonly services: readonly string[]
}

/** Reads a hosted account into the folder, and prints what it came to. What could not be read makes the exit code 1. Throws ConfigError. */
export async function fetchRecords(options: HostedOptions): Promise<FetchedRecords> {
  const { hostedCredentials, mediaUrlOf } = await import('../transfer/hosted/credentials.ts')
  const { fetchHosted } = await import('../transfer/hosted/fetch.ts')
  const { ReadingProgress } = await import('../transfer/hosted/progress.ts')
  const { recordsFile } = await import('../transfer/hosted/spool.ts')
  const { linesOf } = await import('../transfer/hosted/report.ts')
  const clock = new SystemClock()
  const { progress, isBar } = await terminalProgress('Stopped. The same command goes on from here.')
  const { url, rate: perSecond, concurrency, pageSize = null, files, memberships, recheck } = options
  const folder = resolve(options.folder)
  const report = await fetchHosted({
    ...hostedCredentials(process.env, options.credentials ?? null),
    url,
    mediaUrl: options.mediaUrl ?? mediaUrlOf(url),
    folder,
    perSecond,
    concurrency,
    since: options.since ?? false,
    dryRun: options.dryRun ?? false,
    services: options.service ?? null,
    read: { pageSize, receipts: options.receipts, media: files, bindings: options.bindings ?? false, memberships, recheck },
    clock,
    wait: (ms) => wait(ms),
    random: Math.random,
    observer: new ReadingProgress(progress, isBar, clock),
  }).catch((error: unknown) => {
    if (!isOfDisk(error)) throw error
    if (isDiskFull(error)) {
      const sentence = `the disk of ${folder} is full: make room, and run the same command again, which goes on from here`
      throw new ConfigError(sentence, { cause: error })
    }
    throw new ConfigError(`${folder} cannot be read or written (${codeOf(error)})`, { cause: error })
  })
  if (options.dryRun) {
    const { conversations, open, users, requests } = report.survey
    console.log(`${conversations} conversations (${open} not closed), ${users} users: at least ${requests} requests`)
    return { file: null, services: [] }
  }
  await writeFile(join(folder, `report-${report.pass}.json`), `${JSON.stringify(report, null, 2)}\n`, { mode: 0o600 })
  for (const line of linesOf(report)) console.log(printable(line))
  if (!report.isComplete) process.exitCode = 1
  return { file: join(folder, recordsFile(report.pass)), services: report.services }
}

/** Whether an error is one of files, such as a full disk. */
export function isOfDisk(error: unknown): boolean {
  return /^(?:E[A-Z0-9]+|SQLITE_\w+)$/.test(codeOf(error) ?? '')
}

/** Throws InvalidArgumentError. */
export function parseUrl(text: string): string {
  const url = URL.canParse(text) ? new URL(text) : null
  if (!url || !['http:', 'https:'].includes(url.protocol)) throw new InvalidArgumentError('It is not an http(s) URL.')
  if (url.username !== '' || url.password !== '') throw new InvalidArgumentError('Credentials do not belong in it.')
  if (!isConfidential(url)) throw new InvalidArgumentError('It has to be https: the credentials are sent there.')
  if (url.pathname !== '/' || url.search !== '') throw new InvalidArgumentError('It has to end behind the host: no /v1.')
  return url.origin
}

export function numberIn(least: number, most: number): (text: string) => number {
  return (text) => {
    const value = Number(text)
    if (!/^\d{1,9}$/.test(text) || value < least || value > most) {
      throw new InvalidArgumentError(`It has to be a number from ${least} to ${most}.`)
    }
    return value
  }
}

function parseRecheck(text: string): number {
  return text === 'all' ? Number.POSITIVE_INFINITY : numberIn(0, 999_999_999)(text)
}
