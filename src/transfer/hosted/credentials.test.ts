import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { makeTemporaryFolder } from '../../temporary.ts'
import { hostedCredentials, mediaUrlOf } from './credentials.ts'

const account = { TWILIO_ACCOUNT_SID: `AC${'1'.repeat(32)}`, TWILIO_AUTH_TOKEN: 'the-token' }
const key = { TWILIO_API_KEY: `SK${'2'.repeat(32)}`, TWILIO_API_SECRET: 'the-secret' }

it('takes a key before the account, from the environment or a file', () => {
  expect(hostedCredentials(account, null)).toEqual({ username: account.TWILIO_ACCOUNT_SID, password: 'the-token' })
  expect(hostedCredentials({ ...account, ...key }, null)).toEqual({ username: key.TWILIO_API_KEY, password: 'the-secret' })
  const file = join(makeTemporaryFolder('parley-credentials-'), 'twilio.env')
  writeFileSync(file, `# mine\nTWILIO_ACCOUNT_SID=${account.TWILIO_ACCOUNT_SID}\nTWILIO_AUTH_TOKEN="of the file"\n`)
  expect(hostedCredentials(key, file)).toEqual({ username: account.TWILIO_ACCOUNT_SID, password: 'of the file' })
})

it.each([
  [{}, 'TWILIO_ACCOUNT_SID'],
  [{ TWILIO_ACCOUNT_SID: account.TWILIO_ACCOUNT_SID }, 'TWILIO_AUTH_TOKEN'],
  [{ ...account, TWILIO_API_KEY: key.TWILIO_API_KEY }, 'TWILIO_API_SECRET'],
  [{ ...account, TWILIO_ACCOUNT_SID: 'AC-typo' }, '32 hex digits'],
])('says what is missing of %j, without a value', (variables, text) => {
  expect(() => hostedCredentials(variables, null)).toThrow(text)
  expect(() => hostedCredentials(variables, null)).not.toThrow(/the-token|the-secret|typo/)
})

it.each([
  ['https://conversations.twilio.com', 'https://mcs.us1.twilio.com'],
  ['https://conversations.ie1.twilio.com', 'https://mcs.ie1.twilio.com'],
  ['https://conversations.dublin.ie1.twilio.com', 'https://mcs.ie1.twilio.com'],
  ['http://127.0.0.1:3000', 'http://127.0.0.1:3000'],
  ['https://parley.example.com', 'https://parley.example.com'],
])('finds the media host of %s', (url, media) => {
  expect(mediaUrlOf(url)).toBe(media)
})
