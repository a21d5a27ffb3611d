import { buffer } from 'node:stream/consumers'
import { type Accepted, type ChannelIo, type Outbound, type OutboundMedia, RefusedError } from '../adapter.ts'
import { unknownError } from '../statuses.ts'
import { callGraph, type GraphResponse, postGraph } from './graph.ts'
import { objects, text } from './notification.ts'
import { graphUrl, type WhatsAppSettings } from './settings.ts'
import { templateMessage } from './templates.ts'

/** The longest caption; a longer text is a message of its own. */
const maxCaption = 1024

/** What a message consists of, beside its recipient. */
type Part = Readonly<Record<string, unknown>> & { readonly type: string }

/**
 * Sends a message. WhatsApp has at most one medium in a message, and no text with some: several parts are sent one after the other,
 * the text first, and the receipt is that of the last.
 */
export async function send(settings: WhatsAppSettings, out: Outbound, io: ChannelIo): Promise<Accepted> {
  let last: GraphResponse | undefined
  for (const part of await partsOf(settings, out, io)) {
    last = await postGraph(settings, io, graphUrl(settings, settings.phone_number_id, 'messages'), {
      messaging_product: 'whatsapp',
      recipient_type: 'individual',
      ...recipient(out.to),
      ...part,
      // Meta repeats it in each status. It does not keep a message from being sent twice.
      biz_opaque_callback_data: out.key,
    })
  }
  if (!last) throw new RefusedError(unknownError, 'the message has neither text nor media')
  return accepted(last)
}

/** A phone number, or the id by which Meta names somebody whose number it hides. */
function recipient(address: string): object {
  const given = address.replace(/^whatsapp:/, '')
  return /^\+?\d+$/.test(given) ? { to: given } : { recipient: given }
}

async function partsOf(settings: WhatsAppSettings, out: Outbound, io: ChannelIo): Promise<Part[]> {
  const template = out.content ? templateMessage(settings.templates, out.content) : undefined
  if (template) return [{ type: 'template', template }]
  const [first] = out.media
  const { text } = out
  const captioned = first !== undefined && text !== null && hasCaption(kindOf(first)) && text.length <= maxCaption
  const parts: Part[] =
    text === null || text === '' || captioned ? [] : [{ type: 'text', text: { preview_url: true, body: text } }]
  for (const media of out.media) parts.push(await mediaPart(settings, media, captioned && media === first ? text : null, io))
  return parts
}

async function mediaPart(settings: WhatsAppSettings, media: OutboundMedia, caption: string | null, io: ChannelIo): Promise<Part> {
  const type = kindOf(media)
  const where = settings.media === 'upload' ? { id: await upload(settings, media, io) } : { link: media.url() }
  const named = type === 'document' && media.filename !== null
  return { type, [type]: { ...where, ...(caption !== null && { caption }), ...(named && { filename: media.filename }) } }
}

type MediaKind = 'image' | 'video' | 'audio' | 'sticker' | 'document'

/** Which media WhatsApp shows, up to which size; anything else is a document. */
const shown: readonly { readonly kind: MediaKind; readonly types: RegExp; readonly maxBytes: number }[] = [
  { kind: 'image', types: /^image\/(?:jpeg|png)$/, maxBytes: 5 * 1024 * 1024 },
  { kind: 'video', types: /^video\/(?:mp4|3gpp)$/, maxBytes: 16 * 1024 * 1024 },
  { kind: 'audio', types: /^audio\/(?:aac|amr|mp4|mpeg|ogg)$/, maxBytes: 16 * 1024 * 1024 },
  { kind: 'sticker', types: /^image\/webp$/, maxBytes: 500 * 1024 },
]

function kindOf({ content_type, size }: OutboundMedia): MediaKind {
  const type = content_type.split(';', 1)[0]?.trim().toLowerCase() ?? ''
  return shown.find(({ types, maxBytes }) => types.test(type) && size <= maxBytes)?.kind ?? 'document'
}

function hasCaption(kind: MediaKind): boolean {
  return kind !== 'audio' && kind !== 'sticker'
}

/** Uploads a medium and returns its id. */
async function upload(settings: WhatsAppSettings, media: OutboundMedia, io: ChannelIo): Promise<string> {
  const bytes = await buffer(await media.open())
  const form = new FormData()
  form.append('messaging_product', 'whatsapp')
  form.append('type', media.content_type)
  form.append('file', new Blob([bytes], { type: media.content_type }), media.filename ?? media.sid)
  const encoded = new Response(form)
  const { json } = await callGraph(settings, io, {
    method: 'POST',
    url: graphUrl(settings, settings.phone_number_id, 'media'),
    headers: { 'content-type': encoded.headers.get('content-type') ?? '' },
    body: await encoded.bytes(),
  })
  if (typeof json.id !== 'string') throw new RefusedError(unknownError, 'Meta has given the medium no id')
  return json.id
}

function accepted({ status, json }: GraphResponse): Accepted {
  const id = text(objects(json.messages)[0]?.id)
  if (id === null) throw new RefusedError(unknownError, 'Meta has given the message no id')
  return { external_id: id, status: 'sent', response_status: status, response: id }
}
