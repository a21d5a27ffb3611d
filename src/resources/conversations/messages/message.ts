import { milliseconds } from '../../../dates.ts'
import { refuse } from '../../../errors.ts'
import type { Event, Payload } from '../../../events/event.ts'
import { parseStored } from '../../../json.ts'
import { freeMedia, mediaToJson, mediaToPayload, mediaToRest, updateMediaOf } from '../../../media/rows.ts'
import { type Facts, type Inbound, resource, rowOf, stepOf } from '../../../model/declare.ts'
import {
  createOnly,
  date,
  exactText,
  given,
  jsonText,
  longerThan,
  oneOf,
  type Param,
  type Parsed,
  param,
  repeated,
  sid,
  text,
} from '../../../model/params.ts'
import { column, computed, links, onlyInService, representation, selfUrl } from '../../../model/representation.ts'
import { pushNewMessage } from '../../../push/enqueue.ts'
import type { Reader } from '../../../storage/database.ts'
import { contentOfAccount, participantByAddress, participantByIdentity } from '../../../storage/lookups.ts'
import { rowsBy } from '../../../storage/rows.ts'
import type { ContentRow, ConversationRow, MediaRow, MessageRow, ParticipantRow } from '../../../storage/schema.ts'
import { announce, buryMessage, nextMessageEvent } from '../../client-events.ts'
import { messagesList } from '../../sync-objects.ts'
import { addressType, canonicalAddress } from '../address-formats.ts'
import { type ConversationChildFacts, conversations } from '../conversation.ts'
import { refuseUnusable, withNewMessage } from '../lifecycle.ts'
import { canActivate, groupMembers, isNative, type Member } from '../participants/group-mms.ts'
import { scopedTargets } from '../webhooks/targets.ts'
import { renderedText } from './content.ts'
import { dispatch, nonChatParticipants, summary } from './dispatch.ts'

/** Attachments of one message, as the vendor's client service says. */
export const maxMedia = 10

/** Characters of ContentVariables. */
const maxVariables = 27_801

const params = {
  Author: text({ max: 256, tooLong: 'authorTooLong' }),
  Body: exactText(32_768, 'bodyTooLong'),
  DateCreated: date('invalidDateCreated'),
  DateUpdated: date('invalidDateUpdated'),
  Attributes: jsonText(4096),
  MediaSid: createOnly(mediaSids()),
  ContentSid: createOnly(sid('content', 'invalidContentSid')),
  ContentVariables: createOnly(contentVariables()),
  Subject: text({ max: 256 }),
}

type Given = Parsed<typeof params>

interface Loaded {
  /** The author's participant; null when the author is none. */
  readonly author: Pick<ParticipantRow, 'sid' | 'projected_address'> | null
  /** The participants that a new message is sent to by a messaging channel. */
  readonly recipients: readonly ParticipantRow[]
  /** All participants with an address. */
  readonly nonChat: readonly ParticipantRow[]
  /** The members of a group MMS; null for any other conversation. It is a group when it has a native member. */
  readonly group: readonly Member[] | null
  /** The media of a new message. */
  readonly media: readonly MediaRow[]
  /** The registered template of a new message. */
  readonly content: ContentRow | null
}

const participantByProjection = rowsBy('participants', ['service_sid', 'conversation_sid', 'projected_address'])

