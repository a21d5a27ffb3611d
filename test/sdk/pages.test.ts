import fc from 'fast-check'
import type { ConversationInstance, ConversationListInstance } from 'twilio/lib/rest/conversations/v1/conversation.js'
import { describe, expect } from 'vitest'
import { test } from '../support/fixtures.ts'
import { sdkFor } from '../support/sdk.ts'
import type { TestServer } from '../support/server.ts'
import type { Credentials } from '../support/tenant.ts'

let server: TestServer
let as: Credentials

test.beforeAll(async ({ server: started }) => {
  server = started
  as = await newAccount()
})

async function newAccount(): Promise<Credentials> {
  const made = await server.admin('POST', '/accounts', {})
  return { username: made.sid, password: made.auth_token }
}

interface Collection {
  /** Path with `/v1`. */
  readonly path: string
  readonly sdk: ConversationListInstance
  /** Makes one and answers its sid. `day`: of January 2020, for an order of our own. */
  make(day?: number, form?: Record<string, string>): Promise<string>
  get(query: string): Promise<Page>
}

interface Page {
  readonly meta: Readonly<Record<'first_page_url' | 'url', string>> &
    Readonly<Record<'previous_page_url' | 'next_page_url', string | null>> &
    Readonly<{ page: number; page_size: number; key: string }>
  readonly sids: readonly string[]
}

async function page(path: string, credentials = as): Promise<Page> {
  const { status, body } = await server.call('GET', path, undefined, { as: credentials })
  expect(status).toBe(200)
  return { meta: body.meta, sids: body[body.meta.key].map((row: { sid: string }) => row.sid) }
}

/** Follows a url of an answer as clients do: verbatim. */
function follow(url: string | null): Promise<Page> {
  expect(url).toMatch(new RegExp(`^${server.url}/v1/`))
  return page(String(url).slice(server.url.length))
}

/** The conversations of a new service. */
async function collection(): Promise<Collection> {
  const { v1 } = sdkFor(server, as.username, as.password).conversations
  const { sid } = await v1.services.create({ friendlyName: 'Pages' })
  const path = `/v1/Services/${sid}/Conversations`
  return {
    path,
    // The official types name the lists of both families apart; what they can do is the same.
    sdk: v1.services(sid).conversations as unknown as ConversationListInstance,
    async make(day, form = {}) {
      const dated = day === undefined ? form : { DateCreated: `2020-01-${String(day).padStart(2, '0')}T12:00:00Z`, ...form }
      return (await server.call('POST', path, dated, { as })).body.sid
    },
    get: (query) => page(path + query),
  }
}

/** As many conversations as asked for, the latest first. */
async function filled(count: number): Promise<Collection & { readonly sids: readonly string[] }> {
  const made = await collection()
  const sids: string[] = []
  for (let day = 1; day <= count; day++) sids.unshift(await made.make(day))
  return { ...made, sids }
}

function sidsOf(instances: readonly { sid: string }[]): string[] {
  return instances.map(({ sid }) => sid)
}

function tokenOf(url: string | null): string {
  return new URL(String(url)).searchParams.get('PageToken') ?? ''
}

const invalid_token = { status: 400, code: 21481, message: 'Invalid PageToken' }

