import type { ChannelKind } from './adapter.ts'
import { optional, type ValuesOf, wordSetting } from './settings.ts'

const settings = {
  status: optional(
    wordSetting({
      description: 'What messages count as at first; of those that are `sent`, receipts tell the rest',
      words: ['delivered', 'sent'],
    }),
    'delivered',
  ),
}

/** Sends nothing: every message counts as delivered, or as sent until a receipt is reported. */
export const loopback: ChannelKind<ValuesOf<typeof settings>> = {
  name: 'loopback',
  description: 'For tests: sends nothing, and counts every message as delivered, or as sent',
  serves: ['sms', 'whatsapp', 'messenger', 'rcs', 'email'],
  settings,
  can: { text_length: Number.MAX_SAFE_INTEGER, media: { types: ['*/*'], bytes: Number.MAX_SAFE_INTEGER, count: 100 } },
  send: async ({ status }) => ({ external_id: null, status }),
  check: async ({ status }) => ({ ok: true, says: `messages count as ${status} and are not handed to anybody` }),
}
