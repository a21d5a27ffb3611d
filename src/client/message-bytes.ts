/** `FIN`, and the opcode of a binary message. */
const binary = 0x82

/**
 * Returns the bytes of a binary message as a server sends it (RFC 6455, section 5.2): in one frame, not masked, not compressed. It may be
 * written to any number of websockets: `ws` itself would make the head anew for each of them, and write it apart.
 */
export function messageOf(content: Buffer): Buffer {
  const { length } = content
  const head = Buffer.allocUnsafe(length < 126 ? 2 : length < 65_536 ? 4 : 10)
  head[0] = binary
  head[1] = length < 126 ? length : length < 65_536 ? 126 : 127
  if (head.length === 4) head.writeUInt16BE(length, 2)
  if (head.length === 10) head.writeBigUInt64BE(BigInt(length), 2)
  return Buffer.concat([head, content])
}