describe('the official client', () => {
  test('lists everything, the latest first, at any page size', async () => {
    const { sdk, sids } = await filled(7)
    expect(sidsOf(await sdk.list())).toEqual(sids)
    for (const pageSize of [1, 2, 3, 6, 7, 8]) expect(sidsOf(await sdk.list({ pageSize }))).toEqual(sids)
  })

  test('lists no more than its limit, and nothing where there is nothing', async () => {
    const { sdk, sids } = await filled(5)
    expect(sidsOf(await sdk.list({ limit: 3 }))).toEqual(sids.slice(0, 3))
    expect(sidsOf(await sdk.list({ limit: 3, pageSize: 2 }))).toEqual(sids.slice(0, 3))
    expect(sidsOf(await sdk.list({ limit: 5000 }))).toEqual(sids)
    expect(await (await collection()).sdk.list()).toEqual([])
  })

  test('visits each one once', async () => {
    const { sdk, sids } = await filled(5)
    const visited: string[] = []
    await new Promise<void>((resolve, reject) => {
      const callback = (item: ConversationInstance) => void visited.push(item.sid)
      sdk.each({ pageSize: 2, callback, done: ((error?: Error) => (error ? reject(error) : resolve())) as () => void })
    })
    expect(visited).toEqual(sids)
  })

  test('goes forward and back again page by page', async () => {
    const { sdk, sids } = await filled(5)
    const first = await sdk.page({ pageSize: 2 })
    const second = await first.nextPage()
    const third = await second?.nextPage()
    expect([first, second, third].map((each) => sidsOf(each?.instances ?? []))).toEqual([
      sids.slice(0, 2),
      sids.slice(2, 4),
      sids.slice(4),
    ])
    expect(third?.nextPage()).toBeUndefined()
    expect(first.previousPage()).toBeUndefined()
    const back = await third?.previousPage()
    const start = await back?.previousPage()
    expect(sidsOf(back?.instances ?? [])).toEqual(sids.slice(2, 4))
    expect(sidsOf(start?.instances ?? [])).toEqual(sids.slice(0, 2))
    expect(start?.previousPage()).toBeUndefined()
    expect(sidsOf((await start?.nextPage())?.instances ?? [])).toEqual(sids.slice(2, 4))
  })

  test('takes up again at a url it was given, or at a token', async () => {
    const { sdk, sids } = await filled(5)
    const first = await sdk.page({ pageSize: 2 })
    const second = await sdk.getPage(String(first.nextPageUrl))
    expect(sidsOf(second.instances)).toEqual(sids.slice(2, 4))
    const again = await sdk.page({ pageSize: 1, pageNumber: 1, pageToken: tokenOf(String(first.nextPageUrl)) })
    expect(sidsOf(again.instances)).toEqual(sids.slice(2, 3))
  })
})

describe('urls and sizes', () => {
  test('urls have the filters first, then PageSize, Page and PageToken', async () => {
    const { get, make, path } = await collection()
    for (const day of [1, 2, 3, 4, 5]) await make(day)
    const base = `${server.url}${path}`
    const filters = 'StartDate=2019-12-31T23%3A00%3A00-01%3A00&EndDate=2020-02-01&State=active'
    const first = await get(`?PageSize=2&State=ACTIVE&Unknown=x&EndDate=2020-02-01&StartDate=2019-12-31T23:00:00-01:00`)
    expect(first.meta.url).toBe(`${base}?${filters}&PageSize=2&Page=0`)
    expect(first.meta.first_page_url).toBe(first.meta.url)
    expect(first.meta.next_page_url).toMatch(/&State=active&PageSize=2&Page=1&PageToken=PT[A-Za-z0-9_-]+$/)
    const second = await follow(first.meta.next_page_url)
    expect(second.meta).toMatchObject({ page: 1, page_size: 2, url: first.meta.next_page_url, first_page_url: first.meta.url })
    expect(second.meta.previous_page_url).toMatch(/&State=active&PageSize=2&Page=0&PageToken=PB[A-Za-z0-9_-]+$/)
    const third = await follow(second.meta.next_page_url)
    expect(third.meta).toMatchObject({ page: 2, next_page_url: null })
    expect(third.sids).toHaveLength(1)
    const back = await follow(third.meta.previous_page_url)
    expect([back.meta.page, back.sids]).toEqual([1, second.sids])
    const start = await follow(back.meta.previous_page_url)
    expect([start.meta.page, start.meta.previous_page_url, start.sids]).toEqual([0, null, first.sids])
  })

  test('there are fifty to a page unless asked otherwise', async () => {
    const { get, make } = await collection()
    await Promise.all(Array.from({ length: 51 }, () => make()))
    const first = await get('')
    expect([first.sids.length, first.meta.page_size]).toEqual([50, 50])
    const second = await follow(first.meta.next_page_url)
    expect([second.sids.length, second.meta.next_page_url]).toEqual([1, null])
    expect(new Set([...first.sids, ...second.sids]).size).toBe(51)
  })

  test('the page number alone moves nothing: without a token it is the start of the list', async () => {
    const { get, sids, path } = await filled(5)
    const { meta, sids: shown } = await get('?PageSize=2&Page=1')
    expect(shown).toEqual(sids.slice(0, 2))
    expect(meta).toMatchObject({ page: 1, previous_page_url: null, url: `${server.url}${path}?PageSize=2&Page=1` })
    expect(meta.first_page_url).toBe(`${server.url}${path}?PageSize=2&Page=0`)
    expect(meta.next_page_url).toContain('&Page=2&PageToken=PT')
    expect((await follow(meta.next_page_url)).sids).toEqual(sids.slice(2, 4))
    const token = tokenOf(meta.next_page_url)
    for (const number of ['0', '99', 'junk', '-1']) {
      expect((await get(`?PageSize=2&Page=${number}&PageToken=${token}`)).sids).toEqual(sids.slice(2, 4))
    }
  })

  test('the page size may change from page to page', async () => {
    const { get, sids } = await filled(6)
    const token = tokenOf((await get('?PageSize=1')).meta.next_page_url)
    const rest = await get(`?PageSize=3&PageToken=${token}`)
    expect(rest.sids).toEqual(sids.slice(1, 4))
    expect((await follow(rest.meta.previous_page_url)).sids).toEqual(sids.slice(0, 1))
  })
})

