import { expect } from 'vitest'
import { ask } from '../support/admin.ts'
import { test } from '../support/fixtures.ts'
import { adminToken, type TestServer } from '../support/server.ts'

const nul = 'a\0b'
const half_pair = 'a\ud800b'
const long = 'x'.repeat(257)
const nobody = `AC${'0'.repeat(32)}`
const sms = `SM${'0'.repeat(32)}`
const address = '/accounts/self/channels/+15557654321'
const pair = { from: '+15551234567', to: '+15557654321' }
/** `infinite` stands for 1e999, which `JSON.stringify` does not write. */
const infinite = '<1e999>'
const no_text = [[], ['a', 'b'], ['a'], {}, { a: 1 }, null, 7, true, infinite, nul, half_pair, long]
const control = ['a\nb', '\u001b[2J', 'a\u007f', '\u009b31m', '\t']
const no_object = ['"text"', '7', '[]', 'true', '{', '{"__proto__":{}}', '']

let server: TestServer
test.beforeAll(({ server: started }) => {
  server = started
})

/** A request that differs from a good one in this field. */
const bodies: [method: string, path: string, field: string, values: readonly unknown[], rest?: object][] = [
  ['POST', '/accounts', 'friendly_name', [...no_text, ...control]],
  ['POST', '/accounts', 'sid', ['', 'AC0', `AC${'A'.repeat(32)}`, `SK${'0'.repeat(32)}`, ...no_text]],
  ['POST', '/accounts', 'auth_token', ['', 'short', 'with-a-dash-in-it', 'x'.repeat(257), ...no_text]],
  ['POST', '/accounts/self/keys', 'sid', ['', 'SK0', `SK${'A'.repeat(32)}`, nobody, ...no_text]],
  ['POST', '/accounts/self/keys', 'secret', ['', 'short', 'with-a-dash-in-it', 'x'.repeat(257), ...no_text]],
  ['POST', '/import', 'records', ['', 7, {}, ['a'], [7], [[]], [null], Array(1001).fill({}), null, true]],
  ['POST', '/import/check', 'records', ['', 7, {}, ['a'], [7], [[]], [null], Array(1001).fill({}), null, true]],
  ['POST', '/import/timers', 'service_sid', ['', 'IS0', nobody, ...no_text]],
  ['POST', '/import/timers', 'after', ['', 'CH0', nobody, ...no_text], { service_sid: `IS${'0'.repeat(32)}` }],
  ['POST', '/accounts/self', 'friendly_name', [...no_text, ...control]],
  ['POST', '/accounts/self', 'status', ['', 'closed', 'ACTIVE', null, 7, ['a', 'b'], nul]],
  ['POST', '/accounts/self/keys', 'friendly_name', [...no_text, ...control]],
  [
    'PUT',
    address,
    'url',
    ['', 'nonsense', 'ftp://a/', 'http://', null, 7, {}, `http://a/${nul}`, `http://a/${'x'.repeat(2048)}`],
  ],
  ['PUT', address, 'method', ['GET'], { url: 'http://a/' }],
  ['PUT', address, 'kind', ['', 'pigeon', 'constructor', '__proto__', ...no_text], { settings: {} }],
  ['PUT', address, 'settings', ['', 'x', null, 7, true, [], ['a'], { a: 1 }, { url: nul }, { url: {} }], { kind: 'webhook' }],
  ['POST', '/receipts', 'channel_message_sid', ['', 'SM0', null, 7, {}, `${sms}0`, nul], { status: 'sent' }],
  ['POST', '/receipts', 'external_id', ['', ...no_text], { status: 'sent' }],
  ['POST', '/receipts', 'address', no_text, { external_id: 'x', status: 'sent' }],
  ['POST', '/receipts', 'status', ['', 'lost', null, 7, {}], { channel_message_sid: sms }],
  [
    'POST',
    '/receipts',
    'error_code',
    [-1, 1.5, 'many', '7', true, infinite, 1e300, 2 ** 31, {}],
    { channel_message_sid: sms, status: 'failed' },
  ],
  ['POST', '/receipts', 'account_sid', ['', 'AC0', nobody, ...no_text], { channel_message_sid: sms, status: 'sent' }],
  ['POST', '/inbound', 'account_sid', ['', 'AC0', nobody, ...no_text], { ...pair, body: 'x' }],
  ['POST', '/inbound', 'from', ['', 'nobody', null, 7, ...no_text], { ...pair, body: 'x' }],
  ['POST', '/inbound', 'to', ['', 'nobody', null, 7, ...no_text], { ...pair, body: 'x' }],
  ['POST', '/inbound', 'body', [{}, ['a', 'b'], 7, infinite, nul, half_pair, 'x'.repeat(100_000)], pair],
  ['POST', '/inbound', 'media', ['', 'ME0', ['ME0'], ['a', 'b'], [nul], [{}], [[]], { a: 1 }, [long]], pair],
  ['POST', '/inbound', 'attributes', ['{', nul, half_pair, {}, 'x'.repeat(100_000)], { ...pair, body: 'x' }],
  ['POST', '/inbound', 'profile_name', no_text, { ...pair, body: 'x' }],
  ['POST', '/inbound', 'external_id', ['', 'a\nb', ...no_text], { ...pair, body: 'x' }],
  ['POST', '/inbound', 'subject', [{}, ['a'], 7, true, nul, half_pair, long], { ...pair, body: 'x' }],
  [
    'POST',
    '/inbound',
    'media',
    [
      [{ url: 7 }],
      [{ url: nul }],
      [{ content: '*' }],
      [{ content: 'YQ', content_type: 7 }],
      [{ content: 'YQ', filename: {} }],
      [{ uri: 'x' }],
    ],
    pair,
  ],
  ['POST', '/inbound', 'author', ['x'], { ...pair, body: 'x' }],
  ['POST', '/deliveries/redeliver', 'since', ['', 'soon', '2030-13-01', '+275760-09-13', ...no_text]],
  ['POST', '/deliveries/redeliver', 'until', ['', 'soon', '2030-13-01', ...no_text], { since: '2030-01-01' }],
  ['POST', '/deliveries/redeliver', 'kind', ['', 'pigeon', ...no_text], { since: '2030-01-01' }],
  ['POST', '/deliveries/redeliver', 'service_sid', no_text, { since: '2030-01-01' }],
  ['POST', '/deliveries/redeliver', 'conversation_sid', no_text, { since: '2030-01-01' }],
  ['POST', '/deliveries/redeliver', 'event_type', no_text, { since: '2030-01-01' }],
  ['POST', '/deliveries/redeliver', 'target_sid', no_text, { since: '2030-01-01' }],
  ['POST', '/deliveries/redeliver', 'after', ['', 'WD0', '~', ...no_text], { since: '2030-01-01' }],
  ['POST', '/deliveries/redeliver', 'limit', [0, -1, 101, 1.5, 'many', '7', null, {}, infinite], { since: '2030-01-01' }],
  ['POST', '/deliveries/redeliver', 'more', [1], { since: '2030-01-01' }],
  ['POST', '/clock', 'advance', ['', 'soon', '-PT1S', 'P99999Y', `P${'9'.repeat(400)}D`, null, 7, {}, nul]],
  ['POST', '/clock', 'now', ['', 'soon', '1999-01-01', '9999-12-31', '+275760-09-13', null, 7, {}, nul]],
  ['POST', '/clock', 'now', ['2030-01-01T00:00:00Z'], { advance: 'PT1S' }],
  ['POST', '/clock', 'offset_ms', [7]],
  ['POST', '/clock', 'account_sid', ['', 'AC0', nobody, ...no_text], { advance: 'PT1S' }],
  ['POST', '/clock', 'deliver', ['', 'soon', 7, {}, [], nul], { advance: 'PT1S' }],
  ['POST', '/clock', 'reset', ['', 'soon', 7, {}, [], false, nul]],
]

