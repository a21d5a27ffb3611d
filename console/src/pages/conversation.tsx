import { useInfiniteQuery, useQuery } from '@tanstack/react-query'
import { getRouteApi, Link } from '@tanstack/react-router'
import { useState } from 'react'
import { type Conversation as ConversationJson, type Participant, post, remove, servicePath } from '../api.ts'
import { changedAttributes, indented } from '../json.ts'
import { nameAmong } from '../names.ts'
import { Act } from '../parts/act.tsx'
import { AttributesField } from '../parts/attributes-field.tsx'
import { Field, Loading, Problem, SelectField, Sid, StateBadge } from '../parts/basics.tsx'
import { Composer } from '../parts/composer.tsx'
import { CopyResource } from '../parts/copy-resource.tsx'
import { FormDialog } from '../parts/form-dialog.tsx'
import { People } from '../parts/people.tsx'
import { TestEvent } from '../parts/test-event.tsx'
import { Timeline } from '../parts/timeline.tsx'
import { conversation, deliveries, messages, participants, placeOf, webhooks } from '../queries.ts'
import { useRefusal } from '../rights.ts'
import { ShownContext, useActing, useShown } from '../shown.tsx'
import { Countdown, Dates } from '../time.tsx'

const route = getRouteApi('/services/$service/conversations/$sid')

export function Conversation() {
  const { service, sid } = route.useParams()
  const place = useQuery(placeOf(service))
  if (place.error) {
    return (
      <main>
        <h1>Conversation</h1>
        <Problem error={place.error} />
      </main>
    )
  }
  if (!place.data) return <Loading what="the conversation" />
  return <Loaded account={place.data.account_sid} service={service} sid={sid} />
}

function Loaded({ account, service, sid }: { readonly account: string; readonly service: string; readonly sid: string }) {
  const itself = useQuery(conversation(account, service, sid))
  const { at } = route.useSearch()
  const navigate = route.useNavigate()
  const unreadable = useRefusal('text')
  const written = useInfiniteQuery({ ...messages(account, service, sid, at), enabled: unreadable === null })
  const people = useInfiniteQuery(participants(account, service, sid))
  const sent = useInfiniteQuery(deliveries({ service, conversation: itself.data?.sid ?? sid }))
  if (itself.error || !itself.data) {
    return (
      <main>
        <h1>Conversation</h1>
        {itself.error ? (
          <Problem error={itself.error} retry={() => void itself.refetch()} />
        ) : (
          <Loading what="the conversation" />
        )}
        {itself.error && (
          <Link to="/services/$service/conversations" params={{ service }} search={{}}>
            All conversations
          </Link>
        )}
      </main>
    )
  }
  const { state } = itself.data
  const members: readonly Participant[] = people.data?.pages.flatMap((page) => page.items) ?? []
  return (
    <ShownContext value={{ account, service, sid: itself.data.sid, state }}>
      <main className="conversation">
        <Head conversation={itself.data} />
        <div className="columns">
          <section className="chat" aria-label="Messages and events">
            {unreadable !== null && <p className="composer-note">{unreadable}</p>}
            <Timeline
              conversation={itself.data}
              people={members}
              messages={written.data?.pages.flatMap((page) => page.items) ?? []}
              deliveries={sent.data?.pages.flatMap((page) => page.deliveries) ?? []}
              isPending={written.isPending && unreadable === null}
              isHidden={unreadable !== null}
              error={written.error ?? sent.error}
              retry={() => void written.refetch()}
              at={at}
              older={written.hasNextPage ? () => void written.fetchNextPage() : null}
              newer={at !== undefined && written.hasPreviousPage ? () => void written.fetchPreviousPage() : null}
            />
            <Composer people={members} onSent={() => at !== undefined && void navigate({ search: {}, replace: true })} />
          </section>
          <aside aria-label="About the conversation">
            <People members={members} list={people} />
            <Webhooks />
            <Facts conversation={itself.data} />
          </aside>
        </div>
      </main>
    </ShownContext>
  )
}

/** `of`: as it was when the dialog was opened. What changes meanwhile is not saved over with what the dialog was opened with. */
interface Open {
  readonly act: 'edit' | 'state' | 'timers' | 'reopen' | 'delete'
  readonly of: ConversationJson
}

