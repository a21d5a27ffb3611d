import { closeSync, constants, fstatSync, openSync, readSync } from 'node:fs'
import { codeOf } from './errors.ts'

/** No secret is longer; a wrong file, such as a database, is not read to its end. */
const maxBytes = 16_384

/** A secret, or a clause that says why the file has none. It never contains anything of the file. */
export type SecretFile = { readonly secret: string } | { readonly problem: string }

/** Reads a secret from a file that has nothing else in it. Line breaks at its end do not count. */
export function readSecretFile(file: string): SecretFile {
  const bytes = bytesOf(file)
  if (typeof bytes === 'string') return { problem: bytes }
  if (bytes.length > maxBytes) return { problem: `has more than ${maxBytes} bytes` }
  const text = textOf(bytes)?.replace(/[\r\n]+$/, '')
  if (text === undefined) return { problem: 'is not text (UTF-8)' }
  if (text.trim() === '') return { problem: 'is empty' }
  return /[\r\n]/.test(text) ? { problem: 'has more than one line' } : { secret: text }
}

/** Returns one byte more than `maxBytes` of a longer file; a clause when it cannot be read. */
function bytesOf(file: string): Buffer | string {
  let descriptor: number | undefined
  try {
    // A named pipe that nobody writes to would be waited for.
    descriptor = openSync(file, constants.O_RDONLY | constants.O_NONBLOCK)
    if (!fstatSync(descriptor).isFile()) return 'is not a file'
    const buffer = Buffer.alloc(maxBytes + 1)
    let length = 0
    for (let count = -1; count !== 0; length += count) count = readSync(descriptor, buffer, length, buffer.length - length, null)
    return buffer.subarray(0, length)
  } catch (error) {
    return `cannot be read (${codeOf(error) ?? 'unknown error'})`
  } finally {
    if (descriptor !== undefined) closeSync(descriptor)
  }
}

function textOf(bytes: Buffer): string | undefined {
  try {
    // Drops the mark that some editors put at the beginning.
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes)
  } catch {
    return undefined
  }
}
