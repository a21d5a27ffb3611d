import type { Params } from '../model/params.ts'
import { prefixOf, type SidKind } from '../sids.ts'
import { keyOf } from './fields.ts'
import { formatVersion, isPlain, type Kind, kinds, maxLineBytes, type PlainKind, type ResourceKind, within } from './format.ts'
import { resourceOf } from './prepare.ts'

type Schema = Readonly<Record<string, unknown>>

const ms = { type: ['integer', 'null'], description: 'Milliseconds since 1970' }
const textOrNull = { type: ['string', 'null'] }
const roleSid = sidSchema('role')

/** What `extra` may have besides dates. */
const extras: Readonly<Partial<Record<Kind, Readonly<Record<string, Schema>>>>> = {
  service: {
    default_conversation_creator_role_sid: roleSid,
    default_conversation_role_sid: roleSid,
    default_chat_service_role_sid: roleSid,
  },
  conversation: {
    last_message_index: { type: 'integer', minimum: -1 },
    date_activity: ms,
    date_state: ms,
    date_inactive: ms,
    date_closed: ms,
    inactive_after: { type: ['string', 'null'], description: 'ISO 8601 duration' },
    closed_after: { type: ['string', 'null'], description: 'ISO 8601 duration' },
    created_by: { type: 'string' },
    email_address: textOrNull,
    email_tag: textOrNull,
    date_mailbox: ms,
  },
  participant: { last_read_timestamp: ms, notification_level: { enum: ['default', 'muted'] } },
  message: {
    subject: textOrNull,
    content_variables: textOrNull,
    channel_metadata: { type: ['object', 'null'] },
    source: { type: 'string' },
    last_updated_by: textOrNull,
    media: {
      type: 'array',
      items: {
        type: 'object',
        properties: {
          sid: sidSchema('media'),
          sha256: { type: ['string', 'null'], pattern: '^[0-9a-f]{64}$', description: 'Absent where the bytes are not there' },
          size: { type: 'integer', minimum: 0 },
          content_type: { type: 'string' },
          filename: textOrNull,
          category: { enum: ['media', 'body', 'history', 'source'] },
          author: textOrNull,
        },
        required: ['sid', 'size', 'content_type'],
      },
    },
  },
}

/** Keys of `resource` that stand for no parameter. */
const more: Readonly<Partial<Record<Kind, Readonly<Record<string, Schema>>>>> = {
  binding: {
    identity: { type: 'string' },
    endpoint: { type: 'string' },
    binding_type: { enum: ['apn', 'gcm', 'fcm', 'twilsock'] },
    credential_sid: sidSchema('credential'),
    message_types: { type: 'array', items: { type: 'string' } },
  },
  conversation: {
    messaging_service_sid: sidSchema('messagingService'),
    state: { enum: ['active', 'inactive', 'closed'] },
    timers: { type: ['object', 'null'], properties: { date_inactive: textOrNull, date_closed: textOrNull } },
  },
  message: {
    index: { type: 'integer', minimum: 0 },
    participant_sid: { type: ['string', 'null'] },
    media: { type: ['array', 'null'], items: { type: 'object' } },
    delivery: { type: ['object', 'null'] },
  },
  receipt: {
    participant_sid: sidSchema('participant'),
    channel_message_sid: { type: 'string' },
    status: { enum: ['sent', 'delivered', 'read', 'failed', 'undelivered'] },
    error_code: { type: ['integer', 'null'] },
  },
}

/** Returns the JSON Schema of a line of an export. */
export function recordsSchema(): Schema {
  return {
    $schema: 'https://json-schema.org/draft/2020-12/schema',
    title: 'A line of a Parley export',
    description: `At most ${maxLineBytes} bytes of UTF-8`,
    oneOf: [
      object(
        {
          kind: { const: 'header' },
          format: { const: formatVersion },
          parley: { type: 'string' },
          exported_at: { type: 'string', format: 'date-time' },
          scope: { type: 'object' },
          left_out: {
            type: 'array',
            description: 'What the file has not',
            items: { type: 'object', properties: { what: { type: 'string' }, why: { type: 'string' } } },
          },
        },
        ['kind', 'format'],
      ),
      ...kinds.map(lineSchema),
      object({ kind: { const: 'end' }, counts: { type: 'object', additionalProperties: { type: 'integer' } } }, [
        'kind',
        'counts',
      ]),
    ],
  }
}

