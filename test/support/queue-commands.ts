import { deliveryCommands } from '../../src/delivery/record.ts'
import { enqueueDeliveries, enqueueDelivery, type NewDelivery } from '../../src/events/queue.ts'
import { pushNewMessage } from '../../src/push/enqueue.ts'
import type { Tx } from '../../src/storage/database.ts'
import { insert, rowsBy, updateRow } from '../../src/storage/rows.ts'
import type { MessageRow, ServiceRow } from '../../src/storage/schema.ts'

const serviceBySid = rowsBy('services', ['sid'])
const count = updateRow('services', ['sid', 'revision'], ['revision'])

/** The commands of a database that holds nothing but deliveries. */
export const commands = {
  ...deliveryCommands(async () => {}, null),

  async enqueue(tx: Tx, { deliveries, now }: { deliveries: readonly NewDelivery[]; now: number }): Promise<string[]> {
    const ids: string[] = []
    for (const delivery of deliveries) ids.push((await enqueueDelivery(tx, delivery, { now })).id)
    return ids
  },

  async make(tx: Tx, row: ServiceRow): Promise<void> {
    await insert(tx, 'services', row)
  },

  /** As messages of one conversation are written: a row is locked and counted up, and the delivery says to what. */
  async enqueueInTurn(tx: Tx, { sid, delivery, now }: { sid: string; delivery: NewDelivery; now: number }): Promise<void> {
    const row = await tx.hold(serviceBySid, { sid }, 'change')
    if (!row) throw new Error(`no service ${sid}`)
    const revision = row.revision + 1
    await tx.must(count, { sid, revision, was_revision: row.revision })
    await enqueueDelivery(tx, { ...delivery, form: JSON.stringify({ revision }) }, { now })
  },

  /** As messages of one conversation are pushed, after its row is locked. */
  async pushInTurn(tx: Tx, { message, now }: { message: MessageRow; now: number }): Promise<void> {
    const service = await tx.hold(serviceBySid, { sid: message.service_sid }, 'change')
    if (!service) throw new Error(`no service ${message.service_sid}`)
    await tx.must(count, { sid: service.sid, revision: service.revision + 1, was_revision: service.revision })
    await pushNewMessage(tx, message, { sid: message.conversation_sid, friendly_name: null, unique_name: null }, { service, now })
  },

  /** As the deadlines of many rows do: the notice has no row. */
  async enqueueMany(
    tx: Tx,
    { service_sid, deliveries, now }: { service_sid: string; deliveries: readonly NewDelivery[]; now: number },
  ): Promise<void> {
    await enqueueDeliveries(tx, service_sid, deliveries, { now })
  },
}
