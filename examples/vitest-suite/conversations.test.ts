import { describe, expect } from 'vitest'
import { test } from './account.ts'

// Side by side: each test has a clock of its own.
describe.concurrent('conversations', () => {
  test('an account starts without conversations', async ({ account }) => {
    expect(await account.client().conversations.v1.conversations.list()).toEqual([])
  })

  test('an idle conversation becomes inactive, and a message makes it active again', async ({ account }) => {
    const { conversations } = account.client().conversations.v1
    const { sid } = await conversations.create({ 'timers.inactive': 'PT5M' })

    await account.clock.advance('PT5M')
    const { params } = await account.webhooks.next({ EventType: 'onConversationStateUpdated' })
    expect(params).toMatchObject({ ConversationSid: sid, StateFrom: 'active', StateTo: 'inactive', Reason: 'TIMER' })

    await conversations(sid).messages.create({ author: 'alice', body: 'Are you still there?' })
    expect((await conversations(sid).fetch()).state).toBe('active')
  })

  test('a closed conversation refuses changes', async ({ account }) => {
    const { conversations } = account.client().conversations.v1
    const { sid } = await conversations.create({ 'timers.closed': 'PT10M' })
    await account.clock.advance('PT10M')
    const update = conversations(sid).update({ friendlyName: 'Again' })
    await expect(update).rejects.toMatchObject({ status: 400, code: 50377 })
  })

  test('a request that is refused for a while is repeated until it is not', async ({ account }) => {
    const { conversations } = account.client().conversations.v1
    await account.fail({ operation: 'CreateConversation', status: 429, times: 2 })
    const { sid } = await patiently(() => conversations.create({ friendlyName: 'At last' }))
    expect((await conversations.list()).map((conversation) => conversation.sid)).toEqual([sid])
  })
})

/** What a program under test might do. */
async function patiently<T>(request: () => Promise<T>): Promise<T> {
  try {
    return await request()
  } catch (error) {
    if (!(error instanceof Error && 'status' in error && error.status === 429)) throw error
    return patiently(request)
  }
}
