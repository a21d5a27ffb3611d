import type { Message } from '@twilio/conversations'
import { describe, expect } from 'vitest'
import { ask } from '../support/admin.ts'
import { connected, conversationWith, next, opened } from '../support/client.ts'
import { test } from '../support/fixtures.ts'
import type { Tenant } from '../support/tenant.ts'

const pathOf = ({ account_sid }: Tenant) => `/accounts/${account_sid}/erasures`

async function erased(tenant: Tenant, body: object) {
  const { id } = (await ask(tenant, 'POST', pathOf(tenant), body)).body
  await expect.poll(async () => (await ask(tenant, 'GET', `${pathOf(tenant)}/${id}`)).body.status).toBe('done')
  return (await ask(tenant, 'GET', `${pathOf(tenant)}/${id}`)).body
}

/** Alice and bob, with a message of each. */
async function scene(tenant: Tenant) {
  const sid = await conversationWith(tenant, 'alice', 'bob')
  const conversation = tenant.sdk.conversations.v1.conversations(sid)
  const hers = await conversation.messages.create({ author: 'alice', body: 'alice says', attributes: '{"a":1}' })
  const his = await conversation.messages.create({ author: 'bob', body: 'bob says' })
  return { sid, conversation, hers, his }
}

describe('an erasure', () => {
  test('redacts messages, and those who are connected see it', async ({ tenant }) => {
    const { sid, conversation, hers } = await scene(tenant)
    const bob = await connected(tenant, 'bob')
    const there = await opened(bob, sid)
    const updated = next(there, 'messageUpdated', ({ message }: { message: Message }) => message.sid === hers.sid)
    const done = await erased(tenant, { identity: 'alice' })
    const { body, author, attributes, index } = (await updated).message
    expect({ body, author, attributes, index }).toEqual({ body: '', author: done.pseudonym, attributes: {}, index: 0 })
    const list = await conversation.messages.list()
    expect(list.map(({ body, author, index }) => [index, author, body])).toEqual([
      [0, done.pseudonym, ''],
      [1, 'bob', 'bob says'],
    ])
    expect(list[0]?.dateUpdated).toEqual(hers.dateUpdated)
    expect((await conversation.participants.list()).map(({ identity }) => identity)).toEqual(['bob'])
    await expect(tenant.sdk.conversations.v1.users('alice').fetch()).rejects.toMatchObject({ status: 404 })
  })

  test('deletes messages when it is asked to, and leaves their indexes unused', async ({ tenant }) => {
    const { sid, conversation, hers } = await scene(tenant)
    const bob = await connected(tenant, 'bob')
    const there = await opened(bob, sid)
    const removed = next<Message>(there, 'messageRemoved')
    const { counts } = await erased(tenant, { identity: 'alice', messages: 'delete' })
    expect((await removed).sid).toBe(hers.sid)
    expect(counts).toMatchObject({ messages_deleted: 1, messages_redacted: 0, participants: 1, users: 1 })
    expect((await conversation.messages.list()).map(({ index }) => index)).toEqual([1])
    expect((await conversation.messages.create({ body: 'next' })).index).toBe(2)
  })

  test('also reaches messages in closed conversations, which nobody else may change', async ({ tenant }) => {
    const { conversation } = await scene(tenant)
    await conversation.update({ state: 'closed' })
    await erased(tenant, { identity: 'alice' })
    expect((await conversation.messages.list()).map(({ body }) => body)).toEqual(['', 'bob says'])
    expect((await conversation.participants.list()).map(({ identity }) => identity)).toEqual(['bob'])
    expect((await conversation.fetch()).state).toBe('closed')
  })

  test('of a dry run counts what an erasure would, and changes nothing', async ({ tenant }) => {
    const { conversation } = await scene(tenant)
    const before = await conversation.messages.list()
    const dry = await erased(tenant, { identity: 'alice', dry_run: true })
    expect(dry).toMatchObject({ dry_run: true, storage: null, counts: { messages_redacted: 1, participants: 1, users: 1 } })
    expect(await conversation.messages.list()).toEqual(before)
    const done = await erased(tenant, { identity: 'alice' })
    expect(done.counts).toEqual(dry.counts)
    expect(done.subject_hash).toBe(dry.subject_hash)
    const again = await erased(tenant, { identity: 'alice' })
    expect(Object.values(again.counts).filter((count) => count !== 0)).toEqual([])
  })

  test('is listed, newest first, for its account alone', async ({ server, tenant }) => {
    const ids: string[] = []
    for (const identity of ['a', 'b', 'c']) ids.unshift((await erased(tenant, { identity, dry_run: true })).id)
    const list = (await ask(tenant, 'GET', `${pathOf(tenant)}?limit=2`)).body
    expect(list.erasures.map(({ id }: { id: string }) => id)).toEqual(ids.slice(0, 2))
    const rest = (await ask(tenant, 'GET', `${pathOf(tenant)}?limit=2&before=${list.next_before}`)).body
    expect(rest).toMatchObject({ erasures: [{ id: ids[2] }], next_before: null })
    expect((await ask(tenant, 'GET', `/accounts/${server.account_sid}/erasures/${ids[0]}`)).status).toBe(404)
  })

  test('is found by its status and by whether it only counts', async ({ tenant }) => {
    const dry = await erased(tenant, { identity: 'a', dry_run: true })
    const done = await erased(tenant, { identity: 'a' })
    const found = async (query: string) =>
      (await ask(tenant, 'GET', `${pathOf(tenant)}?${query}`)).body.erasures.map(({ id }: { id: string }) => id)
    expect(await found('status=done')).toEqual([done.id, dry.id])
    expect(await found('status=failed')).toEqual([])
    expect(await found('dry_run=true&status=done')).toEqual([dry.id])
    expect(await found('dry_run=false')).toEqual([done.id])
    for (const query of ['status=gone', 'status=', 'dry_run=perhaps', 'dry_run=1&dry_run=0']) {
      expect((await ask(tenant, 'GET', `${pathOf(tenant)}?${query}`)).status, query).toBe(400)
    }
  })

  test('names the operator who asked for it', async ({ server, tenant }) => {
    const { sid, token } = (await ask(server, 'POST', '/operators', { name: 'Ada', role: 'admin' })).body
    const asked = await ask(tenant, 'POST', pathOf(tenant), { identity: 'a', dry_run: true }, token)
    expect(asked.body.requested_by).toBe(sid)
  })

  test('says who asked for it, and refuses a reference that names the person', async ({ tenant }) => {
    const named = { address: '+15550001234', reference: 'about whatsapp:+15550001234' }
    expect(await ask(tenant, 'POST', pathOf(tenant), named)).toEqual({
      status: 400,
      body: { error: 'reference must not name the person: it is kept' },
    })
    const done = await erased(tenant, { address: '+15550001234', reference: 'ticket 7' })
    expect(done).toMatchObject({ reference: 'ticket 7', requested_by: 'operator token', subject: 'address' })
    expect(JSON.stringify(done)).not.toContain('5550001234')
  })
})

