import { describe, expect, vi } from 'vitest'
import { registerBinding } from '../support/bindings.ts'
import { officialOperations } from '../support/contract.ts'
import type { FileServer } from '../support/file-server.ts'
import { testWithRows as test } from '../support/fixtures.ts'
import { newTenant, type Tenant } from '../support/tenant.ts'

/*
 * What holds for every list, whatever it lists. `pages.test.ts` is about what only some lists have: dates, states, and what happens
 * while rows come and go at random.
 */

/** Where a list of a tenant is, and how a row comes into it. */
interface Filled {
  readonly path: string
  /** What the list cannot do without. */
  readonly query?: string
  /** Absent where rows come by themselves. */
  readonly make?: () => Promise<void>
}

interface World {
  readonly server: FileServer
  readonly tenant: Tenant
  /** The family of paths. */
  readonly root: string
  readonly service: string
  post(path: string, form?: Record<string, string>): Promise<string>
}

interface List {
  /** As in the official description, below the family. */
  readonly path: string
  /** Only there. */
  readonly family?: 'default' | 'service'
  /** The longest page. */
  readonly largest?: number
  /** What there is before anything is made. */
  readonly already?: number
  /** How many rows are there at first. */
  readonly rows?: number
  fill(world: World): Promise<Filled>
}

const conversation = ({ root, post }: World) => post(`${root}/Conversations`)
let numbers = 0
const number = () => `+1555${String(++numbers).padStart(7, '0')}`

const lists: readonly List[] = [
  {
    path: '/Configuration/Addresses',
    family: 'default',
    async fill({ post }) {
      const path = '/v1/Configuration/Addresses'
      return { path, make: async () => void (await post(path, { Type: 'sms', Address: number() })) }
    },
  },
  {
    path: '/Conversations',
    async fill({ root, post }) {
      return { path: `${root}/Conversations`, make: async () => void (await post(`${root}/Conversations`)) }
    },
  },
  {
    path: '/Conversations/{ConversationSid}/Messages',
    async fill(world) {
      const path = `${world.root}/Conversations/${await conversation(world)}/Messages`
      return { path, make: async () => void (await world.post(path, { Body: 'x' })) }
    },
  },
  {
    path: '/Conversations/{ConversationSid}/Messages/{MessageSid}/Receipts',
    async fill(world) {
      const path = `${world.root}/Conversations/${await conversation(world)}`
      for (let i = 0; i < rows_at_first; i++) {
        const form = { 'MessagingBinding.Address': number(), 'MessagingBinding.ProxyAddress': number() }
        await world.post(`${path}/Participants`, form)
      }
      return { path: `${path}/Messages/${await world.post(`${path}/Messages`, { Body: 'x' })}/Receipts` }
    },
  },
  {
    path: '/Conversations/{ConversationSid}/Participants',
    async fill(world) {
      const path = `${world.root}/Conversations/${await conversation(world)}/Participants`
      return { path, make: async () => void (await world.post(path, { Identity: number() })) }
    },
  },
  {
    path: '/Conversations/{ConversationSid}/Webhooks',
    largest: 5,
    rows: 3,
    async fill(world) {
      const path = `${world.root}/Conversations/${await conversation(world)}/Webhooks`
      const hook = { Target: 'webhook', 'Configuration.Url': 'https://example.com/', 'Configuration.Filters': 'onMessageAdded' }
      return { path, make: async () => void (await world.post(path, hook)) }
    },
  },
  {
    path: '/Credentials',
    family: 'default',
    async fill({ post }) {
      return { path: '/v1/Credentials', make: async () => void (await post('/v1/Credentials', { Type: 'fcm', Secret: 'S' })) }
    },
  },
  {
    path: '/ParticipantConversations',
    async fill(world) {
      const join = async () =>
        void (await world.post(`${world.root}/Conversations/${await conversation(world)}/Participants`, { Identity: 'alice' }))
      return { path: `${world.root}/ParticipantConversations`, query: 'Identity=alice', make: join }
    },
  },
  {
    path: '/Roles',
    already: 4,
    async fill({ root, post }) {
      const role = () => ({ FriendlyName: number(), Type: 'conversation', Permission: 'sendMessage' })
      return { path: `${root}/Roles`, make: async () => void (await post(`${root}/Roles`, role())) }
    },
  },
  {
    path: '/Services',
    family: 'default',
    already: 1,
    async fill({ post }) {
      return { path: '/v1/Services', make: async () => void (await post('/v1/Services', { FriendlyName: 'Support' })) }
    },
  },
  {
    path: '/Bindings',
    family: 'service',
    async fill({ server, tenant, root, service }) {
      const make = async () => void (await registerBinding(server, tenant, { service_sid: service }))
      return { path: `${root}/Bindings`, make }
    },
  },
  {
    path: '/Users',
    async fill({ root, post }) {
      return { path: `${root}/Users`, make: async () => void (await post(`${root}/Users`, { Identity: number() })) }
    },
  },
  {
    path: '/Users/{UserSid}/Conversations',
    async fill(world) {
      const user = await world.post(`${world.root}/Users`, { Identity: 'alice' })
      const join = async () =>
        void (await world.post(`${world.root}/Conversations/${await conversation(world)}/Participants`, { Identity: 'alice' }))
      return { path: `${world.root}/Users/${user}/Conversations`, make: join }
    },
  },
]

