import { useQuery } from '@tanstack/react-query'
import { Link } from '@tanstack/react-router'
import { useState } from 'react'
import { useAct } from '../act.ts'
import { post, type Snapshot } from '../api.ts'
import { nameAmong } from '../names.ts'
import { Act } from '../parts/act.tsx'
import { announce } from '../parts/announce.tsx'
import { Empty, Field, Loading, Problem, StateBadge, textsOf } from '../parts/basics.tsx'
import { FormDialog } from '../parts/form-dialog.tsx'
import { Seed } from '../parts/seed.tsx'
import { dueWithinHour, maxDue, queryClient, server, services, snapshots, timers } from '../queries.ts'
import { Countdown, countdown, Time, useNow } from '../time.tsx'

const steps = [
  ['PT1M', '1 minute'],
  ['PT10M', '10 minutes'],
  ['PT1H', '1 hour'],
  ['P1D', '1 day'],
] as const

/** The time of the server, what is due next and, where there is a test clock, the way to move it. */
export function Clock() {
  const now = useNow()
  const info = useQuery(server)
  const due = useQuery(timers)
  /** What the button said when it was pressed. */
  const [resetting, setResetting] = useState<'everything' | 'the clock' | null>(null)
  const move = useAct({
    mutationFn: (by: object) => post('/admin/v1/clock', { json: by }),
    onSuccess: () => announce('The clock was moved, and all that was due has been applied'),
    onSettled: () => queryClient.invalidateQueries(),
  })
  const first = due.data?.[0]
  const ahead = info.data?.offset_ms ?? 0
  return (
    <main>
      <header className="page-header">
        <h1>Clock and timers</h1>
      </header>
      <Problem error={info.error ?? move.error} />
      <p className="big-clock">
        <time dateTime={new Date(now).toISOString()}>{new Date(now).toISOString().slice(0, 19).replace('T', ' ')} UTC</time>
        {ahead > 0 && <span className="row-note"> {countdown(ahead)} ahead of the system clock</span>}
      </p>
      {info.data && !info.data.test_clock && (
        <p className="row-note">
          This is the system clock. A server that is started with PARLEY_TEST_CLOCK=true has one that can be moved.
        </p>
      )}
      {info.data?.test_clock && (
        <section className="clock-acts" aria-label="Move the clock">
          <Act
            ofAll
            className="primary"
            disabled={!first || move.isPending}
            onClick={() => first && move.mutate({ now: first.date_due })}
          >
            Advance to the next deadline
          </Act>
          {steps.map(([advance, words]) => (
            <Act ofAll key={advance} disabled={move.isPending} onClick={() => move.mutate({ advance })}>
              + {words}
            </Act>
          ))}
          <form
            className="inline"
            onSubmit={(event) => {
              event.preventDefault()
              move.mutate({ advance: textsOf(event.currentTarget).advance })
            }}
          >
            <Field label="By" name="advance" placeholder="PT2H30M" required />
            <Act ofAll type="submit" disabled={move.isPending}>
              Advance
            </Act>
          </form>
          <Act ofAll className="danger" onClick={() => setResetting(info.data.test_mode ? 'everything' : 'the clock')}>
            {info.data.test_mode ? 'Reset everything' : 'Reset the clock'}
          </Act>
        </section>
      )}
      {info.data?.test_mode && <Snapshots />}
      {info.data?.test_mode && <Seed />}
      <DueByService />
      <section>
        <h2>Due next</h2>
        <Problem error={due.error} retry={() => void due.refetch()} />
        {due.isPending && <Loading what="timers" />}
        {due.data?.length === 0 && (
          <Empty title="No timer is running">
            <p>Give a conversation timers, or the account or service defaults, and it appears here.</p>
          </Empty>
        )}
        <ul className="rows" aria-label="Timers">
          {due.data?.map((timer) => (
            <li key={timer.conversation_sid}>
              <Link
                to="/services/$service/conversations/$sid"
                params={{ service: timer.service_sid, sid: timer.conversation_sid }}
                className="row"
              >
                <span className="row-title" dir="auto">
                  {nameAmong(timer.friendly_name, timer.conversation_sid)}
                </span>
                <span>
                  <StateBadge state={timer.state} /> <span aria-hidden="true">→</span> <StateBadge state={timer.next_state} />
                </span>
                <span className="row-note">
                  in <Countdown to={timer.date_due} />
                </span>
                <span className="row-time">
                  <Time at={timer.date_due} />
                </span>
              </Link>
            </li>
          ))}
        </ul>
      </section>
      {resetting !== null && (
        <FormDialog
          title={`Reset ${resetting}?`}
          act="Reset"
          danger
          done="It was reset"
          onClose={() => setResetting(null)}
          run={async () => {
            await (resetting === 'everything' ? post('/admin/v1/reset') : post('/admin/v1/clock', { json: { reset: true } }))
            await queryClient.invalidateQueries()
          }}
        >
          <p>
            {resetting === 'everything'
              ? 'Everything that is stored is deleted, the clock goes back to the system clock, and the seed, or else the first account, is stored anew.'
              : 'The clock goes back to the system clock. Dates and deadlines of what is stored stay as they are.'}
          </p>
        </FormDialog>
      )}
    </main>
  )
}

