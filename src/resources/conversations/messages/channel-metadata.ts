import { refuse } from '../../../errors.ts'
import { parseStored } from '../../../json.ts'
import { sourceOf } from '../../../media/rows.ts'
import { resource } from '../../../model/declare.ts'
import type { MessageRow } from '../../../storage/schema.ts'
import { messages } from './message.ts'

/**
 * What the channel of an inbound message said about it. The official description has only the link to it; the operation is observed
 * in use.
 */
export const channelMetadata = resource<MessageRow, 'type' | 'data'>()({
  name: 'ChannelMetadata',
  path: 'ChannelMetadata',
  under: messages,
  table: 'messages',
  sid: null,
  params: {},
  view: {
    async find(_read, { parents }) {
      const [, message] = parents
      if (message.channel_metadata === null) throw refuse('channelMetadataNotFound')
      return message
    },
  },
  represent({ channel_metadata, media }) {
    const { type, data } = parseStored<{ type: string; data: object }>(channel_metadata ?? '{}')
    // The mail as it came: media of Parley's own, which the message does not show.
    const source = sourceOf(media)
    return { type, data: source === null ? data : { ...data, source } }
  },
})
