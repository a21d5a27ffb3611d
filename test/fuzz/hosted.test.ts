import fc from 'fast-check'
import { expect, it } from 'vitest'
import { ConfigError } from '../../src/config-error.ts'
import { makeTemporaryFolder, removeTemporaryFolder } from '../../src/temporary.ts'
import { fetchHosted } from '../../src/transfer/hosted/fetch.ts'
import { standIn } from '../support/http-stand-in.ts'

const sid = (prefix: string) => fc.stringMatching(/^[0-3a]{1}$/).map((digit) => prefix + digit.repeat(32))
const odd = fc.oneof(fc.jsonValue({ maxDepth: 2 }), fc.constant('//evil.example/v1'), fc.constant('../..'), fc.constant(-1))
const row = fc.record(
  {
    sid: fc.oneof(sid('CH'), sid('IS'), sid('IM'), odd),
    account_sid: fc.oneof(sid('AC'), odd),
    index: fc.oneof(fc.nat(9), odd),
    state: fc.oneof(fc.constantFrom('active', 'closed'), odd),
    timers: fc.oneof(fc.record({ date_closed: odd }), odd),
    delivery: odd,
    media: fc.oneof(fc.array(fc.record({ sid: fc.oneof(sid('ME'), odd), size: odd }), { maxLength: 2 }), odd),
    conversation_sid: fc.oneof(sid('CH'), odd),
  },
  { requiredKeys: [] },
)
const keys = [
  'services',
  'roles',
  'users',
  'conversations',
  'participants',
  'messages',
  'delivery_receipts',
  'webhooks',
  'credentials',
]
const next = fc.oneof(
  { weight: 3, arbitrary: fc.constant(null) },
  {
    weight: 1,
    arbitrary: fc.constantFrom('https://evil.example/v1/Services?PageToken=x', 'http://h//evil.example/x', 'no url', 7),
  },
)
const body = fc.oneof(
  { weight: 6, arbitrary: fc.tuple(fc.array(row, { maxLength: 3 }), next).map(([rows, url]) => listOf(rows, url)) },
  { weight: 1, arbitrary: odd },
)

/** A page of whatever is asked for; and a configuration. */
function listOf(rows: readonly object[], next_page_url: unknown): object {
  const lists = Object.fromEntries([...keys, 'address_configurations', 'bindings'].map((key) => [key, rows]))
  return { account_sid: `AC${'1'.repeat(32)}`, ...rows[0], ...lists, meta: { next_page_url } }
}

it('ends with a report or a sentence, whatever the hosted side sends', async () => {
  let answers: readonly unknown[] = []
  let asked = 0
  const authorized: string[] = []
  await using hosted = await standIn(({ path, headers }) => {
    if (headers.authorization) authorized.push(path)
    // A far side that has rows without end is none that a run of this test should wait for.
    return { status: asked > 400 ? 404 : 200, body: JSON.stringify(answers[asked++ % answers.length]) }
  })
  await fc.assert(
    fc.asyncProperty(fc.array(body, { minLength: 1, maxLength: 6 }), async (given) => {
      answers = given
      asked = 0
      const folder = makeTemporaryFolder('parley-hosted-fuzz-')
      let now = 0
      try {
        const report = await fetchHosted({
          url: hosted.url,
          mediaUrl: hosted.url,
          username: `AC${'1'.repeat(32)}`,
          password: 'x',
          folder,
          perSecond: 1_000_000,
          concurrency: 4,
          since: false,
          dryRun: false,
          services: null,
          read: { pageSize: null, receipts: 'all', media: true, bindings: true, memberships: true, recheck: 5 },
          clock: { now: () => now, offset: () => 0 },
          wait: async (ms) => {
            now += ms
          },
          random: () => 0,
          observer: { counting: () => {}, began: () => {}, went: () => {}, ended: () => {} },
        })
        expect(report.pass).toBe(1)
      } catch (error) {
        expect(error).toBeInstanceOf(ConfigError)
      } finally {
        removeTemporaryFolder(folder)
      }
    }),
    { numRuns: 60 },
  )
  expect(authorized.length).toBeGreaterThan(0)
})
