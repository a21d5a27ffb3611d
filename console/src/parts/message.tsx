import { useQuery } from '@tanstack/react-query'
import { useState } from 'react'
import { type Delivery, getText, type Media, type Message, type Participant, pathOf, post, remove } from '../api.ts'
import { changedAttributes, indented } from '../json.ts'
import { isolated } from '../names.ts'
import { mediaLink, receipts } from '../queries.ts'
import { useActing, useShown } from '../shown.tsx'
import { Time } from '../time.tsx'
import { Act } from './act.tsx'
import { AttributesField } from './attributes-field.tsx'
import { copy, Problem, StatusBadge, TextField } from './basics.tsx'
import { nameOf } from './composer.tsx'
import { CopyResource } from './copy-resource.tsx'
import { DeliveryLink } from './delivery-link.tsx'
import { FormDialog } from './form-dialog.tsx'
import { size } from './size.ts'

interface BubbleProps {
  readonly message: Message
  readonly people: readonly Participant[]
  /** What was sent about it. */
  readonly deliveries: readonly Delivery[]
  /** Whether it is the one that was looked for. */
  readonly isMarked: boolean
}

export function MessageBubble({ message, people, deliveries, isMarked }: BubbleProps) {
  const { state } = useShown()
  const { path, options } = useActing()
  // Editing begins with the message as it is then, and leaves alone what was not edited.
  const [editing, setEditing] = useState<Message | null>(null)
  const [deleting, setDeleting] = useState(false)
  const [details, setDetails] = useState(false)
  const { sid, author, index, body, media, delivery, attributes, date_created, date_updated } = message
  const at = `${path}/Messages/${sid}`
  const readers = people.filter((one) => one.last_read_message_index === index)
  // Of a message with receipts, these change it too.
  const edited = date_updated !== date_created && delivery === null
  return (
    <article
      className={author === 'system' ? 'message from-system' : 'message'}
      aria-label={`Message ${index} by ${author}`}
      aria-current={isMarked || undefined}
      id={sid}
    >
      <header>
        <strong>
          <bdi>{author}</bdi>
        </strong>{' '}
        <span className="row-note">#{index}</span> <Time at={date_created} />
        {edited && <span className="badge">edited</span>}
        <span className="message-acts">
          <button type="button" className="quiet" aria-expanded={details} onClick={() => setDetails(!details)}>
            Details
          </button>
          <Act needs="act" className="quiet" disabled={state === 'closed'} onClick={() => setEditing(message)}>
            Edit
          </Act>
          <Act needs="act" className="quiet" disabled={state === 'closed'} onClick={() => setDeleting(true)}>
            Delete
          </Act>
        </span>
      </header>
      {body !== null && (
        <p className="body" dir="auto">
          {body}
        </p>
      )}
      {media?.map((file) => (
        <File key={file.sid} file={file} />
      ))}
      {delivery && <p className="row-note">{deliveryWords(delivery)}</p>}
      {readers.length > 0 && (
        <p className="row-note">Read up to here by {readers.map((one) => isolated(nameOf(one))).join(', ')}</p>
      )}
      {deliveries.length > 0 && (
        <p className="sent">
          {deliveries.map((one) => (
            <DeliveryLink key={one.id} delivery={one} />
          ))}
        </p>
      )}
      {details && (
        <div className="details">
          {delivery && <Receipts message={sid} people={people} />}
          {attributes !== '{}' && <pre className="code">{indented(attributes)}</pre>}
          <CopyResource
            account={options.account}
            path={at}
            resource={message}
            {...(media === null && {
              makes: { path: `${path}/Messages`, form: { Author: author, Body: body ?? undefined, Attributes: attributes } },
            })}
          />
          <button type="button" onClick={() => copy(sid, 'The SID')}>
            Copy the SID
          </button>
        </div>
      )}
      {editing && (
        <FormDialog
          title={`Edit message #${index}`}
          act="Save"
          done="The message was changed"
          onClose={() => setEditing(null)}
          run={({ body: text, attributes: json }) =>
            post(at, { ...options, form: { Body: text, Attributes: changedAttributes(json, editing.attributes) } })
          }
        >
          <TextField label="Text" name="body" rows={5} defaultValue={editing.body ?? ''} />
          <AttributesField of="message" defaultValue={editing.attributes} />
        </FormDialog>
      )}
      {deleting && (
        <FormDialog
          title={`Delete message #${index}?`}
          act="Delete"
          danger
          done="The message was deleted"
          onClose={() => setDeleting(false)}
          run={() => remove(at, options)}
        >
          <p>Its files go with it. This cannot be undone.</p>
        </FormDialog>
      )}
    </article>
  )
}

