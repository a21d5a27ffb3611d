import { applyStep, revised } from '../model/change.ts'
import { stepOf } from '../model/declare.ts'
import { factsInService } from '../model/scope.ts'
import { registry } from '../resources/index.ts'
import { withReachability } from '../resources/users/reachability.ts'
import { users } from '../resources/users/user.ts'
import { long, type Tx } from '../storage/database.ts'
import { userBySid } from '../storage/lookups.ts'
import { deleteRow, rowsBy } from '../storage/rows.ts'
import type { PresenceRow } from '../storage/schema.ts'
import { shape } from '../storage/shapes.ts'

/** A user of whom a node says whether they are connected to it. `now`: epoch ms, of the account. */
export interface PresenceChange extends Omit<PresenceRow, 'node'> {
  readonly connected: boolean
  readonly now: number
}

const nodesOfUser = rowsBy('presence', ['service_sid', 'user_sid'])
/** Not a plain insert: no single column tells the rows apart, by which several would be merged. */
const remember = shape<PresenceRow>()((db, { account_sid, service_sid, user_sid, node }) =>
  db
    .insertInto('presence')
    .values({ account_sid, service_sid, user_sid, node })
    .onConflict((on) => on.doNothing()),
)
const forget = deleteRow('presence', ['service_sid', 'user_sid', 'node'])

const someOfNode = shape<{ node: string; limit: number }>()((db, a) =>
  db.selectFrom('presence').selectAll().where('node', '=', a.node).orderBy('user_sid').limit(a.limit),
)

export const presenceCommands = {
  /** Stores who is connected to a node, and what follows for the users. Repeated, it changes nothing. */
  setPresence: long(async (tx: Tx, { node, changes }: { node: string; changes: readonly PresenceChange[] }): Promise<void> => {
    await Promise.all(inOrder(changes).map((change) => setOne(tx, node, change)))
  }),

  /** Ends the presence of some users on a node that is no more. Returns how many. */
  dropPresence: long(async (tx: Tx, { node, now, limit }: { node: string; now: number; limit: number }): Promise<number> => {
    const rows = await tx.claim(someOfNode, { node, limit })
    await Promise.all(inOrder(rows).map((row) => setOne(tx, node, { ...row, connected: false, now })))
    return rows.length
  }),
}

/** Nodes that lock several users in one order cannot deadlock. All are asked about at once: over a network they share the round trips. */
function inOrder<T extends { readonly user_sid: string }>(changes: readonly T[]): T[] {
  return changes.toSorted((a, b) => (a.user_sid < b.user_sid ? -1 : 1))
}

async function setOne(tx: Tx, node: string, { connected, now, ...of }: PresenceChange): Promise<void> {
  const { service_sid, user_sid } = of
  const user = await tx.hold(userBySid, { service_sid, sid: user_sid }, 'change')
  const nodes = await tx.all(nodesOfUser, { service_sid, user_sid })
  const stored = nodes.some((row) => row.node === node)
  if (connected && user && !stored) await tx.run(remember, { ...of, node })
  if (!connected && stored) await tx.run(forget, { service_sid, user_sid, node })
  const facts = await factsInService(tx, of, now)
  if (!facts || !user || facts.service.reachability_enabled === 0) return
  const { service } = facts
  const before = withReachability(user, service)
  const online = Number(connected || nodes.some((row) => row.node !== node))
  // Somebody who has not connected since the service turned it on is not known to be offline.
  if (before.is_online === online || (online === 0 && before.is_online === null)) return
  const after = revised({ ...before, is_online: online, reachability_epoch: service.reachability_epoch })
  const step = stepOf(users, { verb: 'update', before, after, cause: 'consequence' })
  await applyStep(tx, registry, step, facts, { webhooks: false, source: 'SDK' })
}
