import { type Pipeline, runPreAction } from '../api/requests.ts'
import { freeMedia, mediaToJson } from '../media/rows.ts'
import type { ChangeRequest, NamedChange } from '../model/change.ts'
import type { AnyResource, Inbound } from '../model/declare.ts'
import { formOf } from '../model/form.ts'
import { parseParams } from '../model/params.ts'
import { addresses } from '../resources/configuration/address.ts'
import { conversations } from '../resources/conversations/conversation.ts'
import { messages } from '../resources/conversations/messages/message.ts'
import { participants } from '../resources/conversations/participants/participant.ts'
import { webhooks } from '../resources/conversations/webhooks/webhook.ts'
import { newSid } from '../sids.ts'
import { type Destination, findDestination, isMail, type Parties } from './destination.ts'
import type { ExternalId } from './external-ids.ts'
import {
  bindingsFor,
  joiningBindings,
  messageForm,
  metadata,
  type NamedParties,
  type RequestBuilder,
  requestBuilder,
  type Stored,
  webhookForm,
} from './inbound-requests.ts'
import { InboundError, type Incoming, type Received, receivedBefore } from './incoming.ts'

/**
 * The changes for a message, decided on committed rows and allowed by pre-action webhooks. Plain data for the transaction, which
 * checks the destination again.
 */
export interface Plan {
  readonly parties: Parties
  readonly destination: Destination
  readonly changes: readonly [NamedChange, ...NamedChange[]]
  readonly received: Received
  readonly external: ExternalId | null
}

type Planned = Omit<Incoming, 'external'> & {
  readonly external: ExternalId | null
  readonly storedIn: (service_sid: string) => Promise<readonly string[]>
}

/** Returns what was received already, of a mail that is in its conversation. */
export async function planFor(pipeline: Pipeline, given: Planned, source: string): Promise<Plan | Received> {
  const { storedIn, ...incoming } = given
  const { account_sid } = incoming
  const parties = partiesOf(incoming, pipeline.clock.now(account_sid))
  const destination = await findDestination(pipeline.read, parties)
  if (!destination) {
    const to = parties.to.join(', ')
    throw new InboundError(
      404,
      `${parties.address} has no open conversation over ${to}, and ${addresses.path} has no ${to} with AutoCreation.Enabled`,
    )
  }
  const sids = sidsFor(destination, parties.now)
  const external = given.external && given.mail ? { ...given.external, channel: sids.conversation } : given.external
  const before = given.mail && external && (await receivedBefore(pipeline.read, external))
  if (before) return before
  const media = await storedIn(destination.service_sid)
  const changes = await allowedChanges(pipeline, { ...incoming, media }, source, parties, destination, sids)
  // All changes have one time, that of the transaction: the webhooks may have taken seconds.
  const now = pipeline.clock.now(account_sid)
  const [first, ...more] = changes
  const named = ({ resource, request }: Change): NamedChange => ({ resource: resource.name, request: { ...request, now } })
  return {
    parties: { ...parties, now },
    destination,
    changes: [named(first), ...more.map(named)],
    received: {
      account_sid,
      service_sid: destination.service_sid,
      conversation_sid: sids.conversation,
      participant_sid: sids.participant,
      message_sid: sids.message,
      created: destination.kind === 'new',
      duplicate: false,
    },
    external,
  }
}

function partiesOf(
  { account_sid, from, to, mail }: Pick<Incoming, 'account_sid' | 'from' | 'to' | 'mail'>,
  now: number,
): Parties {
  const [first, ...more] = new Set(to.filter((address) => to.length === 1 || address !== from))
  if (first === undefined) throw new InboundError(400, 'to has no address besides that of the sender')
  return { account_sid, address: from, to: [first, ...more], now, ...(mail && { mail }) }
}

interface Sids {
  readonly conversation: string
  readonly participant: string
  readonly message: string
}

