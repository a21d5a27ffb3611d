import { Readable } from 'node:stream'
import type { Clock } from '../clock.ts'
import { type Download, DownloadError, type WebhookClient } from '../delivery/client.ts'
import { deliverableUrl } from '../delivery/signature.ts'
import { ApiError, isFailure } from '../errors.ts'
import type { mediaCommands } from '../media/commands.ts'
import { baseName, uploadedType } from '../media/headers.ts'
import type { MediaStore } from '../media/store.ts'
import { newSid } from '../sids.ts'
import type { Database } from '../storage/database.ts'
import type { MediaRow } from '../storage/schema.ts'
import type { InboundMedia } from './adapter.ts'
import { storable } from './long-text.ts'

export interface InboundMediaOptions {
  readonly store: Pick<MediaStore, 'add'>
  readonly database: Pick<Database<typeof mediaCommands>, 'write'>
  readonly client: Pick<WebhookClient, 'download'>
  readonly clock: Clock
  readonly maxBytes: number
  /** Of all files of an account; null: none. */
  readonly quotaBytes: number | null
}

/** Without a byte for so long, a download is given up. */
const silenceMs = 15_000

/** Carriers lead from their own host to a store, no further. */
const maxRedirects = 3

/** Longer names are cut: those of uploads are refused. */
const maxFilename = 256

/** Media that cannot be stored. The text is a sentence without personal data. */
export class InboundMediaError extends Error {
  override readonly name = 'InboundMediaError'
  readonly code = 'PARLEY_INBOUND_MEDIA'
  /** Whether it may succeed later. */
  readonly temporary: boolean

  constructor(message: string, temporary: boolean) {
    super(message)
    this.temporary = temporary
  }
}

/**
 * Stores media that came with a message, for the message to take within five minutes. Returns their SID. Throws InboundMediaError, and
 * ApiError when the server itself fails.
 */
export async function storeMedia(
  options: InboundMediaOptions,
  { account_sid, service_sid }: { readonly account_sid: string; readonly service_sid: string },
  media: InboundMedia,
): Promise<string> {
  const { store, database, clock, maxBytes, quotaBytes } = options
  const { source, received_type } = await sourceOf(options, media)
  try {
    return await store.add(source, maxBytes, async ({ sha256, size }) => {
      const now = clock.now(account_sid)
      const row: MediaRow = {
        service_sid,
        sid: newSid('media', now),
        account_sid,
        sha256,
        size,
        content_type: typeOf(storable(media.content_type ?? received_type ?? '')),
        filename:
          baseName(storable(media.filename ?? ''))
            ?.slice(0, maxFilename)
            .toWellFormed() ?? null,
        category: media.category ?? 'media',
        author: null,
        conversation_sid: null,
        message_sid: null,
        date_created: now,
        date_updated: now,
        revision: 1,
      }
      await database.write('addMedia', { row, path: `/Services/${service_sid}/Media`, quotaBytes })
      return row.sid
    })
  } catch (error) {
    if (error instanceof ApiError && !isFailure(error)) throw new InboundMediaError(error.message, false)
    if (error instanceof ApiError) throw error
    throw new InboundMediaError('the content was not complete', true)
  } finally {
    source.destroy()
  }
}

async function sourceOf({ client }: InboundMediaOptions, { content }: InboundMedia) {
  if (content instanceof Uint8Array) return { source: Readable.from([Buffer.from(content)]), received_type: null }
  const { body, headers } = await fetched(client, content.url, content.headers ?? {}, maxRedirects)
  return { source: body, received_type: headers['content-type'] ?? null }
}

async function fetched(
  client: InboundMediaOptions['client'],
  given: string,
  headers: Readonly<Record<string, string>>,
  redirects: number,
): Promise<Download> {
  if (!URL.canParse(given) || !/^https?:$/.test(new URL(given).protocol)) {
    throw new InboundMediaError('its URL is not an http or https URL', false)
  }
  const { url, username, password } = deliverableUrl(given)
  const basic = username !== '' && { authorization: `Basic ${Buffer.from(`${username}:${password}`).toString('base64')}` }
  const response = await client.download(url, { ...headers, ...basic }, silenceMs).catch((error: unknown) => {
    throw error instanceof DownloadError ? new InboundMediaError(error.message, error.temporary) : error
  })
  const { status, body } = response
  if (status >= 200 && status <= 299) return response
  body.destroy()
  const { location } = response.headers
  if (status < 300 || status > 399 || location === undefined || !URL.canParse(location, url)) {
    throw new InboundMediaError(`its URL returned HTTP ${status}`, status === 429 || status >= 500)
  }
  if (redirects === 0) throw new InboundMediaError('its URL redirects too often', false)
  const next = new URL(location, url)
  // Credentials are for the host that asked for them.
  return fetched(client, next.href, next.origin === new URL(url).origin ? headers : {}, redirects - 1)
}

function typeOf(given: string): string {
  try {
    return uploadedType(given)
  } catch {
    return 'application/octet-stream'
  }
}
