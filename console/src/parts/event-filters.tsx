import { type EventType, type PostActionEvent, postActionEvents, preActionEvents } from '../../../src/events/names.ts'
import { CheckField } from './page-form.tsx'

/** When each event is sent. */
const meanings: Readonly<Record<EventType, string>> = {
  onMessageAdd: 'Somebody is about to write. May refuse; may change body, author and attributes.',
  onMessageUpdate: 'A message is about to be changed. May refuse; may change body, author and attributes.',
  onMessageRemove: 'A message is about to be deleted. May refuse.',
  onConversationAdd: 'A conversation is about to be created. May refuse; may change friendly name and attributes.',
  onConversationUpdate: 'A conversation is about to be changed. May refuse; may change the friendly name.',
  onConversationRemove: 'A conversation is about to be deleted. May refuse.',
  onParticipantAdd: 'Somebody is about to join. May refuse.',
  onParticipantUpdate: 'A participant is about to be changed. May refuse.',
  onParticipantRemove: 'Somebody is about to leave or to be removed. May refuse.',
  onUserUpdate: 'A user is about to be changed. May refuse.',
  onMessageAdded: 'A message was written.',
  onMessageUpdated: 'A message was changed.',
  onMessageRemoved: 'A message was deleted.',
  onConversationAdded: 'A conversation was created.',
  onConversationUpdated: 'The name or attributes of a conversation were changed.',
  onConversationRemoved: 'A conversation was deleted.',
  onConversationStateUpdated: 'A conversation became active, inactive or closed: by a request, a timer or a message.',
  onParticipantAdded: 'Somebody joined a conversation.',
  onParticipantUpdated: 'A participant was changed, or has read on.',
  onParticipantRemoved: 'Somebody left a conversation, or was removed.',
  onDeliveryUpdated: 'The receipt of a message to an address was changed: sent, delivered, read or failed.',
  onUserAdded: 'A user was created, by a request or by the first use of their identity.',
  onUserUpdated: 'A user was changed, came online or went offline.',
}

interface EventFiltersProps {
  readonly name: string
  readonly chosen: readonly string[]
}

/** Which events a webhook of an account or a service is sent. */
export function EventFilters({ name, chosen }: EventFiltersProps) {
  return (
    <>
      <fieldset>
        <legend>Before a change</legend>
        <p className="row-note">
          The pre-action URL is called, and the change waits up to five seconds. Any status but 2xx refuses it (50056); without a
          response it goes ahead.
        </p>
        <Checks name={name} events={preActionEvents} chosen={chosen} />
      </fieldset>
      <PostActionFilters name={name} events={postActionEvents} chosen={chosen} />
    </>
  )
}

/** Which events are sent after the fact. */
export function PostActionFilters(props: EventFiltersProps & { readonly events: readonly PostActionEvent[] }) {
  return (
    <fieldset>
      <legend>After a change</legend>
      <p className="row-note">The URL is sent what has happened, once it is stored.</p>
      <Checks {...props} />
    </fieldset>
  )
}

function Checks({ name, events, chosen }: EventFiltersProps & { readonly events: readonly EventType[] }) {
  return (
    <div className="checks">
      {events.map((event) => (
        <CheckField key={event} label={event} name={name} value={event} checked={chosen.includes(event)} hint={meanings[event]} />
      ))}
    </div>
  )
}
