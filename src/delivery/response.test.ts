import { expect, test } from 'vitest'
import type { SendResult } from './client.ts'
import { responsesOf, withResponse } from './response.ts'

const answered = (given: Partial<SendResult> = {}): SendResult => ({
  ...{ status: 200, body: '', error: null, kind: 'answered', duration_ms: 1, headers: {} },
  ...given,
})
const kept = (given: Partial<SendResult>) => {
  const responses = withResponse({ responses: null }, 0, answered(given))
  return responsesOf({ responses })[0]
}

test('each attempt has its response, or none', () => {
  const none = answered({ kind: 'timeout', status: null })
  const first = withResponse({ responses: null }, 0, none)
  expect(first).toBeNull()
  const second = withResponse({ responses: first }, 1, answered({ body: 'two' }))
  const third = withResponse({ responses: second }, 2, none)
  const fourth = withResponse({ responses: third }, 3, answered({ body: 'four' }))
  expect(responsesOf({ responses: fourth }).map((response) => response?.body ?? null)).toEqual([null, 'two', null, 'four'])
  // Those of before an erasure are gone.
  expect(responsesOf({ responses: withResponse({ responses: null }, 2, answered({ body: 'x' })) })).toMatchObject([
    null,
    null,
    {},
  ])
})

test('what may let somebody in is hidden', () => {
  const headers = {
    'set-cookie': ['sid=secret-1', 'b=secret-2'],
    'x-auth-token': 'secret-3',
    'x-api-key': 'secret-4',
    'proxy-authorization': 'secret-5',
    'x-key': 'secret-7',
    'x-auth': 'secret-8',
    'x-jwt-assertion': 'secret-9',
    location: 'https://ann:secret-6@example.com/a?b=c@d',
    'content-location': 'https://example.com/a?page=2&access_token=secret-10&Code=secret-11#id_token=secret-12',
    link: '<https:\\\\ann:secret-13@example.com/?sig=secret-14>; rel="next"',
    'content-type': 'text/plain',
    'x-error-code': '17',
  }
  const response = kept({ headers })
  expect(JSON.stringify(response)).not.toContain('secret')
  expect(response?.headers).toEqual([
    ['set-cookie', '(hidden)'],
    ['set-cookie', '(hidden)'],
    ['x-auth-token', '(hidden)'],
    ['x-api-key', '(hidden)'],
    ['proxy-authorization', '(hidden)'],
    ['x-key', '(hidden)'],
    ['x-auth', '(hidden)'],
    ['x-jwt-assertion', '(hidden)'],
    ['location', 'https://example.com/a?b=c@d'],
    ['content-location', 'https://example.com/a?page=2&access_token=(hidden)&Code=(hidden)#id_token=(hidden)'],
    ['link', '<https://example.com/?sig=(hidden)>; rel="next"'],
    ['content-type', 'text/plain'],
    ['x-error-code', '17'],
  ])
})

test('headers and bodies are kept up to their bounds, which do not divide a character', () => {
  expect(kept({ body: 'x'.repeat(8192) })).toEqual({ headers: [], body: 'x'.repeat(8192) })
  expect(kept({ body: 'x'.repeat(8193) })).toEqual({ headers: [], body: 'x'.repeat(8192), truncated: true })
  const cut = kept({ body: `x${'🙂'.repeat(5000)}` })
  expect(cut).toEqual({ headers: [], body: `x${'🙂'.repeat(2047)}`, truncated: true })
  const many = kept({ headers: Object.fromEntries(Array.from({ length: 100 }, (_, i) => [`x-${i}`, 'v'])) })
  expect([many?.headers.length, many?.truncated]).toEqual([32, true])
  const large = kept({ headers: { a: 'x'.repeat(4000), b: 'y'.repeat(200), c: 'z' } })
  expect([large?.headers.map(([name]) => name), large?.truncated]).toEqual([['a'], true])
  expect(kept({ body: 'a\0b' })?.body).toBe('a\0b')
})
