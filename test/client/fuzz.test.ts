import fc from 'fast-check'
import { expect } from 'vitest'
import { routes } from '../../src/client/routes.ts'
import { RawClient } from '../support/client.ts'
import { test } from '../support/fixtures.ts'
import { newTenant, type Tenant } from '../support/tenant.ts'

const secret = 'text of others'

/** A tenant with a conversation of ann, and one of others in the same service, whose texts nobody else may see. */
async function world(tenant: Tenant, hidden: string) {
  const { conversations, configuration } = tenant.sdk.conversations.v1
  const own = await conversations.create({ friendlyName: 'own', uniqueName: 'own' })
  const foreign = await conversations.create({
    friendlyName: hidden,
    uniqueName: 'foreign',
    attributes: JSON.stringify({ hidden }),
  })
  await conversations(own.sid).participants.create({ identity: 'ann' })
  await conversations(foreign.sid).participants.create({ identity: 'bob', attributes: JSON.stringify({ hidden }) })
  const mine = await conversations(own.sid).messages.create({ author: 'ann', body: 'mine' })
  const theirs = await conversations(foreign.sid).messages.create({ author: 'bob', body: hidden })
  const service = (await configuration().fetch()).defaultChatServiceSid
  return { service, own: own.sid, foreign: foreign.sid, mine: mine.sid, theirs: theirs.sid }
}

test('no request of a client is a defect, or shows what is not for its user', { timeout: 120_000 }, async ({
  server,
  tenant,
}) => {
  const here = await world(tenant, secret)
  const elsewhere = await world(await newTenant(server), secret)
  const raw = await RawClient.admitted(tenant, 'ann')
  const sids = [here, elsewhere].flatMap((one) => Object.values(one))
  const objects = sids.flatMap((sid) => ['channel', 'channels', 'info', 'messages', 'roster', ''].map((part) => `${sid}.${part}`))
  const name = fc.oneof(
    fc.constantFrom(...sids, ...objects, 'ann', 'bob', 'own', 'foreign', 'me', '', '..', '%', '\0'),
    fc.string({ unit: 'grapheme', maxLength: 20 }),
  )
  const path = fc
    .tuple(fc.constantFrom(...routes.map((route) => route.path)), fc.array(name, { minLength: 5, maxLength: 5 }))
    .map(([pattern, names]) => {
      let next = 0
      return pattern.replace(/:(\w+)/g, (_, parameter) =>
        encodeURIComponent((parameter === 'service' ? here.service : names[next++]) ?? ''),
      )
    })
  const value = fc.oneof(
    name,
    fc.integer(),
    fc.constantFrom(null, true, {}, [], ['x'], '{"a":1}', '{', -1, 1e300),
    fc.jsonValue({ maxDepth: 1 }),
  )
  const keys = [
    'body',
    'attributes',
    'friendly_name',
    'unique_name',
    'identity',
    'messaging_binding',
    'media_sids',
    'content_sid',
    'content_variables',
    'last_read_message_index',
    'notification_level',
    'action',
    'requests',
    'correlation_id',
    'subject',
    'role_sid',
    'data',
  ]
  const body = fc.option(fc.dictionary(fc.constantFrom(...keys), value, { maxKeys: 5 }), { nil: undefined })
  const parameters = ['From', 'PageSize', 'PageToken', 'Order', 'Key', 'Index', 'Include', 'MessageSid', 'productId']
  const params = fc.dictionary(fc.constantFrom(...parameters), name.map(encodeURIComponent), { maxKeys: 3 })
  const headers = fc.option(fc.record({ 'X-Twilio-Mutation-Id': name }), { nil: undefined })
  const asked = fc.record({ method: fc.constantFrom('GET', 'GET', 'POST', 'DELETE'), path, params, body, headers })
  await fc.assert(
    fc.asyncProperty(asked, async (given) => {
      const answer = await raw.request(given.method, given.path, {
        params: given.params,
        ...(given.body && { body: given.body }),
        ...(given.headers && { headers: given.headers }),
      })
      expect(answer.status).toBeGreaterThanOrEqual(200)
      expect(answer.status).toBeLessThan(500)
      expect(JSON.stringify(answer.body)).not.toContain(secret)
    }),
    { numRuns: 3000 },
  )
  expect(raw.frames.map(({ payload }) => String(payload)).filter((text) => text.includes(secret))).toEqual([])
  const { conversations } = tenant.sdk.conversations.v1
  expect((await conversations(here.foreign).fetch()).friendlyName).toBe(secret)
  expect(await conversations(here.foreign).messages.list()).toMatchObject([{ body: secret }])
})
