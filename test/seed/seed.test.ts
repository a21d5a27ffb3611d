import { readdirSync, writeFileSync } from 'node:fs'
import Ajv2020 from 'ajv/dist/2020.js'
import fc from 'fast-check'
import { pino } from 'pino'
import { expect, test } from 'vitest'
import { stringify } from 'yaml'
import { firstStartNotice } from '../../src/cli/first-start.ts'
import { readConfig } from '../../src/config.ts'
import { ConfigError } from '../../src/config-error.ts'
import { openInstallation } from '../../src/installation/open.ts'
import { planSeed } from '../../src/seed/planner.ts'
import { readSeed } from '../../src/seed/read.ts'
import { seedSchema } from '../../src/seed/schema.ts'
import { newDatabase } from '../support/databases.ts'
import { folder, parley } from '../support/process.ts'
import { sdkFor } from '../support/sdk.ts'
import { adminToken, startServer } from '../support/server.ts'

const sid = (prefix: string, digit: string) => prefix + digit.repeat(32)
const account_sid = sid('AC', 'a')
const token = 'theTokenOfTheSeed'

const full = {
  accounts: [
    {
      sid: account_sid,
      auth_token: token,
      friendly_name: 'Shop',
      default_chat_service_sid: sid('IS', '1'),
      keys: [{ sid: sid('SK', '1'), secret: 'theSecretOfTheKey', friendly_name: 'CI' }],
      channels: [
        { proxy_address: '+15557654321', url: 'http://user:pass@127.0.0.1:9/' },
        { proxy_address: '+15557654322', kind: 'loopback' },
      ],
      contents: [{ sid: sid('HX', '1'), types: { 'twilio/text': { body: 'Hello {{1}}' } }, variables: { 1: 'you' } }],
      configuration: { default_closed_timer: 'P7D' },
      webhooks: { post_webhook_url: 'http://127.0.0.1:9/', filters: ['onConversationStateUpdated', 'onMessageAdded'] },
      addresses: [
        {
          sid: sid('IG', '1'),
          type: 'sms',
          address: '+15557654321',
          auto_creation: { enabled: true, conversation_service_sid: sid('IS', '2') },
        },
      ],
      roles: [{ sid: sid('RL', '1'), friendly_name: 'agent', type: 'service', permission: ['joinConversation'] }],
      users: [{ sid: sid('US', '1'), identity: 'alice', role_sid: sid('RL', '1'), attributes: { tier: 'gold' } }],
      conversations: [
        {
          sid: sid('CH', '1'),
          unique_name: 'order-1',
          attributes: '{"a": 1}',
          timers: { inactive: 'PT1H' },
          participants: [
            { sid: sid('MB', '1'), identity: 'alice' },
            { sid: sid('MB', '2'), messaging_binding: { address: '+15551234567', proxy_address: '+15557654321' } },
          ],
          messages: [
            { sid: sid('IM', '1'), author: 'alice', body: 'Hello' },
            { author: '+15551234567', body: 'Hi', date_created: '2020-01-01T00:00:00Z' },
          ],
          webhooks: [
            {
              sid: sid('WH', '1'),
              target: 'webhook',
              configuration: { url: 'http://127.0.0.1:9/', filters: ['onMessageAdded'] },
            },
          ],
        },
        { sid: sid('CH', '2'), state: 'closed', messages: [{ body: 'Bye' }] },
        { sid: sid('CH', '3'), state: 'inactive', timers: { closed: 'PT10M' }, messages: [{ body: 'Zzz' }] },
      ],
      services: [
        { sid: sid('IS', '2'), friendly_name: 'Second', users: [{ identity: 'bob' }], conversations: [{ sid: sid('CH', '4') }] },
        { sid: sid('IS', '1'), configuration: { reachability_enabled: true } },
      ],
    },
    { sid: sid('AC', 'b'), auth_token: 'anotherTokenOfTheSeed' },
  ],
}

const silent = { log: pino({ level: 'silent' }) }

async function seeded(seed: unknown = full, overrides: Parameters<typeof startServer>[0] = {}) {
  const server = await startServer({ testMode: true, account_sid: null, auth_token: null, ...overrides }, { seed })
  return Object.assign(server, { client: sdkFor(server, server.account_sid, token) })
}

