import { expect, test } from 'vitest'
import type { BindingRow } from '../storage/schema.ts'
import { type Device, type Happening, notifiedDevices, type Occasion, wordingOf } from './decision.ts'
import { defaultNotifications, type Notifications, settingsOf } from './settings.ts'

function device(given: Partial<Omit<Device, 'binding'>> & Partial<BindingRow> = {}): Device {
  const { muted = false, online = false, participant_sid = 'MB1', ...row } = given
  const binding: BindingRow = {
    service_sid: 'IS1',
    sid: 'BS1',
    account_sid: 'AC1',
    identity: 'bob',
    endpoint: 'token',
    binding_type: 'fcm',
    credential_sid: 'CR1',
    message_types: '["added_to_conversation","new_message","removed_from_conversation"]',
    date_created: 0,
    date_updated: 0,
    revision: 1,
    ...row,
  }
  return { binding, participant_sid, muted, online }
}

const occasions: readonly Occasion[] = ['new_message', 'added_to_conversation', 'removed_from_conversation']
const happening = (occasion: Occasion, more: Partial<Happening> = {}): Happening => ({
  occasion,
  with_media: false,
  by: 'ann',
  ...more,
})

test.each<[string, Device, readonly Occasion[]]>([
  ['everybody else', device(), occasions],
  ['by Apple', device({ binding_type: 'apn' }), occasions],
  ['not by what no push service is known for', device({ binding_type: 'gcm' }), []],
  ['not on a connection', device({ binding_type: 'twilsock' }), []],
  ['not who did it', device({ identity: 'ann' }), []],
  ['not who is online', device({ online: true }), []],
  [
    'who has muted it, of what concerns themselves',
    device({ muted: true }),
    ['added_to_conversation', 'removed_from_conversation'],
  ],
  ['of what the device asked for', device({ message_types: '["new_message"]' }), ['new_message']],
  ['of nothing when it asked for nothing', device({ message_types: '[]' }), []],
])('is notified: %s', (_, one, expected) => {
  expect(occasions.filter((occasion) => notifiedDevices([one], happening(occasion)).length === 1)).toEqual(expected)
})

test('what nobody with an identity has done is for everybody', () => {
  expect(notifiedDevices([device(), device({ identity: 'ann' })], happening('new_message', { by: null }))).toHaveLength(2)
})

const enabled = (changes: Partial<Notifications>): Notifications => ({ ...defaultNotifications, ...changes })
const on = { enabled: true, template: null, sound: null }
const messages = { ...on, badge_count_enabled: false, with_media: { enabled: false, template: null } }

test('each has a switch of its own, and messages with media do not use that of the others', () => {
  const all = [...occasions.map((occasion) => happening(occasion)), happening('new_message', { with_media: true })]
  const worded = (settings: Notifications) => all.map((one) => wordingOf(settings, one) !== null)
  expect(worded(defaultNotifications)).toEqual([false, false, false, false])
  expect(worded(enabled({ new_message: messages }))).toEqual([true, false, false, false])
  const media = { ...messages, enabled: false, with_media: { enabled: true, template: 'M' }, sound: 'ding' }
  expect(worded(enabled({ new_message: media }))).toEqual([false, false, false, true])
  expect(wordingOf(enabled({ new_message: media }), happening('new_message', { with_media: true }))).toEqual({
    template: 'M',
    sound: 'ding',
  })
  expect(worded(enabled({ added_to_conversation: on }))).toEqual([false, true, false, false])
  expect(worded(enabled({ removed_from_conversation: on }))).toEqual([false, false, true, false])
  expect(
    wordingOf(enabled({ removed_from_conversation: { ...on, template: 'Bye' } }), happening('removed_from_conversation')),
  ).toEqual({
    template: 'Bye',
    sound: null,
  })
})

test('settings with nothing enabled are not parsed', () => {
  const stored = (settings: Notifications) => ({ notifications: JSON.stringify(settings) })
  expect(settingsOf(stored(defaultNotifications))).toBeUndefined()
  expect(settingsOf(stored(enabled({ log_enabled: true })))).toBeDefined()
  const media = enabled({ new_message: { ...messages, enabled: false, with_media: { enabled: true, template: null } } })
  expect(settingsOf(stored(media))).toEqual(media)
})
