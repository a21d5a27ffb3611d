import { sql } from 'kysely'
import type { Reader } from '../../../storage/database.ts'
import { conversationBySid } from '../../../storage/lookups.ts'
import type { ParticipantRow } from '../../../storage/schema.ts'
import { shape } from '../../../storage/shapes.ts'
import { elapse } from '../lifecycle.ts'

type ParticipantKey = Pick<ParticipantRow, 'service_sid' | 'conversation_sid' | 'sid'>
type ConversationKey = Pick<ParticipantRow, 'service_sid' | 'conversation_sid'>
export type Member = Pick<ParticipantRow, 'sid' | 'identity' | 'binding_type' | 'address' | 'proxy_address' | 'projected_address'>

/** More group conversations than one number is likely to be a member of. */
const maxCompared = 50

/** Fewer members with a number are no group to a carrier (documented at 50435). */
const minActivated = 3

const members = shape<ConversationKey>()((db, a) =>
  db
    .selectFrom('participants')
    .select(['sid', 'identity', 'binding_type', 'address', 'proxy_address', 'projected_address'])
    .where('service_sid', '=', a.service_sid)
    .where('conversation_sid', '=', a.conversation_sid),
)
/** `open` is a literal, as in the partial index. */
const groupsOf = shape<{ account_sid: string; address: string; limit: number }>()((db, a) =>
  db
    .selectFrom('participants')
    .select(['service_sid', 'conversation_sid', 'sid'])
    .where('account_sid', '=', a.account_sid)
    .where('address', '=', a.address)
    .where('open', '=', sql.lit(1))
    .where('proxy_address', 'is', null)
    .limit(a.limit),
)

/** Whether it is a native member of a group MMS: with a number and without a proxy address. */
export function isNative({ binding_type, address, proxy_address }: Omit<Member, 'sid' | 'identity'>): boolean {
  return binding_type === 'sms' && address !== null && proxy_address === null
}

/** Whether somebody belongs to a group MMS by their number. */
export function isGroupMember(member: Omit<Member, 'sid' | 'identity'>): boolean {
  return isNative(member) || member.projected_address !== null
}

/** Returns participants in open conversations of the account that have this address and no proxy address. */
export async function openWithoutProxy(read: Reader, account_sid: string, address: string): Promise<ParticipantKey[]> {
  return read.all(groupsOf, { account_sid, address, limit: maxCompared })
}

export async function groupMembers(read: Reader, { service_sid, conversation_sid }: ConversationKey): Promise<Member[]> {
  return read.all(members, { service_sid, conversation_sid })
}

/** Whether a carrier could carry messages of the group: enough numbers, and nobody who can only be reached by chat. */
export function canActivate(group: readonly Member[]): boolean {
  return numbersOf(group).size >= minActivated && !group.some((row) => numberOf(row) === null)
}

/**
 * Finds a native member of the open group conversation of the account that has exactly these numbers, native and projected, and
 * `native` among the native ones. `except`: SID of a conversation that does not count.
 */
export async function findGroup(
  read: Reader,
  { account_sid, now }: { readonly account_sid: string; readonly now: number },
  native: string,
  numbers: ReadonlySet<string>,
  except?: string,
): Promise<ParticipantKey | undefined> {
  for (const group of await openWithoutProxy(read, account_sid, native)) {
    if (group.conversation_sid === except || !sameSet(numbersOf(await groupMembers(read, group)), numbers)) continue
    const found = await read.one(conversationBySid, { service_sid: group.service_sid, sid: group.conversation_sid })
    // A deadline may have closed it that the sweep has not written yet.
    if (found && (elapse(found, now) ?? found).state !== 'closed') return group
  }
  return undefined
}

/**
 * Returns the SID of another open conversation of the account that has the same numbers as this group MMS once `member` is in it
 * as given. Null when there is none, or when this is no group. Reads every member: call it for those who can make a group.
 */
export async function sameGroup(
  read: Reader,
  account: { readonly account_sid: string; readonly now: number },
  key: ConversationKey,
  member: Member,
): Promise<string | null> {
  const after = [...(await groupMembers(read, key)).filter(({ sid }) => sid !== member.sid), member]
  const native = after.find(isNative)?.address
  if (!native || !after.some((row) => row.projected_address)) return null
  return (await findGroup(read, account, native, numbersOf(after), key.conversation_sid))?.conversation_sid ?? null
}

function numberOf({ address, projected_address }: Member): string | null {
  return projected_address ?? address
}

function numbersOf(rows: readonly Member[]): Set<string> {
  return new Set(rows.map(numberOf).filter((number) => number !== null))
}

function sameSet(one: ReadonlySet<string>, other: ReadonlySet<string>): boolean {
  return one.size === other.size && [...one].every((number) => other.has(number))
}
