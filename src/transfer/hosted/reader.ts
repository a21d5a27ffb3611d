import type { Kind } from '../../records/format.ts'
import type { Batch } from './batch.ts'
import type { Checkpoint } from './checkpoint.ts'
import { type HostedClient, HostedError, type Json, missingPermission } from './client.ts'
import type { MediaFetcher } from './media.ts'
import { type HostedRecord, hashOf, sidOf, withoutLinks } from './record.ts'

/** What is read, and what not. */
export interface ReadOptions {
  /** Rows of a page; null for the most that the vendor documents for each list. */
  readonly pageSize: number | null
  /** Receipts of all messages, of those in conversations that are not closed, or none. */
  readonly receipts: 'all' | 'open' | 'none'
  /** Whether files are fetched. */
  readonly media: boolean
  /** Whether devices are read. */
  readonly bindings: boolean
  /** Whether the conversations of each user are read, for what only they show: muted ones, and who made them. */
  readonly memberships: boolean
  /** How many of the messages that an earlier pass has read are read again, in each conversation that is not closed. */
  readonly recheck: number
}

/** What all parts of a read share. */
export interface Reading {
  readonly client: HostedClient
  readonly media: MediaFetcher
  readonly checkpoint: Checkpoint
  readonly options: ReadOptions
  readonly account_sid: string
}

/** The code of a page's position that the hosted side no longer accepts. */
const invalidPageToken = 21481
/** How often a list is begun anew. */
export const maxRestarts = 3

/**
 * Returns the rows of a list. A list whose position is refused is read once more from its start: rows may come twice.
 * `size`: the most of a page that is documented.
 */
export async function* rowsOf(
  { client, options }: Reading,
  path: string,
  key: string,
  size: number,
): AsyncGenerator<readonly Json[]> {
  const first = `${path}${path.includes('?') ? '&' : '?'}PageSize=${options.pageSize ?? size}`
  for (let restarts = 0; ; restarts++) {
    try {
      for await (const { rows } of client.pages(first, key)) yield rows
      return
    } catch (error) {
      if (!isStalePosition(error) || restarts === maxRestarts) throw error
    }
  }
}

/** Whether a page's position is no longer accepted. */
export function isStalePosition(error: unknown): boolean {
  return error instanceof HostedError && error.code === invalidPageToken
}

/** Whether it is not there: deleted since it was listed. */
export function isMissing(error: unknown): boolean {
  return error instanceof HostedError && error.status === 404
}

/**
 * Runs a part that may be left out: what cannot be read for good is noted as a problem. `sid` names what it is about.
 * Throws what is no refusal.
 */
export async function optional(
  reading: Reading,
  batch: Batch,
  kind: string,
  sid: string,
  part: () => Promise<void>,
): Promise<void> {
  try {
    await part()
    batch.afterwards(() => reading.checkpoint.solved(kind, sid))
  } catch (error) {
    if (!(error instanceof HostedError)) throw error
    batch.afterwards(() => reading.checkpoint.problem({ kind, sid, reason: reasonOf(error) }))
  }
}

export function reasonOf(error: HostedError): string {
  return error.code === missingPermission ? `the key may not read it (${error.message})` : error.message
}

/** Where a row belongs to. */
export interface Place {
  readonly kind: Kind
  /** Its SID, or its path where it has none. */
  readonly sid: string
  readonly service?: string
  readonly parent?: string
}

/**
 * Adds a record to the batch, unless it was stored in this pass, or is what it was in an earlier one. What was unchanged is counted, too.
 */
export function take(
  { checkpoint }: Reading,
  batch: Batch,
  { kind, sid, service = '', parent = '' }: Place,
  record: HostedRecord,
): void {
  const known = checkpoint.known(sid)
  const hash = hashOf([record.resource, record.extra])
  if (known?.read_in === checkpoint.pass) return
  const isUnchanged = known !== null && known.read_in > 0 && known.hash === hash
  if (!isUnchanged) batch.add(record)
  batch.afterwards(() => {
    checkpoint.seen(kind, sid, service, parent)
    checkpoint.stored(sid, hash)
    checkpoint.count(kind, isUnchanged ? 'unchanged' : 'read')
  })
}

/** Returns a record of the account, or of one of its services. */
export function recordOf(reading: Reading, kind: Kind, service: string | null, resource: Json, extra?: Json): HostedRecord {
  return {
    kind,
    account_sid: reading.account_sid,
    ...(service !== null && { chat_service_sid: service }),
    resource: withoutLinks(resource),
    ...(extra && Object.keys(extra).length > 0 && { extra }),
  }
}

/** Takes the rows of a whole list. */
export async function takeList(
  reading: Reading,
  batch: Batch,
  list: { readonly kind: Kind; readonly path: string; readonly key: string; readonly size: number; readonly service?: string },
): Promise<void> {
  const { kind, path, key, size, service } = list
  await optional(reading, batch, kind, service ?? reading.account_sid, async () => {
    for await (const rows of rowsOf(reading, path, key, size)) {
      for (const row of rows) {
        const place = { kind, sid: sidOf(row), ...(service !== undefined && { service }) }
        take(reading, batch, place, recordOf(reading, kind, service ?? null, row))
      }
    }
  })
}
