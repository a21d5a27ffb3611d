import { parseStored } from '../json.ts'
import type { Tx } from '../storage/database.ts'
import { ConflictError } from '../storage/errors.ts'
import { serviceBySid } from '../storage/lookups.ts'
import { insert, updateRow } from '../storage/rows.ts'
import type { ParticipantRow, RemovalRow, RoleRow, ServiceRow, UserRow } from '../storage/schema.ts'
import { shape } from '../storage/shapes.ts'
import { nextRosterEvents } from './client-events.ts'

/*
 * Who has a deleted role has the service's default from that moment on, however many they are. The first are changed in the
 * transaction of the deletion, the others in batches behind it. Until they are, the service says which role is meant by the one
 * that their rows still name: everybody who reads such a row has the service at hand.
 */

/** By the SID of a deleted role: which one takes its place, and since when. */
type ReplacedRoles = Readonly<Record<string, { readonly sid: string; readonly at: number }>>

/** Holders whose rows are changed with the deletion; behind it, this many at a time. */
const maxAtOnce = 200

type Holders = 'participants' | 'users'

interface Replacement {
  readonly service_sid: string
  readonly role_sid: string
  readonly successor: string
  readonly at: number
  readonly max: number
}

type OneReplacement = Omit<Replacement, 'max'> & {
  readonly conversation_sid: string
  readonly sid: string
  readonly event_id: number
}

const someParticipants = shape<{ service_sid: string; role_sid: string; max: number }>()((db, a) =>
  db
    .selectFrom('participants')
    .select(['conversation_sid', 'sid'])
    .where('service_sid', '=', a.service_sid)
    .where('role_sid', '=', a.role_sid)
    .limit(a.max),
)
const replaceParticipant = shape<OneReplacement>()((db, a) =>
  db
    .updateTable('participants')
    .set((eb) => ({ role_sid: a.successor, date_updated: a.at, event_id: a.event_id, revision: eb('revision', '+', 1) }))
    .where('service_sid', '=', a.service_sid)
    .where('conversation_sid', '=', a.conversation_sid)
    .where('sid', '=', a.sid)
    .where('role_sid', '=', a.role_sid),
)
const replaceSomeUsers = shape<Replacement>()((db, a) =>
  db
    .updateTable('users')
    .set((eb) => ({ role_sid: a.successor, date_updated: a.at, revision: eb('revision', '+', 1) }))
    .where('service_sid', '=', a.service_sid)
    .where('sid', 'in', (eb) =>
      eb
        .selectFrom('users')
        .select('sid')
        .where('service_sid', '=', a.service_sid)
        .where('role_sid', '=', a.role_sid)
        .limit(a.max),
    ),
)
const replaceSome: Readonly<Record<Holders, (tx: Tx, replacement: Replacement) => Promise<number>>> = {
  participants: replaceSomeParticipants,
  // Client SDKs are not shown the role of a user.
  users: (tx, replacement) => tx.run(replaceSomeUsers, replacement),
}

/** Changes some participants, and numbers the changes: others in their conversations see the role. Returns how many were found. */
async function replaceSomeParticipants(tx: Tx, { max, ...by }: Replacement): Promise<number> {
  const { service_sid, role_sid } = by
  const found = await tx.all(someParticipants, { service_sid, role_sid, max })
  const rosters = Map.groupBy(found, ({ conversation_sid }) => conversation_sid)
  await Promise.all(
    [...rosters].map(async ([conversation_sid, members]) => {
      const first = await nextRosterEvents(tx, service_sid, conversation_sid, members.length)
      await Promise.all(
        members.map(({ sid }, i) =>
          tx.run(replaceParticipant, { ...by, conversation_sid, sid, event_id: first === 0 ? 0 : first + i }),
        ),
      )
    }),
  )
  return found.length
}

const saveReplaced = updateRow('services', ['sid', 'revision'], ['replaced_roles', 'revision'])

/** Returns the row with the role that its holder has now. */
export function withCurrentRole<R extends ParticipantRow | UserRow>(row: R, service: ServiceRow): R {
  if (service.replaced_roles === '{}' || row.role_sid === null) return row
  const replaced = parseStored<ReplacedRoles>(service.replaced_roles)[row.role_sid]
  return replaced ? { ...row, role_sid: replaced.sid, date_updated: Math.max(row.date_updated, replaced.at) } : row
}

/** Gives the holders of a deleted role the service's default of its type. */
export async function replaceDeletedRole(tx: Tx, role: RoleRow, service: ServiceRow, at: number): Promise<void> {
  const { sid: service_sid } = service
  const [holders, successor]: [Holders, string] =
    role.type === 'conversation'
      ? ['participants', service.default_conversation_role_sid]
      : ['users', service.default_chat_service_role_sid]
  const replaced = await replaceSome[holders](tx, { service_sid, role_sid: role.sid, successor, at, max: maxAtOnce })
  // A role that took another's place may itself be deleted before its rows are changed.
  const entries = Object.entries(parseStored<ReplacedRoles>(service.replaced_roles))
  const moved = entries.map(([sid, by]) => [sid, by.sid === role.sid ? { ...by, sid: successor } : by] as const)
  const more = replaced === maxAtOnce
  if (more) {
    await insert(tx, 'removals', { sid: role.sid, date_created: at, service_sid })
    tx.notify({ topic: 'removal' })
  }
  if (more || entries.some(([, by]) => by.sid === role.sid)) {
    await saveReplacedRoles(tx, service, [...moved, ...(more ? [[role.sid, { sid: successor, at }] as const] : [])])
  }
  // A single notice, about the service, clears the whole cache of responses.
  else if (replaced > 0) tx.notify({ topic: 'changed', table: 'services', sid: service_sid, revision: service.revision })
}

/** Changes a batch of rows that name a deleted role. Returns how many. */
export async function replaceMore(tx: Tx, { sid: role_sid, service_sid }: RemovalRow, max: number): Promise<number> {
  const service = service_sid === null ? undefined : await tx.hold(serviceBySid, { sid: service_sid }, 'change')
  if (!service) return 0
  const replaced = parseStored<ReplacedRoles>(service.replaced_roles)
  const by = replaced[role_sid]
  if (!by) return 0
  const args = { service_sid: service.sid, role_sid, successor: by.sid, at: by.at }
  const participants = await replaceSome.participants(tx, { ...args, max })
  const users = participants < max ? await replaceSome.users(tx, { ...args, max: max - participants }) : 0
  if (participants + users < max) {
    await saveReplacedRoles(
      tx,
      service,
      Object.entries(replaced).filter(([sid]) => sid !== role_sid),
    )
  }
  return participants + users
}

async function saveReplacedRoles(tx: Tx, service: ServiceRow, replaced: readonly (readonly [string, object])[]): Promise<void> {
  const { sid, revision } = service
  const saved = await tx.run(saveReplaced, {
    sid,
    was_revision: revision,
    revision: revision + 1,
    replaced_roles: JSON.stringify(Object.fromEntries(replaced)),
  })
  if (saved === 0) throw new ConflictError(`services ${sid}`)
  tx.notify({ topic: 'changed', table: 'services', sid, revision: revision + 1 })
}
