import fc from 'fast-check'
import twilio from 'twilio'
import { describe, expect, test } from 'vitest'
import { deliverableUrl, type Prepared, prepare } from './signature.ts'

const { validateRequest } = twilio
const sid = (prefix: string) => `${prefix}${'0'.repeat(31)}1`
const auth_token = '0123456789abcdef0123456789abcdef'
const event = {
  AccountSid: sid('AC'),
  Attributes: '{}',
  Author: 'alice',
  Body: 'héllo + world',
  ChatServiceSid: sid('IS'),
  ClientIdentity: 'alice',
  ConversationSid: sid('CH'),
  DateCreated: '2024-01-02T03:04:05.678Z',
  EventType: 'onMessageAdded',
  Index: '0',
  MessageSid: sid('IM'),
  ParticipantSid: sid('MB'),
  RetryCount: '0',
  Source: 'SDK',
}

function prepared(overrides: Partial<Parameters<typeof prepare>[0]> = {}): Prepared {
  return prepare({
    method: 'POST',
    url: 'https://hooks.example.test/twilio?tenant=7',
    form: event,
    auth_token,
    idempotency_token: 'f3c2fbd4-6f0c-4c1e-9d7d-0b8a3f1f0a55',
    ...overrides,
  })
}

/** The input that an endpoint passes to the vendor's validator: the requested URL and the decoded fields of the body. */
function accepted(request: Prepared, token = auth_token, url = request.url): boolean {
  const fields = Object.fromEntries(new URLSearchParams(request.body ?? ''))
  return validateRequest(token, request.headers['X-Twilio-Signature'] ?? '', url, fields)
}

describe('deliverableUrl', () => {
  test.each([
    ['https://h.test', 'https://h.test/'],
    ['HTTPS://Hooks.Example.TEST:443/a b?q=x y', 'https://hooks.example.test/a%20b?q=x%20y'],
    ['http://h.test:8080/?', 'http://h.test:8080/?'],
    ['https://h.test/p?a=1#ct=100&rc=5', 'https://h.test/p?a=1'],
    ['https://bücher.test/', 'https://xn--bcher-kva.test/'],
    ['http://2130706433/', 'http://127.0.0.1/'],
  ])('%s becomes %s', (configured, url) => {
    expect(deliverableUrl(configured)).toEqual({ url, username: '', password: '' })
  })

  test('takes the credentials out and decodes them', () => {
    const expected = { url: 'https://h.test/p?a=1', username: 'al:ice', password: 'pä s' }
    expect(deliverableUrl('https://al%3Aice:p%C3%A4%20s@h.test/p?a=1#x')).toEqual(expected)
    expect(deliverableUrl('https://%ff%zz@h.test/').username).toBe('%ff%zz')
  })

  test('throws on what is not a URL', () => {
    expect(() => deliverableUrl('hooks.example.test')).toThrow(TypeError)
  })
})

describe('prepare', () => {
  test("signs the vendor's documented example", () => {
    const request = prepared({
      auth_token: '12345',
      url: 'https://example.com/myapp.php?foo=1&bar=2',
      form: {
        Digits: '1234',
        To: '+18005551212',
        From: '+14158675310',
        Caller: '+14158675310',
        CallSid: 'CA1234567890ABCDE',
      },
    })
    expect(request.headers['X-Twilio-Signature']).toBe('L/OH5YylLD5NRKLltdqwSvS0BnU=')
  })

  test('signs an event by POST: URL and sorted fields', () => {
    const request = prepared()
    expect(request.headers).toEqual({
      'Content-Type': 'application/x-www-form-urlencoded; charset=utf-8',
      'X-Twilio-Signature': 'Vj3y8fArQ3zMdDzJuyeGjET1G6k=',
      'I-Twilio-Idempotency-Token': 'f3c2fbd4-6f0c-4c1e-9d7d-0b8a3f1f0a55',
      Accept: '*/*',
      'User-Agent': 'TwilioProxy/1.1',
    })
    expect(request.url).toBe('https://hooks.example.test/twilio?tenant=7')
    expect(request.body).toContain('Body=h%C3%A9llo+%2B+world&')
  })

  test('signs an event by GET: the URL with everything in its query', () => {
    const request = prepared({ method: 'GET' })
    expect(request.headers['X-Twilio-Signature']).toBe('YaC78IG8ue8y9Kejvoz9HN4qFwc=')
    expect(request.headers).not.toHaveProperty('Content-Type')
    expect(request.url).toMatch(/^https:\/\/hooks\.example\.test\/twilio\?tenant=7&AccountSid=AC.*&Source=SDK$/)
    expect(request.body).toBeNull()
  })

  test('sorts names by code unit, capitals first', () => {
    const form = { isOnline: 'true', MessagingServiceSid: 'MG', 'MessagingBinding.Address': '+1', MessageSid: 'IM', Index: '1' }
    const reversed = Object.fromEntries(Object.entries(form).reverse())
    expect(prepared({ form }).headers).toEqual(prepared({ form: reversed }).headers)
    expect(accepted(prepared({ form }))).toBe(true)
  })

  test('is refused by the validator when anything was altered', () => {
    expect(accepted(prepared(), 'another token')).toBe(false)
    expect(accepted(prepared(), auth_token, 'https://hooks.example.test/twilio?tenant=8')).toBe(false)
    expect(accepted({ ...prepared(), body: 'Body=forged' })).toBe(false)
  })
})