function lineSchema(kind: Kind): Schema {
  const place = within[kind]
  const depth = ['account', 'service', 'conversation', 'message'].indexOf(place)
  const below = (['service', 'conversation', 'message'] as const).slice(0, Math.max(0, depth))
  const keys = { service: 'chat_service_sid', conversation: 'conversation_sid', message: 'message_sid' } as const
  const envelope = Object.fromEntries(below.map((one) => [keys[one], sidSchema(one)]))
  const own = extras[kind] ?? {}
  const hasDates = isPlain(kind) || resourceOf({ kind, chat_service_sid: '' }).sid !== null
  const extra = object(
    { ...(hasDates && { date_created: ms, date_updated: ms }), ...own },
    kind === 'service' ? Object.keys(own) : [],
  )
  return object(
    {
      kind: { const: kind },
      account_sid: sidSchema('account'),
      ...envelope,
      ...(place === 'account or service' && { chat_service_sid: { type: ['string', 'null'] } }),
      resource: isPlain(kind) ? plainSchema(kind) : resourceSchema(kind),
      extra,
    },
    ['kind', 'account_sid', ...Object.keys(envelope), 'resource', ...(kind === 'service' ? ['extra'] : [])],
  )
}

/** The parameters of the resource under the keys that responses have for them. */
function resourceSchema(kind: ResourceKind): Schema {
  const { sid, params } = resourceOf({ kind, chat_service_sid: null })
  const declared: Params = params
  const properties: Record<string, Schema> = {}
  for (const [name, { kind: description }] of Object.entries(declared)) {
    const [key = '', ...nested] = keyOf(name).split('.')
    properties[key] = nested.length > 0 ? { type: ['object', 'null'] } : { description }
  }
  const sidKind: SidKind | null = sid
  const dates = { date_created: { type: 'string' }, date_updated: { type: 'string' } }
  return object({ ...(sidKind && { sid: sidSchema(sidKind), ...dates }), ...properties, ...more[kind] }, sidKind ? ['sid'] : [])
}

function plainSchema(kind: PlainKind): Schema {
  const text = { type: 'string' }
  const date = { date_created: text }
  const dates = { ...date, date_updated: text }
  switch (kind) {
    case 'content':
      return object(
        {
          sid: sidSchema('content'),
          friendly_name: textOrNull,
          variables: { type: 'object' },
          types: { type: 'object' },
          ...dates,
        },
        ['sid', 'types'],
      )
    case 'mail_block':
      return object({ address: text, error_code: { type: 'integer' }, reason: text, ...date }, [
        'address',
        'error_code',
        'reason',
      ])
    case 'external_id':
      return object(
        {
          channel: text,
          external_id: text,
          direction: { enum: ['in', 'out'] },
          chat_service_sid: textOrNull,
          conversation_sid: textOrNull,
          participant_sid: textOrNull,
          message_sid: textOrNull,
          message_index: { type: ['integer', 'null'] },
          channel_message_sid: textOrNull,
          ...date,
        },
        ['channel', 'external_id', 'direction'],
      )
    case 'channel':
      return object({ sid: sidSchema('channel'), proxy_address: text, kind: text, settings: { type: 'object' }, ...dates })
  }
}

function sidSchema(kind: SidKind): Schema {
  return { type: 'string', pattern: `^${prefixOf(kind)}[0-9a-fA-F]{32}$` }
}

function object(properties: Readonly<Record<string, Schema>>, required: readonly string[] = []): Schema {
  return { type: 'object', properties, ...(required.length > 0 && { required }) }
}
