import { createReadStream } from 'node:fs'
import { rm } from 'node:fs/promises'
import { setTimeout as wait } from 'node:timers/promises'
import type { Pipeline } from '../api/requests.ts'
import { SystemClock } from '../clock.ts'
import type { Config } from '../config.ts'
import { ConfigError } from '../config-error.ts'
import { mirrorFolder } from '../data-folders.ts'
import type { Installation } from '../installation/open.ts'
import type { MediaStore } from '../media/store.ts'
import { allMirrors } from '../records/mirror-commands.ts'
import type { Database } from '../storage/database.ts'
import { accountBySid } from '../storage/lookups.ts'
import { HostedClient, HostedError } from '../transfer/hosted/client.ts'
import { MediaFetcher } from '../transfer/hosted/media.ts'
import { sidOf } from '../transfer/hosted/record.ts'
import { HostedSender } from './hosted-write.ts'
import { Mirror } from './mirror.ts'
import { MirrorStore } from './store.ts'
import { Turn } from './turn.ts'

/** How a hosted account is followed. */
export interface MirrorSettings {
  /** Where its API is, without `/v1`. */
  readonly url: string
  readonly mediaUrl: string
  readonly username: string
  readonly password: string
  /** Null: it is asked whose the key is. */
  readonly account_sid: string | null
  readonly reads: 'hosted' | 'here' | 'compare'
  /** Of what is read besides the requests of programs. */
  readonly perSecond: number
  readonly concurrency: number
  readonly passEveryMs: number
  /** How long the hosted side may take for one request. */
  readonly timeoutMs: number
  /** The auth token of the hosted account, which signs webhooks; null: none are taken. */
  readonly eventsToken: string | null
}

type Needed = Pick<Installation, 'database' | 'vault' | 'clock' | 'log'> & {
  readonly config: Config
  readonly pipeline: Pipeline
  readonly maxBodyBytes: number
  readonly store: MediaStore
  readonly monotonicMs: () => number
}

/** Opens what follows a hosted account. Throws ConfigError. */
export async function openMirror(settings: MirrorSettings, needed: Needed): Promise<Mirror> {
  const { url, username, password, perSecond, concurrency } = settings
  // The pace is one of the real time, whatever clock a test has.
  const pace = { clock: new SystemClock(), wait: (ms: number) => wait(ms), random: Math.random }
  const client = new HostedClient({ url, username, password, perSecond, concurrency, ...pace })
  const sender = new HostedSender(settings)
  try {
    return await mirrorOf(settings, needed, client, sender)
  } catch (error) {
    await Promise.all([client.close(), sender.close()])
    throw error
  }
}

async function mirrorOf(settings: MirrorSettings, needed: Needed, client: HostedClient, sender: HostedSender): Promise<Mirror> {
  const { database } = needed
  const account_sid = settings.account_sid ?? (await accountOf(client))
  if (!(await database.read.one(accountBySid, { sid: account_sid }))) {
    throw new ConfigError(
      `there is no account ${account_sid} here: parley accounts create --sid, then parley import --from-twilio`,
    )
  }
  const turn = await Turn.take({ ...needed, account_sid })
  try {
    return await inTurn(turn, account_sid, settings, needed, client, sender)
  } catch (error) {
    await turn?.stop()
    throw error
  }
}

async function inTurn(
  turn: Turn | null,
  account_sid: string,
  settings: MirrorSettings,
  needed: Needed,
  client: HostedClient,
  sender: HostedSender,
): Promise<Mirror> {
  const { database, vault, clock, log, config, pipeline, maxBodyBytes } = needed
  // What is fetched is put to the other files, wherever these are.
  const folder = mirrorFolder(config)
  // What a process has fetched and not put there, whose message may be gone since.
  if (folder !== null) await rm(folder, { recursive: true, force: true })
  const keep = (file: string) => needed.store.add(createReadStream(file), Number.POSITIVE_INFINITY, async () => {})
  return Mirror.open({
    ...settings,
    account_sid,
    database,
    clock,
    log,
    pipeline,
    client,
    maxBodyBytes,
    sender,
    store: new MirrorStore({ database, vault, clock, account_sid, turn: turn?.held ?? null }),
    media: folder === null ? null : { fetcher: new MediaFetcher(client, settings.mediaUrl, folder), folder, keep },
    publicUrl: config.publicUrl,
    atOnce: settings.concurrency,
    turn,
  })
}

/** Returns the SID of the account that a key belongs to. Throws ConfigError. */
async function accountOf(client: HostedClient): Promise<string> {
  try {
    return sidOf(await client.get('/v1/Configuration'), 'account_sid')
  } catch (error) {
    if (!(error instanceof HostedError)) throw error
    throw new ConfigError(`whose the key is could not be found out (${error.message}): set TWILIO_ACCOUNT_SID, too`, {
      cause: error,
    })
  }
}

/** Throws ConfigError when an account follows a hosted one, and nobody is there to follow: what is written here would be lost there. */
export async function refuseFollowing({ read }: Pick<Database, 'read'>): Promise<void> {
  const following = (await read.all(allMirrors, {})).find(({ state }) => state !== 'switched')
  if (!following) return
  throw new ConfigError(
    `the account ${following.account_sid} follows a hosted one: start with parley mirror --from-twilio, or end that with parley mirror forget`,
  )
}

/** Ends the following of all accounts; returns how many there were. Throws ConfigError when another process follows one. */
export async function forgetMirrors(options: Pick<Installation, 'database' | 'clock' | 'log'>): Promise<number> {
  const { database } = options
  const following = (await database.read.all(allMirrors, {})).filter(({ state }) => state !== 'switched')
  const turns: (Turn | null)[] = []
  try {
    for (const { account_sid } of following) {
      turns.push(await Turn.take({ ...options, account_sid, monotonicMs: () => performance.now() }))
    }
    return await database.write('forgetMirrors', null)
  } finally {
    await Promise.all(turns.map((turn) => turn?.stop()))
  }
}
