import { createSecretKey, randomBytes } from 'node:crypto'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { channelMessageOf, returnPath, splitTag } from '../../src/channels/email/tokens.ts'

const key = createSecretKey(randomBytes(32))
const hex = fc.stringMatching(/^[0-9a-f]{32}$/)

test('a return path names its channel message, in any case, and fits into an address', () => {
  fc.assert(
    fc.property(hex, fc.stringMatching(/^[a-z]{1,27}$/), (digits, local) => {
      const path = returnPath(`${local}@example.com`, `EM${digits}`, key)
      expect(path.indexOf('@')).toBeLessThanOrEqual(64)
      expect(path).toMatch(/^[a-z]+\+b\.[0-9a-z.]+@example\.com$/)
      const { mailbox, tag } = splitTag(path.toUpperCase())
      expect(mailbox).toBe(`${local}@example.com`)
      expect(channelMessageOf(tag ?? '', [key])).toBe(`EM${digits}`)
    }),
  )
})

test('a tag that another key has made, or that is altered, names nothing', () => {
  const sid = `EM${'0'.repeat(31)}1`
  const { tag } = splitTag(returnPath('support@example.com', sid, key))
  expect(channelMessageOf(tag ?? '', [createSecretKey(randomBytes(32))])).toBeNull()
  fc.assert(
    fc.property(fc.nat(37), fc.stringMatching(/^[0-9a-z.]$/), (at, char) => {
      const text = tag ?? ''
      fc.pre(text[at] !== char)
      expect(channelMessageOf(`${text.slice(0, at)}${char}${text.slice(at + 1)}`, [key])).toBeNull()
    }),
  )
  fc.assert(fc.property(fc.string(), (any) => channelMessageOf(any, [key]) === null))
})

test('a mailbox with a tag of its own gets another in its place; one too long for a tag stays as it is', () => {
  const sid = `EM${'f'.repeat(32)}`
  expect(returnPath('support+vip@example.com', sid, key)).toMatch(/^support\+b\./)
  const long = `${'a'.repeat(40)}@example.com`
  expect(returnPath(long, sid, key)).toBe(long)
  expect(splitTag('a@b.cd')).toEqual({ mailbox: 'a@b.cd', tag: null })
  expect(splitTag('+a@b.cd')).toEqual({ mailbox: '+a@b.cd', tag: null })
  expect(splitTag('a@b+c.cd')).toEqual({ mailbox: 'a@b+c.cd', tag: null })
})
