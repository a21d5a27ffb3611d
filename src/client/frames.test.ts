import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { FrameError, formatFrame, isAcknowledgement, parseFrame, payloadText } from './frames.ts'

function frame(header: string, payload = '', size = Buffer.byteLength(header)): Buffer {
  return Buffer.from(`TWILSOCK V3.0 ${size}\r\n${header}\r\n${payload}`)
}

describe('frames', () => {
  test('lengths count bytes, not characters', () => {
    const parsed = parseFrame(formatFrame('message', 'TM1', { note: '日本😀' }, '{"body":"é😀"}'))
    expect(parsed).toMatchObject({ method: 'message', id: 'TM1', header: { note: '日本😀', payload_type: 'application/json' } })
    expect(JSON.parse(payloadText(parsed))).toEqual({ body: 'é😀' })
  })

  test('what acknowledges a frame is known by its beginning', () => {
    const status = { code: 200, status: 'OK' }
    expect(isAcknowledgement(formatFrame('reply', 'TM1', { status }))).toBe(true)
    expect(isAcknowledgement(formatFrame('message', 'TM1', { x: '{"method":"reply"' }))).toBe(false)
    expect(isAcknowledgement(Buffer.from('{"method":"reply"'))).toBe(false)
    expect(isAcknowledgement(Buffer.from(`${'x'.repeat(100)}\r\n{"method":"reply"}`))).toBe(false)
    expect(isAcknowledgement(Buffer.alloc(0))).toBe(false)
  })

  test('a frame without a payload has size 0 and no type', () => {
    expect(parseFrame(formatFrame('ping', 'TM1', {})).header).toEqual({ method: 'ping', id: 'TM1', payload_size: 0 })
    expect(parseFrame(Buffer.from('TWILSOCK V3.0 28\r\n{"method":"close","id":"TM"}')).method).toBe('close')
  })

  test('the end of a line after the payload is tolerated', () => {
    expect(payloadText(parseFrame(frame('{"method":"m","id":"1","payload_size":2}', '{}\r\n')))).toBe('{}')
  })

  test.each([
    ['nothing', Buffer.alloc(0)],
    ['another protocol', Buffer.from('GET / HTTP/1.1\r\n\r\n')],
    ['another version', Buffer.from('TWILSOCK V2.0 2\r\n{}\r\n')],
    ['a length with a sign', Buffer.from('TWILSOCK V3.0 +2\r\n{}\r\n')],
    ['a length of eight digits', Buffer.from('TWILSOCK V3.0 10000000\r\n{}\r\n')],
    ['a header that is cut off', frame('{"method":"m","id":"1"}', '', 500)],
    ['a header that is longer than it says', frame('{"method":"m","id":"1"} ', '', 23)],
    ['a header that is no object', frame('[1]')],
    [
      'a header that is no UTF-8',
      Buffer.concat([Buffer.from('TWILSOCK V3.0 2\r\n'), Buffer.from([0xff, 0xfe]), Buffer.from('\r\n')]),
    ],
    ['no method', frame('{"id":"1"}')],
    ['no id', frame('{"method":"m"}')],
    ['an id that is too long', frame(`{"method":"m","id":"${'x'.repeat(129)}"}`)],
    ['a size that is a text', frame('{"method":"m","id":"1","payload_size":"2"}', '{}')],
    ['a negative size', frame('{"method":"m","id":"1","payload_size":-1}')],
    ['too short a payload', frame('{"method":"m","id":"1","payload_size":3}', '{}')],
    ['too long a payload', frame('{"method":"m","id":"1","payload_size":1}', '{}')],
  ])('%s is no frame', (_what, bytes) => {
    expect(() => parseFrame(bytes)).toThrow(FrameError)
  })

  test('what is written can be read, whatever its texts', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'grapheme' }), fc.json(), (text, payload) => {
        const parsed = parseFrame(formatFrame('notification', 'TM1', { text }, payload))
        expect([parsed.header.text, JSON.parse(payloadText(parsed))]).toEqual([text, JSON.parse(payload)])
      }),
    )
  })

  test('random and mutated bytes are a frame or a FrameError, never anything else', () => {
    const valid = formatFrame('message', 'TM1', { http_request: { path: '/v3/Maps/x', params: { a: ['1', '2'] } } }, '{"a":1}')
    const mutated = fc.array(fc.tuple(fc.nat(valid.length - 1), fc.nat(255)), { minLength: 1, maxLength: 4 }).map((changes) => {
      const bytes = Buffer.from(valid)
      for (const [at, value] of changes) bytes[at] = value
      return bytes
    })
    const any = fc.oneof(
      fc.uint8Array({ maxLength: 200 }).map((bytes) => Buffer.from(bytes)),
      mutated,
    )
    fc.assert(
      fc.property(any, (bytes) => {
        try {
          const { method, id, payload } = parseFrame(bytes)
          expect([typeof method, typeof id, payload.length <= bytes.length]).toEqual(['string', 'string', true])
        } catch (error) {
          expect(error).toBeInstanceOf(FrameError)
        }
      }),
      { numRuns: 5000 },
    )
  })
})
