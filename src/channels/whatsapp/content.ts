import { type Fields, fields, objects, text } from './notification.ts'

/** A medium of an inbound message: it is fetched by its id. */
export interface MediaReference {
  readonly id: string
  readonly filename: string | null
  readonly content_type: string | null
}

/** What somebody has said. */
export interface Content {
  readonly text: string | null
  readonly media: MediaReference | null
}

/** Media by the type of their message. */
const mediaTypes: ReadonlySet<string> = new Set(['image', 'video', 'audio', 'voice', 'document', 'sticker'])

/** How the text of a message is made, by its type. Null: nothing was said. */
const texts: Readonly<Record<string, (message: Fields) => string | null>> = {
  text: (message) => text(fields(message.text).body),
  button: (message) => text(fields(message.button).text) ?? text(fields(message.button).payload),
  interactive: (message) => interactiveText(fields(message.interactive)),
  location: (message) => locationText(fields(message.location)),
  contacts: (message) => objects(message.contacts).map(contactText).join('\n\n') || null,
  // One without an emoji takes the reaction back.
  reaction: (message) => text(fields(message.reaction).emoji),
  order: (message) => orderText(fields(message.order)),
  system: (message) => text(fields(message.system).body),
  unsupported: (message) => `[unsupported message: ${unsupportedType(message)}]`,
  // Somebody has opened the chat, and written nothing.
  request_welcome: () => null,
}

/** Returns what a message says, in text and with its medium. A kind that is not known is named. */
export function contentOf(message: Fields): Content {
  const type = text(message.type) ?? 'unknown'
  const body = fields(message[type])
  const id = mediaTypes.has(type) ? text(body.id) : null
  if (id !== null) {
    const media = { id, filename: text(body.filename), content_type: text(body.mime_type) }
    return { text: text(body.caption), media }
  }
  const say = Object.hasOwn(texts, type) ? texts[type] : undefined
  return { text: say ? say(message) : `[${type.slice(0, 40)} message]`, media: null }
}

function interactiveText(interactive: Fields): string | null {
  const { type } = interactive
  const reply = fields(interactive[typeof type === 'string' ? type : ''])
  const form = text(reply.name)
  return text(reply.title) ?? text(reply.body) ?? (form === null ? '[interactive message]' : `[${form}]`)
}

function locationText({ latitude, longitude, name, address }: Fields): string | null {
  const at = typeof latitude === 'number' && typeof longitude === 'number' ? `${latitude}, ${longitude}` : null
  return [text(name), text(address), at].filter((line) => line !== null).join('\n') || null
}

function contactText({ name, org, phones, emails }: Fields): string {
  const given = fields(name)
  const lines = [
    text(given.formatted_name) ?? text(given.first_name),
    text(fields(org).company),
    ...objects(phones).map(({ phone, wa_id }) => text(phone) ?? text(wa_id)),
    ...objects(emails).map(({ email }) => text(email)),
  ]
  return lines.filter((line) => line !== null).join('\n')
}

function orderText({ product_items, text: note }: Fields): string {
  const items = objects(product_items).map(({ quantity, product_retailer_id }) => {
    const count = typeof quantity === 'number' ? quantity : (text(quantity) ?? 1)
    return `${count} × ${text(product_retailer_id) ?? '?'}`
  })
  return ['[order]', ...items, text(note)].filter((line) => line !== null).join('\n')
}

function unsupportedType(message: Fields): string {
  const [error] = objects(message.errors)
  return text(fields(message.unsupported).type) ?? text(error?.title) ?? 'unknown'
}
