import type { DeliveryDetail } from '../api.ts'
import { lengthInWords, Time } from '../time.tsx'
import { Headers } from './headers.tsx'

type Attempt = DeliveryDetail['attempts'][number]

interface AttemptsProps {
  /** When the delivery was created. */
  readonly created: string
  /** One at least, in their order. */
  readonly all: readonly Attempt[]
}

/** The attempts of a delivery: in words, and each drawn at its place between the creation and the end of the last attempt. */
export function Attempts({ created, all }: AttemptsProps) {
  const spans = all.map(({ at, duration_ms }) => ({ from: Date.parse(at), to: Date.parse(at) + duration_ms }))
  const begin = Math.min(Date.parse(created), ...spans.map(({ from }) => from))
  const end = Math.max(...spans.map(({ to }) => to))
  const place = (at: number) => `${2 + (96 * (at - begin)) / Math.max(1, end - begin)}%`
  return (
    <>
      <p className="attempt-scale row-note">
        <span>created</span>
        <span>{lengthInWords(end - begin)} later</span>
      </p>
      <ol className="attempts">
        {all.map((attempt, i) => {
          const { from, to } = spans[i] ?? { from: begin, to: begin }
          const before = spans[i - 1]?.to ?? begin
          const pause = lengthInWords(from - before)
          const outcome = outcomeOf(attempt)
          return (
            <li key={attempt.at}>
              <strong>{attempt.status ?? (outcome === 'good' ? 'done' : 'no response')}</strong>{' '}
              {attempt.error !== `HTTP ${attempt.status}` && attempt.error} in {lengthInWords(attempt.duration_ms)},{' '}
              <Time at={attempt.at} />
              <span className="row-note"> · {i === 0 ? `${pause} after it was created` : `after a pause of ${pause}`}</span>
              {/* It says nothing that the words do not say. */}
              <svg className="attempt-track" aria-hidden="true">
                <line className="axis" x1={place(begin)} x2={place(end)} y1="50%" y2="50%" />
                <line className="pause" x1={place(before)} x2={place(from)} y1="50%" y2="50%" />
                <line className={outcome} x1={place(from)} x2={place(to)} y1="50%" y2="50%" />
              </svg>
              <Response attempt={attempt} />
            </li>
          )
        })}
      </ol>
    </>
  )
}

/** They differ in shape as well as in colour. */
function outcomeOf({ error }: Attempt): 'good' | 'bad' {
  return error === null ? 'good' : 'bad'
}

/** What was responded to an attempt, as far as the log keeps it. */
function Response({ attempt }: { readonly attempt: DeliveryDetail['attempts'][number] }) {
  const { response, response_headers, response_body, response_truncated } = attempt
  const body = response_body ?? response
  if (body === null && response_headers === null) return null
  return (
    <details>
      <summary>Response{response_truncated && ', not all of it'}</summary>
      {response_headers !== null && <Headers headers={response_headers} />}
      {body ? <pre className="code">{body}</pre> : <p className="row-note">Without a body</p>}
    </details>
  )
}