function Head({ conversation }: { readonly conversation: ConversationJson }) {
  const { sid, friendly_name, unique_name, state, timers } = conversation
  const { service } = useShown()
  const { path, options } = useActing()
  const navigate = route.useNavigate()
  const [open, setOpen] = useState<Open | null>(null)
  const begin = (act: Open['act']) => setOpen({ act, of: conversation })
  const close = () => setOpen(null)
  const update = (form: Readonly<Record<string, string | undefined>>) => post(path, { ...options, form })
  const closed = state === 'closed'
  return (
    <header className="page-header">
      <div>
        <Link to="/services/$service/conversations" params={{ service }} search={{}} className="back">
          Conversations
        </Link>
        <h1>
          <bdi>{nameAmong(friendly_name, unique_name, sid)}</bdi> <StateBadge state={state} />
        </h1>
        <p className="timers">
          {timers.date_inactive !== undefined && (
            <span>
              inactive in <Countdown to={timers.date_inactive} />
            </span>
          )}
          {timers.date_closed !== undefined && (
            <span>
              closes in <Countdown to={timers.date_closed} />
            </span>
          )}
          {timers.date_inactive === undefined && timers.date_closed === undefined && <span>no timer is running</span>}
        </p>
      </div>
      <div className="acts">
        <Act needs="act" disabled={closed} onClick={() => begin('edit')}>
          Edit
        </Act>
        <Act needs="act" disabled={closed} onClick={() => begin('timers')}>
          Timers
        </Act>
        <Act needs="act" disabled={closed} onClick={() => begin('state')}>
          State
        </Act>
        {closed && (
          <Act needs="act" onClick={() => begin('reopen')}>
            Reopen
          </Act>
        )}
        <Act needs="act" className="danger" onClick={() => begin('delete')}>
          Delete
        </Act>
      </div>
      {open?.act === 'edit' && (
        <FormDialog
          title="Edit the conversation"
          act="Save"
          done="The conversation was changed"
          onClose={close}
          run={({ name, unique, attributes: json }) =>
            update({ FriendlyName: name, UniqueName: unique, Attributes: changedAttributes(json, open.of.attributes) })
          }
        >
          <Field label="Friendly name" name="name" defaultValue={open.of.friendly_name ?? ''} maxLength={256} />
          <Field label="Unique name" name="unique" defaultValue={open.of.unique_name ?? ''} maxLength={256} />
          <AttributesField of="conversation" defaultValue={open.of.attributes} />
        </FormDialog>
      )}
      {open?.act === 'timers' && (
        <FormDialog
          title="Timers"
          act="Set"
          done="The timers were set"
          onClose={close}
          run={({ inactive, closes }) =>
            update({ 'Timers.Inactive': inactive || undefined, 'Timers.Closed': closes || undefined })
          }
        >
          <p>ISO 8601 durations, such as PT10M or P1D. PT0S switches a timer off; an empty field leaves it as it is.</p>
          <Field label="Becomes inactive after" name="inactive" placeholder="PT10M" hint="At least PT1M" />
          <Field label="Closes after" name="closes" placeholder="PT1H" hint="At least PT10M" />
        </FormDialog>
      )}
      {open?.act === 'state' && (
        <FormDialog
          title="State"
          act="Change the state"
          done="The state was changed"
          onClose={close}
          run={({ state: next }) => update({ State: next })}
        >
          <SelectField label="State" name="state" defaultValue={open.of.state}>
            <option>active</option>
            <option>inactive</option>
            <option>closed</option>
          </SelectField>
          <p>A closed conversation stays closed for the account: nothing can be written to it any more.</p>
        </FormDialog>
      )}
      {open?.act === 'reopen' && (
        <FormDialog
          title="Reopen the conversation?"
          act="Reopen"
          done="The conversation was reopened"
          onClose={close}
          run={() => post(`/admin/v1/services/${service}/conversations/${sid}/reopen`)}
        >
          <p>
            It becomes active, with everybody who was in it, and its timers begin anew. Only the operator can do this: the account
            cannot, and no webhook is sent.
          </p>
        </FormDialog>
      )}
      {open?.act === 'delete' && (
        <FormDialog
          title="Delete the conversation?"
          act="Delete"
          danger
          done="The conversation was deleted"
          onClose={close}
          run={async () => {
            await remove(path, options)
            await navigate({ to: '/services/$service/conversations', params: { service }, search: {} })
          }}
        >
          <p>Its messages, participants and files go with it. This cannot be undone.</p>
        </FormDialog>
      )}
    </header>
  )
}

function Webhooks() {
  const { account, service, sid } = useShown()
  const hooks = useQuery(webhooks(account, service, sid))
  return (
    <details>
      <summary>Webhooks {hooks.data && `(${hooks.data.length})`}</summary>
      <Problem error={hooks.error} />
      {hooks.data?.length === 0 && <p>This conversation has no webhooks of its own.</p>}
      <ul className="plain">
        {hooks.data?.map((hook) => (
          <li key={hook.sid}>
            <strong>{hook.target}</strong> {hook.configuration.url ?? hook.configuration.flow_sid}
            <br />
            <small>{hook.configuration.filters?.join(', ')}</small>
            <TestEvent target={hook.sid} conversation={sid} />
          </li>
        ))}
      </ul>
    </details>
  )
}

function Facts({ conversation }: { readonly conversation: ConversationJson }) {
  const { service } = useShown()
  const { path } = useActing()
  const { sid, date_created, date_updated, attributes } = conversation
  return (
    <details>
      <summary>Facts and attributes</summary>
      <dl className="facts">
        <dt>SID</dt>
        <dd>
          <Sid sid={sid} />
        </dd>
        <dt>Service</dt>
        <dd>
          <Sid sid={service} />
        </dd>
        <Dates created={date_created} updated={date_updated} />
      </dl>
      <pre className="code">{indented(attributes)}</pre>
      <div className="acts">
        <CopyResource
          account={conversation.account_sid}
          path={path}
          resource={conversation}
          makes={{
            path: `${servicePath(service)}/Conversations`,
            form: {
              FriendlyName: conversation.friendly_name ?? undefined,
              UniqueName: conversation.unique_name ?? undefined,
              Attributes: attributes,
            },
          }}
        />
        <Link className="button" to="/deliveries" search={{ conversation: sid }}>
          Its deliveries
        </Link>
      </div>
    </details>
  )
}
