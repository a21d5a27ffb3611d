import { type Pipeline, runPreAction } from '../api/requests.ts'
import { refuse } from '../errors.ts'
import { parseStored } from '../json.ts'
import { freeMedia, mediaToJson } from '../media/rows.ts'
import type { ChangeRequest, NamedChange } from '../model/change.ts'
import type { AnyResource, Inbound } from '../model/declare.ts'
import { formOf } from '../model/form.ts'
import { type Params, parseParams, sealSecrets } from '../model/params.ts'
import { type AutoCreation, addresses } from '../resources/configuration/address.ts'
import { addressType, canonicalAddress } from '../resources/conversations/address-formats.ts'
import { conversations } from '../resources/conversations/conversation.ts'
import { projectedAddress } from '../resources/conversations/email-binding.ts'
import { elapse } from '../resources/conversations/lifecycle.ts'
import { messages } from '../resources/conversations/messages/message.ts'
import { findGroup, openWithoutProxy } from '../resources/conversations/participants/group-mms.ts'
import { holderOf, participants } from '../resources/conversations/participants/participant.ts'
import { webhooks } from '../resources/conversations/webhooks/webhook.ts'
import { newSid, orderedSid } from '../sids.ts'
import type { Reader } from '../storage/database.ts'
import { accountBySid, conversationBySid, serviceOfAccount } from '../storage/lookups.ts'
import { rowsBy } from '../storage/rows.ts'
import type { AccountRow, AddressRow } from '../storage/schema.ts'
import { openCredentials } from '../urls.ts'
import type { Vault } from '../vault.ts'
import type { InboundMedia } from './adapter.ts'
import { type ExternalId, findReceived } from './external-ids.ts'
import { type MailFacts, type MailPerson, mailHome } from './mail-destination.ts'

/** A message received from a channel. */
export interface Incoming {
  readonly account_sid: string
  readonly from: string
  /** One proxy address, or the other numbers of a group MMS. */
  readonly to: readonly string[]
  readonly subject: string | null
  readonly body: string | null
  readonly media: readonly IncomingMedia[]
  /** JSON text. */
  readonly attributes: string | null
  /** The sender's name in the channel. */
  readonly profile_name: string | null
  /** What the channel says about the message; null: the name alone. */
  readonly metadata: Readonly<Record<string, unknown>> | null
  /** How the carrier calls the message: one that was received under it already is not received again. Null: it has not said. */
  readonly external: Pick<ExternalId, 'channel' | 'external_id'> | null
  /** Of a mail: it is received once in each conversation, whichever mailboxes it was sent to. */
  readonly mail?: MailFacts
}

/** Media that were uploaded to the service of the message, or those that are stored with it. */
export type IncomingMedia = { readonly sid: string } | InboundMedia

/** What a message is received with. */
export interface Receiver {
  readonly pipeline: Pipeline
  /** Returns null when the destination has changed since the plan. */
  readonly write: (plan: Plan) => Promise<Received | null>
  /** Stores media in a service. Returns their SID; null: the message goes without them. Throws what refuses the message. */
  readonly store: (owner: { account_sid: string; service_sid: string }, media: InboundMedia) => Promise<string | null>
}

/** The sender's address and those of the receivers, at an instant. */
interface Parties {
  readonly account_sid: string
  readonly address: string
  readonly to: readonly [string, ...string[]]
  readonly now: number
  readonly mail?: MailFacts
}

/** With the sender's name in the channel. */
type NamedParties = Parties & Pick<Incoming, 'profile_name'>

/** The conversation of a message: the open one of the address pair or the group, or a new one as a receiver is configured. */
type Destination =
  | {
      readonly kind: 'open'
      readonly service_sid: string
      readonly conversation_sid: string
      /** Null: the sender of a mail joins. */
      readonly participant_sid: string | null
      /** The other recipients of a mail, who join. */
      readonly joining?: readonly MailPerson[]
    }
  | {
      readonly kind: 'new'
      readonly service_sid: string
      readonly auto_creation: AutoCreation
      /** The receivers with an address configuration: the operator's own numbers. */
      readonly configured: readonly string[]
    }

