import { infiniteQueryOptions, QueryClient, queryOptions } from '@tanstack/react-query'
import {
  type Account,
  type Conversation,
  type ConversationPage,
  conversationPath,
  type DeliveryDetail,
  type DeliveryPage,
  get,
  getPage,
  type Message,
  type Participant,
  type Place,
  type Receipt,
  RefusedError,
  type Role,
  type SearchPage,
  type Server,
  type Service,
  type Session,
  type Snapshot,
  servicePath,
  type Timer,
  type V1Page,
  type Webhook,
  withQuery,
} from './api.ts'

export const queryClient = new QueryClient({
  defaultOptions: {
    // What cannot be reached is said at once: an act that waits for the network would be done when nobody expects it any more.
    mutations: { networkMode: 'always' },
    queries: {
      networkMode: 'always',
      // Events say what has changed (live.ts); after a gap everything is read again.
      staleTime: Number.POSITIVE_INFINITY,
      refetchOnWindowFocus: false,
      retry: (failures, error) => failures < 2 && !(error instanceof RefusedError && error.status >= 400 && error.status < 500),
    },
  },
})

export interface ConversationFilters {
  readonly state?: string | undefined
  readonly name?: string | undefined
  readonly identity?: string | undefined
  readonly address?: string | undefined
  readonly text?: string | undefined
  readonly from?: string | undefined
  readonly to?: string | undefined
}

export interface SearchFilters {
  readonly q?: string | undefined
  readonly type?: string | undefined
  readonly account?: string | undefined
  readonly service?: string | undefined
}

export interface DeliveryFilters {
  readonly account?: string | undefined
  readonly service?: string | undefined
  readonly conversation?: string | undefined
  readonly status?: string | undefined
  readonly event?: string | undefined
  readonly target?: string | undefined
  readonly from?: string | undefined
  readonly to?: string | undefined
  readonly text?: string | undefined
}

export const server = queryOptions({ queryKey: ['server'], queryFn: () => get<Server>('/admin/v1/server') })

/** Who is signed in, and where else one can sign in. */
export const session = queryOptions({
  queryKey: ['session'],
  queryFn: () => get<Session>('/admin/v1/session'),
})

export const accounts = queryOptions({
  queryKey: ['accounts'],
  queryFn: async () => (await get<{ accounts: Account[] }>('/admin/v1/accounts')).accounts,
})

export const placeOf = (sid: string) =>
  queryOptions({
    queryKey: ['place', sid],
    queryFn: () => get<Place>(`/admin/v1/sids/${encodeURIComponent(sid)}`),
  })

export const services = (account: string) =>
  queryOptions({
    queryKey: ['services', account],
    queryFn: async () => (await getPage<Service>('/v1/Services?PageSize=1000', { account })).items,
  })

export const roles = (account: string, service: string) =>
  queryOptions({
    queryKey: ['roles', service],
    queryFn: async () => (await getPage<Role>(`${servicePath(service)}/Roles?PageSize=1000`, { account })).items,
  })

export const conversations = (service: string, filters: ConversationFilters) =>
  infiniteQueryOptions({
    queryKey: ['conversations', service, filters],
    queryFn: ({ pageParam, signal }) => {
      const params = { service_sid: service, ...filters, before: pageParam, limit: 50 }
      return get<ConversationPage>(withQuery('/admin/v1/conversations', params), { signal })
    },
    initialPageParam: '',
    getNextPageParam: (page) => page.next_before,
  })

export const found = ({ q, type, account, service }: SearchFilters, limit: number) =>
  infiniteQueryOptions({
    queryKey: ['search', { q, type, account, service, limit }],
    queryFn: ({ pageParam, signal }) => {
      const params = { q, type, account_sid: account, service_sid: service, before: pageParam, limit }
      return get<SearchPage>(withQuery('/admin/v1/search', params), { signal })
    },
    initialPageParam: '',
    getNextPageParam: (page) => page.next_before,
    // What was looked for once may have changed when it is looked for again.
    refetchOnMount: 'always',
  })

export const conversation = (account: string, service: string, sid: string) =>
  queryOptions({
    queryKey: ['conversation', sid, 'itself'],
    queryFn: () => get<Conversation>(conversationPath(service, sid), { account }),
  })

