import { queryOptions } from '@tanstack/react-query'
import { get, type Media, withQuery } from './api.ts'

export interface ThreadMessage {
  readonly conversation_sid: string
  readonly participant_sid: string
  readonly message_sid: string
  readonly direction: 'written' | 'received'
  readonly author: string
  readonly subject: string | null
  readonly body: string | null
  readonly media: readonly Media[]
  readonly receipt: { readonly channel_message_sid: string; readonly status: string; readonly error_code: number } | null
  readonly date_created: string
}

/** What somebody outside has on their phone. `proxy`: empty for all addresses of ours. */
export const thread = (service: string, address: string, proxy: string) =>
  queryOptions({
    queryKey: ['threads', service, address, proxy],
    queryFn: async () => {
      const params = { service_sid: service, address, proxy_address: proxy }
      return (await get<{ messages: ThreadMessage[] }>(withQuery('/admin/v1/threads', params))).messages
    },
    staleTime: 0,
  })

export interface Received {
  readonly service_sid: string
  readonly conversation_sid: string
  readonly created: boolean
}