export interface Received {
  readonly account_sid: string
  readonly service_sid: string
  readonly conversation_sid: string
  readonly participant_sid: string
  readonly message_sid: string
  /** Whether the conversation was created for the message. */
  readonly created: boolean
  /** Whether the message had been received before, and nothing was done. */
  readonly duplicate: boolean
}

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

/** Attempts when concurrent changes move the destination: a conversation that another message has created is found next time. */
const maxTries = 5

const addressOf = rowsBy('addresses', ['account_sid', 'address'])

/** A refusal of an inbound message; its text is part of the response. */
export class InboundError extends Error {
  override readonly name = 'InboundError'
  readonly code = 'PARLEY_INBOUND'
  readonly statusCode: number

  constructor(statusCode: number, message: string) {
    super(message)
    this.statusCode = statusCode
  }
}

/**
 * Receives a message from a channel: finds or creates its conversation, with the rules, webhooks and refusals of the API. Throws
 * InboundError or ApiError.
 */
export async function receive({ pipeline, write, store }: Receiver, incoming: Incoming): Promise<Received> {
  const source = addressType(incoming.from)?.toUpperCase()
  if (source === undefined) throw new InboundError(400, `${incoming.from} is not an address in a known format`)
  await checkAccount(pipeline.read, incoming.account_sid)
  const external = incoming.external && { account_sid: incoming.account_sid, ...incoming.external }
  const before = external && !incoming.mail && (await receivedBefore(pipeline.read, external))
  if (before) return before
  // Stored once, even if the destination moves.
  const stored = new Map<string, Promise<readonly string[]>>()
  const storedIn = (service_sid: string) => {
    const sids = stored.get(service_sid) ?? storeAll(store, incoming, service_sid)
    stored.set(service_sid, sids)
    return sids
  }
  for (let tries = 0; tries < maxTries; tries++) {
    const plan = await planFor(pipeline, { ...incoming, external, storedIn }, source)
    const received = 'duplicate' in plan ? plan : await write(plan)
    if (received) return received
  }
  throw refuse('unavailable')
}

/** Returns what was received under a carrier's id; null when nothing was. */
export async function receivedBefore(read: Reader, external: ExternalId): Promise<Received | null> {
  const row = await findReceived(read, external)
  if (!row) return null
  return {
    account_sid: row.account_sid,
    service_sid: row.service_sid ?? '',
    conversation_sid: row.conversation_sid ?? '',
    participant_sid: row.participant_sid ?? '',
    message_sid: row.message_sid ?? '',
    created: false,
    duplicate: true,
  }
}

async function storeAll(
  store: Receiver['store'],
  { account_sid, media }: Incoming,
  service_sid: string,
): Promise<readonly string[]> {
  const sids: string[] = []
  for (const one of media) {
    const sid = 'sid' in one ? one.sid : await store({ account_sid, service_sid }, one)
    if (sid !== null) sids.push(sid)
  }
  return sids
}

async function checkAccount(read: Reader, sid: string): Promise<void> {
  const account = await read.one(accountBySid, { sid })
  if (!account) throw new InboundError(404, `there is no account ${sid}`)
  if (account.status !== 'active') throw new InboundError(403, `the account ${sid} is suspended`)
}

/** Returns the destination of a message; undefined if it has none. */
export async function findDestination(read: Reader, parties: Parties): Promise<Destination | undefined> {
  const { account_sid } = parties
  const account = await read.one(accountBySid, { sid: account_sid })
  if (!account) return undefined
  const open = parties.mail
    ? await homeDestination(read, parties, parties.mail)
    : ((await pairDestination(read, account, parties)) ??
      (await mailDestination(read, parties)) ??
      (await groupDestination(read, parties)))
  if (open || parties.mail?.opens === false) return open
  const configured = await configuredReceivers(read, parties)
  const enabled = configured.map((row) => parseStored<AutoCreation>(row.auto_creation)).find((auto) => auto.enabled)
  if (!enabled) return undefined
  const sid = enabled.conversation_service_sid
  const service = sid ? await read.one(serviceOfAccount, { sid, account_sid }) : undefined
  return {
    kind: 'new',
    service_sid: service?.sid ?? account.default_service_sid,
    auto_creation: enabled,
    configured: configured.map(({ address }) => address),
  }
}