describe('tokens', () => {
  test('a token whose position was changed is refused, whatever it says', async () => {
    const { get, path } = await filled(3)
    const token = tokenOf((await get('?PageSize=1')).meta.next_page_url)
    const [signature, key, sid] = JSON.parse(Buffer.from(token.slice(2), 'base64url').toString()) as [string, number, string]
    const positions = [
      [signature, key + 1, sid],
      [signature, -(2 ** 53) + 1, sid],
      [signature, 'a key that is no number', sid],
      [signature, 'a\u0000b', sid],
      [signature, key, 'CH'],
      [signature, key, 'a\u0000b'],
      [signature, key, sid, true],
      ['', key, sid],
      ['A'.repeat(16), key, sid],
    ]
    for (const position of positions) {
      const forged = `PT${Buffer.from(JSON.stringify(position)).toString('base64url')}`
      const { status, body } = await server.call('GET', `${path}?PageSize=1&PageToken=${forged}`, undefined, { as })
      expect({ ...body, status }, JSON.stringify(position)).toMatchObject(invalid_token)
    }
  })

  test('are made of letters, digits, _ and - alone', async () => {
    const { get } = await filled(9)
    const services = await page('/v1/Services?PageSize=1')
    for (const start of [
      await get('?PageSize=1'),
      await get('?PageSize=1&StartDate=2020-01-01'),
      await get('?PageSize=1&State=active'),
      services,
    ]) {
      let at = start
      for (let i = 0; i < 3 && at.meta.next_page_url; i++) {
        at = await follow(at.meta.next_page_url)
        for (const url of [at.meta.next_page_url, at.meta.previous_page_url]) {
          if (url) expect(tokenOf(url)).toMatch(/^(PT|PB)[A-Za-z0-9_-]+$/)
        }
      }
      expect(start.meta.next_page_url).not.toBeNull()
    }
  })

  test('of another list are refused', async () => {
    const [here, there] = [await filled(3), await filled(3)]
    const [plain, dated] = [await here.get('?PageSize=1'), await here.get('?PageSize=1&EndDate=2030-01-01')]
    const services = await page('/v1/Services?PageSize=1')
    const foreign: [string, string | null][] = [
      ['/v1/Services?', plain.meta.next_page_url],
      ['/v1/Services?', dated.meta.next_page_url],
      [`${here.path}?`, services.meta.next_page_url],
      [`${here.path}?StartDate=2020-01-01&`, services.meta.next_page_url],
      [`${here.path}?StartDate=2020-01-01&`, plain.meta.next_page_url],
      [`${here.path}?`, dated.meta.next_page_url],
      [`${there.path}?`, plain.meta.next_page_url],
      [`${there.path}?StartDate=2020-01-01&`, dated.meta.next_page_url],
      [`${here.path}/${here.sids[0]}/Messages?`, plain.meta.next_page_url],
      [`${here.path}/${here.sids[0]}/Participants?`, plain.meta.next_page_url],
      [`${here.path}/${here.sids[0]}/Webhooks?`, plain.meta.next_page_url],
    ]
    const accepted: string[] = []
    for (const [path, url] of foreign) {
      const { status, body } = await server.call('GET', `${path}PageToken=${tokenOf(url)}`, undefined, { as })
      if (status === 200)
        accepted.push(`${path.replace(/IS[0-9a-f]+|CH[0-9a-f]+/g, '*')} took ${Buffer.from(tokenOf(url).slice(2), 'base64url')}`)
      else expect(body).toMatchObject(invalid_token)
    }
    expect(accepted).toEqual([])
  })

  test('that were tampered with are refused', async () => {
    const { get, path } = await filled(3)
    const token = tokenOf((await get('?PageSize=1')).meta.next_page_url)
    for (const changed of [
      `${token}.`,
      `${token}=`,
      `${token}%20`,
      `${token}!`,
      token.slice(0, -1),
      token.slice(1),
      token.toLowerCase(),
      `P${token}`,
      `${token}${token}`,
    ]) {
      const { body } = await server.call('GET', `${path}?PageToken=${changed}`, undefined, { as })
      expect(body, changed).toMatchObject(invalid_token)
    }
    await fc.assert(
      fc.asyncProperty(fc.nat(token.length - 1), fc.constantFrom(...'ABZabz059_-'), async (at, letter) => {
        const changed = token.slice(0, at) + letter + token.slice(at + 1)
        const { status, body } = await server.call('GET', `${path}?PageToken=${changed}`, undefined, { as })
        if (changed === token) expect(status).toBe(200)
        else expect(body).toMatchObject(invalid_token)
      }),
      { numRuns: 100 },
    )
  })

  test('point where their row was, even when it is gone', async () => {
    const { get, sids, sdk } = await filled(5)
    const first = await get('?PageSize=2')
    const second = await follow(first.meta.next_page_url)
    await sdk(String(sids[1])).remove()
    await sdk(String(sids[2])).remove()
    expect((await follow(first.meta.next_page_url)).sids).toEqual(sids.slice(3, 5))
    expect((await follow(second.meta.previous_page_url)).sids).toEqual(sids.slice(0, 1))
  })

  test('turning round on a page that has become empty skips nothing', async () => {
    const forward = await filled(4)
    const start = await forward.get('?PageSize=2')
    for (const sid of forward.sids.slice(2)) await forward.sdk(sid).remove()
    const end = await follow(start.meta.next_page_url)
    expect([end.sids, end.meta.next_page_url]).toEqual([[], null])
    expect((await follow(end.meta.previous_page_url)).sids).toEqual(forward.sids.slice(0, 2))
    const backward = await filled(4)
    const second = await follow((await backward.get('?PageSize=2')).meta.next_page_url)
    for (const sid of backward.sids.slice(0, 2)) await backward.sdk(sid).remove()
    const before = await follow(second.meta.previous_page_url)
    expect([before.sids, before.meta.previous_page_url]).toEqual([[], null])
    expect((await follow(before.meta.next_page_url)).sids).toEqual(backward.sids.slice(2))
  })
})

