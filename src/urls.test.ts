import fc from 'fast-check'
import { expect, test } from 'vitest'
import { hasSealedCredentials, isConfidential, openCredentials, sealCredentials, withoutCredentials } from './urls.ts'
import { Vault } from './vault.ts'

const vault = new Vault('0f'.repeat(32))
const seal = (url: string) => sealCredentials(url, (secret) => vault.seal(secret))
const open = (url: string) => openCredentials(url, (sealed) => vault.open(sealed))

test('user name and password are sealed; host, path and query stay readable', () => {
  const sealed = seal('https://hook:s3cret@example.test:8443/in?a=b@c#d')
  expect(sealed).toMatch(/^https:\/\/sealed~[\w-]+@example\.test:8443\/in\?a=b@c#d$/)
  expect(open(sealed)).toBe('https://hook:s3cret@example.test:8443/in?a=b@c#d')
  expect(withoutCredentials(sealed)).toBe('https://example.test:8443/in?a=b@c#d')
})

test('a URL without credentials stays as it is', () => {
  for (const url of ['https://example.test', 'https://example.test/a@b', 'http://example.test?mail=a@b.test', 'https://@h.test/'])
    expect([seal(url), open(url)]).toEqual([url, url])
})

test.each([
  'HTTPS://user@h.test',
  'https:user:pass@h.test',
  'https:\\\\user:pass@h.test\\a',
  'https:////user:pass@h.test',
  'http://:pass@h.test',
  'http://a:b@c:d@h.test/',
  'http://us%40er:pä$&ss@h.test/',
  '\u0001 https://user:pass@h.test',
])('%j is returned as it was given', (url) => {
  const sealed = seal(url)
  expect(hasSealedCredentials(sealed)).toBe(true)
  expect(open(sealed)).toBe(url)
})

test('white space that means nothing in a URL is gone', () => {
  expect(open(seal('ht\ntps:/\t/user:pa\rss@h.test'))).toBe('https://user:pass@h.test/')
})

test.each([
  ['https://h.test', true],
  ['http://localhost:1', true],
  ['http://127.1.2.3', true],
  ['http://[::1]:8080/a', true],
  ['http://h.test', false],
  ['http://127.0.0.1.h.test', false],
  ['http://localhost.h.test', false],
  ['ftp://localhost', false],
])('what is sent to %s stays between the two: %s', (url, confidential) => {
  expect(isConfidential(new URL(url))).toBe(confidential)
})

test('what looks sealed is sealed like anything else, so nobody has a ciphertext opened for them', () => {
  const sealed = seal('https://user:pass@h.test/')
  expect(open(seal(sealed))).toBe(sealed)
})

test('of any URL nothing but user name and password changes, and they cannot be read', () => {
  const text = fc.oneof(fc.string(), fc.constantFrom('@', ':', '/', '\\', '?', '#', '\t', '%40', 'secret', 'ä', ' '))
  const urls = fc
    .tuple(fc.constantFrom('http', 'HTTPS', 'ht\ntp'), fc.constantFrom('://', ':', ':/', ':\\\\', '://\t'), fc.array(text))
    .map(([scheme, slashes, texts]) => `${scheme}${slashes}${texts.join('')}@h.test/`)
    .filter((url) => URL.canParse(url))
  fc.assert(
    fc.property(urls, (url) => {
      const sealed = seal(url)
      const [before, after] = [new URL(url), new URL(open(sealed))]
      expect(after.href).toBe(before.href)
      expect(hasSealedCredentials(sealed)).toBe(before.username !== '' || before.password !== '')
      expect(withoutCredentials(sealed)).toBe(withoutCredentials(url))
    }),
    { numRuns: 2000 },
  )
})
