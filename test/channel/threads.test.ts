import { expect } from 'vitest'
import { test } from '../support/fixtures.ts'
import { settled } from '../support/hooked.ts'

const [ann, bob, ours] = ['+15551234567', '+15559876543', '+15557654321']

interface ThreadMessage {
  readonly author: string
  readonly body: string
  readonly direction: string
  readonly receipt: { readonly channel_message_sid: string; readonly status: string } | null
}

test('a thread has what somebody has written and been sent, and of a group what the others wrote', async ({ tenant }) => {
  const { account_sid, sdk } = tenant
  const v1 = sdk.conversations.v1
  const service_sid = (await v1.configuration().fetch()).defaultChatServiceSid
  const thread = async (address: string, more = ''): Promise<ThreadMessage[]> =>
    (await tenant.admin('GET', `/threads?service_sid=${service_sid}&address=${encodeURIComponent(address)}${more}`)).messages
  const channel = `/accounts/${account_sid}/channels/${ours}`
  await tenant.admin('PUT', channel, { kind: 'loopback', settings: { status: 'sent' } })
  await v1.addressConfigurations.create({
    type: 'sms',
    address: ours,
    'autoCreation.enabled': true,
    'autoCreation.type': 'default',
  })
  const receive = (to: string | string[], body: string) => tenant.admin('POST', '/inbound', { account_sid, from: ann, to, body })
  const { conversation_sid } = await receive(ours, 'First')
  await v1.conversations(conversation_sid).participants.create({ identity: 'alice' })
  await v1.conversations(conversation_sid).messages.create({ author: 'alice', body: 'Answer' })
  await settled(tenant)
  const [answer, first] = await thread(ann, `&proxy_address=${encodeURIComponent(ours)}`)
  expect(first).toMatchObject({ direction: 'written', body: 'First', receipt: null })
  expect(answer).toMatchObject({ direction: 'received', author: 'alice', body: 'Answer', receipt: { status: 'sent' } })
  // The carrier, by what the thread says.
  const { channel_message_sid } = answer?.receipt ?? expect.fail('no receipt')
  await tenant.admin('POST', '/receipts', { account_sid, channel_message_sid, status: 'failed', error_code: 30003 })
  expect((await thread(ann, '&limit=1')).map(({ receipt }) => receipt)).toMatchObject([{ status: 'failed', error_code: 30003 }])
  // Somebody who chats is not there, nor is what was exchanged with another address of ours.
  expect(await thread('alice')).toEqual([])
  expect(await thread(ann, `&proxy_address=${encodeURIComponent('+15550000000')}`)).toEqual([])
  await receive([ours, bob], 'To all')
  expect(await thread(bob)).toMatchObject([{ direction: 'received', author: ann, body: 'To all', receipt: null }])
  expect((await thread(ann)).map(({ body }) => body)).toEqual(['To all', 'Answer', 'First'])
  // In the conversation that began first.
  await tenant.advance('PT1S')
  await receive(ours, 'Later')
  expect((await thread(ann)).map(({ body }) => body)).toEqual(['Later', 'To all', 'Answer', 'First'])
  expect((await thread(ann, '&limit=2')).map(({ body }) => body)).toEqual(['Later', 'To all'])
  // Another service knows nothing of it.
  const other = await v1.services.create({ friendlyName: 'Other' })
  const elsewhere = await tenant.admin('GET', `/threads?service_sid=${other.sid}&address=${encodeURIComponent(ann)}`)
  expect(elsewhere.messages).toEqual([])
})

test.for([
  ['', '400 .*service_sid is required'],
  ['service_sid=IS0&address=x', '404'],
  [`service_sid=IS${'0'.repeat(32)}&address=x`, '404'],
  [`service_sid=IS${'0'.repeat(32)}`, '400 .*address is required'],
  [`service_sid=IS${'0'.repeat(32)}&address=`, '400'],
  [`service_sid=IS${'0'.repeat(32)}&address=x&limit=101`, '400'],
  [`service_sid=IS${'0'.repeat(32)}&address=x&limit=x`, '400'],
  [`service_sid=IS${'0'.repeat(32)}&address=%00`, '400 .*NUL'],
  [`service_sid=IS${'0'.repeat(32)}&address=x&more=1`, '400 .*more is not a query parameter'],
] as const)('GET /threads?%s is refused', async ([query, expected], { tenant }) => {
  await expect(tenant.admin('GET', `/threads?${query}`)).rejects.toThrow(new RegExp(expected))
})
