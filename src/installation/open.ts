import type { Logger } from 'pino'
import { newAccount } from '../accounts/accounts.ts'
import { type Clock, SystemClock, TestClock } from '../clock.ts'
import type { ParleyCommands } from '../commands.ts'
import { type Config, ConfigError, secretFile } from '../config.ts'
import { openLog } from '../observability/log.ts'
import { randomToken } from '../sids.ts'
import type { Database } from '../storage/database.ts'
import { factByName } from '../storage/facts.ts'
import { openDatabase } from '../storage/open.ts'
import { rowsBy } from '../storage/rows.ts'
import type { Vault } from '../vault.ts'
import { copyUnderWay } from './copy-marker.ts'
import { keptOffset } from './kept-clock.ts'
import { claimMediaFolder, keptSecret, openVault } from './secrets.ts'

const accountBySid = rowsBy('accounts', ['sid'])

/** An installation that is open: its database, its secrets and its clock. */
export interface Installation {
  readonly config: Config
  readonly database: Database<ParleyCommands>
  readonly vault: Vault
  readonly clock: Clock
  readonly admin_token: string
  readonly log: Logger
  readonly closeLog: () => Promise<void>
  /** The first account; its token only until somebody has been told it, see `firstAccountTold`. */
  readonly account: { readonly sid: string; readonly made: { readonly auth_token: string } | null }
}

export interface OpenOptions {
  /** For tests and benchmarks; else one JSON line each to standard output. */
  readonly log?: Logger
  /** 1: a commit for each write, to measure what group commit gains. */
  readonly largest_batch?: number
  /** False: a query for each read, to measure what answering them together gains. */
  readonly coalesce?: boolean
  /** Called when no write will be possible again. Default: ends the process, so that a supervisor starts another. */
  readonly dead?: (error: Error) => void
}

/** Opens the database, makes secrets and the first account where there are none. Throws with a message a person can act on. */
export async function openInstallation(config: Config, options: OpenOptions = {}): Promise<Installation> {
  const { log, close: closeLog } = options.log ? { log: options.log, close: async () => {} } : openLog(config.log_level)
  const database = await openDatabase<ParleyCommands>(config.database, {
    commands: new URL(import.meta.url.endsWith('.ts') ? '../commands.ts' : '../commands.js', import.meta.url),
    failed: (err) => log.error({ err }, 'a read or write failed'),
    dead: options.dead ?? ((err) => endProcess(log, err)),
    ...(options.largest_batch && { largest_batch: options.largest_batch }),
    ...(options.coalesce === false && { coalesce: false }),
  })
  try {
    if (await database.read.one(factByName, { name: copyUnderWay })) {
      throw new ConfigError('a copy into this database is not finished: run the same parley copy again')
    }
    const vault = await openVault(config, database)
    const kept_offset = await keptOffset(database)
    if (kept_offset > 0 && !config.test_clock) {
      throw new ConfigError(
        'the clock of this database was moved ahead for tests: start with PARLEY_TEST_CLOCK=1, or with another database',
      )
    }
    const clock = config.test_clock ? new TestClock(kept_offset) : new SystemClock()
    const admin_token = config.admin_token ?? keptSecret(secretFile(config, 'admin-token'))
    await claimMediaFolder(config, database)
    const account = await firstAccount(config, database, vault, clock)
    return { config, database, vault, clock, admin_token, log, closeLog, account }
  } catch (error) {
    await database.close()
    throw error
  }
}

function endProcess(log: Logger, err: Error): void {
  log.fatal({ err }, 'the thread that writes is gone: this process ends')
  process.exit(1)
}

/** From now on the token of the first account is shown to nobody. */
export async function firstAccountTold({ database }: Installation): Promise<void> {
  await database.write('setFact', { name: 'first_account_told', value: 'yes' })
}

/** Several nodes that start at once make one between them. */
async function firstAccount(
  config: Config,
  database: Database<ParleyCommands>,
  vault: Vault,
  clock: Clock,
): Promise<Installation['account']> {
  const kept = await database.read.one(factByName, { name: 'first_account' })
  const sid = config.account_sid ?? kept?.value
  const account = sid === undefined ? undefined : await database.read.one(accountBySid, { sid })
  if (account) {
    const { auth_token } = config
    if (auth_token !== null && vault.open(account.auth_token) !== auth_token) {
      await database.write('updateAccount', { sid: account.sid, auth_token: vault.seal(auth_token), date_updated: clock.now() })
    }
    // Made by a start that failed before it could say so.
    const told = await database.read.one(factByName, { name: 'first_account_told' })
    return { sid: account.sid, made: told ? null : { auth_token: auth_token ?? vault.open(account.auth_token) } }
  }
  const auth_token = config.auth_token ?? randomToken()
  const made = newAccount({ sid, friendly_name: 'First account', sealed_token: vault.seal(auth_token), now: clock.now() })
  const first = await database.write('createFirstAccount', { ...made, instead_of: kept?.value ?? null })
  return first === made.account.sid ? { sid: first, made: { auth_token } } : firstAccount(config, database, vault, clock)
}
