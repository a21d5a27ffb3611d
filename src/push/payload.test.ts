import fc from 'fast-check'
import { expect, test } from 'vitest'
import type { MessageRow } from '../storage/schema.ts'
import { apnsPayload, type Described, fcmMessage, pushData, textOf } from './payload.ts'

const conversation = { sid: `CH${'0'.repeat(32)}`, friendly_name: 'Order', unique_name: 'order-7' }

function message(given: Partial<MessageRow> = {}): MessageRow {
  return { sid: 'IM1', message_index: 3, author: 'ann', body: 'Hello', media: null, ...given } as MessageRow
}

const described = (given: Partial<Described> = {}): Described => {
  return { conversation, actor: { name: 'Ann', sid: 'MB1' }, message: message(), ...given }
}

test.each<[template: string, text: string]>([
  [`\${CONVERSATION};\${PARTICIPANT}: \${MESSAGE}`, 'order-7;Ann: Hello'],
  [`\${PARTICIPANT_FRIENDLY_NAME} \${PARTICIPANT_IDENTITY} \${PARTICIPANT_SID}`, 'Ann Ann MB1'],
  [`\${CONVERSATION_FRIENDLY_NAME} \${CONVERSATION_UNIQUE_NAME} \${CONVERSATION_SID}`, `Order order-7 ${conversation.sid}`],
  [`\${UNKNOWN} \${message} $MESSAGE \${MESSAGE`, `\${UNKNOWN} \${message} $MESSAGE \${MESSAGE`],
  [`\${__proto__}\${constructor}`, `\${__proto__}\${constructor}`],
  [`\${MEDIA_COUNT} \${MEDIA}`, `\${MEDIA_COUNT} \${MEDIA}`],
])('%s is %s', (template, text) => {
  expect(textOf(template, described())).toBe(text)
})

test('a conversation without names has its SID, and what a message says is no template', () => {
  const unnamed = { ...conversation, friendly_name: null, unique_name: null }
  expect(
    textOf(`\${CONVERSATION} \${MESSAGE}`, described({ conversation: unnamed, message: message({ body: `\${PARTICIPANT}` }) })),
  ).toBe(`${conversation.sid} \${PARTICIPANT}`)
  expect(
    textOf(`\${CONVERSATION} \${CONVERSATION_FRIENDLY_NAME}`, described({ conversation: { ...unnamed, unique_name: 'u' } })),
  ).toBe('u u')
})

test('the source of a mail is not among its media', () => {
  const source = { sid: 'ME0', size: 9, content_type: 'message/rfc822', filename: 'mail.eml', category: 'source' }
  const file = { sid: 'ME1', size: 1, content_type: 'image/png', filename: 'a.png' }
  const mail = (...media: object[]) => described({ message: message({ media: JSON.stringify(media) }) })
  const dataOf = (what: Described) => pushData('new_message', what, { text: null, sound: null })
  expect(dataOf(mail(source))).not.toHaveProperty('media_count')
  expect(dataOf(mail(source))).not.toHaveProperty('media')
  expect(dataOf(mail(source, file))).toMatchObject({ media_count: '1', media: expect.stringContaining('ME1') })
  expect(textOf(`\${MEDIA_COUNT} \${MEDIA}`, mail(source, file))).toBe('1 a.png')
})

test('the text ends after 178 characters, never in the middle of one', () => {
  const long = (body: string) => textOf(`\${MESSAGE}`, described({ message: message({ body }) }))
  expect(long('x'.repeat(500))).toBe('x'.repeat(178))
  expect(long(`${'x'.repeat(177)}😀y`)).toBe('x'.repeat(177))
  expect(long(`${'x'.repeat(176)}😀y`)).toBe(`${'x'.repeat(176)}😀`)
})

test('whatever the texts are, the values are texts and the push is small enough for both services', () => {
  const texts = fc.string({ unit: 'binary', maxLength: 300 })
  fc.assert(
    fc.property(texts, texts, texts, texts, fc.option(texts), (template, name, author, body, filename) => {
      const media = JSON.stringify([{ sid: 'ME1', size: 1, content_type: 'image/png', filename }])
      const what = described({
        conversation: { ...conversation, friendly_name: name },
        message: message({ author, body, media }),
      })
      const text = textOf(template, what)
      const data = pushData('new_message', what, { text, sound: 'default' })
      for (const value of Object.values(data)) expect(typeof value).toBe('string')
      expect(text.length).toBeLessThanOrEqual(178)
      const withId = { ...data, twi_message_id: `RU${'0'.repeat(32)}` }
      expect(Buffer.byteLength(JSON.stringify(apnsPayload(withId, 1000)))).toBeLessThanOrEqual(4096)
      expect(Buffer.byteLength(JSON.stringify(fcmMessage('', withId)))).toBeLessThanOrEqual(4096)
    }),
    { numRuns: 60 },
  )
  const large = message({
    author: '語'.repeat(256),
    media: JSON.stringify([{ sid: 'ME1', size: 1, content_type: 'x', filename: '語'.repeat(900) }]),
  })
  const data = pushData('new_message', { conversation, message: large }, { text: '語'.repeat(178), sound: null })
  expect(Object.keys(data)).toContain('author')
  expect(Object.keys(data)).not.toContain('media')
})
