import { Link } from '@tanstack/react-router'
import { Fragment, type ReactNode, useEffect, useRef, useState } from 'react'
import type { Conversation, Delivery, Message, Participant } from '../api.ts'
import { isolated } from '../names.ts'
import { Time } from '../time.tsx'
import { Empty, Loading, Problem } from './basics.tsx'
import { DeliveryLink } from './delivery-link.tsx'
import { MessageBubble } from './message.tsx'

interface TimelineProps {
  readonly conversation: Conversation
  readonly people: readonly Participant[]
  /** The latest first. */
  readonly messages: readonly Message[]
  readonly deliveries: readonly Delivery[]
  readonly isPending: boolean
  /** Whether who looks may not see messages. */
  readonly isHidden: boolean
  readonly error: unknown
  readonly retry: () => void
  /** The message that was looked for: it is brought into view, and marked. */
  readonly at: string | undefined
  /** Loads older messages; null when there are none. */
  readonly older: (() => void) | null
  /** Loads newer messages; null when the latest are there. */
  readonly newer: (() => void) | null
}

interface Entry {
  readonly key: string
  readonly at: number
  readonly shown: ReactNode
}

/** Messages, what has happened between them and what was sent about it, on one line of time. The latest is at the bottom. */
export function Timeline(props: TimelineProps) {
  const { messages, isPending, isHidden, error, retry, at, older, newer } = props
  const [count, setCount] = useState(0)
  const box = useRef<HTMLDivElement>(null)
  const latest = messages[0]?.sid
  const seen = useRef(latest)
  /** The message that was the last one when newer ones were asked for: the reader goes on from there. */
  const left = useRef<string>(undefined)
  useEffect(() => {
    if (latest === seen.current) return
    if (left.current !== undefined) document.getElementById(left.current)?.scrollIntoView({ block: 'end' })
    left.current = undefined
    // The box stays at its bottom by itself; whoever reads further up is told.
    const scrolledUp = (box.current?.scrollTop ?? 0) < -40
    if (seen.current !== undefined && scrolledUp) setCount((before) => before + 1)
    seen.current = latest
  }, [latest])
  const toBottom = () => {
    box.current?.scrollTo({ top: 0 })
    setCount(0)
  }
  const isThere = at !== undefined && messages.some(({ sid }) => sid === at)
  useEffect(() => {
    if (isThere) document.getElementById(at)?.scrollIntoView({ block: 'center' })
  }, [at, isThere])
  return (
    <>
      <div
        className="timeline"
        ref={box}
        // biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls has to be reached by keyboard
        tabIndex={0}
        role="log"
        aria-label="Messages"
        onScroll={({ currentTarget: { scrollTop } }) => scrollTop > -40 && setCount(0)}
      >
        <div className="timeline-entries">
          {older && (
            <button type="button" className="more" onClick={older}>
              Load older messages
            </button>
          )}
          <Problem error={error} retry={retry} />
          {isPending && <Loading what="messages" />}
          {!isPending && !isHidden && messages.length === 0 && (
            <Empty title="No messages yet">
              <p>Write one below, or with an SDK: it appears at once.</p>
            </Empty>
          )}
          {entriesOf(props).map(({ key, shown }) => (
            <Fragment key={key}>{shown}</Fragment>
          ))}
          {newer && (
            <button
              type="button"
              className="more"
              onClick={() => {
                left.current = latest
                newer()
              }}
            >
              Load newer messages
            </button>
          )}
        </div>
      </div>
      {newer || (at !== undefined && error) ? (
        <Link from="/services/$service/conversations/$sid" to="." search={{}} className="button news">
          To the latest messages
        </Link>
      ) : (
        count > 0 && (
          <button type="button" className="news" onClick={toBottom}>
            New messages below
          </button>
        )
      )}
    </>
  )
}

