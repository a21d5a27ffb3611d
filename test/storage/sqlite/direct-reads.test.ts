import { pino } from 'pino'
import { request } from 'undici'
import { describe, expect, test } from 'vitest'
import { DirectReads } from '../../../src/api/direct-reads.ts'
import { type Call, fetch, type Pipeline } from '../../../src/api/requests.ts'
import { withRowCache } from '../../../src/api/row-cache.ts'
import { readConfig } from '../../../src/config.ts'
import { ApiError } from '../../../src/errors.ts'
import { start } from '../../../src/main.ts'
import type { AnyResource } from '../../../src/model/declare.ts'
import { emptyForm } from '../../../src/model/form.ts'
import { resources } from '../../../src/resources/index.ts'
import { accountBySid, serviceOfAccount } from '../../../src/storage/lookups.ts'
import { adminToken, auth_token } from '../../support/server.ts'

const account_sid = `AC${'1'.repeat(32)}`

/** A server, and both ways to fetch from its database. */
async function scene() {
  const config = readConfig({
    PORT: '0',
    PARLEY_DATABASE_URL: 'sqlite::memory:',
    PARLEY_ACCOUNT_SID: account_sid,
    PARLEY_AUTH_TOKEN: auth_token,
    PARLEY_ADMIN_TOKEN: adminToken,
  })
  const running = await start(config, { log: pino({ level: 'silent' }) })
  const { database, clock, vault } = running.installation
  const direct = DirectReads.of(database)
  if (!direct) throw new Error('SQLite reads on this thread')
  // What a fetch needs of it.
  const pipeline = {
    clock,
    read: withRowCache(database, [accountBySid, serviceOfAccount], ['accounts', 'services']),
    responses: null,
    direct,
    preAction: { vault },
  } as unknown as Pipeline
  const authorization = `Basic ${Buffer.from(`${account_sid}:${auth_token}`).toString('base64')}`
  return {
    direct,
    direct_fetch: (call: Call) => outcome(() => fetch(pipeline, call)),
    slow_fetch: (call: Call) => outcome(() => fetch({ ...pipeline, direct: null }, call)),
    async create(path: string, form: Record<string, string> = {}, status = 201): Promise<string> {
      const answer = await request(`${running.url}/v1${path}`, {
        method: 'POST',
        headers: { authorization, 'content-type': 'application/x-www-form-urlencoded' },
        body: new URLSearchParams(form).toString(),
      })
      const body = (await answer.body.json()) as { sid: string }
      expect(answer.statusCode, JSON.stringify(body)).toBe(status)
      return body.sid
    },
    async admin(method: 'POST' | 'DELETE', path: string, body: object) {
      const headers = { authorization: `Bearer ${adminToken}`, 'content-type': 'application/json' }
      const answer = await request(`${running.url}/admin/v1${path}`, { method, headers, body: JSON.stringify(body) })
      expect(answer.statusCode, await answer.body.text()).toBeLessThan(300)
    },
    [Symbol.asyncDispose]: () => running.stop(),
  }
}

/** The text, or the refusal. */
async function outcome(run: () => string | Promise<string>): Promise<unknown> {
  try {
    return await run()
  } catch (error) {
    if (error instanceof ApiError) return error.body()
    throw error
  }
}

type Where = Partial<Call['path']>

function callOf(resource: AnyResource, where: Where): Call {
  const path = { account_sid, service_sid: null, parents: [], key: null, text: '/somewhere', ...where }
  const family = path.service_sid === null ? 'default' : 'service'
  return { resource, family, path, base: 'https://here', query: emptyForm, body: emptyForm, webhooks: false }
}

function resourceOf(name: string): AnyResource {
  const found = resources.find((resource) => resource.name === name)
  if (!found) throw new Error(`no resource ${name}`)
  return found
}

