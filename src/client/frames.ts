import { isJsonObject } from '../json.ts'

/*
 * Twilsock V3, the framing of the client SDKs. A binary websocket message holds one frame:
 *
 *   TWILSOCK V3.0 <bytes of the header>\r\n<header: a JSON object>\r\n<payload: `payload_size` bytes>
 */

/** A received frame. */
export interface Frame {
  readonly method: string
  readonly id: string
  readonly header: Readonly<Record<string, unknown>>
  readonly payload: Buffer
}

/** What is sent besides `method`, `id` and the description of the payload. */
export type HeaderFields = Readonly<Record<string, unknown>>

/** The bytes are no frame. The message says why; it contains nothing of them. */
export class FrameError extends Error {
  override readonly name = 'FrameError'
  readonly code = 'PARLEY_FRAME'
}

/** `TWILSOCK V3.0 ` and up to seven digits. */
const maxFirstLine = 21
const firstLine = /^TWILSOCK V3\.0 ([1-9]\d{0,6})$/
const lineEnd = Buffer.from('\r\n')
/** Clients use `TM` and a UUID. */
const maxId = 128
const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

/** Parses a message of a client. Throws FrameError. */
export function parseFrame(bytes: Buffer): Frame {
  const lineLength = bytes.subarray(0, maxFirstLine + lineEnd.length).indexOf(lineEnd)
  const size = lineLength === -1 ? undefined : firstLine.exec(bytes.toString('latin1', 0, lineLength))?.[1]
  if (size === undefined) throw new FrameError('no first line of Twilsock V3.0')
  const start = lineLength + lineEnd.length
  const end = start + Number(size)
  if (end > bytes.length) throw new FrameError('the header is cut off')
  const header = parseHeader(bytes.subarray(start, end))
  const { method, id, payload_size = 0 } = header
  if (typeof method !== 'string') throw new FrameError('the header has no method')
  if (typeof id !== 'string' || id === '' || id.length > maxId) throw new FrameError('the header has no id')
  return { method, id, header, payload: payloadOf(bytes.subarray(end), payload_size) }
}

/** `"method":"reply"`, where the SDKs have it. */
const reply = Buffer.from('{"method":"reply"')

/**
 * Whether a message is a reply, as clients send one for each notification: half of all messages. Nothing is done with it, so that the
 * rest of it is not looked at.
 */
export function isAcknowledgement(bytes: Buffer): boolean {
  const start = bytes.indexOf(lineEnd) + lineEnd.length
  return start <= maxFirstLine + lineEnd.length && bytes.subarray(start, start + reply.length).equals(reply)
}

function parseHeader(bytes: Buffer): Readonly<Record<string, unknown>> {
  const header = parseJson(bytes)
  if (!isJsonObject(header)) throw new FrameError('the header is no JSON object')
  return header
}

function payloadOf(rest: Buffer, size: unknown): Buffer {
  if (typeof size !== 'number' || !Number.isSafeInteger(size) || size < 0) throw new FrameError('payload_size is no length')
  // Without a payload some clients leave out the end of the header's line.
  if (rest.length === 0 && size === 0) return rest
  if (!rest.subarray(0, lineEnd.length).equals(lineEnd)) throw new FrameError('the header is longer than it says')
  const payload = rest.subarray(lineEnd.length)
  if (payload.length === size) return payload
  if (payload.length === size + lineEnd.length && payload.subarray(size).equals(lineEnd)) return payload.subarray(0, size)
  throw new FrameError('the payload has another length than payload_size')
}

/** Parses UTF-8 JSON. Throws FrameError. */
function parseJson(bytes: Buffer): unknown {
  try {
    return JSON.parse(utf8.decode(bytes))
  } catch {
    throw new FrameError('the header is no JSON object')
  }
}

/** Returns a payload as text. Throws FrameError when it is no UTF-8. */
export function payloadText({ payload }: Pick<Frame, 'payload'>): string {
  try {
    return utf8.decode(payload)
  } catch {
    throw new FrameError('the payload is no UTF-8')
  }
}

/** Returns the bytes of a frame. `payload`: JSON text. */
export function formatFrame(method: string, id: string, fields: HeaderFields, payload = ''): Buffer {
  const payloadSize = Buffer.byteLength(payload)
  const type = payloadSize > 0 && { payload_type: 'application/json' }
  const header = JSON.stringify({ method, id, ...fields, ...type, payload_size: payloadSize })
  return Buffer.from(`TWILSOCK V3.0 ${Buffer.byteLength(header)}\r\n${header}\r\n${payload}`)
}
