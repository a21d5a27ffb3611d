import { ApiError } from '../errors.ts'
import { isJsonObject } from '../json.ts'
import { type MediaJson, mediaToJson } from '../media/rows.ts'
import type { AnyResource, Facts } from '../model/declare.ts'
import { date, sealSecrets } from '../model/params.ts'
import { addresses } from '../resources/configuration/address.ts'
import { configuration } from '../resources/configuration/configuration.ts'
import { accountWebhooks } from '../resources/configuration/webhooks.ts'
import { addressType, proxyType } from '../resources/conversations/address-formats.ts'
import { conversations } from '../resources/conversations/conversation.ts'
import { messages } from '../resources/conversations/messages/message.ts'
import { receipts } from '../resources/conversations/messages/receipt.ts'
import { newBinding } from '../resources/conversations/participants/messaging-binding.ts'
import { participants } from '../resources/conversations/participants/participant.ts'
import { webhooks } from '../resources/conversations/webhooks/webhook.ts'
import { credentials } from '../resources/credential.ts'
import { roles } from '../resources/role.ts'
import { bindings } from '../resources/services/binding.ts'
import { serviceConfiguration } from '../resources/services/configuration/configuration.ts'
import { serviceNotifications } from '../resources/services/configuration/notifications.ts'
import { serviceWebhooks } from '../resources/services/configuration/webhooks.ts'
import { services } from '../resources/services/service.ts'
import { users } from '../resources/users/user.ts'
import { randomTag } from '../sids.ts'
import type { MediaRow, ReceiptRow } from '../storage/schema.ts'
import { Fields, type Given, paramsOf, parsed } from './fields.ts'
import { isPlain, type Json, RecordError, type RecordLine, type ResourceKind } from './format.ts'
import { type PreparedPlain, preparePlain } from './plain.ts'
import { type Columns, type Place, refuseUnstorable, type Value } from './values.ts'

/** A file of a message whose bytes are there. */
export type MediaFile = Pick<MediaRow, 'sid' | 'sha256' | 'size' | 'content_type' | 'filename' | 'category' | 'author'>

/** A record that has been checked as far as that is possible without the database. Plain data: it is sent to the writer thread. */
export interface PreparedRow extends Place {
  readonly kind: ResourceKind
  readonly sid: string
  /** What the record says. */
  readonly columns: Columns
  /** What a new row has where the record says nothing. */
  readonly fallback: Columns
  readonly media?: readonly MediaFile[]
}

/** Settings that are columns of an account or a service: parameters of an update, with the secrets encrypted. */
export interface PreparedSetting extends Place {
  readonly kind: ResourceKind
  /** Name of the resource. */
  readonly setting: string
  readonly params: Given
}

export type Prepared = PreparedRow | PreparedSetting | PreparedPlain

/** The resource that a record shows. */
export function resourceOf({
  kind,
  chat_service_sid,
}: Pick<RecordLine, 'chat_service_sid'> & { readonly kind: ResourceKind }): AnyResource {
  const ofService = chat_service_sid !== null
  return {
    service: services,
    role: roles,
    configuration: ofService ? serviceConfiguration : configuration,
    notification: serviceNotifications,
    webhook: ofService ? serviceWebhooks : accountWebhooks,
    credential: credentials,
    address: addresses,
    user: users,
    binding: bindings,
    conversation: conversations,
    participant: participants,
    message: messages,
    receipt: receipts,
    conversation_webhook: webhooks,
  }[kind]
}

interface Read {
  /** Parameters, with the secrets encrypted. */
  readonly p: Given
  readonly resource: Fields
  readonly extra: Fields
  readonly record: RecordLine
}

type Said = Pick<PreparedRow, 'columns'> & Partial<Pick<PreparedRow, 'fallback' | 'media'>>

