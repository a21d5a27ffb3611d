import type { Logger } from 'pino'
import { newAccount } from '../accounts/accounts.ts'
import { openSigner, type Signer } from '../audit/checkpoints.ts'
import { AuditLog } from '../audit/log.ts'
import { type Clock, SystemClock, TestClock } from '../clock.ts'
import type { ParleyCommands } from '../commands.ts'
import type { Config } from '../config.ts'
import { secretFile } from '../data-folders.ts'
import { openLog } from '../observability/log.ts'
import type { PlantRequest } from '../seed/commands.ts'
import { randomToken } from '../sids.ts'
import type { Database } from '../storage/database.ts'
import { factByName, firstAccountFact } from '../storage/facts.ts'
import { accountBySid } from '../storage/lookups.ts'
import { openDatabase } from '../storage/open.ts'
import type { Vault } from '../vault.ts'
import { commandModule } from './command-module.ts'
import { checkBeforeOpening } from './preflight.ts'
import { claimMediaFolder, loadOrCreateSecret, openVault } from './secrets.ts'
import { firstAccountOf, seedOf, sow } from './seed.ts'
import { storedClock } from './test-clock.ts'
import { claimTestMode, openPlan } from './test-mode.ts'

/** The name is stored in databases. */
const shownFact = 'first_account_told'

/** An open installation: its database, its secrets and its clock. */
export interface Installation {
  readonly config: Config
  readonly database: Database<ParleyCommands>
  /** What operators do. */
  readonly audit: AuditLog<ParleyCommands>
  /** Signs where the chain of the log stands. */
  readonly signer: () => Promise<Signer>
  readonly vault: Vault
  readonly clock: Clock
  readonly adminToken: string
  readonly log: Logger
  readonly closeLog: () => Promise<void>
  readonly account: FirstAccount
  /** What a reset goes back to; null unless in test mode. */
  readonly plan: PlantRequest | null
}

export interface FirstAccount {
  readonly sid: string
  /** Its auth token until it has been shown, see `markFirstAccountShown`; then null. */
  readonly unshownToken: string | null
  /** Where the operator has given the auth token; null: it was generated, as far as this start knows. */
  readonly tokenGivenBy: 'PARLEY_AUTH_TOKEN' | 'the seed' | null
}

export interface OpenOptions {
  /** By default JSON lines on standard output. */
  readonly log?: Logger
  /** 1: one commit for each write, so that a benchmark can measure what group commit gains. */
  readonly largestBatch?: number
  /** False: one query for each read, so that a benchmark can measure what combining them gains. */
  readonly coalesce?: boolean
  /** Called when no write will be possible again. Default: ends the process, so that a supervisor starts another. */
  readonly dead?: (error: Error) => void
  /** As the file of PARLEY_SEED has it; takes its place. */
  readonly seed?: unknown
}

/**
 * Opens the database; generates the secrets and the first account where they are missing. What prevents that is found out before
 * anything is written. Throws ConfigError.
 */
export async function openInstallation(config: Config, options: OpenOptions = {}): Promise<Installation> {
  const seed = await seedOf(config, options.seed)
  await checkBeforeOpening(config, seed)
  const { log, close: closeLog } = options.log ? { log: options.log, close: async () => {} } : openLog(config.logLevel)
  const database = await openDatabase<ParleyCommands>(config.database, {
    ...commandModule,
    searchable: config.search,
    failed: (err) => log.error({ err }, 'a read or write failed'),
    waiting: (why) => log.warn(why),
    dead: options.dead ?? ((err) => endProcess(log, err)),
    ...(options.largestBatch && { largestBatch: options.largestBatch }),
    ...(options.coalesce === false && { coalesce: false }),
  })
  try {
    if (config.testMode) await claimTestMode(database)
    const vault = await openVault(config, database)
    const clock = config.testClock || config.testMode ? new TestClock(await storedClock(database)) : new SystemClock()
    const adminToken = config.adminToken ?? loadOrCreateSecret(secretFile(config, 'admin-token'))
    await claimMediaFolder(config, database)
    const seeded = seed && (await sow(seed, { config, database, vault, clock }))
    const opened = await openFirstAccount(config, database, vault, clock)
    const account = {
      ...opened,
      tokenGivenBy:
        config.auth_token !== null
          ? 'PARLEY_AUTH_TOKEN'
          : typeof firstAccountOf(seed).auth_token === 'string'
            ? 'the seed'
            : null,
    } as const
    const plan = config.testMode ? (seeded ?? { plan: await openPlan(database, account), hash: null }) : null
    const audit = new AuditLog<ParleyCommands>({ database, vault, clock })
    let opening: Promise<Signer> | undefined
    const signer = () => {
      opening ??= openSigner(database, vault)
      return opening
    }
    return { config, database: audit.database, audit, signer, vault, clock, adminToken, log, closeLog, account, plan }
  } catch (error) {
    await database.close()
    throw error
  }
}

function endProcess(log: Logger, err: Error): void {
  log.fatal({ err }, 'the thread that writes is gone: this process ends')
  process.exit(1)
}

/** Records that the auth token of the first account has been shown; later starts do not show it. */
export async function markFirstAccountShown({ database }: Installation): Promise<void> {
  await database.write('setFact', { name: shownFact, value: 'yes' })
}

/** Returns the first account, and creates it where it is missing. Nodes that start at once create one between them. */
async function openFirstAccount(
  config: Config,
  database: Database<ParleyCommands>,
  vault: Vault,
  clock: Clock,
): Promise<Omit<FirstAccount, 'tokenGivenBy'>> {
  const stored = await database.read.one(factByName, { name: firstAccountFact })
  const sid = config.account_sid ?? stored?.value
  const account = sid === undefined ? undefined : await database.read.one(accountBySid, { sid })
  if (account) {
    const { auth_token } = config
    if (auth_token !== null && vault.open(account.auth_token) !== auth_token) {
      await database.write('updateAccount', { sid: account.sid, auth_token: vault.seal(auth_token), date_updated: clock.now() })
    }
    // Not shown: the start that created the account failed before it could show the token.
    const shown = await database.read.one(factByName, { name: shownFact })
    return { sid: account.sid, unshownToken: shown ? null : (auth_token ?? vault.open(account.auth_token)) }
  }
  const auth_token = config.auth_token ?? randomToken()
  const created = newAccount({ sid, friendly_name: 'First account', sealedToken: vault.seal(auth_token), now: clock.now() })
  const first = await database.write('createFirstAccount', { ...created, previous: stored?.value ?? null })
  return first === created.account.sid
    ? { sid: first, unshownToken: auth_token }
    : openFirstAccount(config, database, vault, clock)
}