test('a seed is there as it says, with its SIDs, as if the API had made it', async () => {
  await using server = await seeded()
  const { v1 } = server.client.conversations
  expect(server.account_sid).toBe(account_sid)
  expect(await server.admin('GET', '/accounts')).toMatchObject({
    accounts: [{ sid: account_sid, friendly_name: 'Shop', default_chat_service_sid: sid('IS', '1') }, { sid: sid('AC', 'b') }],
  })
  expect((await v1.services.list()).map(({ sid }) => sid).sort()).toEqual([sid('IS', '1'), sid('IS', '2')])
  expect((await v1.services(sid('IS', '1')).configuration().fetch()).reachabilityEnabled).toBe(true)
  expect(await v1.users('alice').fetch()).toMatchObject({
    sid: sid('US', '1'),
    roleSid: sid('RL', '1'),
    attributes: '{"tier":"gold"}',
  })
  const order = await v1.conversations('order-1').fetch()
  expect(order).toMatchObject({ sid: sid('CH', '1'), attributes: '{"a": 1}', state: 'active' })
  expect(Object.keys(order.timers)).toEqual(['date_inactive', 'date_closed'])
  const inOrder = v1.conversations(order.sid)
  expect((await inOrder.participants.list()).map(({ sid }) => sid)).toEqual([sid('MB', '1'), sid('MB', '2')])
  expect(
    (await inOrder.messages.list()).map(({ sid: own, index, body, participantSid }) => [
      own.slice(0, 4),
      index,
      body,
      participantSid,
    ]),
  ).toEqual([
    ['IM11', 0, 'Hello', sid('MB', '1')],
    [expect.stringContaining('IM'), 1, 'Hi', sid('MB', '2')],
  ])
  expect((await inOrder.messages.list())[1]?.dateCreated.toISOString()).toBe('2020-01-01T00:00:00.000Z')
  expect((await inOrder.webhooks.list()).map(({ sid }) => sid)).toEqual([sid('WH', '1')])
  expect((await v1.conversations(sid('CH', '2')).fetch()).state).toBe('closed')
  expect(await v1.conversations(sid('CH', '3')).messages.list()).toHaveLength(1)
  expect((await v1.conversations(sid('CH', '3')).fetch()).state).toBe('inactive')
  expect((await v1.services(sid('IS', '2')).conversations.list()).map(({ sid }) => sid)).toEqual([sid('CH', '4')])
  expect((await v1.addressConfigurations(sid('IG', '1')).fetch()).address).toBe('+15557654321')
  const byKey = sdkFor(server, account_sid, '', { keySid: sid('SK', '1'), keySecret: 'theSecretOfTheKey' })
  expect((await byKey.conversations.v1.configuration().fetch()).defaultClosedTimer).toBe('P7D')
  expect((await server.admin('GET', `/accounts/${account_sid}/channels`)).channels).toMatchObject([
    { kind: 'webhook', url: 'http://127.0.0.1:9/' },
    { kind: 'loopback', url: null },
  ])
  expect((await server.admin('GET', `/accounts/${account_sid}/contents`)).contents).toMatchObject([{ sid: sid('HX', '1') }])
  // It states what has been: nothing is sent.
  expect((await server.admin('GET', '/deliveries')).deliveries).toEqual([])
})

test('a reset brings the seed back, with the same SIDs, and its timers start anew', async () => {
  await using server = await seeded()
  const { v1 } = server.client.conversations
  const view = async () => [
    (await v1.conversations.list()).map(({ sid, state }) => [sid, state]).sort(),
    (await v1.conversations(sid('CH', '1')).messages.list()).map(({ sid, body }) => [sid, body]),
    (await v1.users.list()).map(({ sid, identity }) => [sid, identity]).sort(),
  ]
  const before = await view()
  for (let round = 0; round < 3; round++) {
    await server.admin('POST', '/clock', { advance: 'PT59M' })
    await v1.conversations(sid('CH', '2')).remove()
    await v1.conversations('order-1').messages.create({ body: 'more' })
    await server.admin('POST', '/reset')
    expect(await view()).toEqual(before)
    await server.admin('POST', '/clock', { advance: 'PT59M' })
    expect((await v1.conversations('order-1').fetch()).state).toBe('active')
    await server.admin('POST', '/clock', { advance: 'PT2M' })
    expect((await v1.conversations('order-1').fetch()).state).toBe('inactive')
    await server.admin('POST', '/reset')
  }
})

