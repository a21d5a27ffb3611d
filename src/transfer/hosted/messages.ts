import { isJsonObject } from '../../json.ts'
import type { Batch } from './batch.ts'
import { HostedError, type Json } from './client.ts'
import { isMissing, type Reading, reasonOf, recordOf, rowsOf } from './reader.ts'
import { type HostedRecord, sidOf, textOf } from './record.ts'

const receiptsPerPage = 50

/** The conversation that a message is in. */
interface Of {
  readonly service: string
  readonly sid: string
  readonly path: string
  readonly isClosed: boolean
}

/** Returns the records of a message: itself, with its files fetched, and its receipts. */
export async function readMessage(reading: Reading, batch: Batch, of: Of, row: Json): Promise<HostedRecord[]> {
  const { checkpoint } = reading
  const [media, receipts] = await Promise.all([filesOf(reading, batch, of, row), receiptsOf(reading, batch, of, row)])
  const message = recordOf(reading, 'message', of.service, row, media === null ? {} : { media })
  batch.afterwards(() => {
    checkpoint.count('message', 'read')
    checkpoint.count('receipt', 'read', receipts.length)
  })
  return [{ ...message, conversation_sid: of.sid }, ...receipts]
}

async function receiptsOf(
  reading: Reading,
  batch: Batch,
  { service, sid, path, isClosed }: Of,
  row: Json,
): Promise<HostedRecord[]> {
  const { options, checkpoint } = reading
  if (!isJsonObject(row.delivery)) return []
  if (options.receipts === 'none' || (options.receipts === 'open' && isClosed)) {
    batch.afterwards(() => checkpoint.count('receipts of a message', 'skipped'))
    return []
  }
  const message = sidOf(row)
  const records: HostedRecord[] = []
  try {
    for await (const rows of rowsOf(reading, `${path}/Messages/${message}/Receipts`, 'delivery_receipts', receiptsPerPage)) {
      for (const receipt of rows) {
        records.push({ ...recordOf(reading, 'receipt', service, receipt), conversation_sid: sid, message_sid: message })
      }
    }
  } catch (error) {
    if (!(error instanceof HostedError)) throw error
    batch.afterwards(() => {
      if (isMissing(error)) return checkpoint.count('message', 'deleted')
      checkpoint.problem({ kind: 'receipt', sid: message, reason: reasonOf(error) })
      checkpoint.retryFrom(sid, Number(row.index))
    })
  }
  return records
}

/** Returns what is stored of the files of a message, null where there is none, or where one of them is missing. */
async function filesOf(reading: Reading, batch: Batch, of: Of, row: Json): Promise<readonly Json[] | null> {
  const { options, checkpoint, media } = reading
  const listed = Array.isArray(row.media) ? row.media.filter(isJsonObject) : []
  if (listed.length === 0) return null
  if (!options.media) {
    batch.afterwards(() => checkpoint.count('media', 'skipped', listed.length))
    return null
  }
  const files = await Promise.all(
    listed.map(async (file): Promise<Json | null> => {
      const sid = textOf(file, 'sid')
      try {
        const fetched = await media.fetch(of.service, sid, typeof file.size === 'number' ? file.size : null)
        batch.afterwards(() => {
          checkpoint.count('media', 'read')
          checkpoint.solved('media', sid)
        })
        const { content_type = null, filename = null } = file
        return { sid, ...fetched, content_type, filename, category: 'media', author: row.author ?? null }
      } catch (error) {
        if (!(error instanceof HostedError)) throw error
        batch.afterwards(() => {
          checkpoint.problem({ kind: 'media', sid, reason: reasonOf(error) })
          checkpoint.retryFrom(of.sid, Number(row.index))
        })
        return null
      }
    }),
  )
  // The list of a message is of all its files: with one missing, it keeps the hosted list, without bytes.
  const complete = files.filter((file) => file !== null)
  return complete.length === listed.length ? complete : null
}
