import { expect, test, vi } from 'vitest'
import { ask } from '../support/admin.ts'
import { inspect, newDatabase } from '../support/databases.ts'
import { postgresOnly, sqliteOnly } from '../support/only.ts'
import type { TestServer } from '../support/server.ts'
import { startServer } from '../support/server.ts'

interface Hit {
  readonly type: string
  readonly sid: string
  readonly conversation_sid: string | null
  readonly conversation_name: string | null
  readonly name: string | null
  readonly field: string
  readonly snippet: readonly { text: string; match: boolean }[]
}

interface Page {
  readonly hits: readonly Hit[]
  readonly next_before: string | null
  readonly total: number
  readonly total_capped: boolean
  readonly complete: boolean
}

async function search(server: Pick<TestServer, 'admin'>, params: Record<string, string>): Promise<Page> {
  return server.admin('GET', `/search?${new URLSearchParams(params)}`)
}

async function sidsOf(server: Pick<TestServer, 'admin'>, params: Record<string, string>): Promise<string[]> {
  return (await search(server, params)).hits.map(({ sid }) => sid)
}

test('names, identities, addresses and texts are found as soon as they are written, and gone with them', async () => {
  await using server = await startServer()
  const v1 = server.sdk.conversations.v1
  const conversation = await v1.conversations.create({ friendlyName: 'Parcel of Änne', uniqueName: 'order-1234' })
  const here = v1.conversations(conversation.sid)
  const ann = await here.participants.create({ identity: 'ann.smith' })
  const phone = await here.participants.create({
    'messagingBinding.address': '+4915112345678',
    'messagingBinding.proxyAddress': '+15557654321',
  })
  const message = await here.messages.create({ author: 'ann.smith', body: 'Where is my <b>Päckchen</b>? 東京都' })
  const user = (await v1.users('ann.smith').update({ friendlyName: 'Annabel' })).sid

  expect(await sidsOf(server, { q: 'anne' })).toEqual([conversation.sid])
  expect(await sidsOf(server, { q: 'order-1234' })).toEqual([conversation.sid])
  expect((await sidsOf(server, { q: 'ann.smith', type: 'person' })).sort()).toEqual([ann.sid, user].sort())
  expect(await sidsOf(server, { q: 'annabel' })).toEqual([user])
  for (const q of ['+4915112345678', '4915112345678', '+49 151 1234', '0049 (151) 12345678']) {
    expect(await sidsOf(server, { q }), q).toEqual([phone.sid])
  }
  for (const q of ['packch', 'PÄCKCHEN where', '京都', 'b']) expect(await sidsOf(server, { q }), q).toEqual([message.sid])
  const [hit] = (await search(server, { q: 'päck' })).hits
  expect(hit).toMatchObject({
    ...{ type: 'message', conversation_sid: conversation.sid, conversation_name: 'Parcel of Änne', name: 'ann.smith' },
    field: 'body',
    snippet: [
      { text: 'Where is my <b>', match: false },
      { text: 'Päckchen', match: true },
      { text: '</b>? 東京都', match: false },
    ],
  })

  await here.messages(message.sid).update({ body: 'Found it' })
  expect(await sidsOf(server, { q: 'päckchen' })).toEqual([])
  expect(await sidsOf(server, { q: 'found' })).toEqual([message.sid])
  await here.messages(message.sid).update({ attributes: '{"a":1}' })
  expect(await sidsOf(server, { q: 'found' })).toEqual([message.sid])
  await here.messages(message.sid).remove()
  expect(await sidsOf(server, { q: 'found' })).toEqual([])
  await here.update({ friendlyName: 'Something else' })
  expect(await sidsOf(server, { q: 'parcel' })).toEqual([])
  await here.remove()
  // The rows below it are removed in the background, but nothing leads to them any more.
  expect(await sidsOf(server, { q: '4915112345678' })).toEqual([])
  await vi.waitFor(async () => expect((await search(server, { q: '4915112345678' })).total).toBe(0), { timeout: 60_000 })
})