/** Checks a record by the rules of its resource. Throws RecordError. */
export function prepare(record: RecordLine, seal: (secret: string) => string): Prepared {
  const { kind, account_sid, chat_service_sid: service_sid, conversation_sid, message_sid } = record
  if (isPlain(kind)) return preparePlain(record, kind)
  const place = { kind, account_sid, service_sid, conversation_sid, message_sid }
  const declared = resourceOf({ kind, chat_service_sid: service_sid })
  const p: Given = sealSecrets(declared.params, paramsOf(declared, record.resource), seal)
  if (declared.sid === null) return { ...place, setting: declared.name, params: p }
  const resource = new Fields(record.resource, 'resource')
  const extra = new Fields(record.extra, 'extra')
  const sid = resource.sid('sid', declared.sid)
  const said = refusing(() => rows[kind]({ p, resource, extra, record }))
  const columns = { ...said.columns, ...dates(record, extra) }
  const fallback = said.fallback ?? {}
  refuseUnstorable({ ...fallback, ...columns })
  return { ...place, sid, columns, fallback, ...(said.media && { media: said.media }) }
}

/** A refusal of the API is what is wrong with the record. */
function refusing<T>(check: () => T): T {
  try {
    return check()
  } catch (error) {
    if (error instanceof ApiError) throw new RecordError(`it is refused: ${error.message}`)
    throw error
  }
}

const instant = date('invalidDateCreated')

function dates(record: RecordLine, extra: Fields): Columns {
  const at = (key: 'date_created' | 'date_updated') =>
    extra.has(key) ? extra.ms(key) : parsed(instant, `resource.${key}`, record.resource[key])
  return { date_created: at('date_created'), date_updated: at('date_updated') }
}

/** Returns the columns that `extra` has, each as `read` finds it. */
function given(extra: Fields, columns: Readonly<Record<string, (key: string) => Value>>): Record<string, Value> {
  const found = Object.entries(columns).filter(([key]) => extra.has(key))
  return Object.fromEntries(found.map(([key, read]) => [key, read(key)]))
}

/** Parameters hold texts and numbers where the columns do. */
function value(p: Given, name: string, otherwise: Value = null): Value {
  const found = p[name]
  return typeof found === 'string' || typeof found === 'number' ? found : otherwise
}

/** Returns the columns of a new row as the resource makes them. Its rules need no more of the facts than these. */
function createdBy(resource: AnyResource, p: Given, facts: object = {}): Record<string, Value> {
  return { ...resource.create?.(p, facts as Facts, undefined, '') }
}

