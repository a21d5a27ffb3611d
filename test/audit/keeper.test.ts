import { expect, test } from 'vitest'
import { AuditKeeper } from '../../src/audit/keeper.ts'
import { verifyLog } from '../../src/audit/verify.ts'
import { actOf, openLog, type TestLog } from '../support/audit.ts'

const dayMs = 86_400_000

/** Runs the keeper as often as the clock is moved; `signed` has the notes, in order. */
function keep({ audit, database, clock, signer }: TestLog, retentionDays = 400) {
  const signed: string[] = []
  const errors: unknown[] = []
  const keeper = new AuditKeeper({
    ...{ audit, database, clock },
    signer: async () => signer,
    retentionMs: retentionDays * dayMs,
    signed: (_, note) => void signed.push(note),
    onError: (error) => void errors.push(error),
  })
  keeper.start()
  const move = (ms: number) => {
    clock.moveTo(clock.now() + ms)
    database.publish([{ topic: 'clock', state: clock.state }])
  }
  return { signed, errors, move, [Symbol.asyncDispose]: () => keeper.stop() }
}

const refusal = { address: '192.0.2.9', agent: null, interface: 'v1', kind: 'account', code: 401 } as const
const success = { outcome: 'success', code: null } as const

test('a checkpoint is signed five minutes after the last one, when there are new entries, and only then', async () => {
  const log = await openLog()
  await log.audit.record(actOf('thing.changed'), success)
  await using keeper = keep(log)
  await expect.poll(() => keeper.signed.length).toBe(1)
  keeper.move(6 * 60_000)
  await log.audit.record(actOf('thing.changed'), success)
  keeper.move(6 * 60_000)
  await expect.poll(() => keeper.signed.length).toBe(2)
  expect(keeper.signed.map((note) => note.split('\n')[1])).toEqual(['1', '2'])
  expect(keeper.errors).toEqual([])
})

test('entries that are too old go, an anchor stands for them, and the rest is whole', async () => {
  const log = await openLog()
  for (let n = 0; n < 3; n++) await log.audit.record(actOf('thing.changed'), success)
  await using keeper = keep(log)
  keeper.move(300 * dayMs)
  await log.audit.record(actOf('thing.kept'), success)
  keeper.move(200 * dayMs)
  const left = async () => (await log.rows.rows('audit_entries')).map(({ seq, action }) => [seq, action])
  await expect.poll(left).toEqual([
    [4, 'thing.kept'],
    [5, 'audit.expired'],
  ])
  expect((await log.rows.rows('audit_entries')).find(({ seq }) => seq === 5)).toMatchObject({
    actor_type: 'system',
    after: '{"removed":3}',
  })
  expect(await verifyLog(log.database, log.signer, null)).toMatchObject({ ok: true, entries: 2, removed: 3 })
  const old = log.signer.signCheckpoint({ seq: 2, hash: '0'.repeat(64), at: 0 })
  expect(await verifyLog(log.database, log.signer, old)).toMatchObject({ ok: true, finding: expect.stringContaining('is gone') })
  expect(keeper.errors).toEqual([])

  await log.rows.query('update audit_head set removed_seq = 4')
  await log.rows.query('delete from audit_entries where seq = 4')
  expect(await verifyLog(log.database, log.signer, null)).toMatchObject({
    ok: false,
    bad: 5,
    finding: expect.stringContaining('anchor'),
  })
})

test('refused credentials have one entry for each address, name and minute, with their count', async () => {
  const log = await openLog()
  for (let n = 0; n < 50; n++) log.audit.refused({ ...refusal, name: 'alice@example.org' })
  log.audit.refused({ ...refusal, name: 'bob' })
  log.audit.refused({ ...refusal, name: null, address: '192.0.2.10' })
  await log.audit.flush()
  const entries = await log.rows.rows('audit_entries')
  expect(entries.map(({ count, actor_id, address, action, outcome }) => [count, actor_id, address, action, outcome])).toEqual([
    [50, expect.stringMatching(/^hmac:[0-9a-f]{32}$/), '192.0.2.9', 'credentials.refused', 'refused'],
    [1, expect.stringMatching(/^hmac:[0-9a-f]{32}$/), '192.0.2.9', 'credentials.refused', 'refused'],
    [1, 'unknown', '192.0.2.10', 'credentials.refused', 'refused'],
  ])
  expect(entries[0]?.actor_id).not.toBe(entries[1]?.actor_id)
  expect(await log.rows.holds('alice@example.org')).toBe(false)
})

test('a flood from ever other addresses has a bounded number of entries, and none of it is uncounted', async () => {
  const log = await openLog()
  for (let n = 0; n < 5000; n++) {
    log.audit.refused({ address: `2001:db8::${n}`, agent: null, interface: 'v1', kind: 'key', code: 401, name: null })
  }
  await log.audit.flush()
  const entries = await log.rows.rows('audit_entries')
  expect(entries.length).toBe(501)
  expect(entries.reduce((sum, { count }) => sum + count, 0)).toBe(5000)
})

test('what somebody has read has one entry for each hour', async () => {
  const log = await openLog()
  const other = await openLog(log.place).catch(() => null)
  const view = actOf('conversation.viewed', `CH${'0'.repeat(32)}`)
  for (const { audit } of [log, other ?? log, log]) await audit.viewed(view)
  await log.audit.viewed(actOf('conversation.viewed', `CH${'1'.repeat(32)}`))
  log.clock.moveTo(log.clock.now() + 3_600_000)
  await log.audit.viewed(view)
  expect((await log.rows.rows('audit_entries')).length).toBe(3)
})

test('a checkpoint is signed after a thousand entries, whenever the last one was', async () => {
  const log = await openLog()
  await log.audit.record(actOf('thing.changed'), success)
  await using keeper = keep(log)
  await expect.poll(() => keeper.signed.length).toBe(1)
  // Those of refused credentials are the quickest to make: 501 at a time.
  for (const round of [1, 2]) {
    for (let n = 0; n < 501; n++) log.audit.refused({ ...refusal, name: `${round} ${n}` })
    await log.audit.flush()
  }
  await expect.poll(() => keeper.signed.length).toBe(2)
  expect(keeper.errors).toEqual([])
})
