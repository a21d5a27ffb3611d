import { Readable } from 'node:stream'
import type { Outbound, OutboundMedia } from '../../src/channels/adapter.ts'

const sid = (prefix: string) => prefix + '1'.repeat(32)

/** A message for a recipient, as the core hands it to a kind. */
export function outbound(more: Partial<Outbound> = {}): Outbound {
  return {
    key: '6f9619ff-8b86-4d01-b42d-00cf4fc964ff',
    tries: 0,
    from: '+15557654321',
    to: '+15551234567',
    author: { identity: 'alice', name: null },
    subject: null,
    text: 'Hello',
    html: null,
    content: null,
    media: [],
    mail: null,
    sids: { account: sid('AC'), service: sid('IS'), conversation: sid('CH'), message: sid('IM'), participant: sid('MB') },
    ...more,
  }
}

/** A medium of such a message. */
export function outboundMedia(content_type: string, bytes = Buffer.from('bytes'), filename: string | null = null): OutboundMedia {
  return {
    sid: sid('ME'),
    filename,
    content_type,
    size: bytes.length,
    url: () => `https://parley.example/media/${sid('ME')}?signed`,
    open: async () => Readable.from([bytes]),
  }
}
