import { useInfiniteQuery, useQuery } from '@tanstack/react-query'
import { getRouteApi, Link } from '@tanstack/react-router'
import { useRef, useState } from 'react'
import { postActionEvents } from '../../../src/events/names.ts'
import { useAct } from '../act.ts'
import { type Delivery, post } from '../api.ts'
import { useCurrentService } from '../current.ts'
import { Act } from '../parts/act.tsx'
import { announce } from '../parts/announce.tsx'
import { Attempts } from '../parts/attempts.tsx'
import { copy, Field, Loading, Problem, SelectField, Sid, StatusBadge } from '../parts/basics.tsx'
import { lastAttempt, sentTo } from '../parts/delivery-link.tsx'
import { FilterForm } from '../parts/filter-form.tsx'
import { FormDialog } from '../parts/form-dialog.tsx'
import { Headers } from '../parts/headers.tsx'
import { PagedList } from '../parts/paged-list.tsx'
import { type DeliveryFilters, deliveries, delivery, deliveryQuery, placeOf, queryClient } from '../queries.ts'
import { useMay, useRefusal } from '../rights.ts'
import { Dates, Time, useNow } from '../time.tsx'

const listRoute = getRouteApi('/deliveries')
const oneRoute = getRouteApi('/deliveries/$id')

function sendAgain(id: string): Promise<Delivery> {
  return post(`/admin/v1/deliveries/${id}/redeliver`)
}

/** Webhooks and channel messages, newest first. */
export function Deliveries() {
  const mayRead = useMay('text')
  const filters = listRoute.useSearch()
  const navigate = listRoute.useNavigate()
  const list = useInfiniteQuery(deliveries(filters))
  const [chosen, setChosen] = useState<ReadonlySet<string>>(new Set())
  const [sendingFailed, setSendingFailed] = useState(false)
  const rows = list.data?.pages.flatMap((page) => page.deliveries) ?? []
  // Only what can be seen; the first ones first, as they were sent.
  const ids = rows.flatMap(({ id }) => (chosen.has(id) ? [id] : [])).sort()
  const filtered = Object.values(filters).some((value) => value !== undefined)
  const again = useAct({
    mutationFn: async (ids: readonly string[]) => {
      for (const id of ids) {
        await sendAgain(id)
        setChosen((before) => new Set([...before].filter((one) => one !== id)))
      }
      return ids.length
    },
    onSuccess: (count) => announce(sentAgain(count)),
    onSettled: () => queryClient.invalidateQueries({ queryKey: ['deliveries'] }),
  })
  const submit = (event: { readonly currentTarget: HTMLSelectElement }) => event.currentTarget.form?.requestSubmit()
  return (
    <main>
      <header className="page-header">
        <h1>Deliveries</h1>
        <div className="acts">
          <TargetsLink />
          <Act needs="act" onClick={() => setSendingFailed(true)}>
            Send failed ones again
          </Act>
          <Act needs="act" className="primary" disabled={ids.length === 0 || again.isPending} onClick={() => again.mutate(ids)}>
            Send again{ids.length > 0 && ` (${ids.length})`}
          </Act>
        </div>
      </header>
      <FilterForm of={filters} filtered={filtered} onApply={(search) => void navigate({ search })}>
        <SelectField label="Status" name="status" defaultValue={filters.status ?? ''} onChange={submit}>
          <option value="">any</option>
          <option>pending</option>
          <option>delivered</option>
          <option>failed</option>
        </SelectField>
        <SelectField label="Event" name="event" defaultValue={filters.event ?? ''} onChange={submit}>
          <option value="">any</option>
          {postActionEvents.map((name) => (
            <option key={name}>{name}</option>
          ))}
        </SelectField>
        <Field label="Conversation" name="conversation" defaultValue={filters.conversation} placeholder="CH…" />
        <Field label="Service" name="service" defaultValue={filters.service} placeholder="IS…" />
        <Field label="Account" name="account" defaultValue={filters.account} placeholder="AC…" />
        <Field label="Target" name="target" defaultValue={filters.target} placeholder="AC…, IS…, WH…" />
        {mayRead && (
          <Field
            label="Text of parameters"
            name="text"
            defaultValue={filters.text}
            placeholder="part of a value"
            maxLength={256}
          />
        )}
        <Field label="Created from" name="from" defaultValue={filters.from} placeholder="2030-01-01T10:00Z" maxLength={256} />
        <Field label="to" name="to" defaultValue={filters.to} placeholder="2030-01-31" maxLength={256} />
      </FilterForm>
      <PagedList
        list={list}
        name="Deliveries"
        error={again.error}
        news="There are newer results: show them"
        stoppedEarly={list.data?.pages.at(-1)?.stopped_early}
        none={filtered ? 'No delivery matches' : 'Nothing has been sent yet'}
        next={
          filtered
            ? 'Clear the filters. Finished deliveries stay for PARLEY_DELIVERY_LOG_DAYS.'
            : 'Set a webhook URL and its events, of the account, of a service or of a conversation: each event becomes a delivery.'
        }
      >
        {rows.map((row) => (
          <li key={row.id} className="chosen-row">
            <input
              type="checkbox"
              aria-label={`Choose ${row.event_type} ${row.id}`}
              checked={chosen.has(row.id)}
              onChange={({ currentTarget: { checked } }) =>
                setChosen((before) => new Set(checked ? [...before, row.id] : [...before].filter((id) => id !== row.id)))
              }
            />
            <Link to="/deliveries/$id" params={{ id: row.id }} className="row">
              <span className="row-title">{row.event_type}</span>
              <StatusBadge status={row.status} />
              <span className="row-note">{`${lastAttempt(row)} · ${sentTo(row)}`}</span>
              <span className="row-time">
                <Time at={row.date_created} />
              </span>
            </Link>
          </li>
        ))}
      </PagedList>
      {sendingFailed && <SendFailed filters={filters} onClose={() => setSendingFailed(false)} />}
    </main>
  )
}