/** The latest first. `at`: a message; the page that it is on is read first, however far back it is. */
export const messages = (account: string, service: string, sid: string, at?: string) =>
  infiniteQueryOptions({
    queryKey: ['conversation', sid, 'messages', at ?? ''],
    queryFn: async ({ pageParam }): Promise<V1Page<Message>> =>
      getPage(pageParam ?? (await pageWith(service, sid, at ?? '')), { account }),
    initialPageParam: at === undefined ? `${conversationPath(service, sid)}/Messages?Order=desc&PageSize=50` : null,
    getNextPageParam: (page) => page.next,
    getPreviousPageParam: (page) => page.previous,
  })

async function pageWith(service: string, sid: string, message: string): Promise<string> {
  const path = `/admin/v1/services/${service}/conversations/${sid}/messages/${encodeURIComponent(message)}`
  return (await get<{ page_url: string }>(path)).page_url
}

export const participants = (account: string, service: string, sid: string) =>
  infiniteQueryOptions({
    queryKey: ['conversation', sid, 'participants'],
    queryFn: ({ pageParam }): Promise<V1Page<Participant>> => getPage(pageParam, { account }),
    initialPageParam: `${conversationPath(service, sid)}/Participants?PageSize=200`,
    getNextPageParam: (page) => page.next,
  })

export const webhooks = (account: string, service: string, sid: string) =>
  queryOptions({
    queryKey: ['conversation', sid, 'webhooks'],
    queryFn: async () => (await getPage<Webhook>(`${conversationPath(service, sid)}/Webhooks`, { account })).items,
  })

export const receipts = (account: string, service: string, sid: string, message: string) =>
  queryOptions({
    queryKey: ['conversation', sid, 'receipts', message],
    queryFn: async () =>
      (await getPage<Receipt>(`${conversationPath(service, sid)}/Messages/${message}/Receipts?PageSize=200`, { account })).items,
  })

/** A link to the bytes of a file that lives for minutes. */
export const mediaLink = (account: string, service: string, media: string) =>
  queryOptions({
    queryKey: ['media', media],
    queryFn: () => get<{ links: { content_direct_temporary: string } }>(`${servicePath(service)}/Media/${media}`, { account }),
    staleTime: 60_000,
  })

/** What of the filters of deliveries a list and a redelivery have in common, as the API calls it. */
export function deliveryQuery({ account, service, conversation, event, target, text }: DeliveryFilters) {
  return {
    ...{ account_sid: account, service_sid: service, conversation_sid: conversation },
    ...{ event_type: event, target_sid: target, text },
  }
}

export const deliveries = (filters: DeliveryFilters) =>
  infiniteQueryOptions({
    queryKey: ['deliveries', filters],
    queryFn: ({ pageParam, signal }) => {
      const { status, from, to } = filters
      const params = { ...deliveryQuery(filters), status, from, to, before: pageParam, limit: 50 }
      return get<DeliveryPage>(withQuery('/admin/v1/deliveries', params), { signal })
    },
    initialPageParam: '',
    getNextPageParam: (page) => page.next_before,
  })

export const delivery = (id: string) =>
  queryOptions({
    queryKey: ['deliveries', 'one', id],
    queryFn: () => get<DeliveryDetail>(`/admin/v1/deliveries/${encodeURIComponent(id)}`),
  })

/** Timers that are looked at to tell how many of a service are due. */
export const maxDue = 200

/** Those that are due within an hour; as it goes on, no event says that there are more. */
export const dueWithinHour = queryOptions({
  queryKey: ['timers', 'hour'],
  queryFn: async () => {
    const { now } = await get<Server>('/admin/v1/server')
    const until = new Date(Date.parse(now) + 3_600_000).toISOString()
    return (await get<{ timers: Timer[] }>(withQuery('/admin/v1/timers', { until, limit: maxDue }))).timers
  },
  refetchInterval: 60_000,
})

/** Only of a server in test mode. No event tells of one that was taken. */
export const snapshots = queryOptions({
  queryKey: ['snapshots'],
  queryFn: async () => (await get<{ snapshots: Snapshot[] }>('/admin/v1/snapshots')).snapshots,
  staleTime: 0,
})

export const timers = queryOptions({
  queryKey: ['timers'],
  queryFn: async () => (await get<{ timers: Timer[] }>('/admin/v1/timers?limit=100')).timers,
})
