import { once } from 'node:events'
import { createServer, type IncomingHttpHeaders, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { text } from 'node:stream/consumers'
import twilio from 'twilio'
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { sdkFor } from './sdk.ts'
import { catchWebhooks, type WebhookCatcher } from './webhook-catcher.ts'

const AC = `AC${'a'.repeat(32)}`
const SK = `SK${'b'.repeat(32)}`
const IS = `IS${'c'.repeat(32)}`
const token = 'the-token'

describe('sdkFor', () => {
  interface Seen {
    readonly line: string
    readonly headers: IncomingHttpHeaders
    readonly body: string
  }

  let server: Server
  let url: string
  let seen: Seen[]
  /** What the throw-away server says next; the last one stays. */
  let answers: { status: number; body: string }[]

  beforeEach(async () => {
    seen = []
    answers = []
    server = createServer(async (request, response) => {
      seen.push({ line: `${request.method} ${request.url}`, headers: request.headers, body: await text(request) })
      const answer = answers.length > 1 ? answers.shift() : answers[0]
      response.writeHead(answer?.status ?? 500, { 'content-type': 'application/json' }).end(answer?.body)
    })
    await once(server.listen(0, '127.0.0.1'), 'listening')
    url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  })

  afterEach(async () => {
    await once(server.close(), 'close')
  })

  function say(status: number, body: unknown): void {
    answers.push({ status, body: body === undefined ? '' : JSON.stringify(body) })
  }

  function role(sid: string) {
    return {
      sid,
      account_sid: AC,
      chat_service_sid: IS,
      friendly_name: 'a role',
      type: 'conversation',
      permissions: ['sendMessage'],
      date_created: '2026-01-31T12:00:00Z',
      date_updated: '2026-01-31T12:00:00Z',
      url: `${url}/v1/Roles/${sid}`,
    }
  }

  function rolePage(sid: string, next: string | null) {
    const here = `${url}/v1/Roles?PageSize=50&Page=0`
    const meta = {
      page: 0,
      page_size: 50,
      first_page_url: here,
      previous_page_url: null,
      url: here,
      next_page_url: next,
      key: 'roles',
    }
    return { meta, roles: [role(sid)] }
  }

  const RL1 = `RL${'1'.repeat(32)}`
  const RL2 = `RL${'2'.repeat(32)}`

  test('sends the official client to the given server', async () => {
    say(201, role(RL1))
    const made = await sdkFor({ url: `${url}/` }, AC, token).conversations.v1.roles.create({
      friendlyName: 'a role',
      type: 'conversation',
      permission: ['sendMessage', 'leaveConversation'],
    })
    expect(made.sid).toBe(RL1)
    expect(made.dateCreated).toEqual(new Date('2026-01-31T12:00:00Z'))
    expect(seen[0]?.line).toBe('POST /v1/Roles')
    expect(seen[0]?.body).toBe('FriendlyName=a%20role&Type=conversation&Permission=sendMessage&Permission=leaveConversation')
    expect(seen[0]?.headers.authorization).toBe(`Basic ${btoa(`${AC}:${token}`)}`)
  })

  test('signs in with an API key if one is given', async () => {
    say(200, role(RL1))
    await sdkFor({ url }, AC, token, { keySid: SK, keySecret: 'secret' }).conversations.v1.roles(RL1).fetch()
    expect(seen[0]?.headers.authorization).toBe(`Basic ${btoa(`${SK}:secret`)}`)
  })

  test('follows the page urls of the server as they are', async () => {
    say(200, rolePage(RL1, `${url}/v1/Roles?PageSize=50&Page=1&PageToken=PTx`))
    say(200, rolePage(RL2, null))
    const roles = await sdkFor({ url }, AC, token).conversations.v1.roles.list()
    expect(roles.map((found) => found.sid)).toEqual([RL1, RL2])
    expect(seen.map((request) => request.line)).toEqual(['GET /v1/Roles', 'GET /v1/Roles?PageSize=50&Page=1&PageToken=PTx'])
  })

  test('refuses to leave the server', async () => {
    say(200, rolePage(RL1, 'http://127.0.0.2/v1/Roles'))
    await expect(sdkFor({ url }, AC, token).conversations.v1.roles.list()).rejects.toThrow('which is not on')
    await expect(sdkFor({ url }, AC, token).messages.list()).rejects.toThrow('api.twilio.com')
  })

  test('removes with an empty answer', async () => {
    say(204, undefined)
    expect(await sdkFor({ url }, AC, token).conversations.v1.roles(RL1).remove()).toBe(true)
    expect(seen[0]?.line).toBe(`DELETE /v1/Roles/${RL1}`)
  })

  test('hands a well-formed error on as the client knows it', async () => {
    say(404, { code: 20404, message: 'not here', more_info: 'https://www.twilio.com/docs/errors/20404', status: 404 })
    const fetched = sdkFor({ url }, AC, token).conversations.v1.roles(RL1).fetch()
    await expect(fetched).rejects.toMatchObject({ status: 404, code: 20404, message: 'not here' })
  })

  test.each([
    ['a wrong success', 200, { sid: RL1 }, 'FetchRole: body.account_sid is missing'],
    ['a wrong error', 404, { code: 20404 }, 'error.message is missing'],
    ['no body', 200, undefined, 'body must be an object, is undefined'],
    ['a redirect', 307, { sid: RL1 }, 'status is not 200'],
  ])('reports %s', async (_name, status, body, fault) => {
    say(status, body)
    await expect(sdkFor({ url }, AC, token).conversations.v1.roles(RL1).fetch()).rejects.toThrow(fault)
  })

  test('reports a body that is not JSON', async () => {
    answers.push({ status: 502, body: '<h1>Bad Gateway</h1>' })
    const { roles } = sdkFor({ url }, AC, token).conversations.v1
    await expect(roles(RL1).fetch()).rejects.toThrow('error body must be an object, is "<h1>')
  })

  test('leaves the answers alone if told so', async () => {
    say(200, { sid: RL1 })
    const { roles } = sdkFor({ url }, AC, token, { check: false }).conversations.v1
    expect((await roles(RL1).fetch()).sid).toBe(RL1)
    answers = [{ status: 502, body: '<h1>Bad Gateway</h1>' }]
    await expect(roles(RL1).fetch()).rejects.toMatchObject({ status: 502 })
  })
})

describe('catchWebhooks', () => {
  let catcher: WebhookCatcher

  beforeEach(async () => {
    catcher = await catchWebhooks({ authToken: token })
  })

  afterEach(async () => {
    vi.useRealTimers()
    await catcher.close()
  })

  function post(url: string, params: Record<string, string> | [string, string][], headers: Record<string, string> = {}) {
    return fetch(url, { method: 'POST', body: new URLSearchParams(params), headers })
  }

  function signature(url: string, params: Record<string, string | string[]>, secret = token): Record<string, string> {
    return { 'x-twilio-signature': twilio.getExpectedTwilioSignature(secret, url, params) }
  }

  test('tells what arrived and answers 200 with nothing', async () => {
    const url = catcher.url('hook?tenant=1')
    const response = await post(url, { EventType: 'onMessageAdded', Body: 'a & b' }, { 'x-extra': 'yes' })
    expect(response.status).toBe(200)
    expect(await response.text()).toBe('')
    const [caught] = catcher.requests
    expect(caught).toMatchObject({ method: 'POST', path: '/hook', url, signed: false })
    expect(caught?.params).toEqual({ EventType: 'onMessageAdded', Body: 'a & b' })
    expect(caught?.headers['x-extra']).toBe('yes')
  })

  test('takes the parameters of a GET from the query', async () => {
    const url = catcher.url('/hook?EventType=onMessageAdded')
    await fetch(url, { headers: signature(url, {}) })
    expect(await catcher.next()).toMatchObject({ method: 'GET', params: { EventType: 'onMessageAdded' }, signed: true })
  })

  test('knows a right signature from a wrong one', async () => {
    const url = catcher.url('/hook?tenant=1')
    const params = { EventType: 'onMessageAdded' }
    await post(url, params, signature(url, params))
    await post(url, params, signature(url, params, 'another-token'))
    await post(url, { ...params, extra: '1' }, signature(url, params))
    await post(
      url,
      [
        ['Filter', 'b'],
        ['Filter', 'a'],
      ],
      signature(url, { Filter: ['b', 'a'] }),
    )
    expect(catcher.requests.map((caught) => caught.signed)).toEqual([true, false, false, true])
  })

  test('says unsigned where no token was given', async () => {
    await using tokenless = await catchWebhooks()
    await post(tokenless.url(), {}, signature(tokenless.url(), {}))
    expect((await tokenless.next()).signed).toBe(false)
  })

  test('next gives each request once, past or future, to the first call that matches', async () => {
    await post(catcher.url(), { n: '1' })
    const second = catcher.next((caught) => caught.params.n === '2')
    const first = catcher.next()
    const third = catcher.next()
    await post(catcher.url(), { n: '2' })
    await post(catcher.url(), { n: '3' })
    const numbers = (await Promise.all([first, second, third])).map((caught) => caught.params.n)
    expect(numbers).toEqual(['1', '2', '3'])
    expect(catcher.requests).toHaveLength(3)
  })

  test('next gives up after 60 s and says what did arrive', async () => {
    await post(catcher.url('/a'), { n: '1' })
    await catcher.next()
    await post(catcher.url('/b'), { n: '2' })
    vi.useFakeTimers()
    const missing = catcher.next((caught) => caught.path === '/c')
    await vi.advanceTimersByTimeAsync(59_999)
    await vi.advanceTimersByTimeAsync(1)
    await expect(missing).rejects.toThrow(
      'within 60 s; arrived:\n  - POST /a {"n":"1"} (taken by an earlier next)\n  - POST /b {"n":"2"}',
    )
  })

  test('a matcher that throws fails its own call only', async () => {
    const failing = catcher.next(() => {
      throw new Error('a broken matcher')
    })
    await post(catcher.url(), { n: '1' })
    await expect(failing).rejects.toThrow('a broken matcher')
    expect((await catcher.next()).params.n).toBe('1')
  })

  test('replies as told', async () => {
    catcher.reply(async (caught) => ({ status: 403, body: caught.params.n ?? '', headers: { 'content-type': 'text/plain' } }))
    const response = await post(catcher.url(), { n: '1' })
    expect([response.status, response.headers.get('content-type'), await response.text()]).toEqual([403, 'text/plain', '1'])
    catcher.reply(() => {
      throw new Error('a broken reply')
    })
    expect(await (await post(catcher.url(), {})).text()).toContain('a broken reply')
  })

  test('waits before it answers, and can hang up', async () => {
    const gate = Promise.withResolvers<void>()
    catcher.reply(() => ({ delayUntil: gate.promise }))
    let answered = false
    const sent = post(catcher.url(), {}).then(() => {
      answered = true
    })
    await catcher.next()
    expect(answered).toBe(false)
    gate.resolve()
    await sent
    catcher.reply(() => ({ hangUp: true }))
    await expect(post(catcher.url(), {})).rejects.toThrow()
    expect(catcher.requests).toHaveLength(2)
  })

  test('closing cuts off waiting senders and waiting tests', async () => {
    catcher.reply(() => ({ delayUntil: new Promise(() => {}) }))
    const sent = post(catcher.url('/slow'), {})
    await catcher.next()
    const missing = catcher.next()
    await Promise.all([expect(sent).rejects.toThrow(), expect(missing).rejects.toThrow('was closed'), catcher.close()])
    await catcher.close()
  })
})
