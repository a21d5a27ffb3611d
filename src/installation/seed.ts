import { hash, randomBytes } from 'node:crypto'
import { type Clock, TestClock, unmoved } from '../clock.ts'
import type { ParleyCommands } from '../commands.ts'
import type { Config } from '../config.ts'
import { ConfigError } from '../config-error.ts'
import { ApiError } from '../errors.ts'
import { isJsonObject } from '../json.ts'
import { type PlantRequest, seedFact } from '../seed/commands.ts'
import { datedAt } from '../seed/plan.ts'
import { planSeed } from '../seed/planner.ts'
import { parseSeed, readSeed, type Seed } from '../seed/read.ts'
import type { Database } from '../storage/database.ts'
import { type Facts, factByName, firstAccountFact } from '../storage/facts.ts'
import { accountBySid } from '../storage/lookups.ts'
import { openDatabase } from '../storage/open.ts'
import { Vault } from '../vault.ts'
import { commandModule } from './command-module.ts'

/** Returns the seed that an installation is started with: `given`, else the file of PARLEY_SEED. Throws ConfigError. */
export async function seedOf({ seed }: Config, given: unknown): Promise<Seed | null> {
  if (given !== undefined) return { source: 'the seed', value: given }
  return seed === null ? null : readSeed(seed)
}

/**
 * Finds out what is wrong with a seed before anything is written, by the same rules by which it will be stored: in a database of
 * its own. Throws ConfigError.
 */
export async function checkSeed(seed: Seed, config: Config, facts: Facts | null): Promise<void> {
  // The key of the installation may not be there yet.
  const vault = new Vault(randomBytes(32).toString('hex'))
  const request = requestFor(seed, config, { now: Date.now(), seal: (secret) => vault.seal(secret) })
  const isThere = facts?.has(firstAccountFact) ?? false
  // Nothing will be stored.
  if (isThere && facts?.get(seedFact) === request.hash) return
  if (isThere && !config.testMode) {
    throw new ConfigError(
      `this database was not made from ${seed.source} as it is now: start without PARLEY_SEED, or set PARLEY_DATABASE_URL to a ` +
        'new database. Only in test mode a changed seed takes the place of what is there',
    )
  }
  // There, storing it is the check.
  if (config.database.engine === 'sqlite' && config.database.file === ':memory:') return
  await tryOut(seed, request)
}

/** Stores a seed in a database of its own, which is gone afterwards. Throws ConfigError. */
async function tryOut(seed: Seed, request: PlantRequest): Promise<void> {
  const trial = await openDatabase<ParleyCommands>({ engine: 'sqlite', file: ':memory:' }, { ...commandModule, failed: () => {} })
  try {
    await plant(seed, () => trial.write('plant', request))
  } finally {
    await trial.close()
  }
}

interface Opened {
  readonly config: Config
  readonly database: Database<ParleyCommands>
  readonly vault: Vault
  readonly clock: Clock
}

/**
 * Stores a seed in a new database; in test mode also in one that was made from another seed. Returns what a reset stores again.
 * Throws ConfigError.
 */
export async function sow(seed: Seed, { config, database, vault, clock }: Opened): Promise<PlantRequest> {
  const request = requestFor(seed, config, { now: clock.now(), seal: (secret) => vault.seal(secret) })
  const factOf = async (name: string) => (await database.read.one(factByName, { name }))?.value
  const isNew = (await factOf(firstAccountFact)) === undefined
  if (isNew) await plant(seed, () => database.write('plant', request))
  else if (config.testMode && (await factOf(seedFact)) !== request.hash) {
    if (clock instanceof TestClock) clock.reset()
    const state = clock instanceof TestClock ? clock.state : unmoved
    const plan = datedAt(request.plan, clock.now())
    await plant(seed, () => database.write('reset', { ...request, plan, clock: state }))
  }
  return request
}

/**
 * Returns what a reset stores for a seed that is given to a server as it runs. Its first account is that of the server, with the token that
 * it has unless the seed gives another. Throws ConfigError, before anything is changed.
 */
export async function resow(
  value: unknown,
  { config, database, vault, clock, account }: Opened & { readonly account: { readonly sid: string } },
): Promise<PlantRequest> {
  const seed = { source: 'the seed', value: typeof value === 'string' ? await parseSeed('that was given', value) : value }
  const first = firstAccountOf(seed)
  if (first.sid !== undefined && first.sid !== account.sid) {
    throw new ConfigError(`the first account of the seed must be ${account.sid}, that of this server, or have no sid`)
  }
  const stored = first.auth_token === undefined ? await database.read.one(accountBySid, { sid: account.sid }) : undefined
  const current = stored ? vault.open(stored.auth_token) : null
  const settings = { account_sid: account.sid, auth_token: config.auth_token ?? current }
  const request = requestFor(seed, settings, { now: clock.now(), seal: (secret) => vault.seal(secret) })
  await tryOut(seed, request)
  return request
}

/** What a seed says of its first account: nothing, where it has not the form of one. */
export function firstAccountOf(seed: Seed | null): Readonly<Record<string, unknown>> {
  const accounts = isJsonObject(seed?.value) && Array.isArray(seed.value.accounts) ? seed.value.accounts : []
  const first: unknown = accounts[0]
  return isJsonObject(first) ? first : {}
}

function requestFor(
  seed: Seed,
  config: Pick<Config, 'account_sid' | 'auth_token'>,
  options: { now: number; seal: (secret: string) => string },
): PlantRequest {
  const { account_sid, auth_token } = config
  const plan = planSeed(seed, { ...options, account_sid, auth_token })
  return { plan, hash: hash('sha256', JSON.stringify(seed.value), 'hex') }
}

/** Runs a command that stores a seed. Throws a ConfigError that names the place of what is refused. */
async function plant({ source }: Seed, store: () => Promise<void>): Promise<void> {
  try {
    await store()
  } catch (error) {
    if (!(error instanceof ApiError) || error.details.place === undefined) throw error
    throw new ConfigError(`${source}: ${error.details.place} is refused: ${error.message}`)
  }
}
