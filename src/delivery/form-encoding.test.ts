import fc from 'fast-check'
import { expect, test } from 'vitest'
import { encodedForm } from './form-encoding.ts'

const twin = (form: Readonly<Record<string, string>>) => new URLSearchParams(form).toString()

test('a form is encoded as URLSearchParams does, whatever characters it has', () => {
  const unit = fc.oneof(
    fc.string({ unit: 'binary' }),
    fc.string({ unit: 'grapheme' }),
    // Lone surrogates.
    fc.string({ unit: fc.integer({ min: 0, max: 0xffff }).map((code) => String.fromCharCode(code)) }),
  )
  fc.assert(
    fc.property(fc.dictionary(unit, unit), (form) => {
      expect(encodedForm(form)).toBe(twin(form))
    }),
  )
  const ascii = String.fromCharCode(...Array.from({ length: 128 }, (_, code) => code))
  for (const text of [...ascii, ascii, '', 'ß', '€', '😀', '\ud800', '\udc00\ud800'])
    expect(encodedForm({ [text]: text })).toBe(twin({ [text]: text }))
  expect(encodedForm({})).toBe('')
})

test('a form whose first name is empty is encoded whole', () => {
  expect(encodedForm({ '': '', a: 'b' })).toBe(twin({ '': '', a: 'b' }))
})
