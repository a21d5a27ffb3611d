import fc from 'fast-check'
import { expect, test } from 'vitest'
import { sealCredentials } from '../urls.ts'
import { Vault } from '../vault.ts'
import { mapSealed } from './sealed.ts'

const [before, after] = [new Vault('1'.repeat(64)), new Vault('2'.repeat(64))]
const reseal = (sealed: string) => (before.openedBy(sealed) ? after.seal(before.open(sealed)) : sealed)

/** Every text that a vault opens in a stored text. */
function opened(stored: string, vault: Vault): string[] {
  const found: string[] = []
  mapSealed(stored, (sealed) => {
    if (vault.openedBy(sealed)) found.push(vault.open(sealed))
    return sealed
  })
  return found
}

test('what is stored as a text, in JSON and in a URL is found, and all else stays as it is', () => {
  const url = sealCredentials('https://user:secret@example.com/hook?a=b', (secret) => before.seal(secret))
  const stored = [
    before.seal('secret'),
    url,
    JSON.stringify({ auth_token: before.seal('secret'), url, deep: [{ more: before.seal('') }, 1, null], plain: 'x'.repeat(64) }),
  ]
  for (const text of stored) {
    const secrets = opened(text, before)
    expect(secrets.length).toBeGreaterThan(0)
    const anew = mapSealed(text, reseal)
    expect(opened(anew, before)).toEqual([])
    expect(opened(anew, after)).toEqual(secrets)
    expect(anew.replace(/[\w+/-]{38,}={0,2}/g, '')).toBe(text.replace(/[\w+/-]{38,}={0,2}/g, ''))
  }
})

test('any other text stays as it is, to the letter', () => {
  const texts = fc.oneof(fc.string(), fc.json({ maxDepth: 3 }), fc.base64String({ minLength: 30 }))
  fc.assert(fc.property(texts, (text) => mapSealed(text, reseal) === text))
})
