import { ancestorsOfChildren, type Pipeline, runPreAction } from '../api/requests.ts'
import { refuse } from '../errors.ts'
import { parseStored } from '../json.ts'
import { freeMedia, mediaToJson } from '../media/rows.ts'
import type { ChangeRequest, NamedChange } from '../model/change.ts'
import type { AnyResource, Inbound } from '../model/declare.ts'
import { Form } from '../model/form.ts'
import { type Params, parseParams } from '../model/params.ts'
import { type AutoCreation, addresses } from '../resources/configuration/address.ts'
import { addressType } from '../resources/conversations/address-formats.ts'
import { conversations } from '../resources/conversations/conversation.ts'
import { messages } from '../resources/conversations/messages/message.ts'
import { holderOf, participants } from '../resources/conversations/participants/participant.ts'
import { webhooks } from '../resources/conversations/webhooks/webhook.ts'
import { newSid } from '../sids.ts'
import type { Reader } from '../storage/database.ts'
import { rowsBy } from '../storage/rows.ts'

/** A message as a channel hands it in. */
export interface Incoming {
  readonly account_sid: string
  readonly from: string
  readonly to: string
  readonly body: string | null
  readonly media_sid: string | null
  /** JSON text. */
  readonly attributes: string | null
  /** What the channel calls the sender. */
  readonly profile_name: string | null
}

/** The person who writes and the address they write to, at an instant. */
interface Pair {
  readonly account_sid: string
  readonly address: string
  readonly proxy_address: string
  readonly now: number
}

/** Where a message belongs: in the open conversation of the pair, or in a new one as the address is configured. */
type Destination =
  | {
      readonly kind: 'open'
      readonly service_sid: string
      readonly conversation_sid: string
      readonly participant_sid: string
    }
  | { readonly kind: 'new'; readonly service_sid: string; readonly auto_creation: AutoCreation }

export interface Received {
  readonly account_sid: string
  readonly service_sid: string
  readonly conversation_sid: string
  readonly participant_sid: string
  readonly message_sid: string
  /** Whether the message made its conversation. */
  readonly created: boolean
}

/** What a message will do, decided and allowed on committed rows: plain data for the transaction, which looks again. */
export interface Plan {
  readonly pair: Pair
  readonly destination: Destination
  readonly changes: readonly [NamedChange, ...NamedChange[]]
  readonly received: Received
}

/** How often others may be faster: whoever makes the conversation first, the next try finds it. */
const max_tries = 5

const accountBySid = rowsBy('accounts', ['sid'])
const serviceOfAccount = rowsBy('services', ['sid', 'account_sid'])
const addressOf = rowsBy('addresses', ['account_sid', 'address'])

/** Something about an inbound message that the caller can read. */
class InboundError extends Error {
  override readonly name = 'InboundError'
  readonly code = 'PARLEY_INBOUND'
  readonly statusCode: number

  constructor(statusCode: number, message: string) {
    super(message)
    this.statusCode = statusCode
  }
}

/**
 * Takes in a message of a channel: finds or makes its conversation, by the same rules, webhooks and refusals as a caller of the API.
 * `write` answers null when things have changed since the plan was made. Throws InboundError or ApiError.
 */
export async function receive(
  pipeline: Pipeline,
  write: (plan: Plan) => Promise<Received | null>,
  incoming: Incoming,
): Promise<Received> {
  const source = addressType(incoming.from)?.toUpperCase()
  if (source === undefined) throw new InboundError(400, `${incoming.from} has no known form of address`)
  await refuseAccount(pipeline.read, incoming.account_sid)
  for (let tries = 0; tries < max_tries; tries++) {
    const received = await write(await planned(pipeline, incoming, source))
    if (received) return received
  }
  throw refuse('unavailable')
}

async function refuseAccount(read: Reader, sid: string): Promise<void> {
  const account = await read.one(accountBySid, { sid })
  if (!account) throw new InboundError(404, `there is no account ${sid}`)
  if (account.status !== 'active') throw new InboundError(403, `the account ${sid} is suspended`)
}

/** Undefined when the message belongs nowhere. */
export async function findDestination(read: Reader, pair: Pair): Promise<Destination | undefined> {
  const { account_sid, address, proxy_address, now } = pair
  const account = await read.one(accountBySid, { sid: account_sid })
  if (!account) return undefined
  const holder = await holderOf(read, { account, now }, address, proxy_address)
  if (holder?.conversation && holder.conversation.state !== 'closed') {
    const { service_sid, conversation_sid, sid } = holder.participant
    return { kind: 'open', service_sid, conversation_sid, participant_sid: sid }
  }
  const configured = await read.one(addressOf, { account_sid, address: proxy_address })
  const auto_creation = configured && parseStored<AutoCreation>(configured.auto_creation)
  if (!auto_creation?.enabled) return undefined
  const sid = auto_creation.conversation_service_sid
  const service = sid ? await read.one(serviceOfAccount, { sid, account_sid }) : undefined
  return { kind: 'new', service_sid: service?.sid ?? account.default_service_sid, auto_creation }
}

export function sameDestination(one: Destination | undefined, other: Destination): boolean {
  return JSON.stringify(one) === JSON.stringify(other)
}

