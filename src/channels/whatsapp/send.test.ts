import { describe, expect, test } from 'vitest'
import { outbound, outboundMedia } from '../../../test/support/outbound.ts'
import { caught, cloud, phoneNumberId, send, settings, useMeta } from '../../../test/support/whatsapp-kind.ts'
import { RefusedError, RetryError } from '../adapter.ts'

useMeta()

describe('send', () => {
  test('hands over the text, the recipient and the key', async () => {
    const accepted = await send({ text: 'Grüße' })
    const [sent] = cloud.messages
    expect(accepted).toMatchObject({ external_id: sent?.id, status: 'sent', response_status: 200 })
    expect(sent).toMatchObject({
      phone_number_id: phoneNumberId,
      messaging_product: 'whatsapp',
      to: '+16505551234',
      type: 'text',
      text: { body: 'Grüße' },
      biz_opaque_callback_data: outbound().key,
    })
  })

  test('somebody whose number is hidden is reached by their id', async () => {
    await send({ to: 'whatsapp:US.13491208655302741918' })
    expect(cloud.messages[0]).toMatchObject({ recipient: 'US.13491208655302741918' })
    expect(cloud.messages[0]).not.toHaveProperty('to')
  })

  test.each([
    ['image/jpeg', 'image', true],
    ['image/png; x=1', 'image', true],
    ['video/mp4', 'video', true],
    ['application/pdf', 'document', true],
    ['image/gif', 'document', true],
    ['audio/ogg', 'audio', false],
    ['image/webp', 'sticker', false],
  ])('%s is sent as %s by its link', async (content_type, type, captioned) => {
    const media = outboundMedia(content_type, undefined, 'file.bin')
    const accepted = await send({ text: 'Look', media: [media] })
    const parts = cloud.messages.map((part) => [part.type, part[part.type]])
    const file = { link: media.url(), ...(type === 'document' && { filename: 'file.bin' }) }
    if (captioned) expect(parts).toEqual([[type, { ...file, caption: 'Look' }]])
    else
      expect(parts).toEqual([
        ['text', { preview_url: true, body: 'Look' }],
        [type, file],
      ])
    expect(accepted.external_id).toBe(cloud.messages.at(-1)?.id)
  })

  test('a text that is too long for a caption goes ahead; several media follow each other', async () => {
    await send({ text: 'x'.repeat(1025), media: [outboundMedia('image/png'), outboundMedia('image/jpeg')] })
    expect(cloud.messages.map(({ type }) => type)).toEqual(['text', 'image', 'image'])
  })

  test('media are uploaded where that is set', async () => {
    const bytes = Buffer.from('a picture')
    await send({ text: 'Look', media: [outboundMedia('image/png', bytes)] }, { ...settings, media: 'upload' })
    const { id, caption } = cloud.messages[0]?.image ?? {}
    expect(caption).toBe('Look')
    expect(Buffer.from(cloud.media.get(id)?.bytes ?? [])).toEqual(bytes)
    expect(cloud.media.get(id)?.type).toBe('image/png')
  })

  test('a picture that is too large is a document', async () => {
    await send({ text: null, media: [{ ...outboundMedia('image/png'), size: 6_000_000 }] })
    expect(cloud.messages[0]?.type).toBe('document')
  })

  test('a refusal has the code of Meta', async () => {
    cloud.script(() => ({ status: 400, body: { error: { message: '(#131047) Re-engagement message', code: 131047 } } }))
    const error = await caught(send())
    expect(error).toBeInstanceOf(RefusedError)
    expect(error).toMatchObject({ answer: { response: '131047; (#131047) Re-engagement message' } })
    expect(error).toMatchObject({ errorCode: 131047, message: 'Meta responded 400 with code 131047' })
    expect(await caught(send({}, { ...settings, access_token: 'expired' }))).toMatchObject({
      name: 'RefusedError',
      errorCode: 190,
    })
  })

  test.each([
    [429, 4],
    [500, 131000],
    [503, 2],
    [400, 130429],
    [400, 131056],
    [400, 80007],
    [502, null],
  ])('%i with code %s is tried again', async (status, code) => {
    cloud.script(() => ({ status, body: code === null ? 'Bad Gateway' : { error: { code, message: 'x' } } }))
    expect(await caught(send())).toMatchObject({ name: 'RetryError', errorCode: code, answer: { response_status: status } })
  })

  test('no response is tried again, and so is what Meta calls transient', async () => {
    cloud.script(() => ({ status: 0, hangUp: true }))
    expect(await caught(send())).toBeInstanceOf(RetryError)
    cloud.script(() => ({ status: 400, body: { error: { code: 1, is_transient: true } } }))
    expect(await caught(send())).toBeInstanceOf(RetryError)
  })

  test.each([
    [200, '<html>'],
    [200, '{}'],
    [200, '{"messages":[7]}'],
    [200, '{"messages":[{"id":""}]}'],
    [302, ''],
    [404, '{"error":"x"}'],
  ])('an odd response is a refusal: %i %s', async (status, body) => {
    cloud.script(() => ({ status, body }))
    expect(await caught(send())).toMatchObject({ name: 'RefusedError', errorCode: 30008 })
  })
})