test('pages go through everything once, the latest first, and stay in an account or a service', async () => {
  await using server = await startServer()
  const other = await server.admin('POST', '/accounts', { friendly_name: 'Another' })
  const as = { username: other.sid, password: other.auth_token }
  const made: string[] = []
  for (let i = 0; i < 25; i++) {
    const own = i % 5 === 0 ? { as } : {}
    const { body } = await server.call('POST', '/v1/Conversations', { FriendlyName: `Case ${i} alike` }, own)
    made.unshift(body.sid)
  }
  const found: string[] = []
  for (let before: string | null | undefined; before !== null; ) {
    const page: Page = await search(server, { q: 'alike', limit: '4', ...(before && { before }) })
    expect(page).toMatchObject({ total_capped: false })
    found.push(...page.hits.map(({ sid }) => sid))
    before = page.next_before
  }
  expect(found).toEqual(made)
  expect(await sidsOf(server, { q: 'alike', account_sid: other.sid })).toEqual(made.filter((_, i) => (24 - i) % 5 === 0))
  const { service_sid } = (await search(server, { q: 'alike', account_sid: other.sid })).hits[0] as unknown as {
    service_sid: string
  }
  expect((await search(server, { q: 'alike', service_sid })).total).toBe(5)
  expect((await search(server, { q: 'alike', service_sid, account_sid: server.account_sid })).total).toBe(0)
  expect((await search(server, { q: 'alike', service_sid: 'nothing' })).hits).toEqual([])
})

test('what cannot be looked for is refused or finds nothing, and never fails', async () => {
  await using server = await startServer()
  const get = (query: string) => ask(server, 'GET', `/search?${query}`)
  for (const q of ['', '%20', '%22', '*', '%00', '%F0%9F%8F%BD', 'x'.repeat(257), 'x'.repeat(10_000)]) {
    const { status, body } = await get(`q=${q}`)
    expect([q, status]).toEqual([q, 400])
    expect((body as { error: string }).error).toMatch(/^q must/)
  }
  const odd = [
    'a"b',
    "a'b",
    'a*',
    '^a',
    'a:b',
    '{words}:a',
    'NEAR(a b)',
    'NOT a',
    'a AND',
    'OR',
    '((a',
    'a\\',
    'a & !b',
    '-a',
    '\u{1f600}',
    'ab\u202ecd',
  ]
  for (const q of odd) {
    const { status, body } = await get(`q=${encodeURIComponent(q)}`)
    expect([q, status, (body as Page).hits]).toEqual([q, 200, []])
  }
  for (const query of ['q=a&limit=0', 'q=a&before=x', 'q=a&type=secret', 'q=a&colour=red', 'limit=3']) {
    expect([query, (await get(query)).status]).toEqual([query, 400])
  }
  expect((await get('q=a&before=-999999999999999')).status).toBe(200)
})

test('what was written while it was switched off is added later; switched off, nothing of the words is kept', async () => {
  await using database = await newDatabase()
  const place = database.config
  const kept = async () => {
    await using inside = inspect(place)
    return (await inside.rows('search_documents')).length
  }
  let conversation = ''
  {
    await using server = await startServer(place)
    conversation = (await server.sdk.conversations.v1.conversations.create({ friendlyName: 'Early bird' })).sid
    expect(await sidsOf(server, { q: 'early' })).toEqual([conversation])
  }
  const written: string[] = []
  {
    await using server = await startServer({ ...place, search: false })
    const here = server.sdk.conversations.v1.conversations(conversation)
    for (let i = 0; i < 3; i++) written.unshift((await here.messages.create({ body: `Unseen number ${i}` })).sid)
    const refused = await ask(server, 'GET', '/search?q=early')
    expect([refused.status, refused.body]).toEqual([409, { error: 'the search is switched off (PARLEY_SEARCH)' }])
    await vi.waitFor(async () => expect(await kept()).toBe(0), { timeout: 60_000 })
  }
  await using server = await startServer(place)
  await vi.waitFor(async () => expect((await search(server, { q: 'unseen' })).complete).toBe(true), { timeout: 60_000 })
  expect(await sidsOf(server, { q: 'unseen number' })).toEqual(written)
  const later = await server.sdk.conversations.v1.conversations(conversation).messages.create({ body: 'Unseen as well' })
  expect(await sidsOf(server, { q: 'unseen' })).toEqual([later.sid, ...written])
  expect(await sidsOf(server, { q: 'early bird' })).toEqual([conversation])
})