async function pairDestination(read: Reader, account: AccountRow, parties: Parties): Promise<Destination | undefined> {
  const { address, to, now } = parties
  const holder = to.length === 1 ? await holderOf(read, { account, now }, address, to[0]) : null
  if (!holder?.conversation || holder.conversation.state === 'closed') return undefined
  const { service_sid, conversation_sid, sid } = holder.participant
  return { kind: 'open', service_sid, conversation_sid, participant_sid: sid }
}

async function homeDestination(read: Reader, parties: Parties, facts: MailFacts): Promise<Destination | undefined> {
  const { address, to } = parties
  const who = { address: canonicalAddress(address), mailbox: canonicalAddress(to[0]) }
  const home = await mailHome(read, parties, who, facts)
  return home && { kind: 'open', ...home }
}

/** Returns the open conversation of a mail participant: the one whose own address got the mail, else one of its mailbox. */
async function mailDestination(read: Reader, { account_sid, address, to, now }: Parties): Promise<Destination | undefined> {
  if (!isMail(address) || to.length > 1) return undefined
  const mailbox = canonicalAddress(to[0])
  let found: Destination | undefined
  for (const { service_sid, conversation_sid, sid } of await openWithoutProxy(read, account_sid, canonicalAddress(address))) {
    const row = await read.one(conversationBySid, { service_sid, sid: conversation_sid })
    if (!row || (elapse(row, now) ?? row).state === 'closed') continue
    const destination = { kind: 'open', service_sid, conversation_sid, participant_sid: sid } as const
    if (projectedAddress(row)?.toLowerCase() === mailbox) return destination
    if (row.email_address?.toLowerCase() === mailbox) found ??= destination
  }
  return found
}

function isMail(address: string): boolean {
  return addressType(address) === 'email'
}

/** Returns the group conversation with exactly the numbers of sender and receivers (documented in the guide on group texting). */
async function groupDestination(read: Reader, parties: Parties): Promise<Destination | undefined> {
  const { address, to } = parties
  const group = await findGroup(read, parties, address, new Set([address, ...to]))
  return (
    group && {
      kind: 'open',
      service_sid: group.service_sid,
      conversation_sid: group.conversation_sid,
      participant_sid: group.sid,
    }
  )
}

async function configuredReceivers(read: Reader, { account_sid, to }: Parties): Promise<AddressRow[]> {
  const spelled = [...new Set(to.flatMap((address) => [address, canonicalAddress(address)]))]
  const found = await Promise.all(spelled.map((address) => read.one(addressOf, { account_sid, address })))
  return found.filter((row) => row !== undefined)
}

export function sameDestination(one: Destination | undefined, other: Destination): boolean {
  return JSON.stringify(one) === JSON.stringify(other)
}

/** Returns what was received already, of a mail that is in its conversation. */
async function planFor(pipeline: Pipeline, given: Planned, source: string): Promise<Plan | Received> {
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

type Planned = Omit<Incoming, 'external'> & {
  readonly external: ExternalId | null
  readonly storedIn: (service_sid: string) => Promise<readonly string[]>
}

/** With its media stored, by their SIDs. */
type Stored = Omit<Incoming, 'media' | 'external'> & { readonly media: readonly string[] }

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
    participant: (open ? destination.participant_sid : null) ?? orderedSid('participant', now),
    message: newSid('message', now),
  }
}

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
      request: build(participants, isSender ? sids.participant : orderedSid('participant', message.now), form),
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

type FormValues = Readonly<Record<string, string | string[]>>
type RequestBuilder = (resource: AnyResource, sid: string, form: FormValues) => ChangeRequest
type Change = { readonly resource: AnyResource; readonly request: ChangeRequest }
type Changes = readonly [Change, ...Change[]]

