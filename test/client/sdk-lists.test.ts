import type { Conversation, Message } from '@twilio/conversations'
import { describe, expect } from 'vitest'
import { connected, conversationWith, next, sdkClient, tokenFor } from '../support/client.ts'
import { test } from '../support/fixtures.ts'
import type { Tenant } from '../support/tenant.ts'

const v1 = ({ sdk }: Tenant) => sdk.conversations.v1

/** What the SDK returns of a list. */
interface Page<T> {
  readonly items: T[]
  readonly hasNextPage: boolean
  readonly hasPrevPage: boolean
  nextPage(): Promise<Page<T>>
  prevPage(): Promise<Page<T>>
}

/** All pages from this one on, in one direction. */
async function pages<T>(first: Promise<Page<T>>, direction: 'forward' | 'backwards'): Promise<T[][]> {
  const found: T[][] = []
  for (let page = await first; ; page = await (direction === 'forward' ? page.nextPage() : page.prevPage())) {
    found.push(page.items)
    if (!(direction === 'forward' ? page.hasNextPage : page.hasPrevPage)) return found
  }
}

test('a client with 320 conversations has all of them, each announced once', async ({ tenant }) => {
  const names = Array.from({ length: 320 }, (_, i) => `Order ${i}`)
  const made = new Map<string, string>()
  for (let i = 0; i < names.length; i += 16) {
    await Promise.all(
      names.slice(i, i + 16).map(async (friendlyName) => {
        const { sid } = await v1(tenant).conversations.create({ friendlyName })
        await v1(tenant).conversations(sid).participants.create({ identity: 'ann' })
        made.set(sid, friendlyName)
      }),
    )
  }
  await conversationWith(tenant, 'bob')
  const client = sdkClient(tenant, await tokenFor(tenant, 'ann'))
  const announced: string[] = []
  client.on('conversationJoined', ({ sid }) => announced.push(sid))
  await next(client, 'initialized')
  const listed = (await pages(client.getSubscribedConversations(), 'forward')).flat()
  expect(new Map(listed.map(({ sid, friendlyName }) => [sid, friendlyName]))).toEqual(made)
  expect(listed).toHaveLength(made.size)
  expect(new Set(listed.map(({ status }) => status))).toEqual(new Set(['joined']))
  await expect.poll(() => announced.length).toBe(made.size)
  expect([...announced].sort()).toEqual([...made.keys()].sort())
})

describe('a history of 237 messages, 4 of them deleted', () => {
  const total = 237
  // The first and the last one, and two at the edges of pages of 30 in either direction.
  const deleted = [0, 30, 206, 236]
  const kept = Array.from({ length: total }, (_, i) => i).filter((i) => !deleted.includes(i))
  const indexes = (items: readonly Message[]) => items.map(({ index }) => index)

  async function history(tenant: Tenant): Promise<Conversation> {
    const sid = await conversationWith(tenant, 'ann')
    const { messages } = v1(tenant).conversations(sid)
    const sids: string[] = []
    for (let i = 0; i < total; i++) sids.push((await messages.create({ body: `${i}` })).sid)
    for (const index of deleted)
      await v1(tenant)
        .conversations(sid)
        .messages(sids[index] as string)
        .remove()
    return (await connected(tenant, 'ann')).getConversationBySid(sid)
  }

  test('is read by pages in both directions, from either end', async ({ tenant }) => {
    const here = await history(tenant)
    const back = await pages<Message>(here.getMessages(30), 'backwards')
    expect(back.map((items) => items.length)).toEqual([30, 30, 30, 30, 30, 30, 30, 23])
    expect(back.reverse().flatMap(indexes)).toEqual(kept)
    expect(back.flat().every(({ index, body }) => body === `${index}`)).toBe(true)
    const forth = await pages<Message>(here.getMessages(50, 0, 'forward'), 'forward')
    expect(forth.map((items) => items.length)).toEqual([50, 50, 50, 50, 33])
    expect(forth.flatMap(indexes)).toEqual(kept)
    expect(await here.getMessagesCount()).toBe(kept.length)
  })

  test('is read from any index, also from one that is gone, and from beyond the end', async ({ tenant }) => {
    const here = await history(tenant)
    // A page may be one short: the SDK fills it from what it has read already.
    for (const anchor of [1, 29, 30, 31, 100, 206, 235, 236, 1000]) {
      const forth = await pages(here.getMessages(60, anchor, 'forward'), 'forward')
      expect([anchor, ...forth.flatMap(indexes)]).toEqual([anchor, ...kept.filter((i) => i >= anchor)])
      const back = await pages(here.getMessages(60, anchor, 'backwards'), 'backwards')
      expect([anchor, ...back.reverse().flatMap(indexes)]).toEqual([anchor, ...kept.filter((i) => i <= anchor)])
    }
  })

  test('is paged back and forth', async ({ tenant }) => {
    const here = await history(tenant)
    const last = await here.getMessages(30)
    const before = await last.prevPage()
    expect(indexes((await before.nextPage()).items)).toEqual(indexes(last.items))
    const first = await here.getMessages(30, 0, 'forward')
    const second = await first.nextPage()
    expect(indexes(second.items)).toEqual(kept.slice(30, 60))
    expect(indexes((await second.prevPage()).items)).toEqual(indexes(first.items))
  })
})
