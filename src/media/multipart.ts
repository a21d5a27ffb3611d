import type { Readable } from 'node:stream'
import { Busboy } from '@fastify/busboy'
import { type ApiError, refuse } from '../errors.ts'

/** The file of a form, and what the form says about it. */
export interface MediaPart {
  readonly bytes: Readable
  readonly filename: string | undefined
  readonly content_type: string | undefined
}

/** The name of the part that holds the file, as the vendor's media host takes it. */
const partName = 'Media'

const limits = { fields: 20, fieldSize: 16_384, fieldNameSize: 100, files: 10, parts: 20, headerPairs: 20, headerSize: 16_384 }

/**
 * Returns the part `Media` of a multipart/form-data body as a stream. `ofAnyName`: or the first part that is a file, whatever its
 * name; client SDKs send the form as the app has filled it. Throws a refusal when there is none.
 */
export function mediaPart(body: Readable, content_type: string, ofAnyName: boolean): Promise<MediaPart> {
  const malformed = refuse('invalidMediaType')
  return new Promise((resolve, reject) => {
    const form = parser(content_type, malformed, ofAnyName)
    let media: Readable | undefined
    const fail = () => {
      media?.destroy(malformed)
      reject(malformed)
    }
    form.on('file', (name, bytes, filename, _encoding, type) => {
      if ((name !== partName && !ofAnyName) || media) return void bytes.resume()
      media = bytes
      // The parser reports a part that is cut short there.
      bytes.on('error', fail)
      resolve({ bytes, filename, content_type: type })
    })
    form.on('error', fail)
    form.on('finish', () => reject(refuse('missingParameter', { name: partName })))
    body.once('error', fail)
    body.pipe(form)
  })
}

function parser(content_type: string, malformed: ApiError, ofAnyName: boolean): InstanceType<typeof Busboy> {
  try {
    const isPartAFile = (name: string | undefined, _type: string | undefined, filename: string | undefined) =>
      name === partName || (ofAnyName && filename !== undefined)
    return new Busboy({ headers: { 'content-type': content_type }, limits, isPartAFile })
  } catch {
    // No boundary.
    throw malformed
  }
}
