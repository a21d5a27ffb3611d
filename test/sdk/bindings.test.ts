import { expect } from 'vitest'
import { pageOf } from '../../src/storage/rows.ts'
import type { BindingRow } from '../../src/storage/schema.ts'
import { registerBinding } from '../support/bindings.ts'
import type { FileServer } from '../support/file-server.ts'
import { testWithRows as test } from '../support/fixtures.ts'
import { newTenant, type Tenant } from '../support/tenant.ts'

const credential_sid = `CR${'c'.repeat(32)}`

async function withBindings(server: FileServer, tenant: Tenant) {
  const service = await tenant.sdk.conversations.v1.services.create({ friendlyName: 'Support' })
  const now = server.clock.now()
  const register = (later_s: number, identity: string, binding_type: BindingRow['binding_type']) => {
    const date = now + later_s * 1000
    const dates = { date_created: date, date_updated: date }
    const message_types = '["removed_from_conversation","new_message"]'
    return registerBinding(server, tenant, { service_sid: service.sid, identity, binding_type, message_types, ...dates })
  }
  const sids = [
    await register(0, 'alice', 'apn'),
    await register(1, 'alice', 'fcm'),
    await register(2, 'bob', 'gcm'),
    await register(3, 'carol', 'fcm'),
    await register(4, 'dave & co', 'twilsock'),
  ] as const
  const path = `/v1/Services/${service.sid}/Bindings`
  /** What the database holds of them. */
  const rows = async () => (await server.rows('bindings')).filter(({ service_sid }) => service_sid === service.sid)
  return { service, sids, path, rows, bindings: tenant.sdk.conversations.v1.services(service.sid).bindings }
}

test('a binding is read and deleted', async ({ server, tenant }) => {
  const { service, sids, path, bindings, rows } = await withBindings(server, tenant)
  const binding = await bindings(sids[2]).fetch()
  expect(binding).toMatchObject({
    sid: sids[2],
    accountSid: tenant.account_sid,
    chatServiceSid: service.sid,
    endpoint: 'bob-endpoint',
    identity: 'bob',
    bindingType: 'gcm',
    credentialSid: credential_sid,
    messageTypes: ['removed_from_conversation', 'new_message'],
    url: `${tenant.url}${path}/${sids[2]}`,
  })
  expect(await bindings(sids[2]).remove()).toBe(true)
  await expect(bindings(sids[2]).fetch()).rejects.toMatchObject({ status: 404, code: 20404 })
  await expect(bindings(sids[2]).remove()).rejects.toMatchObject({ status: 404, code: 20404 })
  expect(await rows()).toHaveLength(4)
})

test('nothing makes or changes a binding here, and only a service has them', async ({ server, tenant }) => {
  const { sids, path, rows } = await withBindings(server, tenant)
  const refused = { status: 405, code: 20004 }
  expect((await tenant.call('POST', path, { Identity: 'eve' })).body).toMatchObject(refused)
  expect((await tenant.call('POST', `${path}/${sids[0]}`, { Identity: 'eve' })).body).toMatchObject(refused)
  expect((await tenant.call('GET', '/v1/Bindings')).body).toMatchObject({ status: 404, code: 20404 })
  expect((await rows()).map(({ identity }) => identity)).not.toContain('eve')
})

test('a list is filtered: any of the values of one filter, and every filter', async ({ server, tenant }) => {
  const { sids, path } = await withBindings(server, tenant)
  const cases: [query: string, expected: number[]][] = [
    ['', [0, 1, 2, 3, 4]],
    ['BindingType=fcm', [1, 3]],
    ['BindingType=FCM', [1, 3]],
    ['BindingType=fcm&BindingType=apn', [0, 1, 3]],
    ['BindingType=fcm&BindingType=apn&BindingType=gcm', [0, 1, 2, 3]],
    ['Identity=alice', [0, 1]],
    ['Identity=alice&Identity=bob&Identity=nobody', [0, 1, 2]],
    ['Identity=Alice', []],
    ['Identity=dave+%26+co', [4]],
    ['Identity=alice&BindingType=fcm', [1]],
    ['Identity=alice&Identity=carol&BindingType=fcm&BindingType=gcm', [1, 3]],
    ['Identity=&BindingType=', [0, 1, 2, 3, 4]],
    [`Identity=alice&${'Identity=nobody&'.repeat(900)}`, [0, 1]],
    [Array.from({ length: 600 }, (_, i) => `Identity=u${i}`).join('&'), []],
  ]
  for (const [query, expected] of cases) {
    const { body } = await tenant.call('GET', `${path}?${query}`)
    const found = body.bindings.map(({ sid }: { sid: string }) => sid)
    expect(found, query.slice(0, 80)).toEqual(expected.map((i) => sids[i]))
  }
})

