import { describe, expect, test } from 'vitest'
import { engine } from '../support/databases.ts'
import { newTenant } from '../support/tenant.ts'
import { erase, holds, populate, rowsOf, startScene, strings, ways } from './scene.ts'

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
  const [first, second] = await conversations(chat).messages.list()
  expect(first).toMatchObject({ index: 0, body: '', media: null, attributes: '{}', author: expect.stringMatching(/^erased-/) })
  expect(second).toMatchObject({ index: 1, author: 'bob', body: 'bob says' })
  const letters = await conversations(mail).messages.list()
  expect(letters.map(({ body }) => body)).toEqual(['', expect.stringContaining('carol answers')])
})