function sidsFor(destination: Destination, now: number): Sids {
  const open = destination.kind === 'open'
  return {
    conversation: open ? destination.conversation_sid : newSid('conversation', now),
    participant: (open ? destination.participant_sid : null) ?? newSid('participant', now),
    message: newSid('message', now),
  }
}

type Change = { readonly resource: AnyResource; readonly request: ChangeRequest }

type Changes = readonly [Change, ...Change[]]

/** Returns the changes for a message, each allowed and perhaps amended by its pre-action webhook. */
async function allowedChanges(
  pipeline: Pipeline,
  incoming: Stored,
  source: string,
  parties: Parties,
  destination: Destination,
  sids: Sids,
): Promise<Changes> {
  const isGroup = parties.to.length > 1
  const inbound: Inbound = {
    participant_sid: sids.participant,
    address: parties.address,
    proxy_address: isGroup || isMail(parties.address) ? null : parties.to[0],
    projected_address: isGroup && destination.kind === 'new' ? (destination.configured[0] ?? null) : null,
    body: incoming.body,
    media: await mediaForEvent(pipeline, destination, incoming),
    channel_metadata: metadata(source, incoming),
  }
  const { service_sid } = destination
  const { vault } = pipeline.preAction
  const build = requestBuilder({ vault, parties, service_sid, conversation_sid: sids.conversation, source, inbound })
  const message = build(messages, sids.message, messageForm(incoming))
  const named = { ...parties, profile_name: incoming.profile_name }
  if (destination.kind === 'new') return newConversation(pipeline, destination, build, named, sids, message)
  const allowed = { resource: messages, request: await runPreAction(pipeline, messages, message) }
  // Who joins by a mail is in it already: nobody is asked.
  const joining = joiningBindings(destination, named).map((form, i) => {
    const isSender = i === 0 && destination.participant_sid === null
    return {
      resource: participants,
      request: build(participants, isSender ? sids.participant : newSid('participant', message.now), form),
    }
  })
  const [first, ...more] = [...joining, allowed]
  return first ? [first, ...more] : [allowed]
}

/** Returns the media for the event of a new conversation, else null. Throws the refusal of the parameter or the media. */
async function mediaForEvent({ read, clock }: Pipeline, destination: Destination, incoming: Stored): Promise<string | null> {
  const { MediaSid } = parseParams(messages.params, 'create', formOf(messageForm(incoming)))
  if (destination.kind !== 'new' || !MediaSid?.length) return null
  const now = clock.now(incoming.account_sid)
  return mediaToJson(await Promise.all(MediaSid.map((sid) => freeMedia(read, destination.service_sid, sid, now))))
}

/**
 * Returns the changes that create a conversation for the message, in the order of their events: the conversation, who is in it, the
 * message. The conversation's webhook comes second, so that it receives the events of all. Only the conversation has a pre-action
 * event (documented): a webhook that refuses it drops the message.
 */
async function newConversation(
  pipeline: Pipeline,
  { auto_creation, configured }: Extract<Destination, { kind: 'new' }>,
  build: RequestBuilder,
  parties: NamedParties,
  sids: Sids,
  message: ChangeRequest,
): Promise<Changes> {
  // The conversation's mail address takes the place of a proxy address.
  const form = isMail(parties.address) ? { 'Bindings.Email.Address': parties.to[0] } : {}
  const conversation = await runPreAction(pipeline, conversations, build(conversations, sids.conversation, form))
  const webhook = webhookForm(auto_creation, pipeline.preAction.vault)
  const members = bindingsFor(parties, configured).map((form, i, { length }): ChangeRequest => {
    const sid = i === 0 ? sids.participant : newSid('participant', message.now)
    return { ...build(participants, sid, form), setup: i === length - 1 ? 'complete' : 'ongoing' }
  })
  return [
    { resource: conversations, request: conversation },
    ...(webhook ? [{ resource: webhooks, request: build(webhooks, newSid('webhook', message.now), webhook) }] : []),
    ...members.map((request) => ({ resource: participants, request })),
    { resource: messages, request: message },
  ]
}
