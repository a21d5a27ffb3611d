import { useInfiniteQuery, useQuery } from '@tanstack/react-query'
import { Link, useNavigate } from '@tanstack/react-router'
import { useState } from 'react'
import { useAct } from '../act.ts'
import { post, servicePath } from '../api.ts'
import { serviceConfiguration, type User, type UserConversation, user, userConversations, userPages } from '../configuration.ts'
import { Act } from '../parts/act.tsx'
import { AttributesField } from '../parts/attributes-field.tsx'
import { Field, Problem } from '../parts/basics.tsx'
import { ConfigPage, type Scope } from '../parts/config-page.tsx'
import { FilterForm } from '../parts/filter-form.tsx'
import { FormDialog } from '../parts/form-dialog.tsx'
import { Online } from '../parts/online.tsx'
import { PagedList } from '../parts/paged-list.tsx'
import { RoleField } from '../parts/role-field.tsx'
import { queryClient, roles } from '../queries.ts'
import { useSetting } from '../settings.ts'

/** The users of a service. */
export function Users() {
  const [creating, setCreating] = useState(false)
  return (
    <ConfigPage
      title="Users"
      acts={
        <Act needs="act" className="primary" onClick={() => setCreating(true)}>
          New user
        </Act>
      }
    >
      {(scope) => (
        <>
          <Find {...scope} />
          <List {...scope} />
          {creating && <NewUser {...scope} onClose={() => setCreating(false)} />}
        </>
      )}
    </ConfigPage>
  )
}

/** By the whole identity: the API has no other way to look for one. */
function Find({ account, service }: Scope) {
  const navigate = useNavigate()
  const find = useAct({
    mutationFn: (identity: string) => queryClient.fetchQuery(user(account, service, identity)),
    onSuccess: ({ sid }) => navigate({ to: '/services/$service/users/$user', params: { service, user: sid } }),
  })
  return (
    <>
      <FilterForm of={null} act="Find" busy={find.isPending} onApply={({ identity = '' }) => find.mutate(identity)}>
        <Field label="Identity" name="identity" placeholder="the whole identity" required />
      </FilterForm>
      <Problem error={find.error} />
    </>
  )
}

function List({ account, service }: Scope) {
  const list = useInfiniteQuery(userPages(account, service))
  const configuration = useQuery(serviceConfiguration(account, service))
  const named = useQuery(roles(account, service))
  const rows = list.data?.pages.flatMap((page) => page.items) ?? []
  return (
    <PagedList
      list={list}
      name="Users"
      error={configuration.error ?? named.error}
      news="There are more users: show them"
      none="No users yet"
      next="Create one here; the first use of an identity creates one as well."
    >
      {rows.map((row) => (
        <Row
          key={row.sid}
          account={account}
          service={service}
          row={row}
          role={named.data?.find(({ sid }) => sid === row.role_sid)?.friendly_name}
          reachability={configuration.data?.reachability_enabled === true}
        />
      ))}
    </PagedList>
  )
}

interface RowProps extends Scope {
  readonly row: User
  readonly role: string | undefined
  readonly reachability: boolean
}

function Row({ account, service, row, role, reachability }: RowProps) {
  const { sid, identity, friendly_name } = row
  // Lists of the API do not say who is online.
  const itself = useQuery({ ...user(account, service, sid), enabled: reachability })
  // Not read again with each message that comes: there is one for each row.
  const memberships = useInfiniteQuery({
    ...userConversations(account, service, sid),
    queryKey: ['users', account, 'unread', sid],
  })
  return (
    <li>
      <Link to="/services/$service/users/$user" params={{ service, user: sid }} className="row">
        <span className="row-title" dir="auto">
          {identity}
        </span>
        {itself.data ? <Online user={itself.data} /> : <span />}
        <span className="row-note">{[friendly_name, role].filter(Boolean).join(' · ')}</span>
        <span className="row-time">
          {memberships.data?.pages[0] && unreadWords(memberships.data.pages[0].items, memberships.hasNextPage)}
        </span>
      </Link>
    </li>
  )
}

/** Such as `3 unread in 2 conversations`. A conversation of which nothing was read yet has no count: the API says null. */
function unreadWords(items: readonly UserConversation[], isMore: boolean): string {
  const unread = items.filter(({ unread_messages_count: count }) => count === null || count > 0)
  const count = items.reduce((sum, { unread_messages_count }) => sum + (unread_messages_count ?? 0), 0)
  const more = isMore ? '+' : ''
  if (unread.length === 0) return isMore ? 'none unread in the latest' : 'nothing unread'
  const where = `${unread.length}${more} ${unread.length === 1 && !isMore ? 'conversation' : 'conversations'}`
  return count === 0 ? `${where} not read yet` : `${count.toLocaleString('en')}${more} unread in ${where}`
}

function NewUser({ account, service, onClose }: Scope & { readonly onClose: () => void }) {
  const navigate = useNavigate()
  const [webhooks] = useSetting('webhooks')
  return (
    <FormDialog
      title="New user"
      act="Create"
      done="The user was created"
      onClose={onClose}
      run={async ({ identity, name, role, attributes }) => {
        const form = { Identity: identity, FriendlyName: name || undefined, RoleSid: role || undefined, Attributes: attributes }
        const options = { account, webhooks: webhooks === 'yes', form }
        const made = await post<User>(`${servicePath(service)}/Users`, options)
        await queryClient.invalidateQueries({ queryKey: ['users', account] })
        await navigate({ to: '/services/$service/users/$user', params: { service, user: made.sid } })
      }}
    >
      <Field label="Identity" name="identity" maxLength={256} required hint="The name by which your application knows them" />
      <Field label="Friendly name" name="name" maxLength={256} />
      <RoleField account={account} service={service} type="service" standard="the default of the service" />
      <AttributesField of="user" defaultValue="{}" />
    </FormDialog>
  )
}