test('a seed comes from a file, JSON or YAML, and makes a new database only', async () => {
  await using database = await newDatabase()
  using place = folder()
  const [json, yaml] = [place.file('seed.json'), place.file('seed.yaml')]
  writeFileSync(json, JSON.stringify(full))
  writeFileSync(yaml, stringify(full))
  expect((await readSeed(yaml)).value).toEqual((await readSeed(json)).value)
  const open = async (settings: Parameters<typeof readConfig>[0]) => {
    const config = { ...readConfig(settings), ...database.config, adminToken }
    const { account, database: opened } = await openInstallation(config, silent)
    await opened.close()
    return account
  }
  expect(await open({ PARLEY_SEED: yaml })).toMatchObject({ sid: account_sid, unshownToken: token })
  // The same seed, in whatever file, is no other.
  await open({ PARLEY_SEED: json })
  writeFileSync(json, JSON.stringify({ accounts: [{ sid: account_sid }] }))
  await expect(open({ PARLEY_SEED: json })).rejects.toThrow(
    /^this database was not made from .*seed\.json as it is now: start without PARLEY_SEED/,
  )
  await open({})
})

test('in test mode a changed seed takes the place of what is there', async () => {
  await using database = await newDatabase()
  const first = { accounts: [{ sid: account_sid, auth_token: token, conversations: [{ sid: sid('CH', '1') }] }] }
  const second = { accounts: [{ sid: account_sid, auth_token: token, conversations: [{ sid: sid('CH', '2') }] }] }
  for (const [seed, expected] of [
    [first, '1'],
    [second, '2'],
    [second, '2'],
  ] as const) {
    await using server = await seeded(seed, database.config)
    expect((await server.client.conversations.v1.conversations.list()).map(({ sid }) => sid)).toEqual([sid('CH', expected)])
  }
})

const one = (account: object) => ({ accounts: [{ sid: account_sid, ...account }] })

