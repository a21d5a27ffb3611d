import { describe, expect, test } from 'vitest'
import { authorize, parseChallenges } from './challenge.ts'

/** RFC 7616 §3.9.1, both challenges of its 401 response. */
const rfc7616 = ['SHA-256', 'MD5'].map(
  (algorithm) =>
    `Digest realm="http-auth@example.org", qop="auth, auth-int", algorithm=${algorithm}, ` +
    'nonce="7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v", opaque="FQhe/qaU925kfnzjCev0ciny7QMkPqMAFRtzCUYo5tdS"',
)
const mufasa = {
  username: 'Mufasa',
  password: 'Circle of Life',
  method: 'GET',
  uri: '/dir/index.html',
  cnonce: 'f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ',
}

describe('parseChallenges', () => {
  test.each([
    [undefined, []],
    ['', []],
    ['Basic', [['basic', {}]]],
    ['Basic realm="a, b=\\"c\\"", charset=UTF-8', [['basic', { realm: 'a, b=\\"c\\"', charset: 'UTF-8' }]]],
    [
      'Negotiate YWJj==, basic Realm = x',
      [
        ['negotiate', {}],
        ['ywjj', {}],
        ['basic', { realm: 'x' }],
      ],
    ],
    [
      ['Digest nonce=n', 'Basic realm=""'],
      [
        ['digest', { nonce: 'n' }],
        ['basic', { realm: '' }],
      ],
    ],
    [
      '=,"; Basic realm="never closed',
      [
        ['basic', {}],
        ['realm', {}],
        ['never', {}],
        ['closed', {}],
      ],
    ],
  ])('%j', (fields, expected) => {
    const found = parseChallenges(fields).map(({ scheme, params }) => [scheme, Object.fromEntries(params)])
    expect(found).toEqual(expected)
  })
})

describe('authorize', () => {
  test('RFC 7616 §3.9.1 with SHA-256, which is preferred', () => {
    expect(authorize(parseChallenges(rfc7616.toReversed()), mufasa)).toBe(
      'Digest username="Mufasa", realm="http-auth@example.org", nonce="7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v", ' +
        'uri="/dir/index.html", response="753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1", ' +
        'qop=auth, nc=00000001, cnonce="f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ", algorithm=SHA-256, ' +
        'opaque="FQhe/qaU925kfnzjCev0ciny7QMkPqMAFRtzCUYo5tdS"',
    )
  })

  test('RFC 7616 §3.9.1 with MD5', () => {
    const header = authorize(parseChallenges(rfc7616[1]), mufasa)
    expect(header).toContain('response="8ca523f5e9506fed4657c9700eebdbec"')
    expect(header).toContain('algorithm=MD5')
  })

  test('RFC 2617 §3.5, no algorithm named', () => {
    const challenge =
      'Digest realm="testrealm@host.com", qop="auth,auth-int", nonce="dcd98b7102dd2f0e8b11d0f600bfb0c093", ' +
      'opaque="5ccc069c403ebaf9f0171e9517f40e41"'
    const header = authorize(parseChallenges(challenge), { ...mufasa, password: 'Circle Of Life', cnonce: '0a4f113b' })
    expect(header).toContain('response="6629fae49393a05397450978507c4ef1"')
    expect(header).not.toContain('algorithm')
  })

  test('RFC 2069 §2.4 as corrected, without qop', () => {
    const challenge = 'Digest realm="testrealm@host.com", nonce="dcd98b7102dd2f0e8b11d0f600bfb0c093"'
    const header = authorize(parseChallenges(challenge), { ...mufasa, password: 'CircleOfLife' })
    expect(header).toContain('response="1949323746fe6a43ef61f9606e7febea"')
    expect(header).not.toMatch(/qop|cnonce|nc=/)
  })

  test('RFC 7617 §2 and §2.1', () => {
    const basic = parseChallenges('Basic realm="WallyWorld"')
    expect(authorize(basic, { ...mufasa, username: 'Aladdin', password: 'open sesame' })).toBe(
      'Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==',
    )
    expect(authorize(basic, { ...mufasa, username: 'test', password: '123£' })).toBe('Basic dGVzdDoxMjPCow==')
  })

  test('a digest is preferred to Basic, unless it is not supported', () => {
    const basic = 'Basic realm=x'
    expect(authorize(parseChallenges([basic, 'Digest nonce=n']), mufasa)).toMatch(/^Digest /)
    for (const other of ['Digest nonce=n, algorithm=SHA-512-256', 'Digest nonce=n, qop="auth-int"', 'Digest realm=x']) {
      expect(authorize(parseChallenges([other, basic]), mufasa)).toMatch(/^Basic /)
      expect(authorize(parseChallenges(other), mufasa)).toBeNull()
    }
    expect(authorize([], mufasa)).toBeNull()
  })

  test('a new cnonce each time', () => {
    const { cnonce: _, ...credentials } = mufasa
    const challenges = parseChallenges(rfc7616)
    expect(authorize(challenges, credentials)).not.toBe(authorize(challenges, credentials))
  })

  test('user names that need quoting or more', () => {
    const challenges = parseChallenges('Digest nonce=n')
    expect(authorize(challenges, { ...mufasa, username: 'a"b\\c' })).toContain('username="a\\"b\\\\c"')
    expect(authorize(challenges, { ...mufasa, username: "Jäsøn's" })).toContain("username*=UTF-8''J%C3%A4s%C3%B8n%27s")
  })
})
