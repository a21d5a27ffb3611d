import { describe, expect, test } from 'vitest'
import { retryDelayMs, startOf } from '../../src/privacy/erasures.ts'
import { personOf } from '../../src/privacy/person.ts'
import type { ErasureRow } from '../../src/storage/schema.ts'
import { Vault } from '../../src/vault.ts'
import { engine } from '../support/databases.ts'
import { secretKey } from '../support/file-server.ts'
import { startServer } from '../support/server.ts'
import { newTenant } from '../support/tenant.ts'
import { alice, erase, holds, populate, rowsOf, startScene, strings, ways } from './scene.ts'

describe.each(['redact', 'delete'] as const)('an erasure that is to %s messages', (messages) => {
  test('leaves none of the strings of the person in any file of the installation', async () => {
    const scene = await startScene()
    await populate(scene, scene.server)
    // Or the test would prove nothing.
    for (const text of strings) expect([text, await holds(scene, text)]).toEqual([text, true])
    const webhooks = async () =>
      (await scene.rows.rows('deliveries')).filter(({ kind }) => kind === 'webhook').map(({ id }) => id)
    const before = await webhooks()
    for (const named of ways) {
      const done = await erase(scene.server, { ...named, messages, reference: 'ticket 7' })
      expect(done).toMatchObject({ storage: engine === 'sqlite' ? 'overwritten' : 'not overwritten', reference: 'ticket 7' })
    }
    for (const text of strings) expect([text, await holds(scene, text)]).toEqual([text, false])
    // No webhook is sent what was erased.
    expect(before).toEqual(expect.arrayContaining(await webhooks()))
  })
})

test('whoever else was there stays as they were, and so does another account with a person of that name', async () => {
  const scene = await startScene()
  const other = await newTenant(scene.server)
  const { chat, mail } = await populate(scene, scene.server)
  await populate(scene, other, 'box-of-the-other@parley-box.example')
  const ofOther = (row: Readonly<Record<string, unknown>>) => row.account_sid === other.account_sid
  const ofBob = (row: Readonly<Record<string, unknown>>, table: string) =>
    row.account_sid === scene.server.account_sid &&
    ((table === 'messages' && row.author === 'bob') ||
      (['users', 'participants'].includes(table) && row.identity === 'bob') ||
      (table === 'participants' && String(row.address).startsWith('carol')) ||
      ['addresses', 'roles', 'services'].includes(table))
  const before = { other: await rowsOf(scene, ofOther), bob: await rowsOf(scene, ofBob) }
  expect(before.bob.messages).toHaveLength(4)
  expect(before.other.messages?.length).toBeGreaterThan(8)
  for (const named of ways) await erase(scene.server, named)
  expect(await rowsOf(scene, ofOther)).toEqual(before.other)
  expect(await rowsOf(scene, ofBob)).toEqual(before.bob)
  const { conversations } = scene.server.sdk.conversations.v1
  const [first, second, third] = await conversations(chat).messages.list()
  expect(first).toMatchObject({ index: 0, body: '', media: null, attributes: '{}', author: expect.stringMatching(/^erased-/) })
  expect(second).toMatchObject({ index: 1, author: 'bob', body: 'bob says' })
  // Somebody else would have got it by SMS: it is not sent any more, and says so.
  expect(third).toMatchObject({ index: 2, body: '', delivery: { total: 1, failed: 'all', sent: 'none' } })
  const receipts = await conversations(chat)
    .messages(third?.sid ?? '')
    .deliveryReceipts.list()
  expect(receipts).toMatchObject([{ status: 'failed', errorCode: 30008 }])
  const letters = await conversations(mail).messages.list()
  expect(letters.map(({ body }) => body)).toEqual(['', expect.stringContaining('carol answers')])
})

