import { expect } from 'vitest'
import { ask } from '../support/admin.ts'
import { test } from '../support/fixtures.ts'
import { asking } from '../support/hooked.ts'

const template = (digit: string) => `HX${digit.repeat(32)}`
const types = (...named: [string, object][]) => ({ types: Object.fromEntries(named) })
const greeting = types(['twilio/text', { body: 'Hello {{1}}, order {{ order }} is {{1}}’s. {{unknown}}' }])

test('a template is registered, replaced, fetched, listed and deleted by the operator', async ({ tenant }) => {
  const root = `/accounts/${tenant.account_sid}/contents`
  const made = await ask(tenant, 'PUT', `${root}/${template('a')}`, {
    friendly_name: 'Greeting',
    variables: { 1: 'you' },
    ...greeting,
  })
  expect(made).toMatchObject({
    status: 200,
    body: {
      sid: template('a'),
      account_sid: tenant.account_sid,
      friendly_name: 'Greeting',
      variables: { 1: 'you' },
      ...greeting,
    },
  })
  await tenant.advance('PT1S')
  const replaced = (await ask(tenant, 'PUT', `${root}/${template('a')}`, greeting)).body
  expect(replaced).toMatchObject({ friendly_name: null, variables: {}, date_created: made.body.date_created })
  expect(replaced.date_updated).not.toBe(made.body.date_updated)
  expect((await ask(tenant, 'GET', `${root}/${template('a')}`)).body).toEqual(replaced)
  await ask(tenant, 'PUT', `${root}/${template('b')}`, greeting)
  const listed = (await ask(tenant, 'GET', root)).body.contents
  expect(listed.map(({ sid }: { sid: string }) => sid)).toEqual([template('a'), template('b')])
  expect((await ask(tenant, 'DELETE', `${root}/${template('a')}`)).status).toBe(204)
  expect((await ask(tenant, 'DELETE', `${root}/${template('a')}`)).status).toBe(404)
  expect((await ask(tenant, 'GET', `${root}/${template('a')}`)).status).toBe(404)
  for (const body of [
    {},
    { types: {} },
    { types: { 'twilio/text': 'x' } },
    { ...greeting, variables: { 1: {} } },
    { ...greeting, x: 1 },
  ]) {
    expect((await ask(tenant, 'PUT', `${root}/${template('c')}`, body)).status).toBe(400)
  }
  expect((await ask(tenant, 'PUT', `${root}/HX1`, greeting)).status).toBe(400)
  expect((await ask(tenant, 'PUT', `/accounts/AC${'0'.repeat(32)}/contents/${template('a')}`, greeting)).status).toBe(404)
})

test('a message has the text of its template, with the variables replaced, also in webhooks', async ({ tenant, catcher }) => {
  const root = `/accounts/${tenant.account_sid}/contents`
  await ask(tenant, 'PUT', `${root}/${template('a')}`, { variables: { order: '7' }, ...greeting })
  const hook = { PostWebhookUrl: catcher.url(), Filters: 'onMessageAdded' }
  await tenant.call('POST', '/v1/Configuration/Webhooks', hook)
  const { default_chat_service_sid } = (await tenant.call('GET', '/v1/Configuration')).body
  const { sid } = (await tenant.call('POST', '/v1/Conversations', {})).body
  for (const family of ['/v1', `/v1/Services/${default_chat_service_sid}`]) {
    const form = { ContentSid: template('a'), ContentVariables: '{"1":"Ann $&"}', Body: 'ignored' }
    const { status, body } = await tenant.call('POST', `${family}/Conversations/${sid}/Messages`, form, asking)
    const text = 'Hello Ann $&, order 7 is Ann $&’s. {{unknown}}'
    expect([status, body.body, body.content_sid]).toEqual([201, text, template('a')])
    expect((await catcher.next()).params.Body).toBe(text)
  }
  // What was sent stays as it was sent.
  await ask(tenant, 'DELETE', `${root}/${template('a')}`)
  const { messages } = (await tenant.call('GET', `/v1/Conversations/${sid}/Messages`)).body
  expect(messages[0].body).toContain('Hello Ann')
})

