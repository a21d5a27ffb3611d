import { queryOptions } from '@tanstack/react-query'
import { get, put } from './api.ts'

/** What the pages of channels read. */
export interface SettingDeclaration {
  readonly name: string
  readonly description: string
  readonly required: boolean
  readonly secret: boolean
  readonly schema: {
    readonly type: 'string' | 'boolean' | 'integer'
    readonly enum?: readonly string[]
    readonly minimum?: number
    readonly maximum?: number
    readonly maxLength?: number
  }
  readonly default: unknown
}

export interface Kind {
  readonly name: string
  readonly description: string
  readonly serves: readonly string[]
  readonly settings: readonly SettingDeclaration[]
}

export interface Channel {
  readonly sid: string
  readonly account_sid: string
  readonly proxy_address: string
  readonly kind: string
  readonly settings: Readonly<Record<string, unknown>>
  readonly url: string | null
  readonly date_created: string
  readonly date_updated: string
}

export interface Target {
  readonly target_sid: string
  readonly kind: 'webhook' | 'message' | 'push'
  readonly account_sid: string
  readonly service_sid: string
  readonly conversation_sid: string | null
  readonly url: string | null
  readonly pending: number
  readonly delivered: number
  readonly failed: number
  readonly median_duration_ms: number | null
  readonly p95_duration_ms: number | null
  readonly date_delivered: string | null
  readonly last_failure: {
    readonly delivery_id: string
    readonly event_type: string
    readonly status: number | null
    readonly error: string | null
    readonly date: string
  } | null
}

export interface Targets {
  readonly date_since: string | null
  readonly targets: readonly Target[]
}

export const channelsPath = (account: string) => `/admin/v1/accounts/${account}/channels`
export const channelPath = (account: string, address: string) => `${channelsPath(account)}/${encodeURIComponent(address)}`

export const kinds = queryOptions({
  queryKey: ['channel kinds'],
  queryFn: async () => (await get<{ kinds: Kind[] }>('/admin/v1/channel-kinds')).kinds,
})

/** No event tells of a channel: they are read whenever a page begins to show them. */
export const channels = (account: string) =>
  queryOptions({
    queryKey: ['channels', account],
    queryFn: async () => (await get<{ channels: Channel[] }>(channelsPath(account))).channels,
    staleTime: 0,
  })

/** It costs thousands of rows: read when a page is opened and when somebody asks, not with every delivery. */
export const targets = (account: string) =>
  queryOptions({
    queryKey: ['targets', account],
    queryFn: () => get<Targets>(`/admin/v1/targets?account_sid=${encodeURIComponent(account)}`),
    staleTime: 10_000,
  })

/** Creates or changes a channel; settings are replaced as a whole. */
export function setChannel(account: string, address: string, kind: string, settings: object): Promise<Channel> {
  return put(channelPath(account, address), { json: { kind, settings } })
}
