import { useQuery } from '@tanstack/react-query'
import { Link } from '@tanstack/react-router'
import { useState } from 'react'
import { useAct } from '../act.ts'
import { type Media, pathOf, post } from '../api.ts'
import { mediaLink, server } from '../queries.ts'
import { type ThreadMessage, thread } from '../threads.ts'
import { Time } from '../time.tsx'
import { Act } from './act.tsx'
import { announce } from './announce.tsx'
import { Empty, Field, Loading, Problem, StatusBadge } from './basics.tsx'
import { FormDialog } from './form-dialog.tsx'
import { size } from './size.ts'

interface PhoneProps {
  readonly account: string
  readonly service: string
  readonly address: string
  /** Which address of ours it has written to; empty: any. */
  readonly proxy: string
}

/** What somebody outside has written and been sent, the latest at the bottom, and what their carrier may report. */
export function Phone({ account, service, address, proxy }: PhoneProps) {
  const list = useQuery(thread(service, address, proxy))
  return (
    <section className="phone" aria-label={`The phone of ${address}`}>
      <h2>{address}</h2>
      <Problem error={list.error} retry={() => void list.refetch()} />
      {list.isPending && <Loading what="messages" />}
      {list.data?.length === 0 && (
        <Empty title="Nothing yet">
          <p>Nothing was written from this address to this service, and nothing was sent to it.</p>
        </Empty>
      )}
      {list.data?.toReversed().map((message) => (
        <Bubble key={message.message_sid} account={account} service={service} message={message} />
      ))}
    </section>
  )
}

interface BubbleProps {
  readonly account: string
  readonly service: string
  readonly message: ThreadMessage
}

function Bubble({ account, service, message }: BubbleProps) {
  const { direction, author, subject, body, media, receipt, date_created } = message
  const info = useQuery(server)
  const isCaught = info.data?.test_mode && receipt?.channel_message_sid.startsWith('EM')
  return (
    <article className={`bubble ${direction}`} aria-label={direction === 'written' ? 'Written' : `By ${author}`}>
      {subject !== null && <strong dir="auto">{subject}</strong>}
      {body !== null && (
        <p className="body" dir="auto">
          {body}
        </p>
      )}
      {media.map((file) => (
        <Attached key={file.sid} account={account} service={service} file={file} />
      ))}
      <small>
        {direction === 'received' && `${author}, `}
        <Time at={date_created} />
      </small>
      {receipt && <Reported account={account} receipt={receipt} />}
      {isCaught && receipt && (
        <Link to="/mail/$sid" params={{ sid: receipt.channel_message_sid }}>
          The mail as it was sent
        </Link>
      )}
    </article>
  )
}

const images = /^image\/(?:png|jpeg|gif|webp|avif)$/

function Attached({ account, service, file }: { readonly account: string; readonly service: string; readonly file: Media }) {
  const link = useQuery(mediaLink(account, service, file.sid))
  const name = file.filename ?? 'File'
  if (link.error) return <Problem error={link.error} retry={() => void link.refetch()} />
  if (!link.data) return <p className="row-note">{name}</p>
  const url = pathOf(link.data.links.content_direct_temporary)
  return (
    <figure>
      {images.test(file.content_type) && <img src={url} alt={name} loading="lazy" />}
      <figcaption>
        <a href={url} target="_blank" rel="noreferrer">
          {name}
        </a>{' '}
        <small>
          {file.content_type}, {size(file.size)}
        </small>
      </figcaption>
    </figure>
  )
}

/** What a carrier may still report, by what it has: `src/channels/statuses.ts` decides. */
const reports: Readonly<Record<string, readonly string[]>> = {
  sent: ['delivered', 'read', 'undelivered', 'failed'],
  delivered: ['read'],
  undelivered: ['delivered', 'read'],
  failed: ['delivered', 'read'],
}

interface ReportedProps {
  readonly account: string
  readonly receipt: NonNullable<ThreadMessage['receipt']>
}

/** The status that the carrier has reported, and ways to report another one. */
function Reported({ account, receipt: { channel_message_sid, status, error_code } }: ReportedProps) {
  const [failing, setFailing] = useState<string>()
  const report = (to: string, code?: number) =>
    post('/admin/v1/receipts', {
      json: { account_sid: account, channel_message_sid, status: to, ...(code !== undefined && { error_code: code }) },
    })
  const act = useAct({ mutationFn: (to: string) => report(to), onSuccess: () => announce('It was reported') })
  return (
    <>
      <div className="reports">
        <StatusBadge status={status} />
        {error_code > 0 && <small>error {error_code}</small>}
        {(reports[status] ?? []).map((to) => {
          const fails = to === 'failed' || to === 'undelivered'
          return (
            <Act
              key={to}
              needs="act"
              className="quiet"
              disabled={act.isPending}
              onClick={() => (fails ? setFailing(to) : act.mutate(to))}
            >
              {to}
            </Act>
          )
        })}
      </div>
      <Problem error={act.error} />
      {failing !== undefined && (
        <FormDialog
          title={`Report it as ${failing}`}
          act="Report"
          done="It was reported"
          onClose={() => setFailing(undefined)}
          run={({ code }) => report(failing, Number(code))}
        >
          <Field
            label="Error code"
            name="code"
            type="number"
            min={1}
            required
            defaultValue={30008}
            hint="30003: unreachable, 30005: no such number, 30007: refused by a filter"
          />
        </FormDialog>
      )}
    </>
  )
}