test.each([
  ['goes on at the place that is recorded', { sid: 'IM0', conversation_sid: 'CH0', service_sid: 'IS0' }, 0],
  ['begins anew where an older program has recorded one', ['CH0', 'IM0', 'IS0'], 1],
])('adding what was written before %s', async (_, place, found) => {
  await using database = await newDatabase()
  {
    await using server = await startServer({ ...database.config, search: false })
    const { v1 } = server.sdk.conversations
    await v1.conversations((await v1.conversations.create({})).sid).messages.create({ body: 'Unseen' })
  }
  {
    await using inside = inspect(database.config)
    await inside.insert('search_progress', { name: 'messages', place: JSON.stringify(place) })
  }
  await using server = await startServer(database.config)
  await vi.waitFor(async () => expect((await search(server, { q: 'unseen' })).complete).toBe(true), { timeout: 60_000 })
  expect(await sidsOf(server, { q: 'unseen' })).toHaveLength(found)
})

test('conversations are found by the words of their messages, with the other filters', async () => {
  await using server = await startServer()
  const v1 = server.sdk.conversations.v1
  const service_sid = (await v1.configuration().fetch()).defaultChatServiceSid
  const made: string[] = []
  for (let i = 0; i < 6; i++) {
    const { sid } = await v1.conversations.create({ friendlyName: i % 2 === 0 ? `Even ${i}` : `Odd ${i}` })
    made.unshift(sid)
  }
  for (const sid of made.toReversed()) {
    for (const body of ['Invoice of May', 'Thanks']) await v1.conversations(sid).messages.create({ body })
  }
  await v1.conversations(made[3] ?? '').messages.create({ body: 'Another invoice' })
  await v1.conversations(made[0] ?? '').update({ state: 'closed' })
  const list = async (query: string) => {
    const sids: string[] = []
    for (let before: string | null | undefined; before !== null; ) {
      const page = (
        await ask(server, 'GET', `/conversations?service_sid=${service_sid}${query}${before ? `&before=${before}` : ''}`)
      ).body
      sids.push(...page.conversations.map(({ sid }: { sid: string }) => sid))
      before = page.next_before
    }
    return sids
  }
  const latest = [made[3], made[0], made[1], made[2], made[4], made[5]]
  expect(await list('&text=invoice')).toEqual(latest)
  // Its other message comes behind the first page.
  expect([...new Set(await list('&text=invoice&limit=2'))]).toEqual(latest)
  expect(await list('&text=invoice&state=closed')).toEqual([made[0]])
  expect(await list('&text=invo&name=even')).toEqual([made[3], made[1], made[5]])
  expect(await list('&text=nothing')).toEqual([])
  for (const query of ['text=%2A', 'text=a&identity=b', 'text=', 'text=a&before=CH00000000000000000000000000000000']) {
    expect([query, (await ask(server, 'GET', `/conversations?service_sid=${service_sid}&${query}`)).status]).toEqual([query, 400])
  }
})