function sentAgain(count: number): string {
  return count === 1 ? '1 delivery is sent again' : `${count.toLocaleString('en')} deliveries are sent again`
}

interface Batch {
  readonly redelivered: number
  readonly until: string
  readonly next_after: string | null
}

/** What comes after the last date of a list: its day is part of the list. */
function endOf(to: string | undefined): string | undefined {
  if (to === undefined || !/^\d{4}-\d{2}-\d{2}$/.test(to) || Number.isNaN(Date.parse(to))) return to
  return new Date(Date.parse(to) + 86_400_000).toISOString().slice(0, 10)
}

/** All that has failed of what was created since a date, batch by batch. The filters of the list hold, but for the status. */
function SendFailed({ filters, onClose }: { readonly filters: DeliveryFilters; readonly onClose: () => void }) {
  const now = useNow()
  const [since] = useState(() => filters.from ?? `${new Date(now - 3_600_000).toISOString().slice(0, 16)}Z`)
  const [count, setCount] = useState(0)
  const ended = useRef(false)
  const { account, service, conversation, event, target, text } = filters
  const narrowed = [account, service, conversation, event, target, text].filter((filter) => filter !== undefined)
  const close = () => {
    ended.current = true
    onClose()
  }
  const sendAll = async (given: Readonly<Record<string, string>>): Promise<number> => {
    const choice = { ...given, ...deliveryQuery(filters) }
    let sent = 0
    for (let place: object | null = {}; place !== null && !ended.current; ) {
      const { redelivered, until, next_after }: Batch = await post('/admin/v1/deliveries/redeliver', {
        json: { ...choice, ...place },
      })
      sent += redelivered
      setCount(sent)
      place = next_after === null ? null : { until, after: next_after }
    }
    await queryClient.invalidateQueries({ queryKey: ['deliveries'] })
    return sent
  }
  return (
    <FormDialog
      title="Send failed deliveries again"
      act="Send again"
      done={sentAgain}
      onClose={close}
      run={({ since = '', until, kind }) => sendAll({ since, ...(until && { until }), ...(kind && { kind }) })}
    >
      <Field label="Created since" name="since" required defaultValue={since} hint="ISO 8601 date and time" />
      <Field label="and before" name="until" defaultValue={endOf(filters.to)} hint="Empty: until now" />
      <SelectField label="Kind" name="kind" defaultValue="webhook">
        <option value="webhook">webhooks</option>
        <option value="message">messages of channels</option>
        <option value="push">pushes</option>
        <option value="">all</option>
      </SelectField>
      <p>
        They are sent in the order in which they were created, with the same idempotency tokens. What was sent again already is
        left out.{narrowed.length > 0 && ` Only with ${narrowed.join(', ')}, as the list is filtered.`}
      </p>
      {count > 0 && <p role="status">{sentAgain(count)} so far. Cancel keeps the others as they are.</p>}
    </FormDialog>
  )
}

