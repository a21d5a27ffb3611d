import { applyStep } from '../model/change.ts'
import { type FactsOf, type Step, stepOf } from '../model/declare.ts'
import { factsInService } from '../model/scope.ts'
import { registry } from '../resources/index.ts'
import { bindings, notifiable, unreachableWithout } from '../resources/services/binding.ts'
import { long, type Tx } from '../storage/database.ts'
import { userBySid } from '../storage/lookups.ts'
import { rowsBy } from '../storage/rows.ts'
import type { BindingRow, DeliveryRow } from '../storage/schema.ts'
import { shape } from '../storage/shapes.ts'

/*
 * Devices that register for push, as bindings. A device is known by its token: it has one binding in its service, of whoever has
 * registered it last. Otherwise it would go on showing what is for the user before.
 */

/** A device to be registered. `sid`: of its binding, if it has none yet. `now`: epoch ms. */
export interface Registration extends Omit<BindingRow, 'date_created' | 'date_updated' | 'revision'> {
  readonly user_sid: string
  readonly now: number
}

interface OfService {
  readonly account_sid: string
  readonly service_sid: string
  /** Epoch ms. */
  readonly now: number
}

/** Whose registration ends: a device, or the binding of a user. */
export type Unregistration = OfService &
  (
    | { readonly endpoint: string; readonly binding_type: BindingRow['binding_type'] }
    | { readonly sid: string; readonly identity: string }
  )

/** Devices of one user in a service: who registers one more loses the one that has not been seen for longest. */
const maxDevices = 50

const byDevice = rowsBy('bindings', ['service_sid', 'endpoint', 'binding_type'])
const bySid = rowsBy('bindings', ['service_sid', 'sid'])
const ofIdentity = rowsBy('bindings', ['service_sid', 'identity'])
const notSeenSince = shape<{ before: number; limit: number }>()((db, a) =>
  db.selectFrom('bindings').selectAll().where('date_updated', '<', a.before).orderBy('date_updated').limit(a.limit),
)

export const registrationCommands = {
  /** Returns the SID of the device's binding; null when its user is gone. */
  async registerDevice(tx: Tx, registration: Registration): Promise<string | null> {
    const { user_sid, now, ...given } = registration
    const { service_sid, endpoint, binding_type, identity } = given
    const facts = await factsInService(tx, given, now)
    const before = facts && (await tx.hold(byDevice, { service_sid, endpoint, binding_type }, 'change'))
    const user = facts && (await tx.hold(userBySid, { service_sid, sid: user_sid }, 'change'))
    if (!facts || !user) return null
    if (before?.identity === identity) {
      const after = { ...before, ...given, sid: before.sid, date_updated: now, revision: before.revision + 1 }
      await apply(tx, [stepOf(bindings, { verb: 'update', before, after, cause: 'request' })], facts)
      return before.sid
    }
    if (before) await remove(tx, before, facts)
    const others = await tx.all(ofIdentity, { service_sid, identity })
    const [oldest] = others.toSorted((a, b) => a.date_updated - b.date_updated)
    if (oldest && others.length >= maxDevices) await remove(tx, oldest, facts)
    const after = { ...given, date_created: now, date_updated: now, revision: 1 }
    const added = stepOf(bindings, { verb: 'create', before: null, after, cause: 'request' })
    await apply(tx, [added, ...notifiable(user, true, facts)], facts)
    return after.sid
  },

  /** Does nothing when there is no such binding. */
  async unregisterDevice(tx: Tx, given: Unregistration): Promise<void> {
    const { service_sid } = given
    const row = 'sid' in given ? await tx.one(bySid, { service_sid, sid: given.sid }) : await tx.one(byDevice, given)
    if (!row || ('sid' in given && row.identity !== given.identity)) return
    await removeBinding(tx, row, given.now)
  },

  /** Removes a batch of the devices that were last seen before an instant. Returns how many. */
  removeOldBindings: long(async (tx: Tx, input: { before: number; now: number; limit: number }): Promise<number> => {
    const rows = await tx.claim(notSeenSince, input)
    for (const row of rows) await removeBinding(tx, row, input.now)
    return rows.length
  }),
}

/** Forgets a device that its push service calls gone, unless it has been seen since the push was made. */
export async function forgetDevice(tx: Tx, row: DeliveryRow, now: number): Promise<void> {
  const { service_sid, subject_sid: sid, date_created: made } = row
  const binding = await tx.one(bySid, { service_sid, sid })
  if (binding && binding.date_updated <= made) await removeBinding(tx, binding, now)
}

/** Removes a binding, unless it has been removed or renewed since it was read. */
export async function removeBinding(tx: Tx, { account_sid, service_sid, sid, revision }: BindingRow, now: number): Promise<void> {
  const facts = await factsInService(tx, { account_sid, service_sid }, now)
  const row = facts && (await tx.hold(bySid, { service_sid, sid }, 'change'))
  if (facts && row?.revision === revision) await remove(tx, row, facts)
}

async function remove(tx: Tx, before: BindingRow, facts: FactsOf<typeof bindings>): Promise<void> {
  const user = await unreachableWithout(tx, before)
  const removed = stepOf(bindings, { verb: 'remove', before, after: null, cause: 'consequence' })
  await apply(tx, [removed, ...notifiable(user, false, facts)], facts)
}

async function apply(tx: Tx, steps: readonly Step[], facts: FactsOf<typeof bindings>): Promise<void> {
  for (const step of steps) await applyStep(tx, registry, step, facts, { webhooks: false, source: 'SDK' })
}