async function planned(pipeline: Pipeline, incoming: Incoming, source: string): Promise<Plan> {
  const { account_sid, from: address, to: proxy_address } = incoming
  const pair: Pair = { account_sid, address, proxy_address, now: pipeline.clock.now() }
  const destination = await findDestination(pipeline.read, pair)
  if (!destination) {
    throw new InboundError(
      404,
      `${address} has no open conversation over ${proxy_address}, and ${addresses.path} has no ${proxy_address} with AutoCreation.Enabled`,
    )
  }
  const { now } = pair
  const sids = {
    conversation: destination.kind === 'open' ? destination.conversation_sid : newSid('conversation', now),
    participant: destination.kind === 'open' ? destination.participant_sid : newSid('participant', now),
    message: newSid('message', now),
  }
  const inbound: Inbound = {
    participant_sid: sids.participant,
    address,
    proxy_address,
    body: incoming.body,
    media: await openingMedia(pipeline.read, destination, incoming),
    channel_metadata: metadata(source, incoming.profile_name),
  }
  const ask = requests({ pair, service_sid: destination.service_sid, conversation_sid: sids.conversation, source, inbound })
  const message = ask(messages, sids.message, messageForm(incoming))
  const changes: Changes =
    destination.kind === 'open'
      ? [{ resource: messages, request: await runPreAction(pipeline, messages, message) }]
      : await opening(pipeline, destination.auto_creation, ask, pair, sids, message)
  // One instant for all, whichever of the webhooks' answers came last.
  const committed = pipeline.clock.now()
  const [first, ...more] = changes
  const atOnce = ({ resource, request }: Change): NamedChange => ({
    resource: resource.name,
    request: { ...request, now: committed },
  })
  return {
    pair: { ...pair, now: committed },
    destination,
    changes: [atOnce(first), ...more.map(atOnce)],
    received: {
      account_sid,
      service_sid: destination.service_sid,
      conversation_sid: sids.conversation,
      participant_sid: sids.participant,
      message_sid: sids.message,
      created: destination.kind === 'new',
    },
  }
}

/** What a new conversation is told to open with. Throws what is wrong with the media. */
async function openingMedia(read: Reader, destination: Destination, incoming: Incoming): Promise<string | null> {
  const { MediaSid } = parseParams(messages.params, 'create', new Form(messageForm(incoming)))
  return destination.kind === 'new' && MediaSid ? mediaToJson(await freeMedia(read, destination.service_sid, MediaSid)) : null
}

type Given = Readonly<Record<string, string | string[]>>
type Ask = (resource: AnyResource, sid: string, form: Given) => ChangeRequest
type Change = { readonly resource: AnyResource; readonly request: ChangeRequest }
type Changes = readonly [Change, ...Change[]]

/** Requests as the API would make them of a form, but by the channel, whose webhooks need no header. */
function requests(by: { pair: Pair; service_sid: string; conversation_sid: string; source: string; inbound: Inbound }): Ask {
  const { pair, service_sid, conversation_sid, source, inbound } = by
  return (resource, sid, form) => {
    const parents = resource === conversations ? [] : [conversation_sid]
    const text = [...parents.map((parent) => `/${conversations.path}/${parent}`), `/${resource.path}`].join('')
    const params = parseParams<Params>(resource.params, 'create', new Form(form))
    const path = { account_sid: pair.account_sid, service_sid, parents, key: null, text }
    return { verb: 'create', path, params, sid, now: pair.now, webhooks: true, source, inbound }
  }
}

/**
 * A conversation for the message, in the order in which it is told: the conversation, who writes, the message. Its webhook comes
 * early enough to be told of both.
 */
async function opening(
  pipeline: Pipeline,
  auto_creation: AutoCreation,
  ask: Ask,
  { address, proxy_address }: Pair,
  sids: { readonly conversation: string; readonly participant: string },
  message: ChangeRequest,
): Promise<Changes> {
  const binding = { 'MessagingBinding.Address': address, 'MessagingBinding.ProxyAddress': proxy_address }
  const conversation = await runPreAction(pipeline, conversations, ask(conversations, sids.conversation, {}))
  const ancestors = await ancestorsOfChildren(pipeline.read, conversations, conversation)
  const participant = await runPreAction(pipeline, participants, ask(participants, sids.participant, binding), ancestors)
  const allowed = await runPreAction(pipeline, messages, message, ancestors)
  const webhook = webhookForm(auto_creation)
  return [
    { resource: conversations, request: conversation },
    ...(webhook ? [{ resource: webhooks, request: ask(webhooks, newSid('webhook', message.now), webhook) }] : []),
    { resource: participants, request: participant },
    { resource: messages, request: allowed },
  ]
}

function messageForm({ from, body, media_sid, attributes }: Incoming): Given {
  return {
    Author: from,
    ...(body !== null && { Body: body }),
    ...(media_sid !== null && { MediaSid: media_sid }),
    ...(attributes !== null && { Attributes: attributes }),
  }
}

/** The webhook that the address configuration attaches; undefined when it attaches none. */
function webhookForm(auto: AutoCreation): Given | undefined {
  if (auto.type === 'studio') return { Target: 'studio', 'Configuration.FlowSid': auto.studio_flow_sid ?? '' }
  if (auto.type === 'default') return undefined
  return {
    Target: 'webhook',
    'Configuration.Url': auto.webhook_url ?? '',
    // As a conversation's own webhooks spell it.
    'Configuration.Method': (auto.webhook_method ?? 'POST').toLowerCase(),
    'Configuration.Filters': [...(auto.webhook_filters ?? [])],
  }
}

/** Where the vendor's channels put the name that somebody goes by there. */
function metadata(source: string, profile_name: string | null): string | null {
  if (profile_name === null) return null
  return JSON.stringify({ type: source.toLowerCase(), data: { context: { ProfileName: profile_name } } })
}
