import { maxMedia } from '../resources/conversations/messages/message.ts'
import { infoMap, membershipsMap } from '../resources/sync-objects.ts'
import type { ClientCall } from './call.ts'
import { serviceOf } from './rows.ts'
import type { Route } from './tunnel.ts'

const mebibyte = 1024 * 1024

/** Bodies and histories of mails that clients may attach. */
const bodyTypes = ['text/plain', 'text/html']
const historyTypes = ['text/plain', 'text/html']

/** Returns the base of the commands' urls. They are texts in frames: no client connects to them. */
export function commandBase({ connection, session }: Pick<ClientCall, 'connection' | 'session'>): string {
  return `${connection.base}/Client/v2/Services/${session.service_sid}`
}

/** Returns what a client asks for first: where everything is, and what this service has. */
async function configuration(call: ClientCall) {
  const { session, connection, mediaMaxBytes } = call
  const { identity, user_sid, service_sid } = session
  const service = await serviceOf(call)
  const base = commandBase(call)
  const media = `${connection.base}/v1/Services/${service_sid}`
  const maxMegabytes = Math.floor(mediaMaxBytes / mebibyte)
  return {
    identity,
    links: {
      my_conversations: `${base}/Users/${user_sid}/Conversations`,
      conversations: `${base}/Conversations`,
      users: `${base}/Users`,
      current_user: `${base}/Users/${user_sid}`,
      typing: `${connection.base}/v1/Instances/${service_sid}/Typing`,
      messages_receipts: `${base}/Conversations/%s/Messages/%s/Receipts`,
      media_service: `${media}/Media`,
      media_set_service: `${media}/MediaSet`,
    },
    sync_objects: { my_conversations: membershipsMap(user_sid), my_user_info: infoMap(user_sid) },
    options: {
      reachability_enabled: service.reachability_enabled === 1,
      user_infos_to_subscribe: 100,
      http_cache_interval: 'PT1S',
      consumption_report_interval: 'PT1S',
      media_attachments_count_limit: maxMedia,
      media_attachment_size_limit_in_mb: maxMegabytes,
      media_attachments_total_size_limit_in_mb: maxMegabytes,
      email_bodies_allowed_mime_types: bodyTypes,
      email_histories_allowed_mime_types: historyTypes,
    },
  }
}

/** Returns the links of Sync, which the libraries of mobile clients ask for. */
function syncConfiguration({ connection: { base } }: ClientCall) {
  const items = (kind: 'Maps' | 'Lists', id: string) => `${base}/v3/${kind}/{${id}}/Items`
  return {
    links: {
      subscriptions: `${base}/v4/Subscriptions`,
      maps: `${base}/v3/Maps`,
      map: `${base}/v3/Maps/{mapId}`,
      map_items: items('Maps', 'mapId'),
      map_item: `${items('Maps', 'mapId')}/{itemId}`,
      lists: `${base}/v3/Lists`,
      list: `${base}/v3/Lists/{listId}`,
      list_items: items('Lists', 'listId'),
      list_item: `${items('Lists', 'listId')}/{itemId}`,
      documents: `${base}/v3/Documents`,
      document: `${base}/v3/Documents/{documentId}`,
      streams: `${base}/v3/Streams`,
      stream: `${base}/v3/Streams/{streamId}`,
      stream_messages: `${base}/v3/Streams/{streamId}/Messages`,
      insights_items: `${base}/v3/Insights/{indexName}/Items`,
    },
  }
}

/** The routes of what is the same for every conversation. */
export const configurationRoutes: readonly Route<ClientCall>[] = [
  { method: 'GET', path: '/Client/v2/Configuration', run: async (call) => ({ status: 200, body: await configuration(call) }) },
  { method: 'GET', path: '/v3/Configuration', run: async (call) => ({ status: 200, body: syncConfiguration(call) }) },
]
