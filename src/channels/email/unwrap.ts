/** Lines that are joined are no longer than this. */
const maxJoined = 64 * 1024

const lineFeed = 10
const carriageReturn = 13
const dash = 45

/**
 * Returns a mail with the lines of its base64 parts joined: for the parser a mail costs as much as it has lines, time and memory, and
 * 20 MB in base64 have 270,000 of 76 characters. Everything else stays as it is. One walk over the lines.
 */
export function unwrapBase64(raw: Uint8Array): Uint8Array {
  const bytes = Buffer.from(raw.buffer, raw.byteOffset, raw.byteLength)
  const out = Buffer.allocUnsafe(bytes.length)
  let length = 0
  let joined = 0
  let isHeader = true
  let announced = false
  for (let at = 0; at < bytes.length; ) {
    const feed = bytes.indexOf(lineFeed, at)
    const next = feed === -1 ? bytes.length : feed + 1
    const end = contentEnd(bytes, at, next)
    const isEmpty = end === at
    const isBoundary = !isEmpty && bytes[at] === dash && bytes[at + 1] === dash
    const isBody = announced && !isHeader && !isEmpty && !isBoundary
    if (isBody && joined + end - at <= maxJoined) {
      length += bytes.copy(out, length, at, end)
      joined += end - at
    } else {
      // The end of the joined line: it has been copied without one.
      if (joined > 0) out[length++] = lineFeed
      joined = 0
      length += bytes.copy(out, length, at, next)
    }
    if (isBoundary) [isHeader, announced] = [true, false]
    else if (isEmpty) isHeader = false
    else if (isHeader && isEncoding(bytes, at, end)) announced = true
    at = next
  }
  return out.subarray(0, length)
}

function contentEnd(bytes: Buffer, at: number, next: number): number {
  let end = next
  if (end > at && bytes[end - 1] === lineFeed) end--
  if (end > at && bytes[end - 1] === carriageReturn) end--
  return end
}

const header = /^content-transfer-encoding[ \t]*:[ \t]*base64\b/i

function isEncoding(bytes: Buffer, at: number, end: number): boolean {
  // Most headers are shorter than its name, or begin otherwise.
  const first = bytes[at]
  return (first === 67 || first === 99) && end - at >= 30 && header.test(bytes.toString('latin1', at, Math.min(end, at + 80)))
}
