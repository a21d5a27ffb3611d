import pg from 'pg'
import { expect, onTestFinished, test, vi } from 'vitest'
import { pendingOf } from '../../src/delivery/pending.ts'
import { type NewDelivery, slotOf } from '../../src/events/queue.ts'
import { openDatabase } from '../../src/storage/open.ts'
import { newDatabase } from '../support/databases.ts'
import type { commands } from '../support/queue-commands.ts'
import { newService } from '../support/rows.ts'

const subjects = ['CH1', 'CH2']
const target_sid = 'target'

function delivery(subject_sid: string): NewDelivery {
  return {
    ...{ kind: 'webhook', account_sid: 'AC', service_sid: 'IS', target_sid, subject_sid, event_type: 'onMessageAdded' },
    ...{
      method: 'POST',
      url: 'https://hook.test/',
      form: '{}',
      idempotency_token: 'token',
      message_sid: null,
      participant_sid: null,
    },
  }
}

/** Two nodes of one database, with a row to lock for each subject. */
async function scene() {
  const place = await newDatabase()
  const failures: Error[] = []
  const open = () =>
    openDatabase<typeof commands>(place.config.database, {
      commands: new URL('../support/queue-commands.ts', import.meta.url),
      failed: (error) => void failures.push(error),
    })
  const nodes = [await open(), await open()] as const
  onTestFinished(async () => {
    await Promise.all(nodes.map((node) => node.close()))
    await place.dispose()
    expect(failures).toEqual([])
  })
  const [node] = nodes
  await Promise.all(subjects.map((sid) => node.write('make', newService(sid))))
  return {
    nodes,
    /** Returns what the deliveries of a subject say, in the order of their ids. */
    async inOrder(subject_sid: string): Promise<readonly number[]> {
      const rows = await node.read.all(pendingOf, { slot: slotOf(subject_sid, node.slots.count), target_sid, limit: 1000 })
      return rows.filter((row) => row.subject_sid === subject_sid).map(({ form }) => JSON.parse(form).revision)
    },
  }
}

const upTo = (count: number) => Array.from({ length: count }, (_, i) => i + 1)

test('many commands of one transaction ask once for the last delivery of a subject', async () => {
  const { nodes, inOrder } = await scene()
  const query = vi.spyOn(pg.Client.prototype, 'query')
  onTestFinished(() => query.mockRestore())
  const writes = upTo(20).flatMap(() => subjects.map((sid) => ({ sid, delivery: delivery(sid), now: 1000 })))
  await Promise.all(writes.map((input) => nodes[0].write('enqueueInTurn', input)))
  const asked = query.mock.calls.filter(([statement]) => /from \\"deliveries\\"/.test(JSON.stringify(statement)))
  expect(asked).toHaveLength(1)
  for (const sid of subjects) expect(await inOrder(sid)).toEqual(upTo(20))
})

test('deliveries of a subject are in the order of its lock, though the clocks of the nodes differ', async () => {
  const { nodes, inOrder } = await scene()
  for (const round of upTo(5)) {
    const writes = nodes.flatMap((node, i) =>
      upTo(6).flatMap(() =>
        subjects.map((sid) => () => node.write('enqueueInTurn', { sid, delivery: delivery(sid), now: 1000 * i })),
      ),
    )
    await Promise.all(writes.map((write) => write()))
    for (const sid of subjects) expect(await inOrder(sid)).toEqual(upTo(round * 12))
  }
})