const families = { default: '/v1', service: '/v1/Services/{ChatServiceSid}' }
type Family = keyof typeof families

/** Each list in each family that has it. */
const cases = lists.flatMap((list) =>
  (['default', 'service'] as const)
    .filter((family) => list.family === undefined || list.family === family)
    .map((family): [title: string, list: List, family: Family] => [families[family] + list.path, list, family]),
)

const rows_at_first = 5
const bad_sizes = ['', '0', '00', '-1', '1.5', '1e2', 'abc', ' 5', '5 ', '+5', '0x10', '٣', 'Infinity', 'NaN', '5\0']
const bad_tokens = [
  'x',
  'PT',
  'PB',
  'PTx',
  'PTnull',
  'PT!!!',
  'PT\0',
  '..',
  'PTW10',
  ...['[]', '{}', 'null', '1', '[1,2,3]', '["date_activity",1]', '["date_activity",1.5,"CH"]', '["no such order",1,"CH"]'].map(
    (text) => `PT${Buffer.from(text).toString('base64url')}`,
  ),
  `XX${Buffer.from('["date_created",1,"CH"]').toString('base64url')}`,
]
const invalid_size = { status: 400, code: 20001, message: 'Invalid PageSize.' }
const invalid_token = { status: 400, code: 21481, message: 'Invalid PageToken' }

interface Page {
  readonly ids: readonly string[]
  readonly meta: Readonly<Record<'first_page_url' | 'url', string>> &
    Readonly<Record<'previous_page_url' | 'next_page_url', string | null>> &
    Readonly<{ page: number; page_size: number; key: string }>
}

/** Rows of a member's conversations are known by those. */
function idOf(row: Record<string, string>): string {
  return row.sid ?? `${row.conversation_sid}`
}

function tokenOf(url: string | null): string {
  return new URL(String(url)).searchParams.get('PageToken') ?? ''
}

/** A list of a tenant as callers see it. */
function reading(tenant: Tenant, { path, query }: Filled) {
  const ask = (parameters: Record<string, string> | string) =>
    tenant.call('GET', `${path}?${[query ?? '', new URLSearchParams(parameters).toString()].filter(Boolean).join('&')}`)
  const read = async (url: string): Promise<Page> => {
    const { status, body } = await tenant.call('GET', url)
    expect(status, url).toBe(200)
    return { meta: body.meta, ids: body[body.meta.key].map(idOf) }
  }
  const get = async (parameters: Record<string, string> = {}) => {
    const { status, body } = await ask(parameters)
    expect(status).toBe(200)
    return { meta: body.meta, ids: body[body.meta.key].map(idOf) } as Page
  }
  /** As clients follow a url: verbatim. */
  const follow = (url: string | null) => {
    expect(url).toMatch(new RegExp(`^${tenant.url}/v1/`))
    return read(String(url).slice(tenant.url.length))
  }
  /** This page and all behind it in one direction. */
  const walk = async (start: Page, direction: 'next' | 'previous') => {
    const pages = [start]
    for (let url = start.meta[`${direction}_page_url`]; url !== null; url = pages.at(-1)?.meta[`${direction}_page_url`] ?? null) {
      pages.push(await follow(url))
    }
    return pages
  }
  return { ask, get, follow, walk }
}

async function worldOf(server: FileServer, family: Family, tenant?: Tenant): Promise<World> {
  const own = tenant ?? (await newTenant(server))
  const post = async (path: string, form: Record<string, string> = {}) => {
    const { status, body } = await own.call('POST', path, form)
    expect(status, JSON.stringify(body)).toBe(201)
    return body.sid as string
  }
  const service =
    family === 'service'
      ? await post('/v1/Services', { FriendlyName: 'Support' })
      : (await own.call('GET', '/v1/Configuration')).body.default_chat_service_sid
  return { server, tenant: own, post, service, root: family === 'service' ? `/v1/Services/${service}` : '/v1' }
}

/** Receipts come by themselves, soon. */
async function filledBy({ get }: ReturnType<typeof reading>, rows: number): Promise<void> {
  await vi.waitUntil(async () => (await get()).ids.length >= rows, { timeout: 60_000 })
}

/** A token of each list, each somebody else's. */
const foreign: [path: string, token: string][] = []

test.beforeAll(async ({ server }) => {
  for (const [path, list, family] of cases) {
    const world = await worldOf(server, family)
    const place = await list.fill(world)
    const pages = reading(world.tenant, place)
    for (let i = 0; i < 2; i++) await place.make?.()
    await filledBy(pages, 2)
    foreign.push([path, tokenOf((await pages.get({ PageSize: '1' })).meta.next_page_url)])
  }
})

