import { useQuery } from '@tanstack/react-query'
import {
  createRootRoute,
  createRoute,
  createRouter,
  getRouteApi,
  lazyRouteComponent,
  Navigate,
  useNavigate,
} from '@tanstack/react-router'
import { useEffect } from 'react'
import type { AuditFilters, BindingFilters } from './configuration.ts'
import type { ErasureFilters } from './erasures.ts'
import { Conversation } from './pages/conversation.tsx'
import { Conversations } from './pages/conversations.tsx'
import { Empty, Loading, Problem } from './parts/basics.tsx'
import { Frame } from './parts/frame.tsx'
import { accounts, type ConversationFilters, type DeliveryFilters, placeOf, type SearchFilters, server } from './queries.ts'
import { useMay } from './rights.ts'

/** Keeps the texts among the search parameters of these names: a URL may have been edited by hand. */
function textsAmong<N extends string>(search: Readonly<Record<string, unknown>>, names: readonly N[]): { [Name in N]?: string } {
  const found: { [Name in N]?: string } = {}
  for (const name of names) {
    const value = search[name]
    if (typeof value === 'string' && value !== '') found[name] = value
    // The router reads a number where a name has only digits.
    else if (typeof value === 'number' || typeof value === 'boolean') found[name] = String(value)
  }
  return found
}

const root = createRootRoute({
  component: Frame,
  notFoundComponent: () => (
    <main>
      <h1>Not found</h1>
      <Empty title="The console has no such page">
        <p>Press / to look for a SID, or choose a page above.</p>
      </Empty>
    </main>
  ),
})

const deliveryPages = () => import('./pages/deliveries.tsx')
const mailPages = () => import('./pages/mail.tsx')
const privacyPages = () => import('./pages/privacy.tsx')
const channelPages = () => import('./pages/channels.tsx')

const routes = [
  createRoute({ getParentRoute: () => root, path: '/', component: Start }),
  createRoute({
    getParentRoute: () => root,
    path: '/services/$service/conversations',
    validateSearch: (search): ConversationFilters =>
      textsAmong(search, ['state', 'name', 'identity', 'address', 'text', 'from', 'to']),
    component: Conversations,
  }),
  createRoute({
    getParentRoute: () => root,
    path: '/services/$service/conversations/$sid',
    validateSearch: (search): { at?: string } => textsAmong(search, ['at']),
    component: Conversation,
  }),
  createRoute({
    getParentRoute: () => root,
    path: '/deliveries',
    validateSearch: (search): DeliveryFilters =>
      textsAmong(search, ['account', 'service', 'conversation', 'status', 'event', 'target', 'from', 'to', 'text']),
    component: lazyRouteComponent(deliveryPages, 'Deliveries'),
  }),
  createRoute({
    getParentRoute: () => root,
    path: '/deliveries/$id',
    component: lazyRouteComponent(deliveryPages, 'OneDelivery'),
  }),
  createRoute({
    getParentRoute: () => root,
    path: '/clock',
    component: lazyRouteComponent(() => import('./pages/clock.tsx'), 'Clock'),
  }),
  createRoute({
    getParentRoute: () => root,
    path: '/accounts/$account/channels',
    component: lazyRouteComponent(channelPages, 'Channels'),
  }),
  createRoute({
    getParentRoute: () => root,
    path: '/accounts/$account/channels/$address',
    component: lazyRouteComponent(channelPages, 'OneChannel'),
  }),
  createRoute({
    getParentRoute: () => root,
    path: '/accounts/$account/targets',
    component: lazyRouteComponent(() => import('./pages/targets.tsx'), 'Targets'),
  }),
  createRoute({ getParentRoute: () => root, path: '/mail', component: lazyRouteComponent(mailPages, 'CaughtMail') }),
  createRoute({ getParentRoute: () => root, path: '/mail/$sid', component: lazyRouteComponent(mailPages, 'OneMail') }),
  createRoute({
    getParentRoute: () => root,
    path: '/services/$service/simulator',
    validateSearch: (search): { as?: string; to?: string; by?: string } => textsAmong(search, ['as', 'to', 'by']),
    component: lazyRouteComponent(() => import('./pages/simulator.tsx'), 'Simulator'),
  }),
  createRoute({ getParentRoute: () => root, path: '/$sid', component: Jump }),
  // The configuration is loaded when somebody goes there.
  createRoute({
    getParentRoute: () => root,
    path: '/services/$service',
    component: lazyRouteComponent(() => import('./pages/service.tsx'), 'OneService'),
  }),
  createRoute({
    getParentRoute: () => root,
    path: '/services/$service/webhooks',
    component: lazyRouteComponent(() => import('./pages/webhook-settings.tsx'), 'ServiceWebhooks'),
  }),
  createRoute({
    getParentRoute: () => root,
    path: '/services/$service/notifications',
    component: lazyRouteComponent(() => import('./pages/notifications.tsx'), 'Notifications'),
  }),
  createRoute({
    getParentRoute: () => root,
    path: '/services/$service/users',
    component: lazyRouteComponent(() => import('./pages/users.tsx'), 'Users'),
  }),
  createRoute({
    getParentRoute: () => root,
    path: '/services/$service/users/$user',
    component: lazyRouteComponent(() => import('./pages/user.tsx'), 'OneUser'),
  }),
  createRoute({
    getParentRoute: () => root,
    path: '/services/$service/roles',
    component: lazyRouteComponent(() => import('./pages/roles.tsx'), 'Roles'),
  }),
  createRoute({
    getParentRoute: () => root,
    path: '/services/$service/bindings',
    validateSearch: (search): BindingFilters => textsAmong(search, ['type', 'identity']),
    component: lazyRouteComponent(() => import('./pages/bindings.tsx'), 'Bindings'),
  }),
  createRoute({
    getParentRoute: () => root,
    path: '/installation',
    component: lazyRouteComponent(() => import('./pages/installation.tsx'), 'Installation'),
  }),
  createRoute({
    getParentRoute: () => root,
    path: '/operators',
    component: lazyRouteComponent(() => import('./pages/operators.tsx'), 'Operators'),
  }),
  createRoute({
    getParentRoute: () => root,
    path: '/audit',
    validateSearch: (search): AuditFilters =>
      textsAmong(search, ['account', 'actor', 'action', 'target', 'outcome', 'from', 'to']),
    component: lazyRouteComponent(() => import('./pages/audit.tsx'), 'Audit'),
  }),
  createRoute({
    getParentRoute: () => root,
    path: '/accounts',
    component: lazyRouteComponent(() => import('./pages/accounts.tsx'), 'Accounts'),
  }),
  createRoute({
    getParentRoute: () => root,
    path: '/accounts/$account',
    component: lazyRouteComponent(() => import('./pages/account.tsx'), 'OneAccount'),
  }),
  createRoute({
    getParentRoute: () => root,
    path: '/accounts/$account/addresses',
    component: lazyRouteComponent(() => import('./pages/addresses.tsx'), 'Addresses'),
  }),
  createRoute({
    getParentRoute: () => root,
    path: '/accounts/$account/credentials',
    component: lazyRouteComponent(() => import('./pages/credentials.tsx'), 'Credentials'),
  }),
  createRoute({
    getParentRoute: () => root,
    path: '/accounts/$account/privacy',
    validateSearch: (search): ErasureFilters => textsAmong(search, ['status', 'dry_run']),
    component: lazyRouteComponent(privacyPages, 'Privacy'),
  }),
  createRoute({
    getParentRoute: () => root,
    path: '/accounts/$account/privacy/$erasure',
    component: lazyRouteComponent(privacyPages, 'OneErasure'),
  }),
  createRoute({
    getParentRoute: () => root,
    path: '/accounts/$account/services',
    component: lazyRouteComponent(() => import('./pages/services.tsx'), 'Services'),
  }),
  createRoute({
    getParentRoute: () => root,
    path: '/accounts/$account/defaults',
    component: lazyRouteComponent(() => import('./pages/defaults.tsx'), 'Defaults'),
  }),
  createRoute({
    getParentRoute: () => root,
    path: '/accounts/$account/webhooks',
    component: lazyRouteComponent(() => import('./pages/webhook-settings.tsx'), 'AccountWebhooks'),
  }),
  createRoute({
    getParentRoute: () => root,
    path: '/search',
    validateSearch: (search): SearchFilters => textsAmong(search, ['q', 'type', 'account', 'service']),
    component: lazyRouteComponent(() => import('./pages/search.tsx'), 'Search'),
  }),
] as const