test.each(bodies)('%s %s %s: every bad value is refused with a reason', async (method, path, field, values, rest) => {
  for (const value of values) {
    const body = { ...rest, [field]: value }
    await expectRefusal(method, path, value === infinite ? JSON.stringify(body).replace(`"${infinite}"`, '1e999') : body)
  }
})

test.each([
  ['POST', '/accounts'],
  ['POST', '/accounts/self'],
  ['POST', '/accounts/self/keys'],
  ['PUT', address],
  ['POST', '/receipts'],
  ['POST', '/inbound'],
  ['POST', '/deliveries/redeliver'],
  ['POST', '/clock'],
])('%s %s: what is no object, or is no JSON, is refused with a reason', async (method, path) => {
  const optional = path === '/accounts' || path.endsWith('/keys')
  for (const body of no_object) if (body !== '' || !optional) await expectRefusal(method, path, body)
  const large = await ask(server, method, path.replace('self', server.account_sid), {
    // Messages come with their media.
    friendly_name: 'x'.repeat(path === '/inbound' ? 33 * 2 ** 20 : 2 ** 21),
  })
  expect(large).toEqual({ status: 413, body: { error: expect.stringMatching(/\w+ \w+/) } })
})

test.each([
  ['limit', ['', '0', '-1', '1001', '1.5', 'many', '1e300', '%00']],
  ['limit=1&limit', ['2']],
  ['status', ['', 'lost', '%00']],
  ['before', ['', 'WD0', '~', '%00', `WD${'0'.repeat(33)}`]],
  ['service_sid', ['%00', 'x'.repeat(65)]],
  ['conversation_sid', ['%00', 'x'.repeat(65)]],
  ['account_sid', ['%00', 'x'.repeat(65)]],
  ['from', ['', 'soon', '2030-13-01', '%00']],
  ['to', ['', 'soon', '2030-13-01', '%00']],
  ['text', ['', '%00', 'x'.repeat(2000)]],
  ['account', [nobody]],
])('GET /deliveries?%s: every bad value is refused with a reason', async (name, values) => {
  for (const value of values) await expectRefusal('GET', `/deliveries?${name}=${value}`)
})