/** Returns a function that makes create requests from forms, as the API does, with the channel as source and webhooks enabled. */
function requestBuilder(by: {
  vault: Vault
  parties: Parties
  service_sid: string
  conversation_sid: string
  source: string
  inbound: Inbound
}): RequestBuilder {
  const { vault, parties, service_sid, conversation_sid, source, inbound } = by
  return (resource, sid, form) => {
    const parents = resource === conversations ? [] : [conversation_sid]
    const text = [...parents.map((parent) => `/${conversations.path}/${parent}`), `/${resource.path}`].join('')
    const given = parseParams<Params>(resource.params, 'create', formOf(form))
    const params = sealSecrets(resource.params, given, (secret) => vault.seal(secret))
    const path = { account_sid: parties.account_sid, service_sid, parents, key: null, text }
    return { verb: 'create', path, params, sid, now: parties.now, webhooks: true, source, inbound }
  }
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
    const sid = i === 0 ? sids.participant : orderedSid('participant', message.now)
    return { ...build(participants, sid, form), setup: i === length - 1 ? 'complete' : 'ongoing' }
  })
  return [
    { resource: conversations, request: conversation },
    ...(webhook ? [{ resource: webhooks, request: build(webhooks, newSid('webhook', message.now), webhook) }] : []),
    ...members.map((request) => ({ resource: participants, request })),
    { resource: messages, request: message },
  ]
}

/** Returns the forms of the participants, the sender first: one with a proxy address, or the native and projected ones of a group. */
function bindingsFor({ address, to, profile_name, mail }: NamedParties, configured: readonly string[]): FormValues[] {
  if (isMail(address)) return [{ address, level: 'to' as const, name: profile_name }, ...(mail?.others ?? [])].map(mailBinding)
  if (to.length === 1) return [{ 'MessagingBinding.Address': address, 'MessagingBinding.ProxyAddress': to[0] }]
  const others = to.map((number) =>
    configured.includes(number) ? { 'MessagingBinding.ProjectedAddress': number } : { 'MessagingBinding.Address': number },
  )
  return [{ 'MessagingBinding.Address': address }, ...others]
}

/** Returns the forms of those who join an open conversation by a mail, the sender first. */
function joiningBindings(
  { participant_sid, joining = [] }: Extract<Destination, { kind: 'open' }>,
  { address, profile_name }: NamedParties,
): FormValues[] {
  const sender = participant_sid === null ? [{ address, level: 'to' as const, name: profile_name }] : []
  return [...sender, ...joining].map(mailBinding)
}

function mailBinding({ address, level, name }: MailPerson): FormValues {
  return {
    'MessagingBinding.Address': address,
    'MessagingBinding.Type': 'email',
    'MessagingBinding.Level': level,
    'MessagingBinding.Name': name ?? '',
  }
}

function messageForm({ from, subject, body, media, attributes }: Stored): FormValues {
  return {
    Author: from,
    ...(subject !== null && { Subject: subject }),
    ...(body !== null && { Body: body }),
    ...(media.length > 0 && { MediaSid: [...media] }),
    ...(attributes !== null && { Attributes: attributes }),
  }
}

/** Returns the form of the webhook that the address configuration adds to new conversations; undefined if it adds none. */
function webhookForm(auto: AutoCreation, vault: Vault): FormValues | undefined {
  if (auto.type === 'studio') return { Target: 'studio', 'Configuration.FlowSid': auto.studio_flow_sid ?? '' }
  if (auto.type === 'default') return undefined
  return {
    Target: 'webhook',
    'Configuration.Url': openCredentials(auto.webhook_url ?? '', (sealed) => vault.open(sealed)),
    // The conversation's own webhooks spell the method in lower case.
    'Configuration.Method': (auto.webhook_method ?? 'POST').toLowerCase(),
    'Configuration.Filters': [...(auto.webhook_filters ?? [])],
  }
}

/** Returns the channel metadata: what the channel says, else the sender's name where the vendor's channels put it. */
function metadata(source: string, { metadata: data, profile_name }: Stored): string | null {
  if (data !== null) return JSON.stringify({ type: source.toLowerCase(), data })
  if (profile_name === null) return null
  return JSON.stringify({ type: source.toLowerCase(), data: { context: { ProfileName: profile_name } } })
}