describe('filters and order', () => {
  test('both dates are inclusive, and order by date of creation, the latest first', async () => {
    const { get, make } = await collection()
    const made = new Map<number, string>()
    for (const day of [3, 1, 4, 2, 5]) made.set(day, await make(day))
    const days = (...wanted: number[]) => wanted.map((day) => made.get(day))
    const at = (day: number) => `2020-01-0${day}T12:00:00Z`
    expect((await get(`?StartDate=${at(3)}`)).sids).toEqual(days(5, 4, 3))
    expect((await get(`?EndDate=${at(3)}`)).sids).toEqual(days(3, 2, 1))
    expect((await get(`?StartDate=${at(2)}&EndDate=${at(4)}`)).sids).toEqual(days(4, 3, 2))
    expect((await get('?StartDate=2020-01-03T12:00:01Z')).sids).toEqual(days(5, 4))
    expect((await get('?EndDate=2020-01-03T11:59:59Z')).sids).toEqual(days(2, 1))
    expect((await get('?StartDate=2020-01-02&EndDate=2020-01-03')).sids).toEqual(days(3, 2))
    expect((await get('?StartDate=2020-01-03T13:00:00%2B01:00&EndDate=2020-01-03T11:00:00-01:00')).sids).toEqual(days(3))
    expect((await get(`?StartDate=${at(4)}&EndDate=${at(2)}`)).sids).toEqual([])
  })

  test('bare dates take in the whole day, from its first to its last millisecond', async () => {
    const { get, make } = await collection()
    const given = ['2020-02-28T23:59:59.999Z', '2020-02-29T00:00:00Z', '2020-02-29T23:59:59.999Z', '2020-03-01T00:00:00Z']
    const sids: string[] = []
    for (const DateCreated of given) sids.unshift(await make(undefined, { DateCreated }))
    expect((await get('?StartDate=2020-02-29&EndDate=2020-02-29')).sids).toEqual(sids.slice(1, 3))
  })

  test('a bound in whole seconds takes in what bodies show as that second', async () => {
    const { get, make } = await collection()
    const sid = await make(undefined, { DateCreated: '2020-01-31T23:59:59.500Z' })
    const bound = '2020-01-31T23:59:59Z'
    expect((await get(`?StartDate=${bound}`)).sids).toEqual([sid])
    expect((await get('?EndDate=2020-01-31T23:59:59.500Z')).sids).toEqual([sid])
    expect((await get(`?EndDate=${bound}`)).sids).toEqual([sid])
  })

  test('a date of creation that is changed is filtered by as changed', async () => {
    const { get, make, path } = await collection()
    const sid = await make(5)
    await server.call('POST', `${path}/${sid}`, { DateCreated: '2020-01-20' }, { as })
    expect((await get('?EndDate=2020-01-10')).sids).toEqual([])
    expect((await get('?StartDate=2020-01-20&EndDate=2020-01-20')).sids).toEqual([sid])
  })

  test('a state lists those in it, in any letter case, together with dates or without', async () => {
    const { get, make, path } = await collection()
    const [a, b, c, d] = [
      await make(1),
      await make(2, { State: 'inactive' }),
      await make(3),
      await make(4, { State: 'inactive' }),
    ]
    await server.call('POST', `${path}/${c}`, { State: 'closed' }, { as })
    expect((await get('')).sids).toEqual([d, c, b, a])
    expect((await get('?State=active')).sids).toEqual([a])
    expect((await get('?State=Inactive')).sids).toEqual([d, b])
    expect((await get('?State=CLOSED')).sids).toEqual([c])
    expect((await get('?State=initializing')).sids).toEqual([])
    expect((await get('?State=inactive&EndDate=2020-01-03')).sids).toEqual([b])
    const first = await get('?State=inactive&PageSize=1')
    expect((await follow(first.meta.next_page_url)).sids).toEqual([b])
  })

  test('those made at the same instant have an order all the same', async () => {
    const { get, make } = await collection()
    const sids: string[] = []
    for (let i = 0; i < 5; i++) sids.push(await make(1))
    sids.sort().reverse()
    expect((await get('')).sids).toEqual(sids)
    const seen: string[] = []
    for (
      let at: Page | null = await get('?PageSize=2');
      at;
      at = at.meta.next_page_url ? await follow(at.meta.next_page_url) : null
    ) {
      seen.push(...at.sids)
    }
    expect(seen).toEqual(sids)
  })

  test('updates do not move a conversation in the list', async () => {
    const { get, sdk, sids } = await filled(4)
    await sdk(String(sids[3])).update({ friendlyName: 'renamed', state: 'inactive', attributes: '[]' })
    await sdk(String(sids[2])).update({ state: 'closed' })
    expect((await get('')).sids).toEqual(sids)
    expect((await get('?EndDate=2030-01-01')).sids).toEqual(sids)
  })

  test('services are listed the oldest first, the default one among them, and page like the rest', async () => {
    const credentials = await newAccount()
    const { v1 } = sdkFor(server, credentials.username, credentials.password).conversations
    const sids = [(await v1.configuration().fetch()).defaultChatServiceSid]
    for (let i = 0; i < 4; i++) {
      await server.advance('PT1S')
      sids.push((await v1.services.create({ friendlyName: `s${i}` })).sid)
    }
    for (const pageSize of [1, 2, 5, 1000]) expect(sidsOf(await v1.services.list({ pageSize }))).toEqual(sids)
    const first = await page('/v1/Services?PageSize=3', credentials)
    expect(first.meta).toMatchObject({ key: 'services', previous_page_url: null })
    const next = await (await v1.services.page({ pageSize: 3 })).nextPage()
    expect(sidsOf(next?.instances ?? [])).toEqual(sids.slice(3))
    expect(sidsOf((await next?.previousPage())?.instances ?? [])).toEqual(sids.slice(0, 3))
  })
})

