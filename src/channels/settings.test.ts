import fc from 'fast-check'
import { expect, test } from 'vitest'
import { Vault } from '../vault.ts'
import {
  flagSetting,
  mask,
  numberSetting,
  openSettings,
  optional,
  parseSettings,
  SettingError,
  sealSettings,
  secretSetting,
  shownSettings,
  textSetting,
  urlSetting,
  wordSetting,
} from './settings.ts'

const declared = {
  name: textSetting({ description: 'Its name', max: 20, pattern: /^\w/, words: 'a word' }),
  secret: secretSetting({ description: 'Its secret' }),
  url: urlSetting({ description: 'Its URL' }),
  count: optional(numberSetting({ description: 'How many', min: 0, max: 9 }), 3),
  isOn: optional(flagSetting({ description: 'Whether it is on' })),
  word: optional(wordSetting({ description: 'One of two', words: ['one', 'two'] })),
}
const vault = new Vault('a'.repeat(64))
const seal = (secret: string) => vault.seal(secret)
const open = (sealed: string) => vault.open(sealed)

test('whatever is given is a value of each setting or one sentence, and comes back from the store as it was', () => {
  const anything = fc.oneof(
    fc.anything({ maxDepth: 1, maxKeys: 3 }),
    fc.string({ unit: 'binary-ascii' }),
    fc.constantFrom('\ud800', 'é\u0301', '\u009b31m'),
  )
  const orElse = (...values: unknown[]) => fc.oneof({ weight: 9, arbitrary: fc.constantFrom(...values) }, anything)
  const given = fc.record(
    {
      name: orElse('a', 'a name'),
      secret: orElse('hidden', 'two\nlines'),
      url: orElse('https://user:hidden@example.com/x', 'http://a.test'),
      count: orElse(0, 9),
      isOn: orElse(true, false, null),
      word: orElse('one', 'two'),
    },
    { requiredKeys: ['name', 'secret', 'url'] },
  )
  fc.assert(
    fc.property(fc.oneof({ weight: 9, arbitrary: given }, anything), (settings) => {
      let values: ReturnType<typeof parseSettings>
      try {
        values = parseSettings(declared, settings, null)
      } catch (error) {
        expect(error).toBeInstanceOf(SettingError)
        expect((error as Error).message).toMatch(/^settings/)
        return
      }
      const stored = sealSettings(declared, values, seal)
      expect(openSettings(declared, stored, open)).toEqual(values)
      expect(shownSettings(declared, stored)).toMatchObject({ secret: mask })
    }),
  )
})

test('what is stored shows no secret, and a setting that a later version adds has its default', () => {
  const values = parseSettings(declared, { name: 'a', secret: 'hidden', url: 'https://me:hidden@a.test/x?y' }, null)
  const stored = sealSettings(declared, values, seal)
  expect(stored).not.toContain('hidden')
  expect(shownSettings(declared, stored)).toEqual({ ...values, secret: mask, url: 'https://a.test/x?y' })
  expect(openSettings(declared, JSON.stringify({ name: 'a' }), open)).toEqual({ name: 'a', count: 3, isOn: null, word: null })
  expect(parseSettings(declared, { name: 'b', secret: mask, url: 'http://b.test' }, values)).toMatchObject({ secret: 'hidden' })
})