test('any number of values is served by a few queries, the same on both engines', () => {
  const query = (places: number) =>
    pageOf({
      table: 'bindings',
      where: [
        { column: 'service_sid', operator: '=' },
        { column: 'identity', operator: 'in', places },
      ],
      by: 'date_created',
      direction: 'asc',
      after: null,
    })
  expect(query(16).id).toBe(query(16).id)
  expect(query(16).id).not.toBe(query(32).id)
  const values = Array.from({ length: 16 }, (_, i) => `where1_${i}`)
  expect(query(16).compile('postgres').placeholders).toEqual(['where0', ...values, 'limit'].map((argument) => ({ argument })))
  expect(query(16).compile('sqlite').sql).toMatch(/"identity" in \((likely\(\?\)(, )?){16}\)/)
})

test('the official client filters by several values', async ({ server, tenant }) => {
  const { sids, bindings } = await withBindings(server, tenant)
  const found = await bindings.list({ bindingType: ['fcm', 'gcm'], identity: ['alice', 'bob'] })
  expect(found.map(({ sid }) => sid)).toEqual([sids[1], sids[2]])
})

test('pages keep their filters', async ({ server, tenant }) => {
  const { sids, path, bindings } = await withBindings(server, tenant)
  const { body } = await tenant.call('GET', `${path}?PageSize=1&Identity=alice&Identity=carol&BindingType=FcM&Identity=alice`)
  const filters = 'BindingType=fcm&Identity=alice&Identity=carol'
  expect(body.meta.first_page_url).toBe(`${tenant.url}${path}?${filters}&PageSize=1&Page=0`)
  expect(body.meta.next_page_url).toContain(`${path}?${filters}&PageSize=1&Page=1&PageToken=PT`)
  const next = await tenant.call('GET', body.meta.next_page_url.slice(tenant.url.length))
  expect(next.body.bindings.map(({ sid }: { sid: string }) => sid)).toEqual([sids[3]])
  expect(next.body.meta.next_page_url).toBeNull()
  const all = await bindings.list({ pageSize: 2, identity: ['alice', 'bob', 'carol'] })
  expect(all.map(({ sid }) => sid)).toEqual(sids.slice(0, 4))
})

test('an unknown type is refused', async ({ server, tenant }) => {
  const { path } = await withBindings(server, tenant)
  const { body } = await tenant.call('GET', `${path}?BindingType=fcm&BindingType=pigeon`)
  expect(body).toMatchObject({ status: 400, code: 20422, message: 'Invalid Parameter' })
})

test('bindings of another service or account are not there, and go with their service', async ({ server, tenant }) => {
  const { service, sids, rows } = await withBindings(server, tenant)
  const { v1 } = tenant.sdk.conversations
  const elsewhere = await v1.services.create({ friendlyName: 'Sales' })
  const gone = { status: 404, code: 20404 }
  await expect(v1.services(elsewhere.sid).bindings(sids[0]).fetch()).rejects.toMatchObject(gone)
  await expect(v1.services(elsewhere.sid).bindings(sids[0]).remove()).rejects.toMatchObject(gone)
  expect(await v1.services(elsewhere.sid).bindings.list()).toEqual([])
  const theirs = (await newTenant(server)).sdk.conversations.v1.services(service.sid).bindings
  await expect(theirs(sids[0]).fetch()).rejects.toMatchObject(gone)
  await expect(theirs(sids[0]).remove()).rejects.toMatchObject(gone)
  await expect(theirs.list()).rejects.toMatchObject(gone)
  expect(await rows()).toHaveLength(5)
  expect((await v1.services(service.sid).bindings(sids[0]).fetch()).identity).toBe('alice')
  await v1.services(service.sid).remove()
  await expect(v1.services(service.sid).bindings(sids[0]).fetch()).rejects.toMatchObject(gone)
  await expect.poll(rows).toEqual([])
})