describe('while others write', () => {
  type Op = { readonly kind: 'create' | 'delete' | 'update' | 'close'; readonly day: number; readonly pick: number }
  const op: fc.Arbitrary<Op> = fc.record({
    kind: fc.constantFrom('create', 'delete', 'update', 'close'),
    // Few days, so that many share an instant.
    day: fc.integer({ min: 1, max: 5 }),
    pick: fc.nat(30),
  })
  const story = fc.record({
    days: fc.array(fc.integer({ min: 1, max: 5 }), { minLength: 1, maxLength: 12 }),
    size: fc.integer({ min: 1, max: 4 }),
    /** What others do before each page request but the first. */
    between: fc.array(fc.array(op, { maxLength: 3 }), { minLength: 12, maxLength: 12 }),
    filter: fc.constantFrom('', '&StartDate=2020-01-01', '&StartDate=2020-01-02&EndDate=2020-01-04'),
  })

  async function act({ make, path }: Collection, alive: string[], { kind, day, pick }: Op): Promise<void> {
    const sid = alive[pick % alive.length]
    if (kind === 'create' || sid === undefined) alive.push(await make(day))
    else if (kind === 'delete') {
      await server.call('DELETE', `${path}/${sid}`, undefined, { as })
      alive.splice(alive.indexOf(sid), 1)
    } else await server.call('POST', `${path}/${sid}`, kind === 'close' ? { State: 'closed' } : { FriendlyName: 'x' }, { as })
  }

  /** What an iteration from `start` saw, page after page, with others writing in between. */
  async function iterate(list: Collection, start: Page, alive: string[], between: Op[][], direction: 'next' | 'previous') {
    const seen: (readonly string[])[] = [start.sids]
    let at = start
    for (let i = 0; ; i++) {
      for (const each of between[i] ?? []) await act(list, alive, each)
      const url = at.meta[`${direction}_page_url`]
      if (url === null) return seen
      at = await follow(url)
      seen.push(at.sids)
    }
  }

  const run = (direction: 'next' | 'previous') =>
    fc.asyncProperty(story, async ({ days, size, between, filter }) => {
      const list = await collection()
      const alive: string[] = []
      for (const day of days) alive.push(await list.make(day))
      const before = (await list.get(`?PageSize=1000${filter}`)).sids
      let start = await list.get(`?PageSize=${size}${filter}`)
      // To the last page in peace.
      while (direction === 'previous' && start.meta.next_page_url) start = await follow(start.meta.next_page_url)
      const pages = await iterate(list, start, alive, between, direction)
      const seen = direction === 'next' ? pages.flat() : pages.toReversed().flat()
      expect(new Set(seen).size).toBe(seen.length)
      const throughout = before.filter((sid) => alive.includes(sid))
      expect(seen.filter((sid) => throughout.includes(sid))).toEqual(throughout)
      // In the order of the list throughout, latecomers included.
      const after = (await list.get(`?PageSize=1000${filter}`)).sids
      expect(seen.filter((sid) => after.includes(sid))).toEqual(after.filter((sid) => seen.includes(sid)))
    })

  test('an iteration forward sees everything that was there throughout exactly once and in order', async () => {
    await fc.assert(run('next'), { numRuns: 40 })
  })

  test('an iteration backward does too', async () => {
    await fc.assert(run('previous'), { numRuns: 40 })
  })
})

describe('large rows', () => {
  test('a page ends at about a megabyte, and the next ones have the rest, in both directions', async () => {
    const { path, make } = await collection()
    const messages = `${path}/${await make()}/Messages`
    const sids: string[] = []
    // Each of its characters takes three bytes.
    const Body = '\u4e2d'.repeat(10_900)
    for (let i = 0; i < 80; i++) sids.push((await server.call('POST', messages, { Body }, { as })).body.sid)
    const pages = [await page(`${messages}?PageSize=1000`)]
    for (let url = pages[0]?.meta.next_page_url; url; url = pages.at(-1)?.meta.next_page_url) pages.push(await follow(url))
    expect(pages.flatMap(({ sids }) => sids)).toEqual(sids)
    expect(pages.map(({ sids }) => sids.length)).toEqual([30, 30, 20])
    const back = [pages.at(-1) as Page]
    for (let url = back[0]?.meta.previous_page_url; url; url = back[0]?.meta.previous_page_url) back.unshift(await follow(url))
    expect(back.flatMap(({ sids }) => sids)).toEqual(sids)
  })
})
