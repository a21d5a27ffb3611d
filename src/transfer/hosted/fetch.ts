import { join } from 'node:path'
import type { Clock } from '../../clock.ts'
import { ConfigError } from '../../config-error.ts'
import { makeFolder } from '../../folders.ts'
import { Checkpoint } from './checkpoint.ts'
import { HostedClient, HostedError, type Json } from './client.ts'
import { MediaFetcher } from './media.ts'
import { chosenServices, type PassOptions, readPass, type Survey, survey } from './pass.ts'
import type { ReadOptions } from './reader.ts'
import { sidOf } from './record.ts'
import { amountOf, type Report, reportOf } from './report.ts'
import { recordsFile, Spool } from './spool.ts'

/** What `fetchHosted` is asked to do. */
export interface FetchOptions {
  /** Where the API is, without `/v1`. */
  readonly url: string
  /** Where the media API is, without `/v1`. */
  readonly mediaUrl: string
  readonly username: string
  readonly password: string
  /** Where the records, the files and the checkpoint are written. */
  readonly folder: string
  readonly perSecond: number
  readonly concurrency: number
  /** A further pass, which fetches what has changed since the last one. */
  readonly since: boolean
  /** Count what there is, and stop. */
  readonly dryRun: boolean
  readonly services: readonly string[] | null
  readonly read: ReadOptions
  readonly clock: Clock
  readonly wait: (ms: number) => Promise<void>
  readonly random: () => number
  readonly observer: Observer
}

/** Is told how it goes. */
export interface Observer {
  /** So many rows were counted. */
  counting(rows: number): void
  /** The reading begins. `done`: conversations that an interrupted run has read. */
  began(survey: Survey, done: number): void
  /** `conversations`: so many are done by now, of those that were counted. */
  went(conversations: number, requests: number): void
  ended(): void
}

/**
 * Reads a hosted account into files of records, for `parley import`. Run again after an interruption, it goes on; with `since` it
 * begins another pass. Throws ConfigError for what the operator can mend, HostedError where the account cannot be read at all.
 */
export async function fetchHosted(options: FetchOptions): Promise<Report> {
  const { url, username, folder, observer } = options
  makeFolder(folder)
  const checkpoint = new Checkpoint(join(folder, 'checkpoint.sqlite'), { url, username })
  const client = new HostedClient(options)
  try {
    beginPass(checkpoint, options)
    const account = await client.get('/v1/Configuration')
    const media = new MediaFetcher(client, options.mediaUrl, folder)
    const reading = { client, media, checkpoint, options: options.read, account_sid: sidOf(account, 'account_sid') }
    const pass: PassOptions = { reading, atOnce: options.concurrency, services: options.services }
    const services = await chosenServices(pass)
    const counted = await survey(pass, services, (rows) => observer.counting(rows))
    if (!options.dryRun) {
      observer.began(counted, conversationsDone(checkpoint))
      await spoolPass(pass, services, options)
    }
    return reportOf(checkpoint, client.traffic, counted)
  } catch (error) {
    if (error instanceof HostedError)
      throw new ConfigError(`${new URL(url).host} cannot be read: ${error.message}`, { cause: error })
    throw error
  } finally {
    observer.ended()
    await client.close()
    checkpoint.close()
  }
}

/** Goes on with a pass that was interrupted, or begins one. Throws ConfigError. */
function beginPass(checkpoint: Checkpoint, { folder, since, clock }: FetchOptions): void {
  if (checkpoint.pass > 0 && !checkpoint.isFinished) return
  if (checkpoint.pass > 0 && !since) {
    const file = join(folder, recordsFile(checkpoint.pass))
    throw new ConfigError(`this pass is finished: --from ${file} stores it, --since fetches what has changed since then`)
  }
  if (checkpoint.pass === 0 && since) throw new ConfigError(`${folder} has no first pass: run it without --since`)
  checkpoint.begin(clock.now())
}

async function spoolPass(pass: PassOptions, services: readonly Json[], { folder, clock, observer }: FetchOptions): Promise<void> {
  const { checkpoint, client } = pass.reading
  const spool = await Spool.open(folder, checkpoint, clock)
  try {
    for await (const batch of readPass(pass, services)) {
      await spool.append(batch)
      observer.went(conversationsDone(checkpoint), client.traffic.requests)
    }
    await spool.end()
  } finally {
    await spool.close()
  }
}

function conversationsDone(checkpoint: Checkpoint): number {
  return amountOf(checkpoint.counts(), 'conversation')
}