const rows: Readonly<Record<ResourceKind, (read: Read) => Said>> = {
  service({ p, resource, extra }) {
    if (!p.FriendlyName) throw resource.wrong('friendly_name', 'must be a text')
    return {
      columns: { friendly_name: value(p, 'FriendlyName') },
      fallback: {
        default_conversation_creator_role_sid: extra.sid('default_conversation_creator_role_sid', 'role'),
        default_conversation_role_sid: extra.sid('default_conversation_role_sid', 'role'),
        default_chat_service_role_sid: extra.sid('default_chat_service_role_sid', 'role'),
      },
    }
  },

  role({ p, resource }) {
    for (const name of ['FriendlyName', 'Type'] as const) {
      if (!p[name]) throw resource.wrong(name === 'Type' ? 'type' : 'friendly_name', 'must be a text')
    }
    return { columns: createdBy(roles, p) }
  },

  credential({ p, resource }) {
    if (!p.Type) throw resource.wrong('type', 'must be apn, gcm or fcm')
    const { secrets: _secrets, ...columns } = createdBy(credentials, p)
    return { columns, fallback: { secrets: '{}' } }
  },

  address({ p, resource }) {
    for (const name of ['Address', 'Type'] as const) if (!p[name]) throw resource.wrong(name.toLowerCase(), 'must be a text')
    return { columns: createdBy(addresses, p) }
  },

  user({ p, resource }) {
    if (!p.Identity) throw resource.wrong('identity', 'must be a text')
    return {
      columns: {
        identity: value(p, 'Identity'),
        friendly_name: value(p, 'FriendlyName'),
        attributes: value(p, 'Attributes', '{}'),
        role_sid: resource.sid('role_sid', 'role'),
      },
    }
  },

  binding({ resource }) {
    const types = resource.list('message_types')
    if (!types.every((type) => typeof type === 'string')) throw resource.wrong('message_types', 'must be a list of texts')
    return {
      columns: {
        identity: parsed(users.params.Identity, 'resource.identity', resource.text('identity', 256)),
        endpoint: resource.text('endpoint', 4096),
        binding_type: resource.word('binding_type', ['apn', 'gcm', 'fcm', 'twilsock']),
        credential_sid: resource.sid('credential_sid', 'credential'),
        message_types: JSON.stringify(types),
      },
    }
  },

  conversation,

  participant(read) {
    const { p, resource, extra } = read
    return {
      columns: {
        identity: value(p, 'Identity'),
        ...bindingOf(read),
        attributes: value(p, 'Attributes', '{}'),
        role_sid: resource.sidOrNull('role_sid', 'role'),
        last_read_message_index: value(p, 'LastReadMessageIndex'),
        last_read_timestamp: extra.has('last_read_timestamp')
          ? extra.msOrNull('last_read_timestamp')
          : value(p, 'LastReadTimestamp'),
        ...given(extra, { notification_level: (key) => extra.word(key, ['default', 'muted']) }),
      },
      fallback: { notification_level: 'default' },
    }
  },

  message({ p, resource, extra, record }) {
    const media = mediaOf(record)
    return {
      columns: {
        message_index: resource.integer('index'),
        author: value(p, 'Author', 'system'),
        participant_sid: resource.sidOrNull('participant_sid', 'participant'),
        body: value(p, 'Body'),
        media: media.length > 0 ? mediaToJson(media) : null,
        attributes: value(p, 'Attributes', '{}'),
        content_sid: value(p, 'ContentSid'),
        delivery: deliveryOf(resource),
        ...given(extra, {
          subject: (key) => subject(record.extra[key]),
          content_variables: (key) => variables(record.extra[key]),
          channel_metadata: (key) => jsonOf(extra.object(key)),
          source: (key) => extra.text(key, 64),
          last_updated_by: (key) => extra.textOrNull(key, 256),
        }),
      },
      fallback: {
        subject: null,
        content_variables: null,
        channel_metadata: null,
        source: 'API',
        last_updated_by: null,
      },
      media: media.filter((file): file is MediaFile => file.sha256 !== null),
    }
  },

  receipt({ resource }) {
    const statuses = ['sent', 'delivered', 'read', 'failed', 'undelivered'] as const satisfies readonly ReceiptRow['status'][]
    return {
      columns: {
        participant_sid: resource.sid('participant_sid', 'participant'),
        channel_message_sid: resource.text('channel_message_sid', 256),
        status: resource.word('status', statuses),
        error_code: resource.integerOrNull('error_code') ?? 0,
      },
    }
  },

  conversation_webhook: ({ p, resource }) => {
    if (!p.Target) throw resource.wrong('target', 'must be webhook, trigger or studio')
    return { columns: createdBy(webhooks, p, { parents: [{ state: 'active', webhook_count: 0 }] }) }
  },

  // Settings, which have no row of their own.
  configuration: never,
  notification: never,
  webhook: never,
}

function never(): Said {
  throw new Error('settings are prepared as parameters')
}

function conversation({ p, resource, extra, record }: Read): Said {
  const timers = new Fields(resource.object('timers') ?? {}, 'resource.timers')
  const state = resource.word('state', ['active', 'inactive', 'closed'])
  const due = (key: 'date_inactive' | 'date_closed') => {
    if (extra.has(key)) return extra.msOrNull(key)
    const at = timers.textOrNull(key, 64)
    return at === null ? null : parsed(instant, `resource.timers.${key}`, at)
  }
  const mailbox = mailboxOf(record, extra)
  return {
    columns: {
      messaging_service_sid: resource.sid('messaging_service_sid', 'messagingService'),
      friendly_name: value(p, 'FriendlyName'),
      unique_name: value(p, 'UniqueName'),
      attributes: value(p, 'Attributes', '{}'),
      state,
      date_inactive: state === 'active' ? due('date_inactive') : null,
      date_closed: state === 'closed' ? null : due('date_closed'),
      email_name: value(p, 'Bindings.Email.Name'),
      email_address: mailbox,
      ...given(extra, {
        inactive_after: (key) => parsed(conversations.params['Timers.Inactive'], `extra.${key}`, record.extra[key] ?? ''),
        closed_after: (key) => parsed(conversations.params['Timers.Closed'], `extra.${key}`, record.extra[key] ?? ''),
        date_state: (key) => extra.ms(key),
        date_activity: (key) => extra.ms(key),
        created_by: (key) => extra.text(key, 256),
        last_message_index: (key) => extra.integer(key, -1),
        email_tag: (key) => extra.textOrNull(key, 64),
        date_mailbox: (key) => extra.msOrNull(key),
      }),
    },
    fallback: {
      inactive_after: null,
      closed_after: null,
      initial_state: null,
      created_by: 'system',
      last_message_index: -1,
      email_tag: mailbox === null ? null : randomTag(),
    },
  }
}