describe('a row that is read without a promise', () => {
  test('is shown, or refused, as by the way with promises: every resource, in both families, by SID and by name', async () => {
    await using parley = await scene()
    const rows = async (root: string, service_sid: string | null) => {
      const below = { service_sid }
      const conversation = await parley.create(`${root}/Conversations`, {
        UniqueName: 'näme/1',
        FriendlyName: 'a "friend"\u2028',
        Attributes: '{"a":1}',
        'Timers.Inactive': 'PT1H',
      })
      const inside = `${root}/Conversations/${conversation}`
      const participant = await parley.create(`${inside}/Participants`, { Identity: 'mary' })
      const message = await parley.create(`${inside}/Messages`, { Author: 'mary', Body: 'hello' })
      const webhook = await parley.create(`${inside}/Webhooks`, {
        Target: 'webhook',
        'Configuration.Url': 'https://user:secret@example.com/',
        'Configuration.Method': 'POST',
        'Configuration.Filters': 'onMessageAdded',
      })
      const user = await parley.create(`${root}/Users`, { Identity: 'joe' })
      const role = await parley.create(`${root}/Roles`, { FriendlyName: 'r', Type: 'service', Permission: 'addParticipant' })
      return [
        ['Conversation', { ...below, key: conversation }],
        ['Conversation', { ...below, key: 'näme/1' }],
        ['Participant', { ...below, parents: [conversation], key: participant }],
        ['Participant', { ...below, parents: ['näme/1'], key: participant }],
        ['Message', { ...below, parents: [conversation], key: message }],
        ['ConversationWebhook', { ...below, parents: [conversation], key: webhook }],
        ['User', { ...below, key: user }],
        ['User', { ...below, key: 'mary' }],
        ['Role', { ...below, key: role }],
      ] as const
    }
    const service = await parley.create('/Services', { FriendlyName: 'own' })
    const here = await rows('', null)
    const there = await rows(`/Services/${service}`, service)
    const credential = await parley.create('/Credentials', { Type: 'fcm', Secret: 'xyz' })
    const address = await parley.create('/Configuration/Addresses', { Type: 'sms', Address: '+15550001111' })
    const found: readonly (readonly [string, Where])[] = [
      ...here,
      ...there,
      ['Service', { key: service }],
      ['Credential', { key: credential }],
      ['ConfigurationAddress', { key: address }],
    ]
    for (const [name, where] of found) {
      const call = callOf(resourceOf(name), where)
      expect(parley.direct.find(call.resource, call.path), name).toBeDefined()
      const text = await parley.direct_fetch(call)
      expect(text, name).toEqual(expect.stringContaining('"account_sid"'))
      expect(text, name).toBe(await parley.slow_fetch(call))
    }
    const wrong = `CH${'0'.repeat(32)}`
    const places: readonly Where[] = [
      ...found.map(([, where]) => where),
      ...found.map(([, { key, ...where }]) => ({ ...where, key: 'nobody' })),
      ...found.map(([, where]) => ({ ...where, service_sid: `IS${'0'.repeat(32)}` })),
      ...found.map(([, where]) => ({ ...where, account_sid: `AC${'0'.repeat(32)}` })),
      ...here.map(([, where]) => ({ ...where, service_sid: service })),
      ...there.map(([, where]) => ({ ...where, service_sid: null })),
      ...here.map(([, where]) => ({ ...where, parents: [wrong] })),
      { key: null },
      { key: '' },
    ]
    for (const resource of resources.filter(({ view }) => !view || view.find)) {
      for (const where of places) {
        const call = callOf(resource, where)
        expect(await parley.direct_fetch(call), `${resource.name} ${JSON.stringify(where)}`).toEqual(
          await parley.slow_fetch(call),
        )
      }
    }
  })

  test('is as the last write left it, and so are its account and service', async () => {
    await using parley = await scene()
    const service = await parley.create('/Services', { FriendlyName: 'own' })
    const sid = await parley.create(`/Services/${service}/Conversations`, { FriendlyName: 'before' })
    const call = callOf(resourceOf('Conversation'), { service_sid: service, key: sid })
    expect(await parley.direct_fetch(call)).toContain('"friendly_name":"before"')
    await parley.create(`/Services/${service}/Conversations/${sid}`, { FriendlyName: 'after' }, 200)
    expect(await parley.direct_fetch(call)).toContain('"friendly_name":"after"')
    await parley.admin('POST', `/accounts/${account_sid}`, { status: 'suspended' })
    expect(parley.direct.find(call.resource, call.path)).toBeUndefined()
    expect(await parley.direct_fetch(call)).toMatchObject({ status: 403 })
  })
})
