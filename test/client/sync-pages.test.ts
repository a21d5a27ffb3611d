import { expect } from 'vitest'
import { conversationWith, RawClient } from '../support/client.ts'
import { test } from '../support/fixtures.ts'

interface Item {
  readonly index: number
  readonly key: string
}

/** Items of a list or map, as SDK 2 reads them: a page after the other by the tokens of each. */
async function walk(raw: RawClient, path: string, params: object, side: 'next_token' | 'previous_token'): Promise<Item[][]> {
  const pages: Item[][] = []
  for (let query = params; ; ) {
    const { items, meta } = (await raw.request('GET', path, { params: query })).body
    pages.push(items)
    if (meta[side] === null) return pages
    query = { PageToken: encodeURIComponent(meta[side]) }
  }
}

test('the items of a list are paged by tokens, which remember order and size', async ({ tenant }) => {
  const sid = await conversationWith(tenant, 'ann')
  const rest = tenant.sdk.conversations.v1.conversations(sid)
  const sids: string[] = []
  for (let i = 0; i < 25; i++) sids.push((await rest.messages.create({ body: `${i}` })).sid)
  for (const i of [0, 10, 24]) await rest.messages(sids[i] as string).remove()
  const kept = sids.map((_, i) => i).filter((i) => ![0, 10, 24].includes(i))
  const raw = await RawClient.admitted(tenant, 'ann')
  const path = `/v3/Lists/${sid}.messages/Items`
  const indexes = (pages: Item[][]) => pages.map((items) => items.map(({ index }) => index))
  const parts = (all: number[]) => [all.slice(0, 10), all.slice(10, 20), all.slice(20)]
  expect(indexes(await walk(raw, path, { PageSize: 10, Order: 'asc' }, 'next_token'))).toEqual(parts(kept))
  expect(indexes(await walk(raw, path, { PageSize: 10, Order: 'desc' }, 'next_token'))).toEqual(parts(kept.toReversed()))
  // Back from the middle, in the order of the list.
  expect(indexes(await walk(raw, path, { PageSize: 10, Order: 'asc', From: 22 }, 'previous_token'))).toEqual([
    [22, 23],
    [11, 12, 13, 14, 15, 16, 17, 18, 19, 20].map((i) => i + 1),
    [1, 2, 3, 4, 5, 6, 7, 8, 9, 11],
  ])
  expect(indexes(await walk(raw, path, { PageSize: 20, Order: 'desc', From: 2 }, 'previous_token'))).toEqual([
    [2, 1],
    kept.filter((i) => i > 2 && i < 24).toReversed(),
  ])
})

test('so are those of a map', async ({ tenant }) => {
  const sid = await conversationWith(tenant, ...Array.from({ length: 23 }, (_, i) => `user ${i}`))
  const raw = await RawClient.admitted(tenant, 'user 0')
  const pages = await walk(raw, `/v3/Maps/${sid}.roster/Items`, { PageSize: 10 }, 'next_token')
  const members = await tenant.sdk.conversations.v1.conversations(sid).participants.list()
  expect(pages.map((items) => items.length)).toEqual([10, 10, 3])
  expect(pages.flat().map(({ key }) => key)).toEqual(members.map((member) => member.sid).sort())
})

test('a token that is none is refused', async ({ tenant }) => {
  const sid = await conversationWith(tenant, 'ann')
  const raw = await RawClient.admitted(tenant, 'ann')
  const tokens = [
    '',
    'x',
    'after',
    'from.asc.10.',
    'from.up.10.1',
    'from.asc.x.1',
    'to.asc.10.1',
    'from.asc.10.x',
    'from.asc.10.%00',
  ]
  for (const token of tokens) {
    const { status } = await raw.request('GET', `/v3/Lists/${sid}.messages/Items`, { params: { PageToken: token } })
    expect([token, status]).toEqual([token, 400])
  }
  for (const key of ['%00', 'x'.repeat(5000), '😀', '..']) {
    const { status } = await raw.request('GET', `/v3/Maps/${sid}.roster/Items`, { params: { PageToken: `from.asc.0.${key}` } })
    expect([key, status]).toEqual([key, 200])
  }
})
