import type { ChannelKind } from './adapter.ts'

/** Sends nothing: every message counts as delivered. */
export const loopback: ChannelKind<Record<never, never>> = {
  name: 'loopback',
  description: 'For tests: sends nothing, and counts every message as delivered',
  serves: ['sms', 'whatsapp', 'messenger', 'rcs', 'email'],
  settings: {},
  can: { text_length: Number.MAX_SAFE_INTEGER, media: { types: ['*/*'], bytes: Number.MAX_SAFE_INTEGER, count: 100 } },
  send: async () => ({ external_id: null, status: 'delivered' }),
  check: async () => ({ ok: true, says: 'messages count as delivered and are not sent' }),
}