test.for<[seed: unknown, problems: string[]]>([
  [null, ['the seed must be an object']],
  [[], ['the seed must be an object']],
  [{}, ['the seed needs accounts']],
  [{ accounts: [] }, ['accounts must have at least one account']],
  [{ accounts: {} }, ['accounts must be a list', 'accounts must have at least one account']],
  [{ account: [] }, ['the seed has the unknown key account: accounts may be meant', 'the seed needs accounts']],
  [{ accounts: ['x'] }, ['accounts[0] must be an object']],
  [{ accounts: [{ sid: 'AC1' }] }, ['accounts[0].sid must be AC and 32 lower-case hex digits']],
  [one({ auth_token: 'short' }), ['accounts[0].auth_token must be 8 to 256 letters and digits, as SDKs refuse other characters']],
  [
    one({ auth_token: 'with-a-hyphen' }),
    ['accounts[0].auth_token must be 8 to 256 letters and digits, as SDKs refuse other characters'],
  ],
  [one({ auth_token: 1.23e30 }), ['accounts[0].auth_token must be a text: put it in quotes']],
  [
    one({ keys: [{ sid: sid('SK', 'A'), secret: 12345678 }, { secret: 'a secret' }] }),
    [
      'accounts[0].keys[0].sid must be SK and 32 lower-case hex digits',
      'accounts[0].keys[0].secret must be a text: put it in quotes',
      'accounts[0].keys[1].secret must be 8 to 256 letters and digits, as SDKs refuse other characters',
    ],
  ],
  [
    one({ friendly_name: true, channels: [{ proxy_address: 15557654321, url: 'http://a/' }] }),
    [
      'accounts[0].friendly_name must be a text: put it in quotes',
      'accounts[0].channels[0].proxy_address must be a text: put it in quotes',
      'accounts[0].channels[0] needs proxy_address',
    ],
  ],
  [
    one({
      conversations: [{ unique_name: 7, messages: [{ body: 12.5 }] }],
      roles: [{ friendly_name: 'x', type: 'service', permission: [true] }],
      configuration: { default_closed_timer: 60 },
    }),
    [
      'accounts[0].configuration.default_closed_timer must be a text: put it in quotes',
      'accounts[0].roles[0].permission must be a list of texts: put it in quotes',
      'accounts[0].conversations[0].unique_name must be a text: put it in quotes',
      'accounts[0].conversations[0].messages[0].body must be a text: put it in quotes',
    ],
  ],
  [
    {
      accounts: [
        { sid: account_sid, default_chat_service_sid: sid('IS', '1') },
        { sid: sid('AC', 'b'), default_chat_service_sid: sid('IS', '1') },
      ],
    },
    ['accounts[1].default_chat_service_sid is the SID of accounts[0].default_chat_service_sid, too'],
  ],
  [
    {
      accounts: [
        { sid: account_sid, default_chat_service_sid: sid('IS', '1'), services: [{ sid: sid('IS', '2'), friendly_name: 'x' }] },
        { sid: sid('AC', 'b'), default_chat_service_sid: sid('IS', '2'), services: [{ sid: sid('IS', '1') }] },
      ],
    },
    [
      'accounts[1].default_chat_service_sid is the SID of accounts[0].services[0].sid, too',
      'accounts[1].services[0].sid is the SID of accounts[0].default_chat_service_sid, too',
    ],
  ],
  [
    one({ default_chat_service_sid: sid('IS', '1'), services: [{ sid: sid('IS', '1') }, { sid: sid('IS', '1') }] }),
    ['accounts[0].services[1].sid is the SID of accounts[0].services[0].sid, too'],
  ],
  [one({ friendly_name: 'x'.repeat(257) }), ['accounts[0].friendly_name must have at most 256 characters']],
  [one({ friendly_name: 'a\0b' }), ['accounts[0].friendly_name must not contain a NUL character or an unpaired surrogate']],
  [one({ friendly_name: {} }), ['accounts[0].friendly_name must be a text']],
  [one({ conversation: [] }), ['accounts[0] has the unknown key conversation: conversations may be meant']],
  [one({ conversations: {} }), ['accounts[0].conversations must be a list']],
  [one({ configuration: [] }), ['accounts[0].configuration must be an object']],
  [one({ keys: [{ sid: 'SK1' }] }), ['accounts[0].keys[0].sid must be SK and 32 lower-case hex digits']],
  [one({ channels: [{}] }), ['accounts[0].channels[0] needs proxy_address', 'accounts[0].channels[0] needs url']],
  [
    one({ channels: [{ proxy_address: 'x', url: 'ftp://a/' }] }),
    [
      'accounts[0].channels[0].proxy_address must be an address of a known format, such as +15557654321',
      'accounts[0].channels[0].url must be an http or https URL',
    ],
  ],
  [
    one({ channels: [{ proxy_address: '+15557654321', kind: 'webhook', settings: { urll: 'x' } }] }),
    ['accounts[0].channels[0] settings.urll is not a setting of this kind'],
  ],
  [one({ contents: [{ types: 'x' }] }), ['accounts[0].contents[0] needs sid', 'accounts[0].contents[0].types must be an object']],
  [one({ users: [{}] }), ['accounts[0].users[0] needs identity']],
  [
    one({ roles: [{ friendly_name: 'x', type: 'service', permission: {} }] }),
    ['accounts[0].roles[0].permission must be a list of texts'],
  ],
  [
    one({ conversations: [{ timers: { inactive: 'PT1S', closd: 'P1D' } }] }),
    [
      'accounts[0].conversations[0].timers has the unknown key closd: closed may be meant',
      'accounts[0].conversations[0].timers.inactive is refused: TimeToInactive should be greater or equal to 1 minute (ISO 8601 duration without years and months, at least PT1M; PT0S or empty unsets)',
    ],
  ],
  [
    one({ conversations: [{ sid: sid('CH', '1') }, { sid: sid('CH', '1') }] }),
    ['accounts[0].conversations[1].sid is the SID of accounts[0].conversations[0].sid, too'],
  ],
])('%j is refused, with a sentence for each mistake', ([seed, problems]) => {
  const plan = () => planSeed({ source: 'seed.yaml', value: seed }, options)
  expect(plan).toThrow(ConfigError)
  const said = messageOf(plan).split('\n  ')
  expect(said[0]).toBe('seed.yaml is not a seed:')
  expect(said.slice(1)).toEqual(problems)
})

test.for<[seed: object, sentence: string]>([
  [
    { conversations: [{ unique_name: 'a' }, { unique_name: 'a' }] },
    'accounts[0].conversations[1] is refused: Conversation with provided unique name already exists',
  ],
  [{ users: [{ identity: 'a', role_sid: sid('RL', '9') }] }, 'accounts[0].users[0] is refused: '],
  [{ conversations: [{ participants: [{}] }] }, 'accounts[0].conversations[0].participants[0] is refused: '],
  [{ conversations: [{ messages: [{}] }] }, 'accounts[0].conversations[0].messages[0] is refused: '],
  [
    { addresses: [{ type: 'sms', address: '+1', auto_creation: { enabled: true, type: 'webhook' } }] },
    'accounts[0].addresses[0] is refused: ',
  ],
])('what a rule refuses is named with its place: %j', async ([account, sentence]) => {
  await using database = await newDatabase({ untouched: true })
  const config = { ...readConfig({}), adminToken }
  const open = openInstallation({ ...config, ...database.config }, { ...silent, seed: one(account) })
  await expect(open).rejects.toThrow(`the seed: ${sentence}`)
  // In a database in memory there is no trial before: it is the same.
  const memory = { engine: 'sqlite', file: ':memory:' } as const
  await expect(openInstallation({ ...config, database: memory }, { ...silent, seed: one(account) })).rejects.toThrow(sentence)
})

