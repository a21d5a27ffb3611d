import type { NewAccount } from '../accounts/commands.ts'
import type { NamedChange } from '../model/change.ts'
import type { ApiKeyRow, ChannelRow, ContentRow } from '../storage/schema.ts'

/** A change of a seed, and where in the seed it comes from, such as `accounts[0].conversations[2]`. */
export interface PlannedChange {
  readonly place: string
  readonly change: NamedChange
}

/** An account of a seed with everything in it. */
export interface PlannedAccount {
  readonly created: NewAccount
  readonly keys: readonly ApiKeyRow[]
  readonly channels: readonly ChannelRow[]
  readonly contents: readonly ContentRow[]
  /** In this order, by the rules of the API. */
  readonly changes: readonly PlannedChange[]
}

/**
 * What a database holds at first, with every SID fixed and every secret encrypted. Plain data: it is sent to the writer thread. The
 * first account is the installation's.
 */
export interface Plan {
  readonly accounts: readonly [PlannedAccount, ...PlannedAccount[]]
}

/** Returns the plan of an account with nothing in it. */
export function emptyAccount(created: NewAccount): PlannedAccount {
  return { created, keys: [], channels: [], contents: [], changes: [] }
}

/** Returns the plan with all dates at `now`, but for those that the seed sets. */
export function datedAt(plan: Plan, now: number): Plan {
  const [first, ...more] = plan.accounts
  return { accounts: [accountAt(first, now), ...more.map((account) => accountAt(account, now))] }
}

function accountAt({ created, keys, channels, contents, changes }: PlannedAccount, now: number): PlannedAccount {
  const dates = { date_created: now, date_updated: now }
  return {
    created: {
      account: { ...created.account, ...dates },
      service: { ...created.service, ...dates },
      roles: created.roles.map((role) => ({ ...role, ...dates })),
    },
    keys: keys.map((key) => ({ ...key, ...dates })),
    channels: channels.map((channel) => ({ ...channel, ...dates })),
    contents: contents.map((content) => ({ ...content, ...dates })),
    changes: changes.map(({ place, change: { resource, request } }) => ({
      place,
      change: { resource, request: { ...request, now } },
    })),
  }
}
