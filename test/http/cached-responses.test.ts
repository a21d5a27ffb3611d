import fc from 'fast-check'
import { expect, test } from 'vitest'
import { startServer, type TestServer } from '../support/server.ts'

/** Names that a service has one conversation or user of. */
const names = ['a', 'b']
/** By which callers come again and again. */
const usualHost = '127.9.9.9'

type Form = Record<string, string>
type Act = readonly [method: 'POST' | 'DELETE', path: string, form?: Form] | { readonly advance: string }

const name = fc.constantFrom(...names)
const act: fc.Arbitrary<Act> = fc.oneof(
  fc
    .record({ unique: name, timer: fc.boolean() })
    .map(
      ({ unique, timer }): Act => [
        'POST',
        '/Conversations',
        { UniqueName: unique, ...(timer && { 'Timers.Inactive': 'PT10M', 'Timers.Closed': 'PT20M' }) },
      ],
    ),
  fc.tuple(name, name).map(([key, unique]): Act => ['POST', `/Conversations/${key}`, { UniqueName: unique, FriendlyName: key }]),
  name.map((key): Act => ['DELETE', `/Conversations/${key}`]),
  name.map((key): Act => ['POST', `/Conversations/${key}/Messages`, { Body: 'x' }]),
  name.map((identity): Act => ['POST', '/Users', { Identity: identity }]),
  fc.tuple(name, fc.string()).map(([key, text]): Act => ['POST', `/Users/${key}`, { FriendlyName: text }]),
  name.map((key): Act => ['DELETE', `/Users/${key}`]),
  fc.boolean().map((enabled): Act => ['POST', '/Configuration', { ReachabilityEnabled: `${enabled}` }]),
  fc.constantFrom('PT1M', 'PT9M', 'PT12M').map((advance) => ({ advance })),
)

/** Returns what a path shows, but for the host in its URLs. */
async function shown({ call }: TestServer, path: string, host: string) {
  const { status, body } = await call('GET', path, undefined, { headers: { host }, check: false })
  return { path, status, text: JSON.stringify(body).replaceAll(`//${host}/`, '//host/') }
}

test('a response that was kept is what a host that is new gets, whatever has changed', async () => {
  await using server = await startServer()
  let hosts = 0
  const compare = async (paths: Iterable<string>) => {
    for (const path of paths) {
      const fresh = `10.0.${++hosts >> 8}.${hosts & 255}`
      const [kept, made] = await Promise.all([shown(server, path, usualHost), shown(server, path, fresh)])
      expect(kept).toEqual(made)
    }
  }
  await fc.assert(
    fc.asyncProperty(fc.array(act, { minLength: 10, maxLength: 25, size: 'max' }), async (acts) => {
      const service = await server.call('POST', '/v1/Services', { FriendlyName: 's' })
      const root = `/v1/Services/${service.body.sid}`
      const paths = new Set([root, ...names.flatMap((key) => [`${root}/Conversations/${key}`, `${root}/Users/${key}`])])
      for (const each of acts) {
        // Some are asked for while it changes.
        const [done] = await Promise.all([
          'advance' in each
            ? server.advance(each.advance).then(() => undefined)
            : server.call(each[0], root + each[1], each[2], { check: false }),
          ...[...paths].map((path) => shown(server, path, usualHost)),
        ])
        if (done?.status === 201) paths.add(new URL(done.body.url).pathname)
        await compare(paths)
      }
      // With it goes all that is in it.
      await server.call('DELETE', root)
      await compare(paths)
    }),
    { numRuns: 3, endOnFailure: true },
  )
})

test('nothing that was kept is shown to an account that was suspended, or with an API key that was deleted', async () => {
  await using server = await startServer()
  const account = await server.admin('POST', '/accounts', { friendly_name: 'other' })
  const key = await server.admin('POST', `/accounts/${account.sid}/keys`, { friendly_name: 'key' })
  const self = { username: account.sid, password: account.auth_token }
  const byKey = { username: key.sid, password: key.secret }
  const { body } = await server.call('POST', '/v1/Conversations', {}, { as: self })
  const path = `/v1/Conversations/${body.sid}`
  const status = async (as = self) => (await server.call('GET', path, undefined, { as })).status
  for (const _time of [1, 2, 3]) expect([await status(), await status(byKey)]).toEqual([200, 200])
  expect(await status(server.credentials)).toBe(404)
  await server.admin('DELETE', `/accounts/${account.sid}/keys/${key.sid}`)
  expect([await status(), await status(byKey)]).toEqual([200, 401])
  await server.admin('POST', `/accounts/${account.sid}`, { status: 'suspended' })
  expect(await status()).toBe(403)
})