test('the text of each supported type is known; a template of other types alone is refused', async ({ tenant }) => {
  const root = `/accounts/${tenant.account_sid}/contents`
  const { sid } = (await tenant.call('POST', '/v1/Conversations', {})).body
  const say = async (content: object) => {
    await ask(tenant, 'PUT', `${root}/${template('a')}`, content)
    return tenant.call('POST', `/v1/Conversations/${sid}/Messages`, { ContentSid: template('a') })
  }
  for (const [content, body] of [
    [types(['twilio/media', { body: 'Look', media: ['https://example.com/a.png'] }]), 'Look'],
    [types(['twilio/quick-reply', { body: 'Yes?', actions: [] }]), 'Yes?'],
    [types(['twilio/call-to-action', { body: 'Call', actions: [] }]), 'Call'],
    [types(['twilio/list-picker', { body: 'Pick', button: 'x', items: [] }]), 'Pick'],
    [types(['twilio/card', { title: 'Card' }]), 'Card'],
    [types(['twilio/location', { latitude: 1, longitude: 2, label: 'Here' }]), 'Here'],
    [types(['twilio/location', { latitude: 1, longitude: 2 }]), null],
    [types(['twilio/carousel', { body: 'x' }], ['twilio/text', { body: 'Plain' }]), 'Plain'],
  ] as const) {
    expect(await say(content)).toMatchObject({ status: 201, body: { body } })
  }
  const unsupported = { status: 400, body: { code: 50542, message: 'Unsupported Content Template Type' } }
  expect(await say(types(['whatsapp/authentication', { body: 'x' }]))).toMatchObject(unsupported)
  expect(await say(types(['twilio/text', { body: 'x'.repeat(32_769) }]))).toMatchObject({ status: 400, body: { code: 50504 } })
  expect(await say(types(['twilio/text', { body: 'a\0b' }]))).toMatchObject({ status: 400, body: { code: 20422 } })
})

test('a template that is not registered, or by another account, is refused', async ({ tenant, server }) => {
  await ask(server, 'PUT', `/accounts/${server.account_sid}/contents/${template('d')}`, greeting)
  const { sid } = (await tenant.call('POST', '/v1/Conversations', {})).body
  const unknown = { status: 400, body: { code: 50526, message: 'Invalid content SID' } }
  for (const ContentSid of [template('d'), template('e')]) {
    expect(await tenant.call('POST', `/v1/Conversations/${sid}/Messages`, { ContentSid })).toMatchObject(unknown)
  }
  expect((await tenant.call('GET', `/v1/Conversations/${sid}/Messages`)).body.messages).toEqual([])
})

test('variables are texts, numbers, true or false', async ({ tenant }) => {
  await ask(tenant, 'PUT', `/accounts/${tenant.account_sid}/contents/${template('a')}`, greeting)
  const { sid } = (await tenant.call('POST', '/v1/Conversations', {})).body
  const send = (ContentVariables: string) =>
    tenant.call('POST', `/v1/Conversations/${sid}/Messages`, { ContentSid: template('a'), ContentVariables })
  const invalid = { status: 400, body: { code: 50527, message: 'Invalid content variables format' } }
  for (const variables of ['null', '7', '"x"', '[]', '{"1":null}', '{"1":{}}', '{"1":["x"]}']) {
    expect(await send(variables), variables).toMatchObject(invalid)
  }
  expect((await send('{"1":7,"order":true}')).body.body).toBe('Hello 7, order true is 7’s. {{unknown}}')
})

test('a template whose text is no text is not registered', async ({ tenant }) => {
  const put = (content: object) => ask(tenant, 'PUT', `/accounts/${tenant.account_sid}/contents/${template('a')}`, content)
  for (const [content, error] of [
    [types(['twilio/text', { body: 7 }]), 'types.twilio/text.body must be of type string'],
    [types(['twilio/text', { body: null }]), 'types.twilio/text.body must be of type string'],
    [types(['twilio/text', {}]), 'types.twilio/text.body is required'],
    [types(['twilio/card', { title: ['x'] }]), 'types.twilio/card.title must be of type string'],
    [
      types(['twilio/text', { body: 'x' }], ['twilio/location', { label: {} }]),
      'types.twilio/location.label must be of type string',
    ],
    [{ ...greeting, variables: { 1: 7 } }, 'variables.1 must be of type string'],
  ] as const) {
    expect(await put(content)).toEqual({ status: 400, body: { error } })
  }
  // Of types that Conversations does not send nothing is used.
  expect(await put(types(['twilio/carousel', { body: 7 }]))).toMatchObject({ status: 200 })
})