postgresOnly('very many documents', () => {
  test('a word of too many rows to sort is found from the latest on, also where none of the latest has it', async () => {
    await using database = await newDatabase()
    await using server = await startServer(database.config)
    await using inside = inspect(database.config)
    const { sid } = await server.sdk.conversations.v1.conversations.create({ friendlyName: 'Here' })
    const messages = server.sdk.conversations.v1.conversations(sid).messages
    await messages.create({ body: 'the first zebra' })
    const made = (await inside.rows('search_documents')).find((row) => row.sid.startsWith('IM'))
    const { words: scope, service_sid } = made ?? { words: '', service_sid: '' }
    // Of no message: nothing of them is shown.
    const add = (prefix: string, from: number, count: number, word: string, step = 1) =>
      inside.query(`insert into search_documents (id, service_sid, sid, account_sid, conversation_sid, words)
        select ${from} - i * ${step}, '${service_sid}', '${prefix}' || i, '${server.account_sid}', '${sid}',
          '${String(scope).replaceAll("'zebra'", `'${word}'`).replaceAll("'", "''")}'::tsvector
        from generate_series(1, ${count}) as i`)
    await add('IMold', -1, 25_000, 'zebra')
    const later = await messages.create({ body: 'the last zebra' })
    await add('IMnew', 1_000_000, 3000, 'lion')
    const page = await search(server, { q: 'zebra', type: 'message', limit: '2' })
    expect(page.hits.map((hit) => hit.sid)[0]).toBe(later.sid)
    expect(page).toMatchObject({ total_capped: true })
    const { conversations } = await server.admin('GET', `/conversations?service_sid=${service_sid}&text=zebra`)
    expect(conversations.map((one: { sid: string }) => one.sid)).toEqual([sid])
    // A rare word comes from its index: the table is not read through.
    const used = async () => {
      const counts = "select idx_scan from pg_stat_user_indexes where indexrelname = 'search_documents_by_segment'"
      return Number(((await inside.query(counts)) as { idx_scan: unknown }[])[0]?.idx_scan)
    }
    await expect.poll(used).toBeGreaterThan(0)
    await messages.create({ body: 'a unicorn' })
    await add('IMnewer', 2_000_000, 3000, 'lion')
    const rare = await search(server, { q: 'unicorn' })
    expect(rare).toMatchObject({ total: 1, total_capped: false, next_before: null })
    // Of a word that is far away the page says where it goes on.
    await add('IMfar', 30_000_000, 1200, 'lion', 16_384)
    const first = await search(server, { q: 'zebra', type: 'message' })
    expect(first.hits).toEqual([])
    expect(first.next_before).not.toBeNull()
    const texts = await server.admin('GET', `/conversations?service_sid=${service_sid}&text=zebra`)
    expect(texts).toMatchObject({ conversations: [], next_before: expect.any(String) })
    let later_page = first
    while (later_page.hits.length === 0) {
      later_page = await search(server, { q: 'zebra', type: 'message', before: later_page.next_before ?? '' })
    }
    expect(later_page.hits.map((hit) => hit.sid)).toContain(later.sid)
  })

  test('searches go on while the index is built beside requests, and by a node of an older version after it', async () => {
    await using database = await newDatabase()
    await using inside = inspect(database.config)
    await inside.query('drop index search_documents_by_segment')
    await inside.query('create index search_documents_by_word on search_documents using gin (words)')
    {
      await using server = await startServer(database.config)
      const { sid } = await server.sdk.conversations.v1.conversations.create({ friendlyName: 'A zebra' })
      const names = 'select indexrelid::regclass::text as name from pg_index where indisvalid'
      const built = async () => ((await inside.query(names)) as { name: string }[]).map(({ name }) => name)
      await expect.poll(built).toContain('search_documents_by_segment')
      await expect.poll(built).not.toContain('search_documents_by_word')
      expect(await sidsOf(server, { q: 'zebra' })).toEqual([sid])
      const older = await inside.query("select sid from search_by_words('''zebr'':* & ''a'''::tsquery, 1000, 5)")
      expect(older).toEqual([{ sid }])
    }
    // Not built yet, and then without the one that it replaces.
    for (const index of ['search_documents_by_segment', 'search_documents_by_word']) {
      if (index === 'search_documents_by_segment') {
        await inside.query('create index search_documents_by_word on search_documents using gin (words)')
      }
      await inside.query(`drop index ${index}`)
      const mark = String.fromCodePoint(0xe002)
      const found = await inside.query(`select sid from search_segments('''${mark}zebra''', 1000, 5, 0, 0, 9)`)
      expect(found, index).toHaveLength(1)
    }
  })
})

sqliteOnly('very many documents', () => {
  test('the beginning of a word that very many rows have stands for that word, and any other beginning for itself', async () => {
    await using database = await newDatabase()
    await using server = await startServer(database.config)
    await using inside = inspect(database.config)
    const { sid } = await server.sdk.conversations.v1.conversations.create({ friendlyName: 'Here' })
    const messages = server.sdk.conversations.v1.conversations(sid).messages
    const rare = await messages.create({ body: 'a customary thing' })
    // Of no message: nothing of them is shown.
    await inside.query(`insert into search_documents (id, service_sid, sid, account_sid, conversation_sid, words)
      with recursive n (i) as (select 1 union all select i + 1 from n where i < 120000)
      select -i, 'IS', 'IMold' || i, '${server.account_sid}', '${sid}', 'customer number ' || i from n`)
    await inside.query(
      'insert into search_words (rowid, words) select d.id, d.words from search_waiting as w join search_documents as d on d.id = w.id',
    )
    await inside.query('delete from search_waiting')
    const later = await messages.create({ body: 'the last customer' })
    expect(await sidsOf(server, { q: 'custom', limit: '1' })).toEqual([later.sid])
    expect(await sidsOf(server, { q: 'the custom', limit: '1' })).toEqual([later.sid])
    expect(await sidsOf(server, { q: 'customa' })).toEqual([rare.sid])
    expect(await sidsOf(server, { q: 'thing custom' })).toEqual([])
    expect(await search(server, { q: 'customer', limit: '1' })).toMatchObject({ total_capped: true })
  })
})
