import { createSecretKey } from 'node:crypto'
import { describe, expect, test } from 'vitest'
import {
  hasAddress,
  hasAddressInJson,
  isInMail,
  isNamed,
  mentions,
  namesOf,
  personOf,
  subjectHash,
  withFound,
  withoutPerson,
} from './person.ts'

const account = `AC${'a'.repeat(32)}`
const byNumber = personOf(account, { address: '+15550001' })
const byMail = personOf(account, { address: 'Bob@Example.com' })
const byName = personOf(account, { identity: 'bob' })

test('a phone number is its owner in every channel, and a mail address in every case', () => {
  const all = ['+15550001', 'whatsapp:+15550001', 'rcs:+15550001']
  for (const address of all) expect(namesOf({ address })).toEqual(all)
  expect(namesOf({ address: 'Bob@Example.com' })).toEqual(['bob@example.com'])
  expect(namesOf({ address: 'messenger:Page.1' })).toEqual(['messenger:page.1'])
  expect(namesOf({ identity: 'Bob' })).toEqual(['Bob'])
  expect([isNamed(byMail, 'BOB@example.com'), isNamed(byName, 'Bob'), isNamed(byName, null)]).toEqual([true, false, false])
})

describe('an address inside of a text', () => {
  test.each([
    ['call +15550001, please', true],
    ['{"to":"whatsapp:+15550001"}', true],
    ['+155500012', false],
    ['x+15550001', false],
  ])('%s: %s', (text, found) => expect(hasAddress(byNumber, text)).toBe(found))

  test.each([
    ['Bob <BOB@EXAMPLE.COM>', true],
    ['write to bob@example.com.', true],
    ['jimbob@example.com', false],
    ['bob@example.com.au', false],
    ['bob@example.community', false],
    ['x.bob@example.com', false],
  ])('%s: %s', (text, found) => expect(hasAddress(byMail, text)).toBe(found))

  test('is not looked for when the person is an identity, which may be a word', () => {
    expect(hasAddress(byName, 'bob')).toBe(false)
    expect(mentions(byName, 'bob: hello')).toBe(true)
  })
})

test('an address in JSON is found behind a line break, which is an escape there', () => {
  const json = JSON.stringify({ to: 'ann@example.com,\n\tbob@example.com', from: 'jimbob@example.com' })
  expect(hasAddressInJson(byMail, json)).toBe(true)
  expect(hasAddressInJson(byMail, JSON.stringify({ from: 'x\njimbob@example.com' }))).toBe(false)
  expect([hasAddressInJson(byMail, null), hasAddressInJson(byName, '"bob"')]).toEqual([false, false])
})

test('a mail has the person by its conversation, its recipient or its text, in their account alone', () => {
  const person = withFound(byMail, [{ conversations: ['CH1'] }])
  const mail = { account_sid: account, conversation_sid: 'CH2', to: 'ann@example.com', source: Buffer.from('Hello') }
  expect(isInMail(person, mail)).toBe(false)
  for (const more of [{ conversation_sid: 'CH1' }, { to: 'BOB@example.com' }, { source: Buffer.from('Cc: <bob@example.com>') }]) {
    expect(isInMail(person, { ...mail, ...more })).toBe(true)
    expect(isInMail(person, { ...mail, ...more, account_sid: `AC${'b'.repeat(32)}` })).toBe(false)
  }
})

test('JSON loses the person and nothing else', () => {
  const person = withFound(byMail, [{ called: ['Bob B.'] }])
  const value = { from: 'ann@example.com', to: ['Bob B. <bob@example.com>', 'jim@example.com'], names: { first: 'Bob B.' }, n: 1 }
  expect(withoutPerson(person, value, 'erased-1')).toEqual({
    from: 'ann@example.com',
    to: ['erased-1 <erased-1>', 'jim@example.com'],
    names: { first: 'erased-1' },
    n: 1,
  })
})

test('the hash is of the account and the person, however the address was spelt, and needs the key', () => {
  const key = createSecretKey(Buffer.alloc(32, 1))
  const hash = (address: string) => subjectHash(key, personOf(account, { address }))
  expect(hash('whatsapp:+15550001')).toBe(hash('+15550001'))
  const others = [
    subjectHash(createSecretKey(Buffer.alloc(32, 2)), byNumber),
    subjectHash(key, personOf(`AC${'b'.repeat(32)}`, { address: '+15550001' })),
    subjectHash(key, personOf(account, { identity: '+15550001' })),
  ]
  expect(others).not.toContain(hash('+15550001'))
})
