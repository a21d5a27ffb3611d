import fc from 'fast-check'
import { expect, test } from 'vitest'
import { attributesProblem, changedAttributes, indented } from '../../console/src/json.ts'

test('indenting keeps every value, and is what JSON.stringify would write', () => {
  fc.assert(
    fc.property(fc.jsonValue(), fc.nat(4), (value, space) => {
      const normal = JSON.parse(JSON.stringify(value))
      expect(indented(JSON.stringify(normal, null, space))).toBe(JSON.stringify(normal, null, 2))
    }),
  )
})

test('indenting keeps numbers and duplicate names as they are written', () => {
  expect(indented('{"id":12345678901234567890,"id":1.50}')).toBe('{\n  "id": 12345678901234567890,\n  "id": 1.50\n}')
})

test('attributes are refused with a reason where the server would refuse them', () => {
  expect(attributesProblem('', 10)).toBe(null)
  expect(attributesProblem('"12345678"', 10)).toBe(null)
  expect(attributesProblem('"123456789"', 10)).toMatch('Too long: 11 bytes')
  expect(attributesProblem('"ééééé"', 10)).toMatch('Too long')
  for (const text of ['{', '{a:1}', "{'a':1}", '[1,]', ' ', 'undefined'])
    expect(attributesProblem(text, 99)).toMatch('This is no JSON')
})

test('attributes that were left alone are not sent', () => {
  expect(changedAttributes('{\n}', '{\r\n}')).toBe(undefined)
  expect(changedAttributes('{ }', '{}')).toBe('{ }')
})
