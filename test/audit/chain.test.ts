import { createPrivateKey, generateKeyPairSync } from 'node:crypto'
import { expect, test } from 'vitest'
import { signerOf } from '../../src/audit/checkpoints.ts'
import { canonicalJson, hashOf } from '../../src/audit/entry.ts'
import { makeCheckpoint } from '../../src/audit/keeper.ts'
import { verifyLog } from '../../src/audit/verify.ts'
import { actOf, dropTriggers, openLog, type TestLog } from '../support/audit.ts'

async function withEntries(count: number): Promise<TestLog> {
  const log = await openLog()
  for (let n = 1; n <= count; n++) await log.audit.record(actOf('thing.changed'), { outcome: 'success', code: null })
  return log
}

function checkpoint({ database, clock, signer }: TestLog): Promise<string | null> {
  return makeCheckpoint({ database, clock, signer: async () => signer, signed: () => {} })
}

function verify({ database, signer }: TestLog, against: string | null = null) {
  return verifyLog(database, signer, against)
}

/** Writes all hashes anew from an entry on, as somebody would who knows how they are made. */
async function stampAnew({ rows }: TestLog, from: number): Promise<void> {
  const all = (await rows.rows('audit_entries')).sort((a, b) => a.seq - b.seq)
  let before = all.find(({ seq }) => seq === from - 1)?.hash ?? '0'.repeat(64)
  for (const { hash: _, ...entry } of all.slice(from - 1)) {
    before = hashOf(before, entry)
    await rows.query(`update audit_entries set hash = '${before}' where seq = ${entry.seq}`)
  }
  await rows.query(`update audit_head set hash = '${before}'`)
}

test('a log that nobody has touched is whole, with and without checkpoints', async () => {
  const log = await withEntries(3)
  expect(await verify(log)).toMatchObject({ ok: true, entries: 3, checkpoints: 0, bad: null })
  const note = await checkpoint(log)
  expect(await verify(log, note)).toMatchObject({ ok: true, checkpoints: 2 })
  expect((await log.rows.rows('audit_entries')).map(({ seq }) => seq)).toEqual([1, 2, 3])
})

test('an empty log is whole', async () => {
  const log = await openLog()
  expect(await verify(log)).toMatchObject({ ok: true, entries: 0 })
  expect(await checkpoint(log)).toBeNull()
})

test('the tables refuse to change and to delete entries', async () => {
  const log = await withEntries(2)
  await checkpoint(log)
  for (const table of ['audit_entries', 'audit_checkpoints']) {
    await expect(log.rows.query(`update ${table} set at = 1`)).rejects.toThrow('only added to')
    await expect(log.rows.query(`delete from ${table}`)).rejects.toThrow('only added to')
  }
})

const changes = [
  ['a changed action', "update audit_entries set action = 'nothing' where seq = 3", 3],
  ['a changed actor', "update audit_entries set actor_id = 'somebody' where seq = 2", 2],
  ['a changed date', 'update audit_entries set at = at + 1 where seq = 5', 5],
  ['a changed hash', `update audit_entries set hash = '${'1'.repeat(64)}' where seq = 4`, 4],
  ['a removed entry', 'delete from audit_entries where seq = 2', 2],
  ['a removed first entry', 'delete from audit_entries where seq = 1', 1],
  ['a cut tail', 'delete from audit_entries where seq > 3', 4],
  ['everything removed', 'delete from audit_entries', 1],
] as const

test.each(changes)('%s is found, and the first bad entry named', async (_, statement, bad) => {
  const log = await withEntries(5)
  await dropTriggers(log.rows)
  await log.rows.query(statement)
  const found = await verify(log)
  expect(found).toMatchObject({ ok: false, bad })
  expect(found.finding).toContain(`${bad}`)
})

test('entries that have changed places are found', async () => {
  const log = await withEntries(4)
  await dropTriggers(log.rows)
  for (const [from, to] of [
    [2, 99],
    [3, 2],
    [99, 3],
  ]) {
    await log.rows.query(`update audit_entries set seq = ${to} where seq = ${from}`)
  }
  expect(await verify(log)).toMatchObject({ ok: false, bad: 2 })
})

test('a cut tail whose head was set back is found by a checkpoint, and by one from outside when those are gone', async () => {
  const log = await withEntries(5)
  const note = await checkpoint(log)
  await dropTriggers(log.rows)
  await log.rows.query('delete from audit_entries where seq > 3')
  await log.rows.query('update audit_head set seq = 3, hash = (select hash from audit_entries where seq = 3)')
  expect(await verify(log)).toMatchObject({ ok: false, bad: 4 })
  await log.rows.query('delete from audit_checkpoints')
  expect(await verify(log)).toMatchObject({ ok: true })
  expect(await verify(log, note)).toMatchObject({ ok: false, bad: 4, finding: expect.stringContaining('cut off') })
})

test('a chain that was stamped anew is found by a checkpoint, and by one from outside when those are gone', async () => {
  const log = await withEntries(5)
  const note = await checkpoint(log)
  await dropTriggers(log.rows)
  await log.rows.query("update audit_entries set action = 'nothing' where seq = 2")
  await stampAnew(log, 2)
  expect(await verify(log)).toMatchObject({ ok: false, bad: 5, finding: expect.stringContaining('written anew') })
  await log.rows.query('delete from audit_checkpoints')
  expect(await verify(log)).toMatchObject({ ok: true })
  expect(await verify(log, note)).toMatchObject({ ok: false, bad: 5 })
})

test('a checkpoint that was made up is not believed, nor one of another log, nor any other text', async () => {
  const log = await withEntries(2)
  const note = (await checkpoint(log)) ?? ''
  const other = signerOf(generateKeyPairSync('ed25519').privateKey)
  const { hash } = (await log.rows.rows('audit_entries'))[0] ?? { hash: '' }
  for (const text of [
    note.replace('\n2\n', '\n9\n'),
    other.signCheckpoint({ seq: 2, hash, at: 0 }),
    '',
    'x\n'.repeat(9),
    `${note}more`,
  ]) {
    expect(await verify(log, text), text).toMatchObject({ ok: false, finding: expect.stringContaining('does not belong') })
  }
  expect(await verify(log, log.signer.signAnchor({ seq: 2, hash, at: 0 }))).toMatchObject({ ok: false })
})

test('checkpoints are signed notes that others can verify', async () => {
  const signer = signerOf(createPrivateKey({ key: seededKey, format: 'der', type: 'pkcs8' }))
  const note = signer.signCheckpoint({ seq: 7, hash: '0'.repeat(64), at: 0 })
  expect(note.split('\n').slice(0, 5)).toEqual(['parley audit log', '7', `${'A'.repeat(43)}=`, '1970-01-01T00:00:00.000Z', ''])
  expect(note.split('\n')[5]).toMatch(/^— parley-audit [A-Za-z0-9+/]{91}=$/)
  expect(signer.open(note)).toEqual({ seq: 7, hash: '0'.repeat(64), at: 0 })
  expect(signer.verifier).toMatch(/^parley-audit\+[0-9a-f]{8}\+AT/)
})

/** An Ed25519 key whose seed is all zeros, in PKCS #8. */
const seededKey = Buffer.from(`302e020100300506032b657004220420${'00'.repeat(32)}`, 'hex')

test('canonical JSON sorts keys by their code units and has no spaces', () => {
  expect(canonicalJson({ b: [1, { d: null, c: 'é\n"' }], a: true, '€': 1, A: {} })).toBe(
    '{"A":{},"a":true,"b":[1,{"c":"é\\n\\"","d":null}],"€":1}',
  )
})
