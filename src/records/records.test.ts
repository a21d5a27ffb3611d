import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { RecordError, recordOf } from './format.ts'
import { prepare } from './prepare.ts'

const sid = (prefix: string, n = 1) => prefix + n.toString(16).padStart(32, '0')
const dates = { date_created: '2026-01-01T00:00:00Z', date_updated: '2026-01-01T00:00:00Z' }
const place = { account_sid: sid('AC'), chat_service_sid: sid('IS'), conversation_sid: sid('CH'), message_sid: sid('IM') }

/** A good record of each kind that has a form of its own. */
const good = {
  service: {
    resource: { sid: sid('IS'), friendly_name: 'One', ...dates },
    extra: {
      default_conversation_creator_role_sid: sid('RL'),
      default_conversation_role_sid: sid('RL'),
      default_chat_service_role_sid: sid('RL'),
    },
  },
  role: { resource: { sid: sid('RL'), friendly_name: 'One', type: 'service', permissions: ['joinConversation'], ...dates } },
  configuration: { resource: { default_chat_service_role_sid: sid('RL'), reachability_enabled: true } },
  notification: {
    resource: { log_enabled: false, new_message: { enabled: true, template: null, with_media: { enabled: false } } },
  },
  webhook: { resource: { pre_webhook_url: 'http://user:password@localhost/', filters: ['onUserAdded'], method: 'GET' } },
  credential: { resource: { sid: sid('CR'), type: 'apn', sandbox: 'True', friendly_name: null, ...dates } },
  address: {
    resource: {
      sid: sid('IG'),
      type: 'sms',
      address: '+15551234567',
      auto_creation: { enabled: false, type: 'default' },
      ...dates,
    },
  },
  user: { resource: { sid: sid('US'), identity: 'ada', attributes: '{}', role_sid: sid('RL'), friendly_name: null, ...dates } },
  binding: {
    resource: {
      sid: sid('BS'),
      identity: 'ada',
      endpoint: 'a',
      binding_type: 'fcm',
      credential_sid: sid('CR'),
      message_types: ['new_message'],
      ...dates,
    },
  },
  conversation: {
    resource: {
      sid: sid('CH'),
      messaging_service_sid: sid('MG'),
      attributes: '{}',
      state: 'active',
      timers: { date_closed: '2026-02-01T00:00:00Z' },
      bindings: { email: { name: 'Desk', projected_address: 'desk+tag@example.com' } },
      ...dates,
    },
    extra: { last_message_index: 5, inactive_after: 'PT10M', date_activity: 1_700_000_000_123 },
  },
  participant: {
    resource: {
      sid: sid('MB'),
      identity: null,
      attributes: '{}',
      role_sid: sid('RL'),
      messaging_binding: { type: 'sms', address: '+15551234567', proxy_address: '+15557654321' },
      last_read_message_index: 3,
      last_read_timestamp: '2026-01-01T00:00:00Z',
      ...dates,
    },
  },
  message: {
    resource: {
      sid: sid('IM'),
      index: 5,
      author: 'ada',
      body: 'Hello',
      attributes: '{}',
      participant_sid: sid('MB'),
      delivery: { total: 1, sent: 'all', delivered: 'none', read: 'none', failed: 'none', undelivered: 'none' },
      media: [{ sid: sid('ME'), size: 3, content_type: 'text/plain', filename: 'a.txt' }],
      ...dates,
    },
    extra: { media: [{ sid: sid('ME'), size: 3, content_type: 'text/plain', sha256: 'ab'.repeat(32), category: 'media' }] },
  },
  receipt: {
    resource: {
      sid: sid('DY'),
      participant_sid: sid('MB'),
      channel_message_sid: sid('SM'),
      status: 'sent',
      error_code: 0,
      ...dates,
    },
  },
  conversation_webhook: {
    resource: {
      sid: sid('WH'),
      target: 'webhook',
      configuration: { url: 'http://user:password@localhost/', method: 'GET', filters: ['onMessageAdded'] },
      ...dates,
    },
  },
  content: {
    resource: {
      sid: sid('HX'),
      friendly_name: null,
      variables: { 1: 'you' },
      types: { 'twilio/text': { body: 'Hello {{1}}' } },
      ...dates,
    },
  },
  mail_block: { resource: { address: 'Gone@example.com', error_code: 30_005, reason: 'no such user', ...dates } },
  external_id: {
    resource: {
      channel: '+15551234567',
      external_id: 'carrier-1',
      direction: 'in',
      chat_service_sid: sid('IS'),
      conversation_sid: sid('CH'),
      participant_sid: sid('MB'),
      message_sid: sid('IM'),
      message_index: 0,
      channel_message_sid: null,
      ...dates,
    },
  },
} as const