/** What a server in test mode remembers, and the way back to it. */
function Snapshots() {
  const all = useQuery(snapshots)
  const [chosen, setChosen] = useState<Snapshot | null>(null)
  const take = useAct({
    mutationFn: () => post('/admin/v1/snapshot'),
    onSuccess: () => announce('The snapshot was taken'),
    onSettled: () => queryClient.invalidateQueries({ queryKey: snapshots.queryKey }),
  })
  return (
    <section>
      <h2>Snapshots</h2>
      <Problem error={all.error ?? take.error} />
      <p className="row-note">All that is stored, and the time. The server keeps the latest 20 until it stops.</p>
      {all.data && all.data.length > 0 && (
        <ul className="rows" aria-label="Snapshots">
          {all.data.toReversed().map((one) => (
            <li key={one.snapshot}>
              <div className="row">
                <span className="row-title">
                  <Time at={one.now} />
                </span>
                <span className="acts">
                  <Act ofAll aria-label={`Go back to ${one.snapshot}`} onClick={() => setChosen(one)}>
                    Go back
                  </Act>
                </span>
                <span className="row-note">{one.snapshot}</span>
              </div>
            </li>
          ))}
        </ul>
      )}
      <p>
        <Act ofAll disabled={take.isPending} onClick={() => take.mutate()}>
          Take a snapshot
        </Act>
      </p>
      {chosen && (
        <FormDialog
          title="Go back to the snapshot?"
          act="Go back"
          danger
          done="The server is as it was"
          onClose={() => setChosen(null)}
          run={async () => {
            await post('/admin/v1/restore', { json: { snapshot: chosen.snapshot } })
            await queryClient.invalidateQueries()
          }}
        >
          <p>What was stored since then is lost. The clock goes back as well, and webhooks under way are given up.</p>
        </FormDialog>
      )}
    </section>
  )
}

/** How many timers of each service are due within an hour. */
function DueByService() {
  const due = useQuery(dueWithinHour)
  const byService = [...Map.groupBy(due.data ?? [], ({ service_sid }) => service_sid)]
  if (due.error) return <Problem error={due.error} retry={() => void due.refetch()} />
  if (byService.length === 0) return null
  return (
    <section>
      <h2>Due within the hour</h2>
      {due.data?.length === maxDue && <p className="row-note">Of the next {maxDue}: there may be more.</p>}
      <ul className="rows" aria-label="Due within the hour">
        {byService.map(([service, [first, ...others]]) => (
          <li key={service}>
            <Link to="/services/$service/conversations" params={{ service }} search={{}} className="row">
              <ServiceName account={first?.account_sid ?? ''} service={service} />
              <span className="row-note">{others.length === 0 ? '1 timer' : `${others.length + 1} timers`}</span>
            </Link>
          </li>
        ))}
      </ul>
    </section>
  )
}

function ServiceName({ account, service }: { readonly account: string; readonly service: string }) {
  const all = useQuery(services(account))
  return <span className="row-title">{all.data?.find(({ sid }) => sid === service)?.friendly_name || service}</span>
}
