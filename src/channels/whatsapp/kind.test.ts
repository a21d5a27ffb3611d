import { describe, expect, test } from 'vitest'
import { anotherId, cloud, io, phoneNumberId, settings, theirs, useMeta } from '../../../test/support/whatsapp-kind.ts'
import { whatsapp } from './kind.ts'

useMeta()

describe('what people inside do', () => {
  test('reading marks the message as read, typing shows that somebody types', async () => {
    await whatsapp.seen?.(settings, 'wamid.1', io)
    await whatsapp.typing?.(settings, { address: theirs, external_id: 'wamid.2' }, io)
    await whatsapp.typing?.(settings, { address: theirs, external_id: null }, io)
    const mark = { messaging_product: 'whatsapp', status: 'read', phone_number_id: phoneNumberId }
    expect(cloud.marks).toEqual([
      { ...mark, message_id: 'wamid.1' },
      { ...mark, message_id: 'wamid.2', typing_indicator: { type: 'text' } },
    ])
  })

  test('neither does where read marks are off', async () => {
    await whatsapp.seen?.({ ...settings, read_marks: false }, 'wamid.1', io)
    await whatsapp.typing?.({ ...settings, read_marks: false }, { address: theirs, external_id: 'wamid.2' }, io)
    expect(cloud.marks).toEqual([])
  })
})

test('the check says what is wrong', async () => {
  expect(await whatsapp.check?.(settings, io)).toMatchObject({ ok: true })
  expect(await whatsapp.check?.({ ...settings, access_token: 'wrong' }, io)).toMatchObject({ ok: false, says: /190/ })
  expect(await whatsapp.check?.({ ...settings, phone_number_id: anotherId }, io)).toMatchObject({
    ok: false,
    says: /another number/,
  })
})