test('a setting that contradicts the seed is refused; one that the seed leaves open takes part', async () => {
  const context = { ...options, account_sid: sid('AC', 'f'), auth_token: 'aTokenOfTheSettings' }
  const value = { accounts: [{ sid: account_sid, auth_token: token }] }
  expect(messageOf(() => planSeed({ source: 'x', value }, context))).toBe(
    'x is not a seed:\n  accounts[0].sid is not that of PARLEY_ACCOUNT_SID: leave out one' +
      '\n  accounts[0].auth_token is not that of PARLEY_AUTH_TOKEN: leave out one',
  )
  const { accounts } = planSeed({ source: 'x', value: { accounts: [{}] } }, context)
  expect(accounts[0].created.account).toMatchObject({ sid: sid('AC', 'f'), auth_token: 'aTokenOfTheSettings' })
})

test('a second account cannot have the SID that PARLEY_ACCOUNT_SID gives the first', () => {
  const value = { accounts: [{}, { sid: account_sid }] }
  expect(messageOf(() => planSeed({ source: 'x', value }, { ...options, account_sid }))).toBe(
    'x is not a seed:\n  accounts[1].sid is the SID of PARLEY_ACCOUNT_SID, too',
  )
})

test('what stands for a number, or for true or false, may be one', () => {
  const value = one({
    services: [{ friendly_name: 'x', configuration: { reachability_enabled: true } }],
    conversations: [{ webhooks: [{ target: 'studio', configuration: { flow_sid: sid('FW', '1'), replay_after: 0 } }] }],
    users: [{ identity: 'a', attributes: 5 }],
  })
  expect(messageOf(() => planSeed({ source: 'x', value }, options))).toBe('')
})

test.for([
  ['seed.txt', '{}', 'must end in .json, .yaml or .yml'],
  ['seed.json', '{"auth_token":"secret"', 'is not JSON: line 1'],
  ['seed.json', '{\n"auth_token":"secret",\n}\n\n', 'is not JSON: line 3'],
  ['seed.json', '{\n"a":\n[\n"secret",\n]\n}\n\n', 'is not JSON: line 5'],
  ['seed.json', '\n// secret\n{}\n', 'is not JSON: line 2'],
  ['seed.json', '\n{"a": \n"secret', 'is not JSON: line 3'],
  ['seed.json', '{"a": {\n\t"secret": 1,\n\t"secret": 2\n}}', 'has a key twice in the same object: line 3'],
  ['seed.yaml', 'a:\n  secret: 1\n  secret: 2\n', 'has a key twice in the same object: line 3'],
  ['seed.json', Buffer.from('{"a":"secr\u00e9t"}', 'latin1'), 'is not UTF-8'],
  ['seed.json', Buffer.from('\ufeff{}', 'utf16le'), 'is not UTF-8'],
  ['seed.yaml', Buffer.from('a: secr\u00e9t', 'latin1'), 'is not UTF-8'],
  ['seed.yaml', 'accounts:\n  - sid: [secret\n', 'is not YAML: line'],
  [
    'seed.yaml',
    `a: &a [x]\nb: &b [${'*a,'.repeat(30)}]\nc: &c [${'*b,'.repeat(30)}]\nd: [${'*c,'.repeat(30)}]`,
    'cannot be used: ',
  ],
] as const)('%s with %j: %s', async ([name, text, sentence]) => {
  using place = folder()
  writeFileSync(place.file(name), text)
  const error = await readSeed(place.file(name)).then(
    () => undefined,
    (error: unknown) => error,
  )
  expect(error).toBeInstanceOf(ConfigError)
  expect(String(error)).toContain(sentence)
  expect(String(error)).not.toContain('secret')
})

test.for([
  ['seed.json', '{"a": 1}'],
  ['seed.yaml', 'a: 1'],
])('a byte order mark in %s is no part of it', async ([name = '', text]) => {
  using place = folder()
  writeFileSync(place.file(name), `\ufeff${text}`)
  expect((await readSeed(place.file(name))).value).toEqual({ a: 1 })
})

