import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import type { Ancestors, AnyResource, BaseRow } from '../model/declare.ts'
import { collectionUrl, represent, urlsFor, writerOf, writerOfOne } from '../model/represent.ts'
import type { Urls } from '../model/representation.ts'
import { ancestorsOf, commonSids, currentRow, familyOf } from '../model/scope.ts'
import { conversations } from './conversations/conversation.ts'
import { resources } from './index.ts'

const sidOf = (prefix: string) => fc.stringMatching(/^[0-9a-f]{32}$/).map((digits) => prefix + digits)
/** Any text: also lone surrogates, control characters, ends of lines that JSON leaves as they are, and long ones. */
const anyText = fc.oneof(
  fc.string({ unit: 'binary', maxLength: 60 }),
  fc.string({ unit: fc.integer({ min: 0, max: 0xffff }).map((code) => String.fromCharCode(code)), maxLength: 60 }),
  fc.constantFrom(
    '',
    '"',
    '\\',
    '\u0000\u001f\u007f',
    '\u2028\u2029',
    '\ud800',
    'x\udfffy',
    '😀',
    '</script>',
    "' + row.sid + '",
    'é'.repeat(40_000),
  ),
)
const instant = fc.integer({ min: Date.parse('0000-01-01T00:00:00Z'), max: Date.parse('9999-12-31T23:59:59Z') })
const anyJson = fc.json()
const media = fc.array(
  fc.record({
    sid: sidOf('ME'),
    category: fc.constantFrom('media', 'source'),
    filename: fc.option(anyText),
    content_type: anyText,
    size: fc.nat(),
  }),
  { maxLength: 3 },
)

/** What the columns of declared representations hold, of all or of one resource; any other column holds any text. */
const values: Readonly<Record<string, fc.Arbitrary<unknown>>> = {
  sid: sidOf('CH'),
  account_sid: sidOf('AC'),
  service_sid: sidOf('IS'),
  messaging_service_sid: sidOf('MG'),
  conversation_sid: sidOf('CH'),
  state: fc.constantFrom('initializing', 'inactive', 'active', 'closed'),
  date_created: instant,
  date_updated: instant,
  conversation_state: fc.constantFrom('inactive', 'active', 'closed'),
  conversation_date_created: instant,
  conversation_date_updated: instant,
  conversation_date_inactive: fc.option(instant),
  conversation_date_closed: fc.option(instant),
  date_inactive: fc.option(instant),
  date_closed: fc.option(instant),
  message_index: fc.nat(),
  message_sid: sidOf('IM'),
  'Receipt.participant_sid': sidOf('MB'),
  'User.role_sid': sidOf('RL'),
  status: fc.constantFrom('sent', 'delivered', 'failed', 'read', 'undelivered'),
  error_code: fc.nat(),
  is_online: fc.constantFrom(null, 0, 1),
  is_notifiable: fc.constantFrom(null, 0, 1),
  reachability_epoch: fc.nat(2),
  last_read_message_index: fc.option(fc.maxSafeNat()),
  last_read_timestamp: fc.option(instant),
  binding_type: fc.option(fc.constantFrom('sms', 'whatsapp', 'email')),
  initial_state: fc.option(fc.constantFrom('active', 'inactive')),
  next_due: fc.option(instant),
  attributes: fc.oneof(anyJson, anyText),
  media: fc.option(media.map((all) => JSON.stringify(all))),
  delivery: fc.option(anyJson),
}

const declared = resources.filter((one) => one.represent.writer)
const base = 'https://parley.example/v1'
const families: readonly [readonly [string, Urls], readonly [string, Urls]] = [
  ['default', { root: base, family: base }],
  ['service', { root: base, family: `${base}/Services/IS${'0'.repeat(32)}` }],
]
const cases = declared.flatMap((resource) => families.map(([family, urls]) => [resource.name, family, resource, urls] as const))

/** A row that has only some columns, by default those that its representation says it is made of. Any other is refused. */
function rowOf({ name, represent }: AnyResource, columns: readonly string[] = represent.columns ?? []): fc.Arbitrary<BaseRow> {
  const held = (column: string) => values[`${name}.${column}`] ?? values[column] ?? fc.option(anyText)
  const row = fc.record(Object.fromEntries(columns.map((column) => [column, held(column)])))
  return row.map((found) => strict(found, name))
}

/** Refuses to tell of columns that a row does not have. */
function strict(row: object, name: string): BaseRow {
  const handler: ProxyHandler<object> = {
    get(target, column) {
      if (!(column in target)) throw new Error(`a ${name} is said not to need ${String(column)}`)
      return Reflect.get(target, column)
    },
  }
  // What a query that selects some columns returns.
  return new Proxy(row, handler) as BaseRow
}