test('one that fails says so, keeps no other from being done, and is tried again ever less often', async () => {
  const scene = await startScene()
  const { account_sid } = scene.server
  // As after a loss of the secret key.
  const broken: ErasureRow = {
    ...{ id: `ER${'0'.repeat(32)}`, account_sid, status: 'waiting', dry_run: 0, messages: 'redact', subject: 'identity' },
    ...{ subject_hash: '', pseudonym: 'erased-0', requested_by: 'console', reference: null, sealed: 'not sealed', step: null },
    ...{ counts: '{}', storage: null, owner: null, failures: 0, date_retry: null },
    ...{ date_created: 0, date_started: null, date_finished: null },
  }
  await scene.rows.insert('erasures', broken)
  expect(await erase(scene.server, { identity: 'somebody' })).toMatchObject({ status: 'done' })
  const { server } = scene
  const shown = () => server.admin('GET', `/accounts/${account_sid}/erasures/${broken.id}`)
  await expect.poll(shown).toMatchObject({ status: 'failed', failures: 1, date_finished: null })
  const waits = async () => {
    const { date_retry } = await shown()
    return Date.parse(date_retry) - Date.parse((await server.admin('GET', '/clock')).now)
  }
  expect(await waits()).toBeLessThanOrEqual(5000)
  // Another one wakes the worker, which leaves it alone until its time has come.
  await server.advance('PT1S')
  expect(await erase(server, { identity: 'somebody' })).toMatchObject({ status: 'done' })
  expect(await shown()).toMatchObject({ failures: 1 })
  await server.advance('PT10S')
  await expect.poll(shown).toMatchObject({ status: 'failed', failures: 2 })
  expect(await waits()).toBeGreaterThan(5000)
  const [good] = (await scene.rows.rows('erasures')).filter(({ id }) => id !== broken.id)
  expect(good).toMatchObject({ failures: 0, date_retry: null })
  expect(retryDelayMs(20)).toBe(3_600_000)
  // The key is found again.
  const sealed = new Vault(secretKey).seal(JSON.stringify(startOf(personOf(account_sid, { identity: 'bob' }))))
  await scene.rows.query(`update erasures set sealed = '${sealed}' where id = '${broken.id}'`)
  await server.advance('PT1M')
  await expect.poll(shown).toMatchObject({ status: 'done', failures: 2, date_retry: null })
})

test('in test mode the mails that were caught go, too', async () => {
  await using server = await startServer({ testMode: true })
  for (const address of ['ann@example.org', 'ben@example.org']) {
    const { body } = await server.call('POST', '/v1/Conversations', { 'Bindings.Email.Address': 'desk@example.com' })
    const path = `/v1/Conversations/${body.sid}`
    const binding = { 'MessagingBinding.Address': address, 'MessagingBinding.Type': 'email' }
    await server.call('POST', `${path}/Participants`, binding)
    await server.call('POST', `${path}/Messages`, { Author: 'bob', Body: 'Hello' })
  }
  const caught = async () => {
    const { mail } = await server.admin('GET', '/mail')
    return mail.map(({ recipient }: { recipient: string }) => recipient).sort()
  }
  await expect.poll(caught).toEqual(['ann@example.org', 'ben@example.org'])
  await erase(server, { address: 'ann@example.org' })
  expect(await caught()).toEqual(['ben@example.org'])
})

test('what a mirror has left behind names the person no more', async () => {
  const scene = await startScene()
  const { account_sid } = scene.server
  const { v1 } = scene.server.sdk.conversations
  const user = await v1.users.create({ identity: alice.identity })
  const difference = (sid: string, target: string) => ({ resource: 'User', sid, is: 'different', keys: ['attributes'], target })
  const others = difference(`US${'9'.repeat(32)}`, 'user IS1 bob')
  const differences = [difference(user.sid, 'user IS1 x'), others, difference('x', `user IS1 ${alice.identity}`)]
  const report = JSON.stringify({ date: 1, rows: 9, count: 3, differences })
  const dates = { date_started: 1, date_passed: 1, date_switched: 1 }
  await scene.rows.insert('mirrors', { account_sid, url: 'https://hosted.example', state: 'switched', report, ...dates })
  const work = { account_sid, targets: null, marks: 1, attempts: 1, error: null, date_created: 1, date_due: 1 }
  for (const row of [
    { ...work, key: `user IS1 ${alice.identity}` },
    { ...work, key: `membership IS1 ${user.sid} CH1` },
    { ...work, key: 'intent 1', targets: JSON.stringify([`user IS1 ${alice.identity}`]) },
    { ...work, key: 'service IS1', error: `user US1: its identity is that of ${alice.identity}` },
    { ...work, key: 'user IS1 bob', error: '404' },
  ]) {
    await scene.rows.insert('mirror_work', row)
  }
  const { counts } = await erase(scene.server, { identity: alice.identity })
  expect(counts).toMatchObject({ mirror_work: 4, mirrors: 1 })
  expect((await scene.rows.rows('mirror_work')).map(({ key }) => key)).toEqual(['user IS1 bob'])
  const [mirror] = await scene.rows.rows('mirrors')
  expect(JSON.parse(mirror?.report ?? '')).toEqual({ date: 1, rows: 9, count: 3, differences: [others] })
})
