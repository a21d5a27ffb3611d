import { text as textOf } from 'node:stream/consumers'
import type { Clock } from '../clock.ts'
import { parseStored } from '../json.ts'
import { signedPath, type TemporaryLinks } from '../media/links.ts'
import { type MediaJson, mediaBySid } from '../media/rows.ts'
import type { MediaStore } from '../media/store.ts'
import type { MailHead } from '../resources/conversations/messages/mail.ts'
import type { Reader } from '../storage/database.ts'
import { messageBySid, userByIdentity } from '../storage/lookups.ts'
import type { DeliveryRow, MediaRow } from '../storage/schema.ts'
import { type Capabilities, type Outbound, type OutboundMedia, RefusedError } from './adapter.ts'

/** Of a mail's HTML part; what is longer is an attachment. */
const maxHtmlBytes = 1024 * 1024

/** The vendor's codes for what a channel does not carry. */
const tooLongError = 21617
const mediaTypeError = 12300
const mediaSizeError = 11751
const mediaCountError = 21623

export interface OutboundOptions {
  /** Rows as they are now. */
  readonly committed: Reader
  readonly store: Pick<MediaStore, 'open'>
  readonly links: TemporaryLinks
  readonly clock: Clock
  readonly publicUrl: () => string
}

/** A message that is handed to a channel, as the delivery has it: what was written when it was sent counts. */
interface Form {
  readonly ChatServiceSid: string
  readonly Author: string
  readonly To: string
  readonly From?: string
  readonly Subject?: string
  readonly Body?: string
  readonly Media?: string
  readonly ContentSid?: string
  readonly ContentVariables?: string
  readonly Mail?: string
}

/** Returns the form of a delivery to a channel. */
export function formOf({ form }: Pick<DeliveryRow, 'form'>): Form {
  return parseStored<Form>(form)
}

/**
 * Returns what a kind is handed, cut to what it carries: without templates it gets their text, without media their links. `from`: the
 * channel's address, where the delivery names none. Throws RefusedError when the message cannot be carried.
 */
export async function outboundOf(
  options: OutboundOptions,
  row: DeliveryRow,
  can: Capabilities,
  { tries, from }: { readonly tries: number; readonly from: string | null },
): Promise<Outbound> {
  const form = formOf(row)
  const { account_sid, service_sid, subject_sid: conversation_sid } = row
  const { message_sid, participant_sid } = row
  const user = await options.committed.one(userByIdentity, { service_sid, identity: form.Author })
  const { attached, html, plain } = await mediaOf(options, row, form, can)
  const text = form.Body ?? plain
  const media = can.media ? attached : []
  const out: Outbound = {
    key: row.idempotency_token,
    tries,
    from: form.From ?? from,
    to: form.To,
    author: { identity: form.Author, name: user?.friendly_name ?? null },
    subject: can.subject ? (form.Subject ?? null) : null,
    text: can.media ? text : withLinks(text, attached),
    html,
    content:
      can.template && form.ContentSid !== undefined ? { sid: form.ContentSid, variables: form.ContentVariables ?? null } : null,
    media,
    mail: form.Mail === undefined ? null : parseStored<MailHead>(form.Mail),
    sids: {
      account: account_sid,
      service: service_sid,
      conversation: conversation_sid,
      message: message_sid ?? '',
      participant: participant_sid ?? '',
    },
  }
  refuseUncarried(out, can)
  return out
}

/** Returns the attachments, and the parts of a mail's body. */
async function mediaOf(options: OutboundOptions, row: DeliveryRow, form: Form, can: Capabilities) {
  const named = parseStored<{ Sid: string }[]>(form.Media ?? '[]')
  if (named.length === 0) return { attached: [], html: null, plain: null }
  const { service_sid, subject_sid: conversation_sid, message_sid } = row
  const message = await options.committed.one(messageBySid, { service_sid, conversation_sid, sid: message_sid ?? '' })
  const parts = parseStored<MediaJson[]>(message?.media ?? '[]').filter(({ category }) => category !== undefined)
  const part = async (type: string) => {
    const found = parts.find(({ category, content_type }) => category === 'body' && content_type.startsWith(type))
    const stored = found && (await options.committed.one(mediaBySid, { service_sid, sid: found.sid }))
    return stored && stored.size <= maxHtmlBytes ? textOf(await options.store.open(stored)) : null
  }
  const inBody = new Set(parts.map(({ sid }) => sid))
  const rows = await Promise.all(
    named.filter(({ Sid }) => !inBody.has(Sid)).map(({ Sid }) => options.committed.one(mediaBySid, { service_sid, sid: Sid })),
  )
  return {
    // Media that are gone went with their message.
    attached: rows.filter((one) => one !== undefined).map((one) => outboundMedia(options, one)),
    html: can.subject ? await part('text/html') : null,
    // The message's own text comes first.
    plain: form.Body === undefined ? await part('text/plain') : null,
  }
}

function outboundMedia(options: OutboundOptions, row: MediaRow): OutboundMedia {
  const { store, links, clock, publicUrl } = options
  const { sid, filename, content_type, size } = row
  const path = signedPath(row.service_sid, sid)
  return {
    sid,
    filename,
    content_type,
    size,
    url: () => `${publicUrl()}/v1${path}?${links.signForChannel(path, clock.now(row.account_sid))}`,
    open: () => store.open(row),
  }
}

function withLinks(text: string | null, media: readonly OutboundMedia[]): string | null {
  const lines = [...(text === null || text === '' ? [] : [text]), ...media.map((one) => one.url())]
  return lines.length === 0 ? text : lines.join('\n')
}

/** Throws RefusedError when a message is more than its channel carries. */
function refuseUncarried({ text, media, content }: Outbound, can: Capabilities): void {
  if (text !== null && !content && text.length > can.text_length) {
    throw new RefusedError(
      tooLongError,
      `the text has more than ${can.text_length} characters, the most that the channel carries`,
    )
  }
  if (!can.media) return
  const { types, bytes, count } = can.media
  if (media.length > count) throw new RefusedError(mediaCountError, `the channel carries ${count} media in a message`)
  for (const { content_type, size } of media) {
    if (size > bytes) throw new RefusedError(mediaSizeError, `the channel carries media of ${bytes} bytes`)
    if (!types.some((pattern) => matches(pattern, content_type))) {
      throw new RefusedError(mediaTypeError, 'the channel does not carry media of this type')
    }
  }
}

/** Whether a content type is one of a pattern such as `image/*`. */
function matches(pattern: string, content_type: string): boolean {
  const type = (content_type.split(';')[0] ?? '').trim().toLowerCase()
  if (pattern === '*/*') return true
  return pattern.endsWith('/*') ? type.startsWith(pattern.slice(0, -1)) : type === pattern
}