test.each(['', 'x', '%00', '0'.repeat(63), '0'.repeat(65), 'G'.repeat(64), 'A'.repeat(64)])(
  'GET /identity?nonce=%s is refused with a reason',
  async (nonce) => expectRefusal('GET', `/identity?nonce=${nonce}`),
)

test.each(['/identity', `/identity?nonce=${'0'.repeat(64)}&nonce=${'0'.repeat(64)}`, `/identity?nonce=${'0'.repeat(64)}&a=1`])(
  'GET %s is refused with a reason',
  async (path) => expectRefusal('GET', path),
)

const rows = [
  '/accounts/*',
  '/accounts/*/keys',
  '/accounts/*/keys/SK0',
  '/accounts/self/keys/*',
  '/accounts/*/channels',
  '/deliveries/*',
]
const changes: [string, string, object?][] = [
  ['POST', '/accounts/*', { friendly_name: 'x' }],
  ['POST', '/accounts/*/rotate'],
  ['DELETE', '/accounts/*'],
  ['POST', '/accounts/*/keys'],
  ['POST', '/accounts/self/keys/*/rotate'],
  ['DELETE', '/accounts/self/keys/*'],
  ['PUT', '/accounts/*/channels/+15557654321', { url: 'http://a/' }],
  ['PUT', '/accounts/self/channels/*', { url: 'http://a/' }],
  ['DELETE', '/accounts/self/channels/*'],
  ['POST', '/deliveries/*/redeliver'],
]

test.each([...rows.map((path): [string, string, object?] => ['GET', path]), ...changes])(
  '%s %s: a name that nothing can have is refused with a reason',
  async (method, path, body) => {
    for (const name of ['x', nobody, '%00', 'a%00b', '%20', '%25', '..%2f', '%F0%9F%98%80', 'x'.repeat(5000)]) {
      await expectRefusal(method, path.replace('*', name), body)
    }
  },
)

test.each([
  ['/accounts', '{}'],
  ['/receipts', '{"channel_message_sid":"SM1","status":"sent"}'],
])('%s: a compressed body is refused, and one that says that it is not is read', async (path, body) => {
  const post = async (encoding: string) => {
    const headers = { authorization: `Bearer ${adminToken}`, 'content-type': 'application/json', 'content-encoding': encoding }
    const answer = await fetch(`${server.url}/admin/v1${path}`, {
      method: 'POST',
      headers,
      body: `${body.slice(0, -1)}, "x": 1}`,
    })
    return { status: answer.status, body: await answer.json() }
  }
  expect(await post('gzip')).toEqual({ status: 415, body: { error: 'Unsupported Media Type', code: 20415 } })
  expect((await post('identity')).status).toBe(400)
})

test('nothing of all this was kept, and the server goes on', async () => {
  const { body } = await ask(server, 'GET', '/accounts')
  expect(body.accounts).toMatchObject([{ sid: server.account_sid, friendly_name: 'First account', status: 'active' }])
  expect((await ask(server, 'GET', `/accounts/${server.account_sid}/keys`)).body).toEqual({ keys: [] })
  expect((await ask(server, 'GET', `/accounts/${server.account_sid}/channels`)).body).toEqual({ channels: [] })
  expect((await ask(server, 'GET', '/clock')).body.offset_ms).toBe(0)
})

test.each([
  [{ friendly_nam: 'x' }, 'friendly_nam is not a field of this request'],
  [{ friendly_name: long }, 'friendly_name must have at most 256 characters'],
  [{ friendly_name: {} }, 'friendly_name must be of type string'],
  [{ status: 'gone' }, 'status must be one of active, suspended'],
  [{ friendly_name: nul }, 'friendly_name must not contain control characters'],
  [{ friendly_name: half_pair }, 'friendly_name must not contain a NUL character or an unpaired surrogate'],
  [{}, 'the body must have at least 1 field(s)'],
  ['[]', 'the body must be of type object'],
])('what is wrong with %j is said', async (body, error) => {
  expect(await ask(server, 'POST', `/accounts/${server.account_sid}`, body)).toEqual({ status: 400, body: { error } })
})

test('an error_code that no column holds is refused before the receipt is looked up', async () => {
  const receipt = { channel_message_sid: sms, status: 'failed', error_code: 1e300 }
  const error = 'error_code must be <= 2147483647'
  expect(await ask(server, 'POST', '/receipts', receipt)).toEqual({ status: 400, body: { error } })
})

async function expectRefusal(method: string, path: string, body?: unknown): Promise<void> {
  const { status, body: refusal } = await ask(server, method, path.replace('self', server.account_sid), body)
  const asked = `${method} ${path} ${JSON.stringify(body)?.slice(0, 200)}: ${JSON.stringify(refusal)}`
  expect(status, asked).toBeGreaterThanOrEqual(400)
  expect(status, asked).toBeLessThan(500)
  expect(refusal.error, asked).toMatch(/\w+ \w+/)
}
