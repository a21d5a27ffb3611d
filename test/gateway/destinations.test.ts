import { isIP } from 'node:net'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { decide, parseAbsolute, parseAuthority } from '../../src/gateway/destinations.ts'

describe('the target of CONNECT', () => {
  test.each([
    ['conversations.twilio.com:443', { host: 'conversations.twilio.com', port: 443 }],
    ['Conversations.Dublin.IE1.twilio.com.:443', { host: 'conversations.dublin.ie1.twilio.com', port: 443 }],
    ['127.0.0.1:1', { host: '127.0.0.1', port: 1 }],
    ['[::1]:65535', { host: '::1', port: 65_535 }],
    ['xn--bcher-kva.example:8443', { host: 'xn--bcher-kva.example', port: 8443 }],
  ])('%s is read', (text, expected) => expect(parseAuthority(text)).toEqual(expected))

  test.each([
    '',
    ':443',
    'host',
    'host:',
    'host:0',
    'host:65536',
    'host:999999',
    'host:-1',
    'host:44 3',
    'a b:443',
    '/path:443',
    'http://host:443',
    'host:443/path',
    'user@host:443',
    '::1:443',
    '[::1:443',
    '[zz]:443',
    '[1.2.3.4]:443',
    '..:443',
    '.twilio.com:443',
    'a..b:443',
    'api%2etwilio.com:443',
    'ａpi.twilio.com:443',
    'host:443\r\nX: y',
  ])('%j is none', (text) => expect(parseAuthority(text)).toBeNull())
})

describe('the target of a request in absolute form', () => {
  test.each([
    ['http://example.com', { host: 'example.com', port: 80, path: '/' }],
    ['HTTP://Example.com.:8080/a?b=c#d', { host: 'example.com', port: 8080, path: '/a?b=c' }],
    ['http://[::1]:8080/', { host: '::1', port: 8080, path: '/' }],
    ['http://api%2Etwilio.com/', { host: 'api.twilio.com', port: 80, path: '/' }],
  ])('%s is read', (text, expected) => expect(parseAbsolute(text)).toEqual(expected))

  test.each([
    '/',
    '*',
    '',
    'https://example.com/',
    'ftp://example.com/',
    'http://',
    'http://a b/',
    'http://host:99999/',
    'http://../',
  ])('%j is none', (text) => expect(parseAbsolute(text)).toBeNull())
})

describe('what happens to a host', () => {
  const own = ['conversations.twilio.com', 'conversations.dublin.twilio.com', 'conversations.dublin.ie1.twilio.com']
  test.each([...own, 'tsock.us1.twilio.com', 'tsock.ie1.twilio.com'])('%s is Parley', (host) =>
    expect(decide({ host }, ['conversations.twilio.com'])).toBe('parley'),
  )
  test.each([
    'twilio.com',
    'api.twilio.com',
    'conversations.a.b.c.twilio.com',
    'mcs.us1.twilio.com',
    'xconversations.twilio.com',
    'tsock.twilio.com',
    'tsock.a.us1.twilio.com',
  ])('%s is refused unless it is allowed', (host) => {
    expect(decide({ host }, [])).toBe('refuse')
    expect(decide({ host }, ['verify.twilio.com'])).toBe('refuse')
    expect(decide({ host }, ['verify.twilio.com', host])).toBe('pass')
  })
  test.each(['example.com', 'mytwilio.com', 'twilio.com.example', '127.0.0.1', '::1'])('%s passes', (host) =>
    expect(decide({ host }, [])).toBe('pass'),
  )
})

test('no text names a host of Twilio that is let through, and no text is read as anything but a host and a port', () => {
  const piece = fc.constantFrom(
    'api', '.', '..', 'twilio.com', 'TWILIO.COM', 'conversations', ':', '443', '80', '%2e', '@', '[', ']', '::1', '/', '\\', '?', '#',
    ' ', '\t', '\r\n', '\0', '。', 'ｔwilio', 'http://', '-', '_',
  ) // biome-ignore format: one list
  const texts = fc.oneof(
    fc.string({ unit: 'binary' }),
    fc.array(piece, { maxLength: 12 }).map((pieces) => pieces.join('')),
  )
  fc.assert(
    fc.property(texts, (text) => {
      for (const found of [parseAuthority(text), parseAbsolute(text), parseAbsolute(`http://${text}`)]) {
        if (!found) continue
        expect(found.port).toSatisfy((port: number) => Number.isInteger(port) && port > 0 && port < 65_536)
        if (isIP(found.host)) continue
        expect(found.host).toMatch(/^[^\s/\\?#@:[\]\0A-Z]+$/)
        if (/(^|\.)twilio\.com\.?$/.test(found.host)) expect(decide(found, [])).not.toBe('pass')
      }
    }),
    { numRuns: 20_000 },
  )
})
