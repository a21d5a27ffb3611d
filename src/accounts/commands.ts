import { Conflict, type Tx } from '../storage/database.ts'
import { deleteRow, insertRow, rowsBy, updateRow } from '../storage/rows.ts'
import type { AccountRow, ApiKeyRow, RoleRow, ServiceRow } from '../storage/schema.ts'

const accountBySid = rowsBy('accounts', ['sid'])
const keyOfAccount = rowsBy('api_keys', ['account_sid', 'sid'])
const keysOfAccount = rowsBy('api_keys', ['account_sid'])
const servicesOfAccount = rowsBy('services', ['account_sid'])
const setting = rowsBy('installation', ['name'])

const replaceSetting = updateRow('installation', ['name', 'value'], ['value'])

type Changes<R> = Partial<Omit<R, 'sid'>> & { sid: string }

export interface NewAccount {
  readonly account: AccountRow
  readonly service: ServiceRow
  readonly roles: readonly RoleRow[]
}

async function keep(tx: Tx, fact: { name: string; value: string }): Promise<void> {
  if ((await tx.run(updateRow('installation', ['name'], ['value']), fact)) > 0) return
  await tx.run(insertRow('installation', ['name', 'value']), fact)
}

/** What the operator does. Secrets arrive sealed, ids and time come in with the input. */
export const accountCommands = {
  /** Makes an account with its default service. Answers false when the sid is taken. */
  async createAccount(tx: Tx, { account, service, roles }: NewAccount): Promise<boolean> {
    if (await tx.one(accountBySid, { sid: account.sid })) return false
    await tx.run(insertRow('accounts', Object.keys(account)), { ...account })
    await tx.run(insertRow('services', Object.keys(service)), { ...service })
    for (const role of roles) await tx.run(insertRow('roles', Object.keys(role)), { ...role })
    return true
  },

  /**
   * Makes the account that is called the first from now on, if `instead_of` still is (null: none). Answers the sid of the one that
   * is called so: another node may have been faster.
   */
  async createFirstAccount(tx: Tx, { instead_of, ...made }: NewAccount & { instead_of: string | null }): Promise<string> {
    const name = 'first_account'
    const kept = await tx.one(setting, { name })
    if (kept && kept.value !== instead_of) return kept.value
    if (!(await accountCommands.createAccount(tx, made))) return made.account.sid
    const { sid } = made.account
    // What was read is part of the key: of two that saw the same, one gets through.
    if (!kept) await tx.run(insertRow('installation', ['name', 'value']), { name, value: sid })
    else if ((await tx.run(replaceSetting, { name, was_value: kept.value, value: sid })) === 0) throw new Conflict(name)
    return sid
  },

  async updateAccount(tx: Tx, input: Changes<AccountRow>): Promise<boolean> {
    const columns = Object.keys(input).filter((column) => column !== 'sid')
    const found = (await tx.run(updateRow('accounts', ['sid'], columns), { ...input })) > 0
    if (found) tx.notify({ topic: 'changed', table: 'accounts', sid: input.sid, revision: 0 })
    return found
  },

  /** Removes an account, its keys and its services; what lies in those follows in batches. */
  async deleteAccount(tx: Tx, input: { sid: string; now: number }): Promise<boolean> {
    if ((await tx.run(deleteRow('accounts', ['sid']), { sid: input.sid })) === 0) return false
    for (const table of ['credentials', 'addresses', 'channels'] as const) {
      await tx.run(deleteRow(table, ['account_sid']), { account_sid: input.sid })
    }
    for (const key of await tx.all(keysOfAccount, { account_sid: input.sid })) {
      await tx.run(deleteRow('api_keys', ['sid']), { sid: key.sid })
    }
    for (const service of await tx.all(servicesOfAccount, { account_sid: input.sid })) {
      await tx.run(deleteRow('services', ['sid']), { sid: service.sid })
      await tx.run(insertRow('removals', ['sid', 'date_created']), { sid: service.sid, date_created: input.now })
    }
    tx.notify({ topic: 'changed', table: 'accounts', sid: input.sid, revision: 0 })
    tx.notify({ topic: 'removal' })
    return true
  },

  /** Answers false when there is no such account. */
  async createKey(tx: Tx, key: ApiKeyRow): Promise<boolean> {
    if (!(await tx.one(accountBySid, { sid: key.account_sid }))) return false
    await tx.run(insertRow('api_keys', Object.keys(key)), { ...key })
    return true
  },

  async updateKey(tx: Tx, input: Changes<ApiKeyRow> & { account_sid: string }): Promise<boolean> {
    if (!(await tx.one(keyOfAccount, { account_sid: input.account_sid, sid: input.sid }))) return false
    const columns = Object.keys(input).filter((column) => column !== 'sid' && column !== 'account_sid')
    await tx.run(updateRow('api_keys', ['sid'], columns), { ...input })
    tx.notify({ topic: 'changed', table: 'api_keys', sid: input.sid, revision: 0 })
    return true
  },

  async deleteKey(tx: Tx, input: { account_sid: string; sid: string }): Promise<boolean> {
    const removed = (await tx.run(deleteRow('api_keys', ['account_sid', 'sid']), input)) > 0
    if (removed) tx.notify({ topic: 'changed', table: 'api_keys', sid: input.sid, revision: 0 })
    return removed
  },

  /** Keeps a fact about this installation. */
  async setInstallation(tx: Tx, input: { name: string; value: string }): Promise<void> {
    await keep(tx, input)
    if (input.name === 'clock_offset_ms') tx.notify({ topic: 'clock', offset_ms: Number(input.value) })
  },

  /** Of several nodes one at a time has a turn, until it ends it or its time is over. Answers whether it is this one's. */
  async takeTurn(tx: Tx, { name, owner, now, until }: { name: string; owner: string; now: number; until: number }) {
    const kept = await tx.one(setting, { name })
    const value = JSON.stringify([owner, until])
    if (!kept) return (await tx.run(insertRow('installation', ['name', 'value']), { name, value })) > 0
    const [other, its_until] = JSON.parse(kept.value) as [string, number]
    if (other !== owner && now < its_until) return false
    return (await tx.run(replaceSetting, { name, was_value: kept.value, value })) > 0
  },

  async endTurn(tx: Tx, { name, owner }: { name: string; owner: string }): Promise<void> {
    const kept = await tx.one(setting, { name })
    if (kept && (JSON.parse(kept.value) as [string])[0] === owner) await tx.run(deleteRow('installation', ['name']), { name })
  },

  /** Keeps a fact unless there is one of that name; answers the one that is kept. */
  async claimInstallation(tx: Tx, input: { name: string; value: string }): Promise<string> {
    const kept = await tx.one(setting, { name: input.name })
    if (kept) return kept.value
    await tx.run(insertRow('installation', ['name', 'value']), input)
    return input.value
  },
}
