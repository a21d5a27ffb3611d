import { deliveryCommands } from '../../src/delivery/record.ts'
import { enqueueDeliveries, enqueueDelivery, type NewDelivery } from '../../src/events/queue.ts'
import type { Tx } from '../../src/storage/database.ts'

/** The commands of a database that holds nothing but deliveries. */
export const commands = {
  ...deliveryCommands(async () => {}, null),

  async enqueue(tx: Tx, { deliveries, now }: { deliveries: readonly NewDelivery[]; now: number }): Promise<string[]> {
    const ids: string[] = []
    for (const delivery of deliveries) ids.push((await enqueueDelivery(tx, delivery, { now })).id)
    return ids
  },

  /** As the deadlines of many rows do: the notice has no row. */
  async enqueueMany(
    tx: Tx,
    { service_sid, deliveries, now }: { service_sid: string; deliveries: readonly NewDelivery[]; now: number },
  ): Promise<void> {
    await enqueueDeliveries(tx, service_sid, deliveries, { now })
  },
}
