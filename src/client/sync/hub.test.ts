import { expect, test } from 'vitest'
import { messagesList } from '../../resources/sync-objects.ts'
import type { Reader } from '../../storage/database.ts'
import { conversationBySid, participantByIdentity } from '../../storage/lookups.ts'
import type { ServiceRow } from '../../storage/schema.ts'
import type { Connection, Session } from '../connection.ts'
import { SyncHub } from './hub.ts'

const service_sid = `IS${'0'.repeat(32)}`
const conversation_sid = `CH${'0'.repeat(32)}`
const list = messagesList(conversation_sid)
const session = { account_sid: 'AC', service_sid, identity: 'ann', user_sid: 'US' } as Session

/** A hub, a connection and what it was sent. `read` is called when the membership is read, and returns whether there is one. */
function scene(read: (times: number) => boolean) {
  const sent: string[] = []
  // What the hub uses of a connection.
  const connection = { session, sendBytes: (bytes: Buffer) => sent.push(bytes.toString()) } as unknown as Connection
  let times = 0
  const one = async (query: unknown) => {
    if (query === conversationBySid) return { sid: conversation_sid, created_by: 'system', last_event_id: 1 }
    return query === participantByIdentity && read(times++) ? { user_sid: 'US' } : undefined
  }
  // Only these rows are read.
  const reader = { one, hold: one, all: async () => [] } as unknown as Reader
  const failed: unknown[] = []
  const hub = new SyncHub({
    view: async () => ({ read: reader, service: { sid: service_sid } as ServiceRow, now: 0 }),
    failed: (error) => failed.push(error),
    sent() {},
    replayed() {},
    lagged() {},
  })
  return { hub, connection, sent, failed }
}

const answered = (sent: readonly string[]) => sent.some((frame) => /subscription_(established|failed)/.test(frame))

test('somebody who is removed while they subscribe is not subscribed', async () => {
  const { hub, connection, sent, failed } = scene((times) => {
    // What has been read is true no more when it arrives.
    if (times === 0) hub.check([connection], conversation_sid).catch((error) => failed.push(error))
    return times === 0
  })
  hub.establish(connection, session, [{ name: list, after: null }], 1)
  await expect.poll(() => answered(sent)).toBe(true)
  expect(sent.join()).toContain('subscription_failed')
  expect([...hub.followers(list)]).toEqual([])
  expect(failed).toEqual([])
})

test('somebody who is removed while they are checked does not stay subscribed', async () => {
  let checks: Promise<unknown> | undefined
  const { hub, connection, sent } = scene((times) => {
    if (times === 1) checks = hub.check([connection], conversation_sid)
    return times <= 1
  })
  hub.establish(connection, session, [{ name: list, after: null }], 1)
  await expect.poll(() => answered(sent)).toBe(true)
  expect([...hub.followers(list)]).toEqual([connection])
  await hub.check([connection], conversation_sid)
  await checks
  expect([...hub.followers(list)]).toEqual([])
})