/** Such as `to 2: sent all, delivered some`. */
function deliveryWords({ total, ...counts }: NonNullable<Message['delivery']>): string {
  const words = Object.entries(counts).flatMap(([status, count]) =>
    count === 'none' || count === 0 ? [] : [`${status} ${count}`],
  )
  return `By a channel to ${total}: ${words.length > 0 ? words.join(', ') : 'on the way'}`
}

function Receipts({ message, people }: { readonly message: string; readonly people: readonly Participant[] }) {
  const { account, service, sid } = useShown()
  const found = useQuery(receipts(account, service, sid, message))
  return (
    <>
      <Problem error={found.error} />
      {found.data?.length === 0 && <p>No receipts yet.</p>}
      <ul className="plain">
        {found.data?.map((receipt) => {
          const person = people.find((one) => one.sid === receipt.participant_sid)
          return (
            <li key={receipt.sid}>
              {person ? nameOf(person) : receipt.participant_sid} <StatusBadge status={receipt.status} />
              {receipt.error_code > 0 && ` error ${receipt.error_code}`} <Time at={receipt.date_updated} />
            </li>
          )
        })}
      </ul>
    </>
  )
}

/** The most of a page that is shown. */
const maxHtmlBytes = 1_000_000

/**
 * A mail as its sender laid it out, in a frame without any rights. It is under the policy of this page as well: nothing of it runs, and
 * nothing is loaded, pictures that tell the sender who reads included.
 */
function Html({ url, name }: { readonly url: string; readonly name: string }) {
  const [open, setOpen] = useState(false)
  const html = useQuery({ queryKey: ['html', url], queryFn: () => getText(url), enabled: open })
  return (
    <>
      <button type="button" aria-expanded={open} onClick={() => setOpen(!open)}>
        {open ? 'Hide' : 'Show'} the page
      </button>
      <Problem error={html.error} />
      {open && html.data !== undefined && <iframe title={name} sandbox="" srcDoc={html.data} />}
    </>
  )
}

/** Types that a browser shows without running anything of them. Any other file is a download. */
const images = /^image\/(?:png|jpeg|gif|webp|avif)$/

function File({ file }: { readonly file: Media }) {
  const { account, service } = useShown()
  const link = useQuery(mediaLink(account, service, file.sid))
  const name = file.filename ?? 'File'
  const [type = ''] = file.content_type.toLowerCase().split(';')
  if (link.error) return <Problem error={link.error} retry={() => void link.refetch()} />
  if (!link.data) return <p className="row-note">{name}</p>
  const url = pathOf(link.data.links.content_direct_temporary)
  return (
    <figure>
      {images.test(type) && <img src={url} alt={name} loading="lazy" />}
      {type === 'text/html' && file.size <= maxHtmlBytes && <Html url={url} name={name} />}
      {type.startsWith('audio/') && (
        // biome-ignore lint/a11y/useMediaCaption: what people send has no captions
        <audio controls preload="none" src={url} aria-label={name} />
      )}
      {type.startsWith('video/') && (
        // biome-ignore lint/a11y/useMediaCaption: what people send has no captions
        <video controls preload="none" src={url} aria-label={name} />
      )}
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