describe('an erasure is refused', () => {
  test.for([
    [{}, 'identity or address is missing'],
    [null, /body/],
    [{ identity: 'a', address: '+15550001234' }, 'give either identity or address, not both'],
    [{ identity: '' }, /identity/],
    [{ identity: 'system' }, 'identity must be that of a person: system is nobody'],
    [{ identity: 'a\u0000' }, /NUL/],
    [{ identity: 'a'.repeat(257) }, /identity/],
    [{ identity: ['a'] }, /identity/],
    [{ address: 'nobody' }, /address must be a phone number/],
    [{ address: '0123' }, /address must be a phone number/],
    [{ address: '' }, /address/],
    [{ identity: 'a', messages: 'burn' }, /messages/],
    [{ identity: 'a', dry_run: 'yes' }, /dry_run/],
    [{ identity: 'a', reference: 'x'.repeat(257) }, /reference/],
    [{ identity: 'a', reference: '\u001b[2J' }, /reference/],
    [{ identity: 'a', more: 1 }, /more/],
  ] as const)('for %j', async ([body, error], { tenant }) => {
    const answer = await ask(tenant, 'POST', pathOf(tenant), body)
    expect(answer).toEqual({ status: 400, body: { error: typeof error === 'string' ? error : expect.stringMatching(error) } })
    expect((await ask(tenant, 'GET', pathOf(tenant))).body.erasures).toEqual([])
  })

  test('in an account that does not exist, and without the token', async ({ tenant }) => {
    const path = `/accounts/AC${'f'.repeat(32)}/erasures`
    expect((await ask(tenant, 'POST', path, { identity: 'a' })).status).toBe(404)
    expect((await ask(tenant, 'GET', path)).status).toBe(404)
    expect((await ask(tenant, 'GET', `${pathOf(tenant)}/ER${'f'.repeat(32)}`)).status).toBe(404)
    expect((await ask(tenant, 'POST', pathOf(tenant), { identity: 'a' }, 'wrong')).status).toBe(401)
  })
})
