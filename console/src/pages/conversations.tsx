import { useInfiniteQuery, useQuery } from '@tanstack/react-query'
import { getRouteApi, Link } from '@tanstack/react-router'
import { useState } from 'react'
import { conversationPath, post, servicePath } from '../api.ts'
import { nameAmong } from '../names.ts'
import { Act } from '../parts/act.tsx'
import { Field, SelectField, StateBadge } from '../parts/basics.tsx'
import { FilterForm } from '../parts/filter-form.tsx'
import { FormDialog } from '../parts/form-dialog.tsx'
import { PagedList } from '../parts/paged-list.tsx'
import { conversations, placeOf } from '../queries.ts'
import { useMay } from '../rights.ts'
import { useSetting } from '../settings.ts'
import { Countdown, Time } from '../time.tsx'

const route = getRouteApi('/services/$service/conversations')

/** The conversations of a service. What is looked for is in the URL. */
export function Conversations() {
  const mayRead = useMay('text')
  const { service } = route.useParams()
  const filters = route.useSearch()
  const navigate = route.useNavigate()
  const place = useQuery(placeOf(service))
  const list = useInfiniteQuery(conversations(service, filters))
  const [creating, setCreating] = useState(false)
  // By text, one may be on several pages.
  const rows = [...new Map(list.data?.pages.flatMap((page) => page.conversations.map((row) => [row.sid, row]))).values()]
  const filtered = Object.values(filters).some((value) => value !== undefined)
  const apply = ({ who, ...search }: Readonly<Record<string, string>>) => {
    const isAddress = /^(\+\d|\w+:|.+@)/.test(who ?? '')
    void navigate({ search: { ...search, [isAddress ? 'address' : 'identity']: who } })
  }
  return (
    <main>
      <header className="page-header">
        <h1>Conversations</h1>
        <Act needs="act" className="primary" onClick={() => setCreating(true)}>
          New conversation
        </Act>
      </header>
      <FilterForm of={filters} filtered={filtered} onApply={apply}>
        <Field label="Name" name="name" defaultValue={filters.name} placeholder="part of a name" />
        <Field
          label="Participant"
          name="who"
          defaultValue={filters.identity ?? filters.address}
          placeholder="identity or address"
        />
        {mayRead && <Field label="Text in messages" name="text" defaultValue={filters.text} placeholder="words" />}
        <SelectField
          label="State"
          name="state"
          defaultValue={filters.state ?? ''}
          onChange={(event) => event.currentTarget.form?.requestSubmit()}
        >
          <option value="">any</option>
          <option>active</option>
          <option>inactive</option>
          <option>closed</option>
        </SelectField>
        <Field label="Active from" name="from" type="date" defaultValue={filters.from} />
        <Field label="to" name="to" type="date" defaultValue={filters.to} />
      </FilterForm>
      <PagedList
        list={list}
        name="Conversations"
        error={place.error}
        news="There is new activity: show it"
        none={filtered ? 'No conversation matches' : 'No conversations yet'}
        next={
          filtered
            ? 'Clear the filters, or choose another service above.'
            : 'Create one here, or with an SDK: it appears at once.'
        }
      >
        {rows.map((row) => (
          <li key={row.sid}>
            <Link to="/services/$service/conversations/$sid" params={{ service, sid: row.sid }} className="row">
              <span className="row-title" dir="auto">
                {nameAmong(row.friendly_name, row.unique_name, row.sid)}
              </span>
              <StateBadge state={row.state} />
              <span className="row-note">
                {row.unique_name !== null && row.friendly_name ? `${row.unique_name} · ` : ''}
                {row.messages === 1 ? '1 message' : `${row.messages.toLocaleString('en')} messages`}
                {(row.date_inactive ?? row.date_closed) !== null && (
                  <>
                    {' · '}
                    {row.date_inactive !== null ? 'inactive in ' : 'closes in '}
                    <Countdown to={row.date_inactive ?? row.date_closed ?? ''} />
                  </>
                )}
              </span>
              <span className="row-time">
                <Time at={row.date_activity} />
              </span>
            </Link>
          </li>
        ))}
      </PagedList>
      {creating && place.data && (
        <NewConversation account={place.data.account_sid} service={service} onClose={() => setCreating(false)} />
      )}
    </main>
  )
}

function NewConversation(props: { readonly account: string; readonly service: string; readonly onClose: () => void }) {
  const { account, service, onClose } = props
  const navigate = route.useNavigate()
  const [webhooks] = useSetting('webhooks')
  return (
    <FormDialog
      title="New conversation"
      act="Create"
      done="The conversation was created"
      onClose={onClose}
      run={async ({ name, unique, identity, inactive, closed }) => {
        const options = { account, webhooks: webhooks === 'yes' }
        const form = {
          FriendlyName: name || undefined,
          UniqueName: unique || undefined,
          'Timers.Inactive': inactive || undefined,
          'Timers.Closed': closed || undefined,
        }
        const { sid } = await post<{ sid: string }>(`${servicePath(service)}/Conversations`, { ...options, form })
        if (identity) {
          await post(`${conversationPath(service, sid)}/Participants`, { ...options, form: { Identity: identity } })
        }
        await navigate({ to: '/services/$service/conversations/$sid', params: { service, sid } })
      }}
    >
      <Field label="Friendly name" name="name" maxLength={256} />
      <Field label="Unique name" name="unique" maxLength={256} hint="Optional; it stands for the SID in URLs" />
      <Field label="First participant" name="identity" maxLength={256} hint="Optional; the identity of a user" />
      <Field label="Becomes inactive after" name="inactive" placeholder="PT10M" hint="ISO 8601 duration, at least PT1M" />
      <Field label="Closes after" name="closed" placeholder="PT1H" hint="ISO 8601 duration, at least PT10M" />
    </FormDialog>
  )
}
