import { infiniteQueryOptions, queryOptions } from '@tanstack/react-query'
import {
  type Account,
  get,
  getPage,
  post,
  type Service,
  type SignedIn,
  type State,
  servicePath,
  type V1Page,
  withQuery,
} from './api.ts'

/** What the pages of the configuration read. No event says that it has changed: each visit of a page reads it again. */

export interface AccountJson extends Account {
  readonly date_created: string
  readonly date_updated: string
}

export interface AccountConfiguration {
  readonly default_chat_service_sid: string
  readonly default_messaging_service_sid: string
  readonly default_inactive_timer: string | null
  readonly default_closed_timer: string | null
}

export interface ServiceConfiguration {
  readonly default_conversation_creator_role_sid: string
  readonly default_conversation_role_sid: string
  readonly default_chat_service_role_sid: string
  readonly reachability_enabled: boolean
}

export interface WebhookConfiguration {
  readonly pre_webhook_url: string | null
  readonly post_webhook_url: string | null
  readonly method: 'GET' | 'POST' | null
  readonly filters: readonly string[] | null
  /** Of an account only. */
  readonly target?: string
}

interface Notification {
  readonly enabled: boolean
  readonly template: string | null
  readonly sound: string | null
}

export interface Notifications {
  readonly log_enabled: boolean
  readonly new_message: Notification & {
    readonly badge_count_enabled: boolean
    readonly with_media: { readonly enabled: boolean; readonly template: string | null }
  }
  readonly added_to_conversation: Notification
  readonly removed_from_conversation: Notification
}

/** Read again whenever it is shown. */
const anew = { staleTime: 0 } as const

/** The same of a list of several pages: it is stale, and the reader is told so, only once something has changed. */
const listedAnew = { refetchOnMount: 'always' } as const

export const account = (sid: string) =>
  queryOptions({
    queryKey: ['accounts', sid],
    queryFn: () => get<AccountJson>(accountPath(sid)),
    ...anew,
  })

export const service = (of: string, sid: string) =>
  queryOptions({
    queryKey: ['services', of, sid],
    queryFn: () => get<Service>(servicePath(sid), { account: of }),
    ...anew,
  })

/** A list of `/v1`, page by page. `name`: the first half of its key. */
export function pagesOf<T>(name: string, of: string, path: string) {
  return infiniteQueryOptions({
    queryKey: [name, of, 'pages', path],
    queryFn: ({ pageParam, signal }): Promise<V1Page<T>> => getPage(pageParam, { account: of, signal }),
    initialPageParam: path,
    getNextPageParam: (page) => page.next,
    ...listedAnew,
  })
}

export const servicePages = (of: string) => pagesOf<Service>('services', of, '/v1/Services?PageSize=50')

/** One of the resources without a SID: there is one of each in its account or service. */
function single<T>(of: string, path: string) {
  return queryOptions({ queryKey: ['configuration', of, path], queryFn: () => get<T>(path, { account: of }), ...anew })
}

export const accountConfigurationPath = '/v1/Configuration'
export const accountWebhooksPath = '/v1/Configuration/Webhooks'
export const serviceConfigurationPath = (service: string) => `${servicePath(service)}/Configuration`
export const serviceWebhooksPath = (service: string) => `${serviceConfigurationPath(service)}/Webhooks`
export const notificationsPath = (service: string) => `${serviceConfigurationPath(service)}/Notifications`

export const accountConfiguration = (of: string) => single<AccountConfiguration>(of, accountConfigurationPath)
export const accountWebhooks = (of: string) => single<WebhookConfiguration>(of, accountWebhooksPath)
export const serviceConfiguration = (of: string, service: string) =>
  single<ServiceConfiguration>(of, serviceConfigurationPath(service))
export const serviceWebhooks = (of: string, service: string) => single<WebhookConfiguration>(of, serviceWebhooksPath(service))
export const notifications = (of: string, service: string) => single<Notifications>(of, notificationsPath(service))

export interface User {
  readonly sid: string
  readonly identity: string
  readonly friendly_name: string | null
  readonly role_sid: string
  readonly attributes: string
  readonly is_online: boolean | null
  readonly is_notifiable: boolean | null
  readonly date_created: string
  readonly date_updated: string
}

export interface UserConversation {
  readonly conversation_sid: string
  readonly participant_sid: string
  readonly friendly_name: string | null
  readonly unique_name: string | null
  readonly conversation_state: State
  readonly unread_messages_count: number | null
  readonly last_read_message_index: number | null
  readonly notification_level: 'default' | 'muted'
}

export const userPath = (service: string, user: string) => `${servicePath(service)}/Users/${encodeURIComponent(user)}`

export const userPages = (of: string, service: string) => pagesOf<User>('users', of, `${servicePath(service)}/Users?PageSize=25`)

/** By their SID, or by their identity. */
export const user = (of: string, service: string, sid: string) =>
  queryOptions({
    queryKey: ['user', sid, 'itself'],
    queryFn: () => get<User>(userPath(service, sid), { account: of }),
    ...anew,
  })

export const userConversations = (of: string, service: string, sid: string) =>
  infiniteQueryOptions({
    queryKey: ['memberships', sid],
    queryFn: ({ pageParam, signal }): Promise<V1Page<UserConversation>> => getPage(pageParam, { account: of, signal }),
    initialPageParam: `${userPath(service, sid)}/Conversations?PageSize=50`,
    getNextPageParam: (page) => page.next,
    ...listedAnew,
  })

export interface ApiKey {
  readonly sid: string
  readonly friendly_name: string
  readonly type: 'standard' | 'restricted'
  readonly policy: { readonly allow: readonly string[] } | null
  readonly date_created: string
}

