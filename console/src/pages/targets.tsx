import { useQuery } from '@tanstack/react-query'
import { getRouteApi, Link } from '@tanstack/react-router'
import { type Target, targets } from '../channels.ts'
import { Empty, Loading, Problem, Sid } from '../parts/basics.tsx'
import { TestEvent } from '../parts/test-event.tsx'
import { Time } from '../time.tsx'

const route = getRouteApi('/accounts/$account/targets')

const words = { webhook: 'webhook', message: 'channel', push: 'push notifications' } as const

/** How each target of an account fares, those with failures first. */
export function Targets() {
  const { account } = route.useParams()
  const found = useQuery(targets(account))
  const { targets: all = [], date_since: since = null } = found.data ?? {}
  return (
    <main>
      <header className="page-header">
        <h1>Targets</h1>
        <button type="button" disabled={found.isFetching} onClick={() => void found.refetch()}>
          {found.isFetching ? 'Reading …' : 'Read again'}
        </button>
      </header>
      <Problem error={found.error} retry={() => void found.refetch()} />
      {found.isPending && <Loading what="targets" />}
      {found.isSuccess && all.length === 0 && (
        <Empty title="Nothing was sent lately">
          <p>
            A webhook, channel or credential is here once something was sent to it. The{' '}
            <Link to="/accounts/$account/webhooks" params={{ account }}>
              webhooks of the account
            </Link>{' '}
            can be sent a test event.
          </p>
        </Empty>
      )}
      {since !== null && (
        <p className="row-note">
          Counted since <Time at={since} />: of a busier server, older deliveries are not looked at.
        </p>
      )}
      {all
        .toSorted((a, b) => b.failed - a.failed)
        .map((target) => (
          <OneTarget key={target.target_sid} target={target} />
        ))}
    </main>
  )
}

function OneTarget({ target }: { readonly target: Target }) {
  const {
    target_sid,
    kind,
    service_sid,
    conversation_sid,
    url,
    pending,
    delivered,
    failed,
    median_duration_ms,
    p95_duration_ms,
  } = target
  const { date_delivered, last_failure } = target
  const finished = delivered + failed
  return (
    <section className="target" aria-label={url ?? target_sid}>
      <h2>
        {url ?? words[kind]}{' '}
        <span className={`badge ${failed > 0 ? 'status-failed' : 'status-delivered'}`}>{rate(delivered, finished)}</span>
      </h2>
      <dl className="facts">
        <dt>{words[kind]}</dt>
        <dd>
          <Sid sid={target_sid} />
        </dd>
        <dt>Deliveries</dt>
        <dd>
          {delivered} delivered, {failed} failed, {pending} pending:{' '}
          <Link to="/deliveries" search={{ service: service_sid, target: target_sid }}>
            show them
          </Link>
        </dd>
        {median_duration_ms !== null && (
          <>
            <dt>Latency</dt>
            <dd>
              half within {median_duration_ms} ms, 95 % within {p95_duration_ms} ms
            </dd>
          </>
        )}
        {date_delivered !== null && (
          <>
            <dt>Last delivered</dt>
            <dd>
              <Time at={date_delivered} />
            </dd>
          </>
        )}
        {last_failure && (
          <>
            <dt>Last error</dt>
            <dd>
              <Link to="/deliveries/$id" params={{ id: last_failure.delivery_id }}>
                {last_failure.event_type}: {last_failure.error ?? `HTTP ${last_failure.status}`}
              </Link>{' '}
              <Time at={last_failure.date} />
            </dd>
          </>
        )}
      </dl>
      {kind === 'webhook' && <TestEvent target={target_sid} conversation={conversation_sid} />}
    </section>
  )
}

/** Rounded down: 100 % means that nothing has failed. */
function rate(delivered: number, finished: number): string {
  return finished === 0 ? 'nothing finished' : `${Math.floor((delivered / finished) * 100)} %`
}