type GoodKind = keyof typeof good
const lineOf = (kind: GoodKind) => ({ kind, ...place, ...good[kind] })
const goodKinds = Object.keys(good) as GoodKind[]
const seal = (secret: string) => Buffer.from(`nonce and tag of a secret ${secret}`).toString('base64')
const prepared = (value: unknown) => prepare(recordOf(value), seal)

// biome-ignore lint/suspicious/noExplicitAny: what a test puts into a record may be anything
type Loose = any

/** Returns the record with another value at a path. */
function changed(kind: GoodKind, path: string, value: unknown): Loose {
  const line: Loose = structuredClone(lineOf(kind))
  const keys = path.split('.')
  let holder = line
  for (const key of keys.slice(0, -1)) holder = holder[key]
  holder[keys.at(-1) ?? ''] = value
  return line
}

describe('a record', () => {
  test.each(goodKinds)('of the kind %s is taken', (kind) => {
    expect(prepared(lineOf(kind))).toMatchObject({ kind, account_sid: place.account_sid })
  })

  test('has its secrets encrypted', () => {
    for (const kind of ['webhook', 'conversation_webhook'] as const) {
      expect(JSON.stringify(prepared(lineOf(kind)))).not.toContain('password@')
    }
  })

  test.each([
    ['user', 'kind', 'dragon', 'its kind is not one of'],
    ['user', 'account_sid', 'AC1', 'account_sid must be a SID'],
    ['user', 'chat_service_sid', undefined, 'chat_service_sid must be a SID'],
    ['message', 'conversation_sid', 7, 'conversation_sid must be a SID'],
    ['receipt', 'message_sid', null, 'message_sid must be a SID'],
    ['user', 'resource', [], 'resource must be an object'],
    ['user', 'extra', 'x', 'extra must be an object'],
    ['user', 'resource.sid', sid('MB'), 'resource.sid must be a SID'],
    ['user', 'resource.identity', 'x'.repeat(257), 'resource.identity is refused'],
    ['user', 'resource.identity', 'system', 'resource.identity is refused'],
    ['user', 'resource.attributes', '{', 'resource.attributes is refused'],
    ['user', 'resource.attributes', {}, 'resource.attributes must be a text'],
    ['user', 'resource.date_created', 'yesterday', 'resource.date_created is refused'],
    ['user', 'resource.date_updated', undefined, 'resource.date_updated'],
    ['user', 'extra', { date_created: 1.5 }, 'extra.date_created must be a whole number'],
    ['user', 'extra', { date_created: 1e15 }, 'extra.date_created must be a date'],
    ['service', 'extra', undefined, 'extra.default_conversation_creator_role_sid must be a SID'],
    ['role', 'resource.permissions', ['fly'], 'resource.permissions is refused'],
    ['role', 'resource.permissions', ['sendMessage'], 'it is refused'],
    ['webhook', 'resource.pre_webhook_url', 'ftp://x', 'resource.pre_webhook_url is refused'],
    ['address', 'resource.address', 'nobody', 'it is refused'],
    ['binding', 'resource.message_types', [7], 'resource.message_types must be a list of texts'],
    ['conversation', 'resource.state', 'initializing', 'resource.state is refused'],
    ['conversation', 'resource.timers.date_closed', 'soon', 'resource.timers.date_closed is refused'],
    ['conversation', 'extra.inactive_after', 'PT1S', 'extra.inactive_after is refused'],
    ['conversation', 'extra.last_message_index', -2, 'extra.last_message_index must be a whole number'],
    ['participant', 'resource.messaging_binding.address', 'nobody', 'it is refused'],
    ['participant', 'resource.messaging_binding.proxy_address', 'whatsapp:+15557654321', 'it is refused'],
    ['participant', 'resource.last_read_message_index', -1, 'resource.last_read_message_index is refused'],
    ['message', 'resource.index', -1, 'resource.index must be a whole number'],
    ['message', 'resource.body', 'x'.repeat(32_769), 'resource.body is refused'],
    ['message', 'resource.body', 'a\0b', 'resource.body is refused'],
    ['message', 'resource.body', '\ud800', 'resource.body is refused'],
    ['message', 'resource.delivery.sent', 'maybe', 'resource.delivery.sent must be one of'],
    ['message', 'extra.media', [{}], 'extra.media[0].sid must be a SID'],
    ['message', 'extra.media', [{ ...good.message.extra.media[0], sha256: '../../etc/passwd' }], 'extra.media[0].sha256 must be'],
    ['message', 'extra.media', [{ ...good.message.extra.media[0], filename: '\0' }], 'filename must not contain a NUL'],
    ['message', 'extra', { source: '\0' }, 'source must not contain a NUL'],
    ['receipt', 'resource.status', 'queued', 'resource.status must be one of'],
    ['conversation_webhook', 'resource.configuration.filters', [], 'it is refused'],
    ['content', 'resource.sid', sid('CH'), 'resource.sid must be a SID'],
    ['content', 'resource.types', {}, 'resource.types must have objects'],
    ['content', 'resource.types', { 'twilio/text': { body: 7 } }, 'resource.types.twilio/text.body must be of type string'],
    ['content', 'resource.variables', { 1: 1 }, 'resource.variables must have texts'],
    ['content', 'resource.friendly_name', '\0', 'friendly_name must not contain a NUL'],
    ['mail_block', 'resource.address', null, 'resource.address must be a text'],
    ['external_id', 'resource.direction', 'up', 'resource.direction must be one of'],
    ['external_id', 'resource.message_sid', sid('CH'), 'resource.message_sid must be a SID'],
    ['external_id', 'resource.date_created', 'soon', 'resource.date_created is refused'],
  ] as const)('of the kind %s is refused for its %s (%#)', (kind, path, value, fault) => {
    const act = () => prepared(changed(kind, path, value))
    expect(act).toThrow(RecordError)
    expect(act).toThrow(fault)
  })

  test('of any form is taken, or refused as a record', () => {
    const paths = goodKinds.flatMap((kind) => pathsIn(lineOf(kind)).map((path) => [kind, path] as const))
    const strange = fc.oneof(
      fc.jsonValue(),
      fc.string({ unit: 'binary' }),
      fc.constantFrom('__proto__', '', '\0', '\ud800', -0, 1e300, Number.MAX_SAFE_INTEGER, [[]], { toString: 1 }, null),
    )
    fc.assert(
      fc.property(fc.constantFrom(...paths), strange, ([kind, path], value) => {
        try {
          prepared(changed(kind, path, value))
        } catch (error) {
          if (!(error instanceof RecordError)) throw error
        }
      }),
      { numRuns: 800 },
    )
  })
})

function pathsIn(value: object, prefix = ''): string[] {
  return Object.entries(value).flatMap(([key, inner]: [string, unknown]) => [
    `${prefix}${key}`,
    ...(typeof inner === 'object' && inner !== null ? pathsIn(inner, `${prefix}${key}.`) : []),
  ])
}