/** https://www.twilio.com/docs/conversations/api/conversation-message-resource */
export const messages = resource<MessageRow, 'index'>()({
  name: 'Message',
  path: 'Messages',
  countsFor: { create: 'root', update: 'root', remove: 'root' },
  under: conversations,
  childColumn: 'message_sid',
  cascade: 'inline',
  table: 'messages',
  searched: ['body', 'subject'],
  sid: 'message',
  params,
  load,

  create(p, facts, { author, recipients, group, media, content }) {
    const conversation = facts.parents[0]
    if (p.ContentVariables && !p.ContentSid) throw refuse('contentSidMissing')
    if (p.Body === undefined && !p.MediaSid?.length && !p.ContentSid) throw refuse('bodyMissing')
    if (group && !author) throw refuse('authorNotInGroup')
    refuseUnusable(conversation)
    // A message that a carrier has carried proves that it can.
    if (group && !facts.inbound && !canActivate(group)) throw refuse('groupNotActivated')
    return {
      message_index: conversation.last_message_index + 1,
      author: p.Author ?? 'system',
      participant_sid: author?.sid ?? null,
      // The content template determines the body; a given one is ignored (documented).
      body: p.ContentSid ? contentBody(content, p) : (p.Body ?? null),
      subject: p.Subject ?? null,
      media: media.length > 0 ? mediaToJson(media) : null,
      attributes: p.Attributes ?? '{}',
      content_sid: p.ContentSid ?? null,
      content_variables: p.ContentVariables ?? null,
      channel_metadata: facts.inbound?.channel_metadata ?? null,
      delivery: recipients.length === 0 ? null : JSON.stringify(summary(recipients.length, [])),
      source: facts.source ?? 'API',
      last_updated_by: null,
      event_id: conversation.last_event_id + 1,
      created_event_id: conversation.last_event_id + 1,
    }
  },

  update(before, p, facts, { author }) {
    refuseUnusable(facts.parents[0])
    const sameAuthor = p.Author === undefined || p.Author === null || p.Author === before.author
    return {
      ...before,
      author: p.Author ?? before.author,
      participant_sid: sameAuthor ? before.participant_sid : (author?.sid ?? null),
      body: p.Body ?? before.body,
      subject: given(p.Subject, before.subject),
      attributes: p.Attributes ?? before.attributes,
      last_updated_by: facts.client_identity ?? 'system',
    }
  },

  remove: (_before, facts) => refuseUnusable(facts.parents[0]),

  /** A new message takes the next index, makes the conversation active and restarts its deadlines. */
  steps(change, facts) {
    if (change.verb !== 'create') return [change]
    const [before] = facts.parents
    const { message_index, event_id: lastEventId } = change.after
    const counted = { last_message_index: message_index, last_event_id: lastEventId, revision: before.revision + 1 }
    const after = { ...withNewMessage(before, facts.now), ...counted }
    return [change, stepOf(conversations, { verb: 'update', before, after, cause: 'consequence' }, { ...facts, parents: [] })]
  },

  async number(tx, { before, after }, { now }) {
    if (!after) {
      if (before) await buryMessage(tx, before, now)
      return null
    }
    // A new one has been numbered with its conversation, which changes anyway.
    if (before) return { ...after, event_id: await nextMessageEvent(tx, after.service_sid, after.conversation_sid) }
    announce(tx, messagesList(after.conversation_sid))
    return after
  },

  async afterWrite(tx, { before, after }, facts, loaded) {
    await updateMediaOf(tx, before, after, facts.now)
    if (!before && after && loaded) await dispatch(tx, after, loaded.recipients, loaded.nonChat, facts)
    if (!before && after) await pushNewMessage(tx, after, facts.parents[0], facts)
  },

  represent: representation<MessageRow, 'index'>()({
    sid: column.word('sid'),
    account_sid: column.word('account_sid'),
    chat_service_sid: onlyInService(column.word('service_sid')),
    conversation_sid: column.word('conversation_sid'),
    body: column.text('body'),
    media: computed(['media'], ({ media }: Pick<MessageRow, 'media'>) => mediaToRest(media), 'null'),
    author: column.text('author'),
    participant_sid: column.text('participant_sid'),
    attributes: column.text('attributes'),
    date_created: column.date('date_created'),
    date_updated: column.date('date_updated'),
    index: column.integer('message_index'),
    delivery: computed(['delivery'], deliveryToJson, 'null'),
    content_sid: column.text('content_sid'),
    url: selfUrl,
    links: links({ delivery_receipts: 'Receipts', channel_metadata: 'ChannelMetadata' }),
  }),

  list: {
    key: 'messages',
    size: 50,
    max: 1000,
    params: { Order: oneOf(['asc', 'desc'], { invalid: 'invalidValue' }) },
    order: (p) => ({ by: 'message_index', direction: p.Order ?? 'asc', where: [] }),
  },

  events: {
    preAction: { create: 'onMessageAdd', update: 'onMessageUpdate', remove: 'onMessageRemove' },
    preActionPayload: (change) => {
      const row = rowOf(change)
      if (change.verb === 'create') return toPayload(row)
      const { date_updated } = change.before
      return { ...toPayload(row), ...indexToPayload(row), DateUpdated: milliseconds(date_updated) }
    },
    amendable: {
      create: ['Body', 'Author', 'Attributes'],
      update: ['Body', 'Author', 'Attributes'],
    },
    emits: ['onMessageAdded', 'onMessageUpdated', 'onMessageRemoved'],
    postAction: (change, facts) => {
      const row = rowOf(change)
      // A receipt that updates the summary has its own event.
      if (change.cause === 'consequence') return []
      if (change.verb === 'create') return [messageAddedEvent(row, facts.parents[0])]
      const DateRemoved = change.verb === 'remove' ? milliseconds(facts.now) : null
      return [
        {
          type: change.verb === 'update' ? 'onMessageUpdated' : 'onMessageRemoved',
          subject_sid: row.conversation_sid,
          always: false,
          payload: () => ({
            ...toPayload(row),
            ...indexToPayload(row),
            DateUpdated: milliseconds(row.date_updated),
            DateRemoved,
          }),
        },
      ]
    },
    listeners: (read, event, _change, facts) => scopedTargets(read, event, facts.parents[0]),
  },
})

