import type { Tx } from '../storage/database.ts'
import { factByName, firstAccountFact, replaceFact } from '../storage/facts.ts'
import { accountBySid, apiKeyOfAccount, apiKeysOfAccount } from '../storage/lookups.ts'
import { deleteRow, insert, rowsBy, updateNames } from '../storage/rows.ts'
import type { AccountRow, ApiKeyRow, RoleRow, ServiceRow } from '../storage/schema.ts'

const apiKeyBySid = rowsBy('api_keys', ['sid'])
const servicesOfAccount = rowsBy('services', ['account_sid'])

type Changes<R> = Partial<Omit<R, 'sid'>> & { sid: string }

export interface NewAccount {
  readonly account: AccountRow
  readonly service: ServiceRow
  readonly roles: readonly RoleRow[]
}

/** Changes that the operator makes. The input contains sealed secrets, SIDs and the time. */
export const accountCommands = {
  /** Creates an account with its default service. Returns false when the SID is taken. */
  async createAccount(tx: Tx, { account, service, roles }: NewAccount): Promise<boolean> {
    if (await tx.one(accountBySid, { sid: account.sid })) return false
    await insert(tx, 'accounts', account)
    await insert(tx, 'services', service)
    for (const role of roles) await insert(tx, 'roles', role)
    return true
  },

  /**
   * Creates an account and makes it the first account, unless another node has replaced `previous` (null: no account) already.
   * Returns the SID of the first account.
   */
  async createFirstAccount(tx: Tx, { previous, ...created }: NewAccount & { previous: string | null }): Promise<string> {
    const name = firstAccountFact
    const stored = await tx.one(factByName, { name })
    if (stored && stored.value !== previous) return stored.value
    if (!(await accountCommands.createAccount(tx, created))) return created.account.sid
    const { sid } = created.account
    await replaceFact(tx, { name, value: sid }, stored?.value)
    return sid
  },

  async updateAccount(tx: Tx, input: Changes<AccountRow>): Promise<boolean> {
    const columns = Object.keys(input).filter((column) => column !== 'sid')
    const found = (await tx.run(updateNames('accounts', ['sid'], columns), { ...input })) > 0
    if (found) notifyOf(tx, 'accounts', input.sid)
    return found
  },

  /** Deletes an account with its API keys and services; the contents of the services are deleted later, in batches. */
  async deleteAccount(tx: Tx, input: { sid: string; now: number }): Promise<boolean> {
    if ((await tx.run(deleteRow('accounts', ['sid']), { sid: input.sid })) === 0) return false
    for (const table of ['credentials', 'addresses', 'channels', 'contents', 'retention'] as const) {
      await tx.run(deleteRow(table, ['account_sid']), { account_sid: input.sid })
    }
    for (const key of await tx.all(apiKeysOfAccount, { account_sid: input.sid })) {
      await tx.run(deleteRow('api_keys', ['sid']), { sid: key.sid })
    }
    for (const service of await tx.all(servicesOfAccount, { account_sid: input.sid })) {
      await tx.run(deleteRow('services', ['sid']), { sid: service.sid })
      await insert(tx, 'removals', { sid: service.sid, date_created: input.now, service_sid: null })
    }
    notifyOf(tx, 'accounts', input.sid)
    tx.notify({ topic: 'removal' })
    return true
  },

  async createKey(tx: Tx, key: ApiKeyRow): Promise<'created' | 'taken' | 'no account'> {
    if (!(await tx.one(accountBySid, { sid: key.account_sid }))) return 'no account'
    if (await tx.one(apiKeyBySid, { sid: key.sid })) return 'taken'
    await insert(tx, 'api_keys', key)
    return 'created'
  },

  async updateKey(tx: Tx, input: Changes<ApiKeyRow> & { account_sid: string }): Promise<boolean> {
    if (!(await tx.one(apiKeyOfAccount, { account_sid: input.account_sid, sid: input.sid }))) return false
    const columns = Object.keys(input).filter((column) => column !== 'sid' && column !== 'account_sid')
    await tx.run(updateNames('api_keys', ['sid'], columns), { ...input })
    notifyOf(tx, 'api_keys', input.sid)
    return true
  },

  async deleteKey(tx: Tx, input: { account_sid: string; sid: string }): Promise<boolean> {
    const removed = (await tx.run(deleteRow('api_keys', ['account_sid', 'sid']), input)) > 0
    if (removed) notifyOf(tx, 'api_keys', input.sid)
    return removed
  },
}

/** Caches drop what has changed, and connections of clients that it admits no more end. */
function notifyOf(tx: Tx, table: 'accounts' | 'api_keys', sid: string): void {
  tx.notify({ topic: 'changed', table, sid, revision: 0 })
  tx.notify({ topic: 'access', sid })
}
