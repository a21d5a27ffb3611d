import type { Reader, Tx } from '../storage/database.ts'
import { accountBySid, serviceOfAccount } from '../storage/lookups.ts'
import { deleteRow, insert, rowsBy } from '../storage/rows.ts'
import type { RetentionRow, ServiceRow } from '../storage/schema.ts'
import { shape } from '../storage/shapes.ts'

/** What may be kept for a limited time only. */
export const retained = ['closed_conversation_days', 'message_days', 'media_days', 'delivered_days', 'failed_days'] as const

/** Days by what they are about; null: for as long as there is no other reason to delete it. */
export type Policy = Readonly<Record<(typeof retained)[number], number | null>>

/** A service whose contents expire. */
export interface ExpiringService {
  readonly account_sid: string
  readonly service_sid: string
  readonly policy: Policy
}

export const noPolicy: Policy = {
  closed_conversation_days: null,
  message_days: null,
  media_days: null,
  delivered_days: null,
  failed_days: null,
}

const all = shape<{ none?: null }>()((db) => db.selectFrom('retention').selectAll().orderBy('account_sid').orderBy('service_sid'))
const ofAccount = rowsBy('retention', ['account_sid'])
const servicesOfAccount = rowsBy('services', ['account_sid'])
export const retentionOf = rowsBy('retention', ['account_sid', 'service_sid'])

/** Returns the days alone, of a row or of what has some of them. */
export function policyOf(given: Partial<Policy>): Policy {
  const { closed_conversation_days, message_days, media_days, delivered_days, failed_days } = { ...noPolicy, ...given }
  return { closed_conversation_days, message_days, media_days, delivered_days, failed_days }
}

/** Returns what a service's own policy and that of its account amount to: for each kind the service's, if it says something. */
export function effective(account: Policy, service: Policy): Policy {
  return policyOf(Object.fromEntries(retained.map((kind) => [kind, (service[kind] ?? account[kind]) || null])))
}

/** Returns the services of all accounts, or of one, whose contents expire. */
export async function expiringServices(read: Reader, account_sid?: string): Promise<readonly ExpiringService[]> {
  const rows = await (account_sid === undefined ? read.all(all, {}) : read.all(ofAccount, { account_sid }))
  const found: ExpiringService[] = []
  for (const [account, policies] of Map.groupBy(rows, (row) => row.account_sid)) {
    found.push(...applied(policies, await read.all(servicesOfAccount, { account_sid: account })))
  }
  return found
}

/** As `expiringServices`, of one account, if `given` were the policy of the account or of one of its services. */
export async function servicesWith(
  read: Reader,
  given: Pick<RetentionRow, 'account_sid' | 'service_sid'> & Policy,
): Promise<readonly ExpiringService[]> {
  const { account_sid, service_sid } = given
  const [rows, services] = await Promise.all([read.all(ofAccount, { account_sid }), read.all(servicesOfAccount, { account_sid })])
  const others = rows.filter((row) => row.service_sid !== service_sid)
  const chosen = service_sid === '' ? services : services.filter(({ sid }) => sid === service_sid)
  return applied([...others, given], chosen)
}

function applied(
  policies: readonly (Policy & Pick<RetentionRow, 'service_sid'>)[],
  services: readonly ServiceRow[],
): readonly ExpiringService[] {
  const bySid = new Map(policies.map((policy) => [policy.service_sid, policy]))
  return services
    .map(({ sid, account_sid }) => {
      const policy = effective(bySid.get('') ?? noPolicy, bySid.get(sid) ?? noPolicy)
      return { account_sid, service_sid: sid, policy }
    })
    .filter(({ policy }) => retained.some((kind) => policy[kind] !== null))
}

export const retentionCommands = {
  /** Replaces the policy of an account or a service; one that says nothing is removed. Returns false when there is no such thing. */
  async setRetention(tx: Tx, row: RetentionRow): Promise<boolean> {
    const { account_sid, service_sid } = row
    const found =
      service_sid === ''
        ? await tx.hold(accountBySid, { sid: account_sid }, 'change')
        : await tx.hold(serviceOfAccount, { sid: service_sid, account_sid }, 'change')
    if (!found) return false
    await tx.run(deleteRow('retention', ['account_sid', 'service_sid']), { account_sid, service_sid })
    if (retained.some((kind) => row[kind] !== null)) await insert(tx, 'retention', row)
    tx.notify({ topic: 'changed', table: 'retention', sid: account_sid, revision: 0 })
    return true
  },
}