/** Returns the event of a new message, also for its replay to a webhook that is added later. */
export function messageAddedEvent(row: MessageRow, conversation: ConversationRow): Event {
  return {
    type: 'onMessageAdded',
    subject_sid: row.conversation_sid,
    always: false,
    payload: () => ({
      ...toPayload(row),
      ...indexToPayload(row),
      MessagingServiceSid: conversation.messaging_service_sid,
      ChannelMetadata: row.channel_metadata,
    }),
  }
}

async function load(read: Reader, p: Given, facts: ConversationChildFacts, before: MessageRow | null): Promise<Loaded> {
  const { service_sid, sid: conversation_sid } = facts.parents[0]
  const key = { service_sid, conversation_sid }
  const [author, nonChat, media, content] = await Promise.all([
    authorOf(read, key, p.Author ?? before?.author, facts.inbound),
    before ? [] : nonChatParticipants(read, key),
    before ? [] : mediaOf(read, p, facts),
    before || !p.ContentSid ? undefined : read.one(contentOfAccount, { account_sid: facts.account.sid, sid: p.ContentSid }),
  ])
  const sender = senderOf(facts, author?.sid ?? null)
  const group = nonChat.some(isNative) ? await groupMembers(read, key) : null
  const others = facts.quiet ? [] : nonChat.filter((row) => row.sid !== sender && !hasIt(facts, row))
  // A group MMS comes from the number behind which its author is.
  const recipients = others.map((row) => (isNative(row) ? { ...row, proxy_address: author?.projected_address ?? null } : row))
  return { author, recipients, nonChat, group, media, content: content ?? null }
}

/**
 * Returns the text of a template; null when it has none. Throws 50526 when the operator has not registered it: the vendor renders the
 * text when the message is created, which it cannot do without the template.
 */
function contentBody(content: ContentRow | null, { ContentVariables }: Given): string | null {
  if (!content) throw refuse('invalidContentSid')
  const body = renderedText(content, ContentVariables ?? null)
  // Parsed like a given body: template and variables are JSON, which can express what cannot be stored.
  return body === null ? null : params.Body.parse(body, [body])
}