function entriesOf({ conversation, people, messages, deliveries, at: looked, older, newer }: TimelineProps): Entry[] {
  const ascending = messages.toReversed()
  const loaded = new Set(messages.map(({ sid }) => sid))
  const ofMessage = Map.groupBy(
    deliveries.filter(({ params }) => loaded.has(params.MessageSid ?? '')),
    ({ params }) => params.MessageSid ?? '',
  )
  const entries: Entry[] = []
  let before = older ? null : -1
  let at = 0
  for (const message of ascending) {
    const gap = before === null ? 0 : message.index - before - 1
    const sent = (ofMessage.get(message.sid) ?? []).toReversed()
    // An event has the date with its fraction of a second. The order of messages is that of their indexes in any case.
    const added = sent.find(({ event_type }) => event_type === 'onMessageAdded')
    at = Math.max(at, Date.parse(added?.params.DateCreated ?? message.date_created))
    if (gap > 0) {
      const which = gap === 1 ? `Message #${message.index - 1} was deleted` : `${gap} messages were deleted`
      entries.push({ key: `gap ${message.index}`, at, shown: <p className="line">{which}</p> })
    }
    before = message.index
    entries.push({
      key: message.sid,
      at,
      shown: <MessageBubble message={message} people={people} deliveries={sent} isMarked={message.sid === looked} />,
    })
  }
  const from = older ? (entries[0]?.at ?? 0) : 0
  const to = newer ? at : Number.POSITIVE_INFINITY
  const others = deliveries.filter(({ params, date_created }) => {
    const created = Date.parse(date_created)
    return !loaded.has(params.MessageSid ?? '') && created >= from && created <= to
  })
  for (const one of others) entries.push({ key: one.id, at: Date.parse(one.date_created), shown: <EventLine delivery={one} /> })
  for (const closing of closingsUndone(others, conversation.state)) {
    entries.push({
      key: `reopened ${closing.id}`,
      at: Date.parse(closing.date_created),
      shown: <p className="line">After that it was reopened by the operator</p>,
    })
  }
  if (!older) {
    entries.push({
      key: 'created',
      // Dates of messages have no fraction of a second: nothing is before the creation.
      at: 0,
      shown: (
        <p className="line">
          Created <Time at={conversation.date_created} />
        </p>
      ),
    })
  }
  // Sorting keeps the order of what has one time: messages before what has happened in their second.
  return entries.sort((a, b) => a.at - b.at)
}

/**
 * No event says that a conversation was reopened, but one that has closed has another state only if it was. Returns the deliveries after
 * which that must have been. Each change has the time of its own, whomever and however often it was sent to.
 */
function closingsUndone(deliveries: readonly Delivery[], state: Conversation['state']): Delivery[] {
  const moves = deliveries.filter(({ event_type }) => event_type === 'onConversationStateUpdated')
  // The latest was first: of several deliveries of a change the first one is kept.
  const byChange = new Map(moves.map((one) => [`${one.params.StateUpdated} ${one.params.StateTo}`, one]))
  const changes = [...byChange.values()].sort((a, b) => timeOf(a) - timeOf(b))
  return changes.filter((one, i) => {
    const next = changes[i + 1]
    return one.params.StateTo === 'closed' && (next ? next.params.StateFrom : state) !== 'closed'
  })
}

function timeOf({ params, date_created }: Delivery): number {
  return Date.parse(params.StateUpdated ?? date_created)
}

/** What has happened, as the event that was sent says it. */
function EventLine({ delivery }: { readonly delivery: Delivery }) {
  return (
    <p className="line">
      {wordsOf(delivery)} <Time at={delivery.date_created} /> <DeliveryLink delivery={delivery} />
    </p>
  )
}

function wordsOf({ event_type, params }: Delivery): string {
  const who = isolated(params.Identity ?? params['MessagingBinding.Address'] ?? 'Somebody')
  switch (event_type) {
    case 'onConversationStateUpdated':
      return `From ${params.StateFrom} to ${params.StateTo}, ${reasons[params.Reason ?? ''] ?? ''}`
    case 'onParticipantAdded':
      return `${who} was added`
    case 'onParticipantRemoved':
      return `${who} was removed`
    case 'onParticipantUpdated':
      return `${who} was changed`
    case 'onMessageRemoved':
      return `Message #${params.Index} was deleted`
    case 'onConversationUpdated':
      return 'The conversation was changed'
    case 'onConversationAdded':
      return 'The conversation was created'
    case 'onTestEvent':
      return 'A test event was sent'
    default:
      return ''
  }
}

const reasons: Readonly<Record<string, string>> = { API: 'by a request', EVENT: 'by an event', TIMER: 'by its timer' }