/** How webhooks and channels fare. */
function TargetsLink() {
  const service = useCurrentService()
  const place = useQuery({ ...placeOf(service ?? ''), enabled: service !== undefined })
  if (!place.data) return null
  return (
    <Link className="button" to="/accounts/$account/targets" params={{ account: place.data.account_sid }}>
      Targets
    </Link>
  )
}

/** One delivery: what was sent where, and how it went. */
export function OneDelivery() {
  const unreadable = useRefusal('text')
  const { id } = oneRoute.useParams()
  const one = useQuery(delivery(id))
  const navigate = oneRoute.useNavigate()
  const again = useAct({
    mutationFn: () => sendAgain(id),
    onSuccess: async (made) => {
      announce('It is sent again')
      await navigate({ to: '/deliveries/$id', params: { id: made.id } })
    },
  })
  const row = one.data
  if (!row) {
    return (
      <main>
        <h1>Delivery</h1>
        {one.isPending ? <Loading what="the delivery" /> : <Problem error={one.error} retry={() => void one.refetch()} />}
      </main>
    )
  }
  return (
    <main>
      <header className="page-header">
        <h1>
          {row.event_type} <StatusBadge status={row.status} />
        </h1>
        <div className="acts">
          <button type="button" onClick={() => copy(JSON.stringify(row, null, 2), 'The delivery')}>
            Copy as JSON
          </button>
          <Act needs="act" className="primary" disabled={again.isPending} onClick={() => again.mutate()}>
            Send again
          </Act>
        </div>
      </header>
      <Problem error={again.error} />
      <dl className="facts">
        <dt>Delivery</dt>
        <dd>
          <Sid sid={row.id} />
        </dd>
        <dt>Sent to</dt>
        <dd>
          {row.url === null ? sentTo(row) : `${row.method} ${row.url}`} {row.target_sid !== null && <Sid sid={row.target_sid} />}
        </dd>
        <dt>About</dt>
        <dd>
          {row.subject_sid.startsWith('CH') ? (
            <Link to="/services/$service/conversations/$sid" params={{ service: row.service_sid, sid: row.subject_sid }}>
              {row.subject_sid}
            </Link>
          ) : (
            row.subject_sid
          )}
        </dd>
        <Dates created={row.date_created} />
        {row.date_finished !== null && (
          <>
            <dt>Finished</dt>
            <dd>
              <Time at={row.date_finished} />
            </dd>
          </>
        )}
      </dl>
      <section>
        <h2>Attempts</h2>
        {row.attempts.length === 0 ? (
          <p>
            None yet. {row.status === 'pending' && 'It waits for its turn: deliveries about one conversation are sent in order.'}
          </p>
        ) : (
          <Attempts created={row.date_created} all={row.attempts} />
        )}
      </section>
      {row.request_headers !== null && (
        <section>
          <h2>Request headers</h2>
          <p className="row-note">As the last attempt would be made now, with the auth token of today.</p>
          <Headers headers={row.request_headers} />
        </section>
      )}
      <section>
        <h2>Parameters</h2>
        {unreadable !== null && <p>{unreadable}</p>}
        <dl className="facts params">
          {Object.entries(row.params).map(([name, value]) => (
            <div key={name}>
              <dt>{name}</dt>
              <dd>{value}</dd>
            </div>
          ))}
        </dl>
      </section>
    </main>
  )
}