test('every list of the official description is held to this contract', () => {
  const official = officialOperations().flatMap(({ list, path }) => (list ? [path] : []))
  expect(cases.map(([path]) => path).sort()).toEqual(official.sort())
})

describe.each(cases)('%s', (_path, list, family) => {
  const { largest = 1000, already = 0, rows = rows_at_first } = list
  const usual = Math.min(50, largest)
  let pages: ReturnType<typeof reading>
  let place: Filled
  let tenant: Tenant
  /** Everything, in the order of the list. */
  let all: readonly string[]

  test.beforeAll(async ({ server }) => {
    const world = await worldOf(server, family)
    tenant = world.tenant
    place = await list.fill(world)
    pages = reading(tenant, place)
    for (let i = 0; i < rows; i++) await place.make?.()
    await filledBy(pages, rows)
    all = (await pages.get({ PageSize: String(largest) })).ids
  })

  test('an empty list is one page', async ({ server }) => {
    const world = await worldOf(server, family)
    const empty = await list.fill(world)
    if (!empty.make) return
    const { meta, ids } = await reading(world.tenant, empty).get()
    const url = `${tenant.url}${empty.path}?${empty.query ? `${empty.query}&` : ''}PageSize=${usual}&Page=0`
    const more = { previous_page_url: null, next_page_url: null, key: expect.any(String) }
    expect(meta).toEqual({ page: 0, page_size: usual, first_page_url: url, url, ...more })
    expect(ids.length).toBe(already)
  })

  test('at any size the pages are the list cut into pieces, forward and back again', async () => {
    expect(all.length).toBe(rows + already)
    for (let size = 1; size <= all.length + 1; size++) {
      const forward = await pages.walk(await pages.get({ PageSize: String(size) }), 'next')
      const pieces = Array.from({ length: Math.ceil(all.length / size) }, (_, i) => all.slice(i * size, (i + 1) * size))
      expect(forward.map(({ ids }) => ids)).toEqual(pieces)
      expect(forward.map(({ meta }) => meta.page)).toEqual(pieces.map((_, i) => i))
      expect(forward.map(({ meta }) => meta.page_size)).toEqual(pieces.map(() => size))
      expect(new Set(forward.map(({ meta }) => meta.first_page_url))).toEqual(new Set([forward[0]?.meta.url]))
      expect(forward[0]?.meta.previous_page_url).toBeNull()
      const back = await pages.walk(forward.at(-1) as Page, 'previous')
      expect(back.map(({ ids }) => ids)).toEqual(pieces.toReversed())
      expect(back.at(-1)?.meta).toMatchObject({ page: 0, previous_page_url: null })
    }
  })

  test('a page is as long as asked, at most the longest, and says so', async () => {
    expect((await pages.get()).meta).toMatchObject({ page: 0, page_size: usual })
    for (const size of [largest, largest + 1, 5000, '9'.repeat(400)].map(String)) {
      expect((await pages.get({ PageSize: size })).meta).toMatchObject({ page: 0, page_size: largest })
    }
    // The last one counts, and letter case does.
    expect((await pages.ask('PageSize=0&PageSize=2')).body.meta.page_size).toBe(2)
    expect((await pages.get({ pagesize: '0' })).meta.page_size).toBe(usual)
  })

  test.each(bad_sizes)('PageSize %j is refused', async (PageSize) => {
    expect((await pages.ask({ PageSize })).body).toMatchObject(invalid_size)
  })

  test('Page is a number that is shown and moves nothing', async () => {
    for (const Page of ['3', '03']) expect(await pages.get({ Page })).toMatchObject({ ids: all, meta: { page: 3 } })
    for (const Page of ['', '-1', '1.5', 'abc', '1e3', '9'.repeat(400), '\0']) {
      expect(await pages.get({ Page })).toMatchObject({ ids: all, meta: { page: 0 } })
    }
  })

  test('a token that was tampered with is refused', async () => {
    const token = tokenOf((await pages.get({ PageSize: '1' })).meta.next_page_url)
    for (const PageToken of [...bad_tokens, `${token}.`, token.slice(1), token.slice(0, -1), `P${token}`, token + token]) {
      expect((await pages.ask({ PageToken })).body, PageToken).toMatchObject(invalid_token)
    }
    expect((await pages.get({ PageToken: '' })).ids).toEqual(all)
  })

  test('a token of another list is refused', async () => {
    for (const [path, PageToken] of foreign) {
      const { status, body } = await pages.ask({ PageToken })
      expect([path, status, body.code]).toEqual([path, 400, invalid_token.code])
    }
  })

  test('rows that come while it is read shift nothing: all that were there are seen once, in order', async () => {
    if (!place.make) return
    const first = await pages.get({ PageSize: '2' })
    const seen = [...first.ids]
    let added = 0
    for (let at = first; at.meta.next_page_url !== null; seen.push(...at.ids)) {
      if (added++ < 2) await place.make()
      at = await pages.follow(at.meta.next_page_url)
    }
    expect(new Set(seen).size).toBe(seen.length)
    expect(seen.filter((id) => all.includes(id))).toEqual(all)
  })
})