export const router = createRouter({
  routeTree: root.addChildren(routes),
  basepath: '/console',
  defaultPendingComponent: () => <Loading what="the page" />,
})

declare module '@tanstack/react-router' {
  interface Register {
    router: typeof router
  }
}

/** The conversations of the first account, or what there is for those who may not see them. */
function Start() {
  const mayRead = useMay('read')
  const info = useQuery({ ...server, enabled: mayRead })
  const all = useQuery({ ...accounts, enabled: mayRead })
  const first = all.data?.find(({ sid }) => sid === info.data?.first_account_sid) ?? all.data?.[0]
  if (!mayRead) return <Navigate to="/audit" search={{}} replace />
  if (first) {
    return (
      <Navigate to="/services/$service/conversations" params={{ service: first.default_chat_service_sid }} search={{}} replace />
    )
  }
  return (
    <main>
      <h1>Parley</h1>
      <Problem error={info.error ?? all.error} />
      {all.data ? (
        <Empty title="There is no account">
          <p>Create one: npm run parley -- accounts create</p>
        </Empty>
      ) : (
        <Loading what="accounts" />
      )}
    </main>
  )
}

/** `/console/CH…` leads to the page of what the SID is of. */
function Jump() {
  const { sid } = getRouteApi('/$sid').useParams()
  const navigate = useNavigate()
  const isDelivery = /^WD[0-9a-f]{32}$/.test(sid)
  const place = useQuery({ ...placeOf(sid), enabled: !isDelivery })
  useEffect(() => {
    if (isDelivery) void navigate({ to: '/deliveries/$id', params: { id: sid }, replace: true })
    if (!place.data) return
    const { service_sid: service, conversation_sid } = place.data
    if (conversation_sid === null) {
      void navigate({ to: '/services/$service/conversations', params: { service }, search: {}, replace: true })
    } else {
      const params = { service, sid: conversation_sid }
      void navigate({ to: '/services/$service/conversations/$sid', params, replace: true })
    }
  }, [isDelivery, navigate, place.data, sid])
  return (
    <main>
      <h1>Look for a SID</h1>
      {place.error ? (
        <>
          <Problem error={place.error} />
          <p>
            Accounts, services, conversations and deliveries are found by their SID. Messages and participants are in their
            conversation.
          </p>
        </>
      ) : (
        <Loading what={sid} />
      )}
    </main>
  )
}
