import { hash, randomBytes } from 'node:crypto'
import { type Clock, TestClock, unmoved } from '../clock.ts'
import type { ParleyCommands } from '../commands.ts'
import { type Config, ConfigError } from '../config.ts'
import { ApiError } from '../errors.ts'
import { type PlantRequest, seedFact } from '../seed/commands.ts'
import { datedAt } from '../seed/plan.ts'
import { planSeed } from '../seed/planner.ts'
import { readSeed, type Seed } from '../seed/read.ts'
import type { Database } from '../storage/database.ts'
import { type Facts, factByName, firstAccountFact } from '../storage/facts.ts'
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
  const trial = await openDatabase<ParleyCommands>({ engine: 'sqlite', file: ':memory:' }, { ...commandModule, failed: () => {} })
  try {
    await plant(seed, () => trial.write('plant', request))
  } finally {
    await trial.close()
  }
}

/**
 * Stores a seed in a new database; in test mode also in one that was made from another seed. Returns what a reset stores again.
 * Throws ConfigError.
 */
export async function sow(
  seed: Seed,
  { config, database, vault, clock }: { config: Config; database: Database<ParleyCommands>; vault: Vault; clock: Clock },
): Promise<PlantRequest> {
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

function requestFor(seed: Seed, config: Config, options: { now: number; seal: (secret: string) => string }): PlantRequest {
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