export const accountPath = (sid: string) => `/admin/v1/accounts/${encodeURIComponent(sid)}`

export const keys = (of: string) =>
  queryOptions({
    queryKey: ['accounts', of, 'keys'],
    queryFn: async () => (await get<{ keys: ApiKey[] }>(`${accountPath(of)}/keys`)).keys,
    ...anew,
  })

/** What a restricted key can be allowed. */
export const permissions = queryOptions({
  queryKey: ['permissions'],
  queryFn: async () => (await get<{ permissions: { readonly permission: string }[] }>('/admin/v1/permissions')).permissions,
  ...anew,
})

export interface OperatorToken {
  readonly id: string
  readonly date_expires: string | null
  readonly date_used: string | null
}

export interface Operator {
  readonly sid: string
  readonly name: string
  readonly role: SignedIn['role']
  readonly text: boolean
  readonly accounts: readonly string[] | null
  readonly tokens: readonly OperatorToken[]
}

export const operators = queryOptions({
  queryKey: ['operators'],
  queryFn: async () => (await get<{ operators: Operator[] }>('/admin/v1/operators')).operators,
  ...anew,
})

export interface Address {
  readonly sid: string
  readonly address: string
  readonly type: string
  readonly friendly_name: string | null
  readonly address_country: string | null
  readonly auto_creation: {
    readonly enabled: boolean
    readonly type: 'default' | 'webhook' | 'studio'
    readonly conversation_service_sid?: string | null
    readonly webhook_url?: string | null
    readonly webhook_method?: string
    readonly webhook_filters?: readonly string[]
    readonly studio_flow_sid?: string | null
    readonly studio_retry_count?: number
  }
}

export const addressesPath = '/v1/Configuration/Addresses'
export const addressPages = (of: string) => pagesOf<Address>('addresses', of, `${addressesPath}?PageSize=50`)

export interface Credential {
  readonly sid: string
  readonly friendly_name: string | null
  readonly type: 'fcm' | 'apn' | 'gcm'
  readonly sandbox: string | null
  readonly date_created: string
}

export const credentialsPath = '/v1/Credentials'
export const credentialPages = (of: string) => pagesOf<Credential>('credentials', of, `${credentialsPath}?PageSize=50`)

export interface BindingFilters {
  readonly type?: string | undefined
  readonly identity?: string | undefined
}

export interface Binding {
  readonly sid: string
  readonly identity: string
  readonly binding_type: string
  readonly endpoint: string
  readonly credential_sid: string
  readonly message_types: readonly string[]
  readonly date_created: string
}

export const bindingsPath = (service: string) => `${servicePath(service)}/Bindings`
export const bindingPages = (of: string, service: string, { type, identity }: BindingFilters) =>
  pagesOf<Binding>('bindings', of, withQuery(bindingsPath(service), { PageSize: 50, BindingType: type, Identity: identity }))

interface NodeList {
  readonly slots: number
  readonly free_slots: number
  readonly nodes: readonly {
    readonly id: string
    readonly version: string | null
    readonly this_node: boolean
    readonly slots: readonly number[]
    readonly pending: number
    readonly oldest_pending: string | null
  }[]
}

export const nodes = queryOptions({ queryKey: ['nodes'], queryFn: () => get<NodeList>('/admin/v1/nodes'), ...anew })

interface StorageSizes {
  readonly database_bytes: number
  readonly tables: readonly { readonly name: string; readonly bytes: number; readonly rows: number | null }[]
  readonly media: { readonly files: number; readonly bytes: number; readonly complete: boolean; readonly place: string }
  readonly disk: { readonly bytes: number; readonly free_bytes: number } | null
}

export const storage = queryOptions({ queryKey: ['storage'], queryFn: () => get<StorageSizes>('/admin/v1/storage'), ...anew })

export interface AuditFilters {
  readonly account?: string | undefined
  readonly actor?: string | undefined
  readonly action?: string | undefined
  readonly target?: string | undefined
  readonly outcome?: string | undefined
  readonly from?: string | undefined
  readonly to?: string | undefined
}

export interface AuditEntry {
  readonly seq: number
  readonly id: string
  readonly at: string
  readonly actor: { readonly type: string; readonly id: string; readonly name: string }
  readonly from: { readonly address: string | null; readonly agent: string | null; readonly interface: string }
  readonly action: string
  readonly target: { readonly type: string | null; readonly sid: string | null }
  readonly account_sid: string | null
  readonly outcome: 'success' | 'refused' | 'failed'
  readonly code: number | null
  readonly before: Readonly<Record<string, unknown>> | null
  readonly after: Readonly<Record<string, unknown>> | null
  readonly count: number
  readonly request_id: string | null
  readonly node: string
  readonly version: string
  readonly hash: string
}

interface AuditPage {
  readonly entries: readonly AuditEntry[]
  readonly next_before: number | null
}

export const auditEntries = ({ account, actor, action, target, outcome, from, to }: AuditFilters) =>
  infiniteQueryOptions({
    queryKey: ['audit', { account, actor, action, target, outcome, from, to }],
    queryFn: ({ pageParam, signal }) => {
      const params = { account_sid: account, actor_id: actor, action, target_sid: target, outcome, from, to }
      return get<AuditPage>(withQuery('/admin/v1/audit', { ...params, before: pageParam, limit: 50 }), { signal })
    },
    initialPageParam: '',
    getNextPageParam: ({ next_before }) => (next_before === null ? null : String(next_before)),
    ...anew,
  })

export const verifyAudit = () => post<{ ok: boolean; finding: string }>('/admin/v1/audit/verify', { json: {} })