describe("the vendor's own validator accepts what is signed", () => {
  /** Any code point, and lone surrogates, which no encoding can carry: they must at least be signed as they are sent. */
  const wild = fc.oneof(
    fc.string({ unit: 'binary' }),
    fc.array(fc.integer({ min: 0, max: 0xffff })).map((units) => String.fromCharCode(...units)),
  )
  const names = fc.string({ unit: fc.constantFrom(...'ABCMabcz.019_'), minLength: 1, maxLength: 20 })
  const piece = fc.string({ unit: fc.constantFrom(...'aZ09-._~!$\'()*,;:@ %+"<>é漢😀'), maxLength: 12 })
  const host = fc.constantFrom(
    'hooks.example.test',
    'HOOKS.Example.TEST',
    'localhost',
    'bücher.test',
    '192.0.2.7',
    '[2001:DB8::1]',
  )
  const bare = fc
    .record({
      scheme: fc.constantFrom('http://', 'https://', 'HTTPS://'),
      host,
      port: fc.oneof(
        fc.constantFrom('', ':443', ':80'),
        fc.integer({ min: 1, max: 65_535 }).map((port) => `:${port}`),
      ),
      path: fc.oneof(
        fc.constant(''),
        fc.array(piece).map((parts) => `/${parts.join('/')}`),
      ),
      query: fc.oneof(
        fc.constantFrom('', '?'),
        fc.array(fc.tuple(piece, piece)).map((pairs) => `?${pairs.map((pair) => pair.join('=')).join('&')}`),
      ),
    })
    .map(({ scheme, host, port, path, query }) => ({ authority: `${host}${port}`, scheme, rest: `${path}${query}` }))
  const method = fc.constantFrom('GET' as const, 'POST' as const)
  const form = fc.dictionary(names, wild)
  const token = fc.string({ unit: fc.constantFrom(...'0123456789abcdef'), minLength: 32, maxLength: 32 })

  test('at the URL that is requested, credentials and fragment included in the configured one', () => {
    const userinfo = fc.oneof(
      fc.constant(''),
      fc.tuple(piece, piece).map(([u, p]) => `${encodeURIComponent(u)}:${encodeURIComponent(p)}@`),
    )
    const fragment = fc.oneof(
      fc.constant(''),
      piece.map((text) => `#${text}`),
    )
    fc.assert(
      fc.property(bare, userinfo, fragment, method, form, token, (parts, user, hash, method, form, auth_token) => {
        const url = `${parts.scheme}${user}${parts.authority}${parts.rest}${hash}`
        const request = prepared({ method, url, form, auth_token })
        expect(accepted(request, auth_token)).toBe(true)
        expect(new URL(request.url).href).toBe(request.url)
      }),
      { numRuns: 500 },
    )
  })

  test('at the URL as it was configured, which is what endpoints often pass', () => {
    fc.assert(
      fc.property(bare, form, token, (parts, form, auth_token) => {
        const url = `${parts.scheme}${parts.authority}${parts.rest}`
        expect(accepted(prepared({ url, form, auth_token }), auth_token, url)).toBe(true)
      }),
      { numRuns: 500 },
    )
  })

  test('and the fields arrive as they were', () => {
    fc.assert(
      fc.property(fc.dictionary(names, fc.string({ unit: 'binary' })), method, (form, method) => {
        const request = prepared({ method, form, url: 'http://h.test/' })
        const encoded = method === 'POST' ? request.body : new URL(request.url).search
        expect(Object.fromEntries(new URLSearchParams(encoded ?? ''))).toEqual({ ...form })
      }),
    )
  })
})
