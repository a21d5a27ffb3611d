import { type ChannelIo, type ChannelKind, type Reached, RefusedError } from '../adapter.ts'
import { callGraph, postGraph } from './graph.ts'
import { text } from './notification.ts'
import { send } from './send.ts'
import { graphUrl, problem, settings, type WhatsAppSettings } from './settings.ts'
import { webhook } from './webhook.ts'

/** A number at Meta itself. */
export const whatsapp: ChannelKind<WhatsAppSettings> = {
  name: 'whatsapp',
  description: "WhatsApp over Meta's Cloud API",
  serves: ['whatsapp'],
  settings,
  problem,
  can: {
    text_length: 4096,
    media: { types: ['*/*'], bytes: 100 * 1024 * 1024, count: 10 },
    template: true,
    typing: true,
    read: true,
  },
  send,
  webhook,
  typing,
  seen,
  check,
}

/** Shows the sender of the last message that somebody types. Meta marks that message as read, too. */
async function typing(given: WhatsAppSettings, { external_id }: Reached, io: ChannelIo): Promise<void> {
  if (external_id !== null && given.read_marks) await mark(given, io, external_id, { typing_indicator: { type: 'text' } })
}

/** Marks a message, and those before it, as read. */
async function seen(given: WhatsAppSettings, externalId: string, io: ChannelIo): Promise<void> {
  if (given.read_marks) await mark(given, io, externalId, {})
}

async function mark(given: WhatsAppSettings, io: ChannelIo, messageId: string, more: object): Promise<void> {
  const url = graphUrl(given, given.phone_number_id, 'messages')
  await postGraph(given, io, url, { messaging_product: 'whatsapp', status: 'read', message_id: messageId, ...more })
}

/** Whether Meta knows the number, and the token may use it. */
async function check(given: WhatsAppSettings, io: ChannelIo): Promise<{ ok: boolean; says: string }> {
  const url = `${graphUrl(given, given.phone_number_id)}?fields=display_phone_number`
  try {
    const { json } = await callGraph(given, io, { method: 'GET', url })
    const digits = (text(json.display_phone_number) ?? '').replace(/\D/g, '')
    if (`whatsapp:+${digits}` === io.channel.address) return { ok: true, says: 'Meta knows the number, and accepts the token.' }
    return { ok: false, says: 'phone_number_id belongs to another number than the address of the channel.' }
  } catch (error) {
    if (!(error instanceof RefusedError)) throw error
    return { ok: false, says: `${error.message}: check access_token and phone_number_id.` }
  }
}
