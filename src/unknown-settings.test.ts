import fc from 'fast-check'
import { expect, test } from 'vitest'
import { ConfigError } from './config-error.ts'
import { refuseUnknownSettings, unknownSettings } from './unknown-settings.ts'

const none = 'is not a setting and has no effect'

test.each([
  ['PARLEY_AUTH_TOKN', 'PARLEY_AUTH_TOKEN'],
  ['PARLEY_DATABASE', 'PARLEY_DATABASE_URL'],
  ['PARLEY_WEBHOOKS_RETRIES', 'PARLEY_WEBHOOK_RETRIES'],
  ['PARLEY_PORT', 'PORT'],
  ['PARLEY_HOST', 'HOST'],
])('%s is no setting: %s may be meant', (name, meant) => {
  expect(unknownSettings({ [name]: 'a value' })).toEqual([`${name} ${none}: ${meant} may be meant`])
})

test('what is like no setting is no setting either', () => {
  expect(unknownSettings({ PARLEY_COLOUR: 'x' })).toEqual([`PARLEY_COLOUR ${none} (parley serve --help lists the settings)`])
})

test.each([
  ['settings', { PARLEY_TEST_CLOCK: 'true', PORT: '1', HOST: 'x' }],
  ['variables of others', { PATH: '/bin', PARLEYS: 'x', XPARLEY_AUTH_TOKN: 'x' }],
  ['what Kubernetes sets for a service', { PARLEY_PORT: 'tcp://10.0.0.1:80', PARLEY_PORT_80_TCP: 'x', PARLEY_SERVICE_HOST: 'x' }],
  ['empty ones', { PARLEY_COLOUR: '' }],
])('%s are not mentioned', (_, env) => {
  expect(unknownSettings(env)).toEqual([])
})

test('any variables can be given: each that is no setting is one sentence without its value', () => {
  const name = fc
    .string({ unit: fc.constantFrom(...'ABCDEFGHIJKLMNOPQRSTUVWXYZ_0😀'), maxLength: 60 })
    .map((rest) => `PARLEY_${rest}`)
  const value = fc.constantFrom('hidden-value')
  fc.assert(
    fc.property(fc.dictionary(name, value), (env) => {
      const sentences = unknownSettings(env)
      expect(sentences.length).toBeLessThanOrEqual(Object.keys(env).length)
      for (const sentence of sentences) expect(sentence).not.toContain('hidden-value')
    }),
  )
})

test('a program that gives one which is no setting is refused, with the name that may be meant', () => {
  const given = { PORT: '0', PARLEY_WEBHOK_RETRIES: '2', PARLEY_COLOUR: 'x' }
  expect(() => refuseUnknownSettings(given)).toThrow(
    new ConfigError(
      'PARLEY_WEBHOK_RETRIES is not a setting: PARLEY_WEBHOOK_RETRIES may be meant; ' +
        'PARLEY_COLOUR is not a setting (docs/generated/settings.md lists the settings)',
    ),
  )
  expect(() => refuseUnknownSettings({ PORT: '0', PARLEY_TEST_CLOCK: 'true', PATH: '/bin' })).not.toThrow()
})