/** A hosted account shows a mailbox only with the tag of the conversation: such an address stays as it is. */
function mailboxOf({ resource }: RecordLine, extra: Fields): string | null {
  const shown = isJsonObject(resource.bindings) && isJsonObject(resource.bindings.email) ? resource.bindings.email : {}
  const address = extra.has('email_address')
    ? extra.textOrNull('email_address', 256)
    : new Fields(shown, 'resource.bindings.email').textOrNull('projected_address', 256)
  return address === null ? null : parsed(conversations.params['Bindings.Email.Address'], 'the mail address', address)
}

/** A participant that was written to over a channel may have lost its proxy address since: a new one could not be made so. */
function bindingOf({ p }: Read): Columns {
  const address = value(p, 'MessagingBinding.Address')
  const type = typeof address === 'string' ? addressType(address) : undefined
  if (type && type !== 'sms' && type !== 'email' && !p['MessagingBinding.ProxyAddress']) {
    return { ...newBinding({ ...p, 'MessagingBinding.ProxyAddress': proxyOf(String(address)) }), proxy_address: null }
  }
  // Null stands for a parameter that is not there. A hosted account shows the conversation's mail address with a mail participant.
  const isThere = ([name, one]: [string, unknown]) => one !== null && !(type === 'email' && /Pro(?:xy|jected)Address$/.test(name))
  return { ...newBinding(Object.fromEntries(Object.entries(p).filter(isThere))) }
}

/** Any proxy address of the same type, which is not kept. */
function proxyOf(address: string): string {
  const other = `${address}0`
  return proxyType(other) === undefined ? address.slice(0, -1) : other
}

const variables = (given: unknown) =>
  given === null ? null : parsed(messages.params.ContentVariables, 'extra.content_variables', given)
const subject = (given: unknown) => (given === null ? null : parsed(messages.params.Subject, 'extra.subject', given))

function jsonOf(object: Json | null): string | null {
  return object === null ? null : JSON.stringify(object)
}

const shares = ['sent', 'delivered', 'read', 'failed', 'undelivered'] as const

function deliveryOf(resource: Fields): string | null {
  const given = resource.object('delivery')
  if (!given) return null
  const delivery = new Fields(given, 'resource.delivery')
  const words = shares.map((key) => [key, delivery.word(key, ['none', 'some', 'all'])] as const)
  return JSON.stringify({ total: delivery.integer('total'), ...Object.fromEntries(words) })
}

type NamedFile = Omit<MediaFile, 'sha256'> & Required<Pick<MediaJson, 'category'>> & { readonly sha256: string | null }

/** Returns the files of a message: those of `extra`, else those that the API shows, whose bytes are not there. */
function mediaOf({ resource, extra }: RecordLine): readonly NamedFile[] {
  const [place, list] = extra.media ? ['extra.media', extra.media] : ['resource.media', resource.media ?? []]
  if (!Array.isArray(list) || list.length > 1000) throw new RecordError(`${place} must be a list`)
  return list.map((element: unknown, i) => {
    const at = `${place}[${i}]`
    if (!isJsonObject(element)) throw new RecordError(`${at} must be an object`)
    const file = new Fields(element, at)
    const sha256 = file.textOrNull('sha256', 64)
    if (sha256 !== null && !/^[0-9a-f]{64}$/.test(sha256)) throw file.wrong('sha256', 'must be 64 lower-case hex digits')
    const named = {
      sid: file.sid('sid', 'media'),
      sha256,
      size: file.integer('size'),
      content_type: file.text('content_type', 1024),
      filename: file.textOrNull('filename', 1024),
      category: file.has('category') ? file.word('category', ['media', 'body', 'history', 'source']) : 'media',
      author: file.textOrNull('author', 256),
    }
    refuseUnstorable(named)
    return named
  })
}
