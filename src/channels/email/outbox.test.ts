import { expect, test } from 'vitest'
import { Outbox } from './outbox.ts'

const mail = (id: string, bytes = 1, to = 'ann@example.com') => ({
  ...{
    id,
    account_sid: 'AC1',
    conversation_sid: 'CH1',
    message_sid: 'IM1',
    date: 0,
    from: 'desk@example.com',
    to,
    subject: null,
  },
  source: Buffer.alloc(bytes),
})
const ids = (outbox: Outbox) => outbox.list().map(({ id }) => id)

test('the oldest mails give way; one that is sent again counts once, and one that is forgotten no more', () => {
  const outbox = new Outbox()
  const third = 24 * 1024 * 1024
  for (const id of ['a', 'b', 'b', 'b']) outbox.add(mail(id, third))
  expect(ids(outbox)).toEqual(['b', 'a'])
  outbox.add(mail('c', third))
  expect(ids(outbox)).toEqual(['c', 'b'])
  outbox.add(mail('d', 1, 'bob@example.com'))
  outbox.forget(({ to, id }) => to === 'bob@example.com' || id === 'c')
  outbox.add(mail('e', third))
  expect(ids(outbox)).toEqual(['e', 'b'])
})
