import { sql } from 'kysely'
import type { Reader } from '../../../storage/database.ts'
import type { ParticipantRow } from '../../../storage/schema.ts'
import { shape } from '../../../storage/shapes.ts'
import type { Given } from './messaging-binding.ts'

type ConversationKey = Pick<ParticipantRow, 'service_sid' | 'conversation_sid'>

/** More group conversations than one number is likely to be a member of. */
const max_compared = 50

const members = shape<ConversationKey>()((db, a) =>
  db
    .selectFrom('participants')
    .select(['address', 'proxy_address', 'projected_address'])
    .where('service_sid', '=', a.service_sid)
    .where('conversation_sid', '=', a.conversation_sid)
    .where((eb) => eb.or([eb('address', 'is not', null), eb('projected_address', 'is not', null)])),
)
/** `open` is a literal, as in the partial index. */
const groupsOf = shape<{ account_sid: string; address: string; limit: number }>()((db, a) =>
  db
    .selectFrom('participants')
    .select(['service_sid', 'conversation_sid'])
    .where('account_sid', '=', a.account_sid)
    .where('address', '=', a.address)
    .where('open', '=', sql.lit(1))
    .where('proxy_address', 'is', null)
    .limit(a.limit),
)

/**
 * Returns the SID of another open conversation of the account that has the same members as this group MMS with its new member: the
 * same native and projected addresses. Null when there is none, or when this is no group.
 */
export async function sameGroup(read: Reader, account_sid: string, key: ConversationKey, p: Given): Promise<string | null> {
  const own = p.Identity || p['MessagingBinding.ProxyAddress'] ? null : (p['MessagingBinding.Address'] ?? null)
  const projected = p['MessagingBinding.ProjectedAddress'] ?? null
  if (!own && !projected) return null
  const members_after = [...(await read.all(members, key)), { address: own, proxy_address: null, projected_address: projected }]
  const native = members_after.find((row) => row.address && row.proxy_address === null)?.address
  if (!native || !members_after.some((row) => row.projected_address)) return null
  const wanted = numbersOf(members_after)
  for (const other of await read.all(groupsOf, { account_sid, address: native, limit: max_compared })) {
    if (other.conversation_sid === key.conversation_sid) continue
    if (numbersOf(await read.all(members, other)) === wanted) return other.conversation_sid
  }
  return null
}

function numbersOf(rows: readonly Pick<ParticipantRow, 'address' | 'proxy_address' | 'projected_address'>[]): string {
  return rows
    .map((row) => (row.projected_address ? `projected ${row.projected_address}` : `${row.address} ${row.proxy_address ?? ''}`))
    .sort()
    .join()
}
