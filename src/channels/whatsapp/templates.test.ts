import { describe, expect, test } from 'vitest'
import { cloud, send, settings, template_sid, useMeta } from '../../../test/support/whatsapp-kind.ts'
import { whatsapp } from './kind.ts'
import { settings as declared } from './settings.ts'

useMeta()

describe('templates', () => {
  const plain = { name: 'a', language: 'en' }

  test.each([
    ['{', /JSON object/],
    ['[]', /JSON object/],
    ['{"x":{}}', /no ContentSid/],
    [JSON.stringify({ [template_sid]: { name: 'a' } }), /language/],
    [JSON.stringify({ [template_sid]: { ...plain, body: [1] } }), /must have/],
    [JSON.stringify({ [template_sid]: { ...plain, header: { type: 'x', variable: '1' } } }), /must have/],
    [JSON.stringify({ [template_sid]: { ...plain, buttons: [{ type: 'url', index: 10, variable: '1' }] } }), /must have/],
    [JSON.stringify({ [template_sid]: { ...plain, colour: 'red' } }), /must have/],
  ])('templates %s', (templates, words) => {
    expect(whatsapp.problem?.({ ...settings, templates })).toMatch(words)
  })

  test('templates may be given as an object, or as a text with line breaks', () => {
    const given = { [template_sid]: plain }
    for (const templates of [given, JSON.stringify(given), JSON.stringify(given, null, 2)]) {
      expect(declared.templates.parse(templates)).toBe(JSON.stringify(given))
    }
    for (const wrong of [7, true, [given], 'a\nb']) expect(() => declared.templates.parse(wrong)).toThrow(/must/)
  })

  test('a template stands for a ContentSid, with its variables in their places', async () => {
    const content = { sid: template_sid, variables: '{"2":"B","1":"A","10":"J"}' }
    const mapped = (template: object) => ({ ...settings, templates: JSON.stringify({ [template_sid]: template }) })
    const plain = { name: 'order_update', language: 'en_US' }
    await send({ content }, mapped(plain))
    await send({ content: { sid: template_sid, variables: '{"first_name":"Ann"}' } }, mapped(plain))
    const header = { type: 'image', variable: '1' }
    const buttons = [
      { type: 'url', index: 0, variable: '10' },
      { type: 'quick_reply', index: 1, variable: '2' },
    ]
    await send({ content }, mapped({ ...plain, header, body: ['2', '3'], buttons }))
    await send({ content: { sid: template_sid, variables: null } }, mapped(plain))
    const text = (value: string) => ({ type: 'text', text: value })
    const language = { code: 'en_US' }
    expect(cloud.messages.map(({ template }) => template)).toEqual([
      { name: 'order_update', language, components: [{ type: 'body', parameters: [text('A'), text('B'), text('J')] }] },
      {
        name: 'order_update',
        language,
        components: [{ type: 'body', parameters: [{ ...text('Ann'), parameter_name: 'first_name' }] }],
      },
      {
        name: 'order_update',
        language,
        components: [
          { type: 'header', parameters: [{ type: 'image', image: { link: 'A' } }] },
          { type: 'body', parameters: [text('B'), text('')] },
          { type: 'button', sub_type: 'url', index: '0', parameters: [text('J')] },
          { type: 'button', sub_type: 'quick_reply', index: '1', parameters: [{ type: 'payload', payload: 'B' }] },
        ],
      },
      { name: 'order_update', language },
    ])
  })

  test('a ContentSid that stands for no template is sent as its text', async () => {
    await send({ text: 'Hello Ann', content: { sid: template_sid, variables: null } })
    expect(cloud.messages[0]).toMatchObject({ type: 'text', text: { body: 'Hello Ann' } })
  })
})
