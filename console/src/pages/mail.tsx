import { useQuery } from '@tanstack/react-query'
import { getRouteApi, Link } from '@tanstack/react-router'
import { useState } from 'react'
import { remove } from '../api.ts'
import { type Mailbox, mailPath, mails, oneMail, type SentMail, type SentMailWithSource } from '../mail.ts'
import { nameAmong } from '../names.ts'
import { Act } from '../parts/act.tsx'
import { Empty, Loading, Problem, Sid } from '../parts/basics.tsx'
import { FormDialog } from '../parts/form-dialog.tsx'
import { size } from '../parts/size.ts'
import { queryClient, server } from '../queries.ts'
import { Time } from '../time.tsx'

const oneRoute = getRouteApi('/mail/$sid')

/** What a server in test mode has caught of the mails that it would have sent. */
export function CaughtMail() {
  const info = useQuery(server)
  const catches = info.data?.test_mode === true
  const list = useQuery({ ...mails, enabled: catches })
  const [clearing, setClearing] = useState(false)
  return (
    <main>
      <header className="page-header">
        <h1>Caught mail</h1>
        {list.data && list.data.length > 0 && (
          <Act needs="act" ofAll className="danger" onClick={() => setClearing(true)}>
            Forget all
          </Act>
        )}
      </header>
      <Problem error={info.error ?? list.error} retry={() => void list.refetch()} />
      {info.data && !catches && (
        <Empty title="This server catches no mail">
          <p>With PARLEY_TEST_MODE=true it keeps the latest mails that it sends, or would send if it had a relay.</p>
        </Empty>
      )}
      {catches && list.isPending && <Loading what="mail" />}
      {list.data?.length === 0 && (
        <Empty title="No mail yet">
          <p>Write in a conversation with a mail participant: what it sends is shown here, one copy for each recipient.</p>
        </Empty>
      )}
      <ul className="rows" aria-label="Mails">
        {list.data?.map((mail) => (
          <Row key={mail.sid} mail={mail} />
        ))}
      </ul>
      {clearing && (
        <FormDialog
          title="Forget all mails?"
          act="Forget"
          danger
          done="All mails were forgotten"
          onClose={() => setClearing(false)}
          run={async () => {
            await remove('/admin/v1/mail')
            await queryClient.invalidateQueries({ queryKey: mails.queryKey })
          }}
        >
          <p>Their messages and receipts stay.</p>
        </FormDialog>
      )}
    </main>
  )
}

function Row({ mail: { sid, recipient, subject, date, size: bytes } }: { readonly mail: SentMail }) {
  return (
    <li>
      <Link to="/mail/$sid" params={{ sid }} className="row">
        <span className="row-title" dir="auto">
          {nameAmong(subject, 'No subject')}
        </span>
        <span className="row-time">
          <Time at={date} />
        </span>
        <span className="row-note">to {recipient}</span>
        <span className="row-time">{size(bytes)}</span>
      </Link>
    </li>
  )
}

export function OneMail() {
  const { sid } = oneRoute.useParams()
  const found = useQuery(oneMail(sid))
  return (
    <main>
      <p className="back">
        <Link to="/mail">Caught mail</Link>
      </p>
      {found.data ? (
        <Shown mail={found.data} />
      ) : (
        <>
          <h1>Mail</h1>
          {found.isPending ? <Loading what="the mail" /> : <Problem error={found.error} retry={() => void found.refetch()} />}
        </>
      )}
    </main>
  )
}

function Shown({ mail }: { readonly mail: SentMailWithSource }) {
  const { sid, subject, html, text, attachments, source } = mail
  return (
    <>
      <header className="page-header">
        <h1>{subject ?? 'No subject'}</h1>
        <a className="button" href={`${mailPath(sid)}/source`} download>
          Download the source
        </a>
      </header>
      <Headers mail={mail} />
      {html !== null && (
        // Without any right, and under the policy of this page: nothing of it runs, and nothing is loaded.
        <iframe className="mail-html" title="The mail as a page" sandbox="" srcDoc={html} />
      )}
      {text !== null && (
        <details open={html === null}>
          <summary>Text</summary>
          <p className="body" dir="auto">
            {text}
          </p>
        </details>
      )}
      {attachments.length > 0 && (
        <section>
          <h2>Attachments</h2>
          <ul className="plain">
            {attachments.map(({ filename, content_type, size: bytes }, index) => (
              // biome-ignore lint/suspicious/noArrayIndexKey: a mail never changes, and its attachments have no other name
              <li key={index}>
                <a href={`${mailPath(sid)}/attachments/${index}`} download>
                  {filename ?? `Attachment ${index + 1}`}
                </a>{' '}
                <small>
                  {content_type}, {size(bytes)}
                </small>
              </li>
            ))}
          </ul>
        </section>
      )}
      <details>
        <summary>Headers</summary>
        <pre className="code">{headersOf(source)}</pre>
      </details>
      <details>
        <summary>Source</summary>
        <pre className="code">{shortened(source)}</pre>
      </details>
    </>
  )
}

function Headers({ mail }: { readonly mail: SentMailWithSource }) {
  const { account_sid, conversation_sid, recipient, return_path, from, to, cc, reply_to, date } = mail
  const lines: [string, readonly Mailbox[]][] = [
    ['From', from],
    ['To', to],
    ['Cc', cc],
    ['Reply-To', reply_to],
  ]
  return (
    <dl className="facts">
      {lines.map(
        ([name, people]) =>
          people.length > 0 && (
            <div key={name}>
              <dt>{name}</dt>
              <dd>{people.map(({ name, address }) => (name ? `${name} <${address}>` : address)).join(', ')}</dd>
            </div>
          ),
      )}
      <dt>Envelope</dt>
      <dd>
        from {return_path} to {recipient}
      </dd>
      <dt>Sent</dt>
      <dd>
        <Time at={date} />
      </dd>
      <dt>Conversation</dt>
      <dd>
        <Link to="/$sid" params={{ sid: conversation_sid }}>
          {conversation_sid}
        </Link>
      </dd>
      <dt>Account</dt>
      <dd>
        <Sid sid={account_sid} />
      </dd>
    </dl>
  )
}

/** The part of the source before the first empty line. */
function headersOf(source: string): string {
  const end = source.search(/\r?\n\r?\n/)
  return end === -1 ? source : source.slice(0, end)
}

/** The most of a source that is shown. */
const maxSource = 200_000

function shortened(source: string): string {
  return source.length > maxSource ? `${source.slice(0, maxSource)}\n… download it to see the rest` : source
}
