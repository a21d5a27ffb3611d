import { useInfiniteQuery, useQuery } from '@tanstack/react-query'
import { Link, useNavigate } from '@tanstack/react-router'
import { useState } from 'react'
import { post, type Service } from '../api.ts'
import { account, servicePages } from '../configuration.ts'
import { Act } from '../parts/act.tsx'
import { Field } from '../parts/basics.tsx'
import { ConfigPage, type Scope } from '../parts/config-page.tsx'
import { FormDialog } from '../parts/form-dialog.tsx'
import { PagedList } from '../parts/paged-list.tsx'
import { queryClient } from '../queries.ts'
import { Time } from '../time.tsx'

/** The services of an account. */
export function Services() {
  const [creating, setCreating] = useState(false)
  return (
    <ConfigPage
      title="Services"
      acts={
        <Act className="primary" onClick={() => setCreating(true)}>
          New service
        </Act>
      }
    >
      {(scope) => (
        <>
          <List {...scope} />
          {creating && <NewService account={scope.account} onClose={() => setCreating(false)} />}
        </>
      )}
    </ConfigPage>
  )
}

function List({ account: of }: Scope) {
  const list = useInfiniteQuery(servicePages(of))
  const itself = useQuery(account(of))
  const rows = list.data?.pages.flatMap((page) => page.items) ?? []
  return (
    <PagedList
      list={list}
      name="Services"
      error={itself.error}
      news="There are more services: show them"
      none="No services"
      next="Create one."
    >
      {rows.map(({ sid, friendly_name, date_created }) => (
        <li key={sid}>
          <Link to="/services/$service" params={{ service: sid }} className="row">
            <span className="row-title">{friendly_name || sid}</span>
            {itself.data?.default_chat_service_sid === sid ? <span className="badge">default</span> : <span />}
            <span className="row-note">{sid}</span>
            <span className="row-time">
              <Time at={date_created} />
            </span>
          </Link>
        </li>
      ))}
    </PagedList>
  )
}

function NewService({ account: of, onClose }: { readonly account: string; readonly onClose: () => void }) {
  const navigate = useNavigate()
  return (
    <FormDialog
      title="New service"
      act="Create"
      done="The service was created"
      onClose={onClose}
      run={async ({ name }) => {
        const { sid } = await post<Service>('/v1/Services', { account: of, form: { FriendlyName: name } })
        await queryClient.invalidateQueries({ queryKey: ['services', of] })
        await navigate({ to: '/services/$service', params: { service: sid } })
      }}
    >
      <p>It has conversations, users and roles of its own.</p>
      <Field label="Name" name="name" maxLength={256} required />
    </FormDialog>
  )
}