/**
 * Whether a participant has an inbound message already: the carrier has delivered that of a group to every native member, and a mail
 * went to whom its sender chose.
 */
function hasIt({ inbound, source }: Pick<Facts, 'inbound' | 'source'>, row: ParticipantRow): boolean {
  return inbound !== undefined && (isNative(row) || (source === 'EMAIL' && row.binding_type === 'email'))
}

/** REST attaches one, the last that is given; client SDKs up to ten, channels what has come. */
async function mediaOf(read: Reader, p: Given, facts: ConversationChildFacts): Promise<readonly MediaRow[]> {
  const { service, now, client_identity, inbound } = facts
  const given = p.ContentSid ? [] : (p.MediaSid ?? [])
  const sids = client_identity === undefined && !inbound ? given.slice(-1) : given
  if (sids.length > maxMedia && !inbound) throw refuse('invalidParameter', { text: `A message has at most ${maxMedia} media` })
  return Promise.all(sids.map((sid) => freeMedia(read, service.sid, sid, now, client_identity)))
}

/** Returns the participant that a message is not sent to: its inbound sender, even if a webhook has changed the author. */
function senderOf({ inbound }: Pick<Facts, 'inbound'>, authorSid: string | null): string | null {
  return inbound?.participant_sid ?? authorSid
}

async function authorOf(
  read: Reader,
  key: Pick<MessageRow, 'service_sid' | 'conversation_sid'>,
  author: string | undefined,
  inbound: Inbound | undefined,
): Promise<Loaded['author']> {
  if (!author) return null
  if (author === inbound?.address) return { sid: inbound.participant_sid, projected_address: null }
  const found =
    (await read.one(participantByIdentity, { ...key, identity: author })) ??
    (await read.one(participantByAddress, { ...key, address: canonicalAddress(author) }))
  if (found || addressType(author) !== 'sms') return found ?? null
  return (await read.one(participantByProjection, { ...key, projected_address: author })) ?? null
}

function deliveryToJson({ delivery }: Pick<MessageRow, 'delivery'>): unknown {
  return delivery === null ? null : parseStored<unknown>(delivery)
}

function toPayload(row: MessageRow): Payload {
  return {
    ConversationSid: row.conversation_sid,
    Body: row.body,
    Author: row.author,
    ParticipantSid: row.participant_sid,
    Attributes: row.attributes,
    Media: mediaToPayload(row.media),
  }
}

function indexToPayload(row: MessageRow): Payload {
  return { MessageSid: row.sid, Index: row.message_index, DateCreated: milliseconds(row.date_created) }
}

/** An empty one counts as absent. */
function mediaSids(): Param<readonly string[]> {
  const one = sid('media', 'invalidMediaSid')
  const { several: _several, ...param } = repeated(one)
  return { ...param, kind: one.kind }
}

/** A JSON object with the variables of a content template, stored as given; the limits are the vendor's. */
export function contentVariables(): Param<string | null> {
  const variables = param(
    'JSON object of texts, numbers and true or false',
    (given) => {
      if (given === '') return null
      if (longerThan(maxVariables, given)) throw refuse('contentVariablesTooLong')
      let variables: unknown
      try {
        variables = JSON.parse(given)
      } catch {
        throw refuse('invalidContentVariables')
      }
      if (typeof variables !== 'object' || variables === null || Array.isArray(variables)) throw refuse('invalidContentVariables')
      for (const [key, value] of Object.entries(variables)) {
        // Rendered, these would be the words `null` and `[object Object]`.
        if (typeof value === 'object') throw refuse('invalidContentVariables')
        if (longerThan(16, key)) throw refuse('contentKeyTooLong')
        if (longerThan(256, String(value))) throw refuse('contentValueTooLong')
      }
      return given
    },
    4 * maxVariables,
  )
  return { ...variables, json: true }
}
