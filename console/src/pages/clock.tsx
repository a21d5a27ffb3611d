import { useMutation, useQuery } from '@tanstack/react-query'
import { Link } from '@tanstack/react-router'
import { useState } from 'react'
import { post } from '../api.ts'
import { announce } from '../parts/announce.tsx'
import { Empty, Field, Loading, Problem, StateBadge, textsOf } from '../parts/basics.tsx'
import { FormDialog } from '../parts/form-dialog.tsx'
import { queryClient, server, timers } from '../queries.ts'
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
  const [resetting, setResetting] = useState(false)
  const move = useMutation({
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
          <button
            type="button"
            className="primary"
            disabled={!first || move.isPending}
            onClick={() => first && move.mutate({ now: first.date_due })}
          >
            Advance to the next deadline
          </button>
          {steps.map(([advance, words]) => (
            <button key={advance} type="button" disabled={move.isPending} onClick={() => move.mutate({ advance })}>
              + {words}
            </button>
          ))}
          <form
            className="inline"
            onSubmit={(event) => {
              event.preventDefault()
              move.mutate({ advance: textsOf(event.currentTarget).advance })
            }}
          >
            <Field label="By" name="advance" placeholder="PT2H30M" required />
            <button type="submit" disabled={move.isPending}>
              Advance
            </button>
          </form>
          <button type="button" className="danger" onClick={() => setResetting(true)}>
            {info.data.test_mode ? 'Reset everything' : 'Reset the clock'}
          </button>
        </section>
      )}
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
                <span className="row-title">{timer.friendly_name || timer.conversation_sid}</span>
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
      {resetting && info.data && (
        <FormDialog
          title={info.data.test_mode ? 'Reset everything?' : 'Reset the clock?'}
          act="Reset"
          danger
          done="It was reset"
          onClose={() => setResetting(false)}
          run={async () => {
            await (info.data.test_mode ? post('/admin/v1/reset') : post('/admin/v1/clock', { json: { reset: true } }))
            await queryClient.invalidateQueries()
          }}
        >
          <p>
            {info.data.test_mode
              ? 'Everything that is stored is deleted, the clock goes back to the system clock, and the seed, or else the first account, is stored anew.'
              : 'The clock goes back to the system clock. Dates and deadlines of what is stored stay as they are.'}
          </p>
        </FormDialog>
      )}
    </main>
  )
}