test('whatever a JSON file holds, it is read as it is or refused with a sentence that quotes nothing of it', async () => {
  using place = folder()
  const file = place.file('seed.json')
  const part = fc.oneof(fc.json(), fc.constantFrom('{', '}', '[', ']', ',', ':', '"', '\n', '\t', 'true', '-', '\\', '//'))
  await fc.assert(
    fc.asyncProperty(
      fc.array(part, { maxLength: 6 }).map((parts) => parts.join('')),
      async (text) => {
        writeFileSync(file, text)
        const read = await readSeed(file).catch((error: unknown) => error)
        if (!(read instanceof Error)) {
          expect(read).toEqual({ source: file, value: JSON.parse(text) })
          return
        }
        expect(read).toBeInstanceOf(ConfigError)
        expect(read.message).toMatch(
          /^the seed .*seed\.json (is not JSON: line \d+|has a key twice in the same object: line \d+)$/,
        )
      },
    ),
    { numRuns: 300 },
  )
})

test('a seed file that is not there is said so', async () => {
  await expect(readSeed('/nowhere/seed.json')).rejects.toThrow('the seed /nowhere/seed.json cannot be read (ENOENT)')
})

test('the published schema takes the whole seed, and refuses unknown keys', () => {
  const validate = new Ajv2020.Ajv2020({ strict: false }).compile(seedSchema())
  expect(validate(full), JSON.stringify(validate.errors)).toBe(true)
  expect(validate(one({ conversation: [] }))).toBe(false)
  expect(validate({ accounts: [] })).toBe(false)
})

test('whatever a seed is, it makes a plan or is refused with a sentence', () => {
  const keys = fc.constantFrom(
    'accounts',
    'sid',
    'users',
    'conversations',
    'timers',
    'inactive',
    'messages',
    'identity',
    'services',
    '__proto__',
    'x',
  )
  const { tree } = fc.letrec((tie) => ({
    tree: fc.oneof(
      { maxDepth: 6 },
      fc.jsonValue({ maxDepth: 1 }),
      fc.array(tie('tree'), { maxLength: 3 }),
      fc.dictionary(keys, tie('tree'), { maxKeys: 5 }),
    ),
  }))
  fc.assert(
    fc.property(
      fc.oneof(
        tree,
        fc.array(tree, { maxLength: 3 }).map((accounts) => ({ accounts })),
      ),
      (value) => {
        try {
          planSeed({ source: 'x', value }, options)
        } catch (error) {
          expect(error).toBeInstanceOf(ConfigError)
        }
      },
    ),
    { numRuns: 500 },
  )
})

const options = { now: Date.UTC(2030, 0), seal: (secret: string) => secret, account_sid: null, auth_token: null }

function messageOf(act: () => unknown): string {
  try {
    act()
    return ''
  } catch (error) {
    return (error as Error).message
  }
}

test('parley serve prints a line for each mistake, whatever is in it, and leaves nothing behind', async () => {
  using place = folder()
  writeFileSync(place.file('seed.json'), JSON.stringify(one({ 'a\nb\u001b': 1, users: [{}] })))
  const args = ['serve', '--port', '0', '--database-url', 'sqlite:new.db', '--seed', 'seed.json']
  const { code, stdout, stderr } = await parley(args, { cwd: place.path })
  expect({ code, stdout }).toEqual({ code: 1, stdout: '' })
  const [first, unknown, ...others] = stderr.trimEnd().split('\n')
  expect(first).toBe('parley: seed.json is not a seed:')
  expect(unknown).toMatch(/^ {2}accounts\[0\] has the unknown key a\\u000ab\\u001b; known are sid, auth_token, /)
  expect(others).toEqual(['  accounts[0].users[0] needs identity'])
  expect(readdirSync(place.path)).toEqual(['seed.json'])
})

test('the token that a seed gives is not printed at the first start; one that it leaves open is', () => {
  const notice = async (account: object) => {
    const config = { ...readConfig({}), database: { engine: 'sqlite', file: ':memory:' } as const, adminToken }
    const installation = await openInstallation(config, { ...silent, seed: one(account) })
    await installation.database.close()
    return { said: firstStartNotice(installation).join('\n'), token: installation.account.unshownToken ?? '' }
  }
  return Promise.all([
    notice({ auth_token: token }).then(({ said }) => {
      expect(said).toContain('auth token      as given by the seed')
      expect(said).not.toContain(token)
    }),
    notice({}).then(({ said, token }) => expect(said).toContain(`auth token      ${token}`)),
  ])
})