describe('the JSON text of a row', () => {
  test('is written from its columns where many rows are read', () => {
    expect(declared.map(({ name }) => name)).toEqual(
      expect.arrayContaining(['Conversation', 'Message', 'ParticipantConversation', 'Participant', 'User', 'Receipt']),
    )
  })

  test.each(cases)('of %s in the %s family is that of its object', (_name, _family, resource, urls) => {
    const parents = ancestorsOf(resource).map(() => ({ sid: `CH${'1'.repeat(32)}` }))
    expect(familyOf(resource)).toBe('service')
    const collection = collectionUrl(resource, { service: null, parents }, urls)
    const write = writerOf(resource, collection, urls)
    fc.assert(
      fc.property(rowOf(resource), (row) => {
        expect(write(row)).toBe(JSON.stringify(represent(resource, row, collection, urls)))
      }),
    )
  })

  test.each(cases)(
    'of %s in the %s family has what its list has in common, and needs no column of it',
    (_name, family, resource, urls) => {
      const parents = ancestorsOf(resource).map(() => ({ sid: `CH${'1'.repeat(32)}` }))
      const ancestors = {
        account: { sid: `AC${'2'.repeat(32)}` },
        service: { sid: `IS${'3'.repeat(32)}` },
        parents,
      } as unknown as Ancestors
      const scope = commonSids(resource, ancestors.account.sid, ancestors)
      const collection = collectionUrl(resource, ancestors, urls)
      const write = writerOf(resource, collection, urls, scope)
      const others = (resource.represent.columns ?? []).filter((name) => !(name in scope))
      fc.assert(
        fc.property(rowOf(resource, others), (row) => {
          const whole = { ...row, ...scope }
          expect(write(row)).toBe(JSON.stringify(represent(resource, whole, collection, urls)))
          expect(JSON.parse(write(row))).toMatchObject({ account_sid: scope.account_sid })
          if (family === 'service') expect(JSON.parse(write(row))).toMatchObject({ chat_service_sid: scope.service_sid })
        }),
      )
    },
  )

  test.each(cases)('of %s in the %s family is the same with a writer that is kept', (_name, of, resource) => {
    const family = of === 'service' ? 'service' : 'default'
    const sid = (prefix: string, digit: number) => prefix + String(digit).repeat(32)
    const places = [1, 2].flatMap((digit) =>
      [base, 'https://other.example'].map((host) => ({
        host,
        account_sid: sid('AC', digit),
        ancestors: { service: { sid: sid('IS', digit) }, parents: ancestorsOf(resource).map(() => ({ sid: sid('CH', digit) })) },
      })),
    )
    const [row] = fc.sample(rowOf(resource), 1)
    for (const _time of [1, 2]) {
      for (const { host, account_sid, ancestors } of places) {
        const urls = urlsFor(host, ancestors, family)
        const collection = collectionUrl(resource, ancestors, urls)
        const write = writerOf(resource, collection, urls, commonSids(resource, account_sid, ancestors))
        expect(writerOfOne(resource, host, account_sid, ancestors, family)(row as BaseRow)).toBe(write(row as BaseRow))
      }
    }
  })

  test('a writer is kept, but not for a host that is longer than any name', () => {
    const ancestors = { service: { sid: `IS${'1'.repeat(32)}` }, parents: [] }
    const writerFor = (host: string) => writerOfOne(conversations, host, `AC${'1'.repeat(32)}`, ancestors, 'default')
    const longest = `https://${'x'.repeat(253)}:65535`
    expect(writerFor(longest)).toBe(writerFor(longest))
    const longer = `https://${'x'.repeat(400)}`
    expect(writerFor(longer)).not.toBe(writerFor(longer))
  })

  test.each(declared.filter(({ elapse }) => elapse))(
    'of a $name is the same when only what lists read has been read',
    (resource) => {
      const read = [...(resource.represent.columns ?? []), ...(resource.elapsesBy ?? [])]
      const [[, urls]] = families
      const write = writerOf(resource, base, urls)
      const now = Date.parse('2026-03-04T05:06:07Z')
      const near = fc.option(fc.integer({ min: now - 5, max: now + 5 }))
      const whole = fc.tuple(rowOf(resource, read), fc.record({ date_inactive: near, date_closed: near, next_due: near }))
      fc.assert(
        fc.property(whole, ([row, due]) => {
          const part = strict({ ...row, ...due }, resource.name)
          const all = { ...row, ...due, date_state: now, revision: 7, date_activity: now }
          expect(write(resource.elapse?.(part, now) ?? part)).toBe(write(resource.elapse?.(all, now) ?? all))
        }),
      )
    },
  )

  test.each(declared.filter(({ current, list }) => current || list?.shown))(
    'of a $name that the service has a say in is the same when only what lists read has been read',
    (resource) => {
      const replaced = { [`RL${'4'.repeat(32)}`]: { sid: `RL${'5'.repeat(32)}`, at: Date.parse('2026-03-04T05:06:07Z') } }
      const role_sid = fc.constantFrom(`RL${'4'.repeat(32)}`, `RL${'6'.repeat(32)}`)
      const service = fc.record({
        replaced_roles: fc.constantFrom('{}', JSON.stringify(replaced)),
        reachability_enabled: fc.constantFrom(0, 1),
        reachability_epoch: fc.nat(2),
      })
      const [[, urls]] = families
      const write = writerOf(resource, base, urls)
      const shown = (row: BaseRow, facts: Ancestors) => {
        const current = currentRow(resource, row, facts)
        return write(resource.list?.shown?.(current) ?? current)
      }
      const read = [...(resource.represent.columns ?? []), ...(resource.currentBy ?? [])]
      fc.assert(
        fc.property(rowOf(resource, read), role_sid, service, (row, role_sid, service) => {
          const facts = { service } as unknown as Ancestors
          const given = { ...row, role_sid }
          expect(shown(strict(given, resource.name), facts)).toBe(shown(given, facts))
        }),
      )
    },
  )

  test.each(cases)('of %s in the %s family has urls that are escaped', (_name, _family, resource, urls) => {
    const [row] = fc.sample(rowOf(resource), 1)
    const strange = { root: `${urls.root}"\\\n`, family: `${urls.family}"\\\n` }
    const collection = collectionUrl(resource, { service: null, parents: [] }, strange)
    expect(writerOf(resource, collection, strange)(row as BaseRow)).toBe(
      JSON.stringify(represent(resource, row as BaseRow, collection, strange)),
    )
  })
})
