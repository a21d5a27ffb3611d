import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { ApiError } from '../errors.ts'
import { emptyForm, type Form, maxParams, parseForm } from './form.ts'

const special = ['__proto__', 'constructor', 'toString', 'hasOwnProperty', 'valueOf', 'length', 'pop', 'at', '']
const name = fc.oneof(fc.string({ unit: 'binary' }), fc.constantFrom(...special, 'Timers.Inactive', 'a[]', '\0'))
const value = fc.oneof(
  fc.string({ unit: 'binary' }),
  fc.string({ unit: 'grapheme' }),
  fc.constantFrom('', '+', '%', '%41', '&', '=', '\0'),
)
const pairs = fc.array(fc.tuple(name, value), { maxLength: 20 })

/** Returns the pairs that URLSearchParams parses from the same text. */
function agrees(form: Form, official: URLSearchParams, names: Iterable<string>): void {
  for (const each of names) {
    expect(form.all(each)).toEqual(official.getAll(each))
    expect(form.last(each)).toBe(official.getAll(each).at(-1))
  }
}

describe('parseForm', () => {
  test('reads back whatever URLSearchParams wrote: any names, any values, repeats in order', () => {
    fc.assert(
      fc.property(pairs, (given) => {
        const written = new URLSearchParams(given)
        agrees(parseForm(written.toString()), written, [...given.map(([each]) => each), ...special])
      }),
      { numRuns: 1000 },
    )
  })

  test('reads back what encodeURIComponent wrote', () => {
    fc.assert(
      fc.property(pairs, (given) => {
        const text = given.map((pair) => pair.map(encodeURIComponent).join('=')).join('&')
        agrees(parseForm(text), new URLSearchParams(given), [...given.map(([each]) => each), ...special])
      }),
    )
  })

  test('parses any text as URLSearchParams does, short or long', () => {
    const pieces = ['&', '=', '+', 'a', 'b', '%41', '%61', '%00', '%F0%9F%8E%88']
    const malformed = fc.constantFrom(...pieces, '%', '%zz', '%2', '%E0%A4', '%FF')
    // Node's own mixes up characters that are not encoded with bytes that are no UTF-8.
    const plain = fc.constantFrom(...pieces, 'é', '🎈')
    const text = fc.oneof(fc.array(malformed, { maxLength: 30 }), fc.array(plain, { maxLength: 30 })).map((all) => all.join(''))
    fc.assert(
      fc.property(text, fc.boolean(), (given, long) => {
        const whole = long ? `${given}&a=${given.replaceAll('&', '')}${'%2B'.repeat(700)}` : given
        const official = new URLSearchParams(`?${whole}`)
        agrees(parseForm(whole), official, [...official.keys(), 'a', 'b'])
      }),
      { numRuns: 3000 },
    )
  })

  test('a name that no parameter can have is skipped', () => {
    expect(parseForm(`${'a'.repeat(1025)}=1&b=2`).last('a'.repeat(1025))).toBeUndefined()
    expect(parseForm(`${'a'.repeat(1025)}=1&b=2`).last('b')).toBe('2')
  })

  test('parses barely encoded text as URLSearchParams does', () => {
    const loose = fc.stringMatching(/^[ -$'-<>-~]{0,8}$/).map((text) => text.replace(/%/g, ''))
    fc.assert(
      fc.property(fc.array(fc.tuple(loose, fc.option(loose, { nil: undefined })), { maxLength: 8 }), (given) => {
        const text = given.map(([each, its]) => (its === undefined ? each : `${each}=${its}`)).join('&')
        // URLSearchParams drops a leading question mark.
        const official = new URLSearchParams(`?${text}`)
        agrees(parseForm(text), official, official.keys())
      }),
    )
  })

  test.each([
    ['', {}],
    ['&', {}],
    ['&&a=1&&', { a: ['1'] }],
    ['a', { a: [''] }],
    ['a=', { a: [''] }],
    ['a&a', { a: ['', ''] }],
    ['a==', { a: ['='] }],
    ['a=b=c', { a: ['b=c'] }],
    ['=x', { '': ['x'] }],
    ['a=1&b=2&a=3', { a: ['1', '3'], b: ['2'] }],
    ['a=+1+&+b=2', { a: [' 1 '], ' b': ['2'] }],
    ['a=%2B%26%3D', { a: ['+&='] }],
    ['a=1;b=2', { a: ['1;b=2'] }],
    ['a[]=1&a[]=2', { 'a[]': ['1', '2'] }],
    ['a.b=1', { 'a.b': ['1'] }],
    ['A=1&a=2', { A: ['1'], a: ['2'] }],
    ['a=%f0%9f%8E%88', { a: ['🎈'] }],
    ['a=%00', { a: ['\0'] }],
    ['a=🎈', { a: ['🎈'] }],
    ['a=🎈+%zz%FF', { a: ['🎈 %zz\ufffd'] }],
    ['a=1&a=&a=2&a=', { a: ['1', '', '2', ''] }],
  ])('%j', (text, expected) => {
    const form = parseForm(text)
    for (const [each, values] of Object.entries(expected)) {
      expect(form.all(each)).toEqual(values)
      expect(form.last(each)).toBe(values.at(-1))
    }
  })

  test.each([
    ['%E0%A4', '\ufffd'],
    ['%FF', '\ufffd'],
    ['%C0%AF', '\ufffd\ufffd'],
    ['caf%E9=', 'caf\ufffd='],
  ])('%j is no text: what cannot be decoded is replaced, as in a browser', (text, shown) => {
    expect(parseForm(`a=${text}`).last('a')).toBe(shown)
  })

  test.each(['%', '%z', '%zz', 'x%', '%u0041'])('%j is no encoding and stays as it is', (text) => {
    expect(parseForm(`a=${text}&${text}=b`).last('a')).toBe(text)
    expect(parseForm(`a=${text}&${text}=b`).last(text)).toBe('b')
  })

  test('any text at all is a form, or one with too many pairs', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary', maxLength: 200 }), name, (text, asked) => {
        const form = parseForm(text)
        expect(['string', 'undefined']).toContain(typeof form.last(asked))
        for (const each of form.all(asked)) expect(typeof each).toBe('string')
        expect(form.all(asked).at(-1)).toBe(form.last(asked))
      }),
    )
  })

  test('absent names are absent, also those that every object has', () => {
    for (const form of [emptyForm, parseForm(''), parseForm('a=1')]) {
      for (const each of special) expect([each, form.last(each), form.all(each)]).toEqual([each, undefined, []])
    }
  })

  test('names of Object.prototype are ordinary names and change no object', () => {
    const form = parseForm('__proto__=1&__proto__=2&constructor=3&a=4')
    expect([form.all('__proto__'), form.all('constructor'), form.last('a')]).toEqual([['1', '2'], ['3'], '4'])
    expect(parseForm('a=1').last('constructor')).toBeUndefined()
    expect(Object.keys(Object.prototype)).toEqual([])
  })

  test('a thousand pairs are read, one more is refused, however short they are', () => {
    const text = (count: number, pair: string) => Array(count).fill(pair).join('&')
    for (const pair of ['a=1', 'a', '', '=']) {
      expect(() => parseForm(text(maxParams, pair))).not.toThrow()
      expect(() => parseForm(text(maxParams + 1, pair))).toThrow(ApiError)
    }
    expect(parseForm(text(maxParams, 'a=1')).all('a')).toHaveLength(maxParams)
    // A separator inside a value does not count.
    expect(parseForm(`a=${'%26'.repeat(5000)}`).last('a')).toBe('&'.repeat(5000))
  })

  test('too many pairs are refused in the form of the vendor', () => {
    const refused = expect.objectContaining({ entry: expect.objectContaining({ status: 400, code: 20001 }) })
    expect(() => parseForm('&'.repeat(maxParams))).toThrow(refused)
  })
})
