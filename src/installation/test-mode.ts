import type { NewAccount } from '../accounts/commands.ts'
import type { ParleyCommands } from '../commands.ts'
import { ConfigError } from '../config-error.ts'
import { parseStored } from '../json.ts'
import { emptyAccount, type Plan } from '../seed/plan.ts'
import type { Database } from '../storage/database.ts'
import type { Facts } from '../storage/facts.ts'
import { accountBySid, serviceBySid } from '../storage/lookups.ts'
import { rowsBy } from '../storage/rows.ts'
import { vaultCheck } from './secrets.ts'

const madeInTestMode = 'test_mode'
/** The first account as it was created, with its default service: what a reset goes back to. */
const emptyAccountFact = 'test_mode_account'

const rolesOfService = rowsBy('roles', ['service_sid'])

/** Throws ConfigError for a database that was not made in test mode: a reset would empty it. A new one has no facts yet. */
export function refuseOutsideTestMode(facts: Facts): void {
  if (!facts.has(vaultCheck) || facts.has(madeInTestMode)) return
  throw new ConfigError(
    'this database was not made in test mode, in which it can be emptied by a request: start without PARLEY_TEST_MODE, ' +
      'or set PARLEY_DATABASE_URL to a new database',
  )
}

/** Marks a database as made in test mode, before anything else is stored. */
export async function claimTestMode({ write }: Database<ParleyCommands>): Promise<void> {
  await write('claimFact', { name: madeInTestMode, value: 'yes' })
}

/** Returns what a reset goes back to without a seed: the first account as it was created, with its present auth token. */
export async function openPlan({ read, write }: Database<ParleyCommands>, { sid }: { readonly sid: string }): Promise<Plan> {
  const account = await read.one(accountBySid, { sid })
  if (!account) throw new Error('there is no first account')
  const service = await read.one(serviceBySid, { sid: account.default_service_sid })
  if (!service) throw new Error('the first account has no default service')
  const current: NewAccount = { account, service, roles: await read.all(rolesOfService, { service_sid: service.sid }) }
  // Only the first start stores it: later ones find what tests have made of the account.
  const stored = await write('claimFact', { name: emptyAccountFact, value: JSON.stringify(current) })
  const first = parseStored<NewAccount>(stored)
  // PARLEY_ACCOUNT_SID may name another account since.
  const created = first.account.sid === sid ? first : current
  return { accounts: [emptyAccount({ ...created, account: { ...created.account, auth_token: account.auth_token } })] }
}
