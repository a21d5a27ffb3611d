import { describe, expect, test } from 'vitest'
import { settingsFrom } from '../../../test/support/channel-io.ts'
import {
  access_token,
  appSecret,
  phoneNumberId,
  settings,
  template_sid,
  useMeta,
  verify_token,
} from '../../../test/support/whatsapp-kind.ts'
import { whatsapp } from './kind.ts'
import { settings as declared } from './settings.ts'

useMeta()

describe('settings', () => {
  test.each([
    [{ phone_number_id: '+15550783881' }, /digits/],
    [{ access_token: 'a b' }, /made of/],
    [{ api_version: '25' }, /like v25/],
    [{ media: 'fax' }, /one of/],
    [{ read_marks: 'yes' }, /true or false/],
  ])('%o is refused', (wrong, words) => {
    expect(() =>
      settingsFrom(declared, { phone_number_id: phoneNumberId, access_token, app_secret: appSecret, verify_token, ...wrong }),
    ).toThrow(words)
  })

  const plain = { name: 'a', language: 'en' }
  test('the base has no query, and right settings have no problem', () => {
    expect(whatsapp.problem?.({ ...settings, base_url: 'https://x/?a=1' })).toMatch(/base_url/)
    expect(whatsapp.problem?.({ ...settings, templates: JSON.stringify({ [template_sid]: plain }) })).toBeUndefined()
  })
})
