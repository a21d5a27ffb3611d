import { execFileSync } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { expect, test } from 'vitest'
import { checkAnswer, officialOperations } from './contract.ts'

const AC = `AC${'a'.repeat(32)}`
const CH = `CH${'a'.repeat(32)}`
const IS = `IS${'a'.repeat(32)}`
const base = 'http://127.0.0.1:8080/v1'
const url = `${base}/Conversations/${CH}`
const created = '2026-01-31T12:00:00Z'
const conversationPath = '/v1/Conversations/my-name?x=1'

const links = {
  participants: `${url}/Participants`,
  messages: `${url}/Messages`,
  webhooks: `${url}/Webhooks`,
  export: `${url}/Export`,
}

const conversation = {
  sid: CH,
  account_sid: AC,
  chat_service_sid: IS,
  messaging_service_sid: null,
  friendly_name: 'a name',
  unique_name: null,
  attributes: '{}',
  date_created: created,
  date_updated: created,
  state: 'active',
  timers: { any_key: 'is allowed here' },
  bindings: {},
  url,
  links,
}

const meta = {
  page: 0,
  page_size: 50,
  first_page_url: `${base}/Conversations?PageSize=50&Page=0`,
  previous_page_url: null,
  url: `${base}/Conversations?PageSize=50&Page=0`,
  next_page_url: null,
  key: 'conversations',
}

const notFound = {
  code: 20404,
  message: 'The requested resource /Conversations/x was not found',
  more_info: 'https://www.twilio.com/docs/errors/20404',
  status: 404,
}

function faultsOf(method: string, path: string, status: number, body: unknown): string {
  try {
    checkAnswer(method, path, status, body)
    return ''
  } catch (error) {
    return String(error)
  }
}

function conversationFaults(changes: object): string {
  return faultsOf('GET', conversationPath, 200, { ...conversation, ...changes })
}

function without(value: object, name: string): object {
  return Object.fromEntries(Object.entries(value).filter(([key]) => key !== name))
}

function moveToEnd(value: object, name: string): object {
  const moved = Object.entries(value).find(([key]) => key === name)
  return { ...without(value, name), ...(moved && { [name]: moved[1] }) }
}

test('the official description has 103 operations on 49 paths', () => {
  expect(officialOperations()).toHaveLength(103)
  expect(new Set(officialOperations().map((operation) => operation.path)).size).toBe(49)
  expect(new Set(officialOperations().map((operation) => operation.operationId)).size).toBe(103)
})

test('an operation tells its parameters by place', () => {
  const update = officialOperations().find((operation) => operation.operationId === 'UpdateServiceConversation')
  expect(update?.parameters.path).toMatchObject({ ChatServiceSid: { required: true }, Sid: { required: true } })
  expect(update?.parameters.header['X-Twilio-Webhook-Enabled']?.enum).toEqual(['true', 'false'])
  expect(update?.parameters.form['Timers.Inactive']).toEqual({ type: 'string' })
  const list = officialOperations().find((operation) => operation.operationId === 'ListServiceBinding')
  expect(list?.parameters.query.BindingType?.items?.enum).toContain('fcm')
})

test('well-formed answers pass', () => {
  checkAnswer('GET', conversationPath, 200, conversation)
  checkAnswer('get', `http://127.0.0.1:8080/v1/Conversations/${CH}`, 200, conversation)
  checkAnswer('POST', '/v1/Conversations', 201, conversation)
  checkAnswer('DELETE', conversationPath, 204, undefined)
  checkAnswer('DELETE', conversationPath, 204, '')
  checkAnswer('GET', '/v1/Conversations?PageSize=50', 200, { conversations: [conversation], meta })
  checkAnswer('GET', '/v1/Conversations?PageSize=50', 200, { meta, conversations: [] })
  checkAnswer('GET', conversationPath, 404, notFound)
  checkAnswer('GET', conversationPath, 404, { ...notFound, details: { any: 1 } })
  checkAnswer('GET', '/no/such/path', 404, notFound)
})

test.each([
  ['a status of another operation', 'POST', '/v1/Conversations', 200, conversation, 'status is not 201'],
  ['a redirect', 'GET', conversationPath, 302, conversation, 'status is not 200'],
  ['an unknown path', 'GET', '/v1/Nowhere', 200, {}, 'no such official operation'],
  ['an unknown verb', 'PUT', conversationPath, 200, conversation, 'no such official operation'],
  ['an empty segment', 'GET', '/v1/Conversations/', 200, conversation, 'no such official operation'],
  ['a body after a delete', 'DELETE', conversationPath, 204, conversation, 'body must be empty'],
  ['no body', 'GET', conversationPath, 200, undefined, 'body must be an object, is undefined'],
  ['an array for an object', 'GET', conversationPath, 200, [conversation], 'body must be an object'],
])('%s is a fault', (_name, method, path, status, body, fault) => {
  expect(faultsOf(method, path, status, body)).toContain(fault)
})

test.each([
  ['an extra key', { tag: 1 }, 'body.tag is not official'],
  ['a wrong type', { friendly_name: 7 }, 'body.friendly_name must be of type string, is 7'],
  ['null where it is not nullable', { state: null }, 'body.state must not be null'],
  ['links that are null', { links: null }, 'body.links must not be null'],
  ['milliseconds', { date_created: '2026-01-31T12:00:00.000Z' }, 'body.date_created must be like'],
  ['an unknown enum value', { state: 'open' }, 'body.state must be one of initializing,inactive,active,closed, is "open"'],
  ['a sid of another kind', { sid: AC }, 'body.sid must match ^CH'],
  ['a relative url', { url: '/v1/Conversations/x' }, 'body.url must be an absolute URL'],
  ['a missing link', { links: without(links, 'export') }, 'body.links.export is missing'],
  ['an extra link', { links: { ...links, users: url } }, 'body.links.users is not official'],
  ['links in another order', { links: moveToEnd(links, 'messages') }, 'body.links has its keys in the order'],
  ['an array for an untyped object', { timers: [] }, 'body.timers must be of type object'],
])('%s is a fault', (_name, changes, fault) => {
  expect(conversationFaults(changes)).toContain(fault)
})

test('a missing key and another key order are faults', () => {
  expect(faultsOf('GET', conversationPath, 200, without(conversation, 'state'))).toContain('body.state is missing')
  expect(faultsOf('GET', conversationPath, 200, moveToEnd(conversation, 'sid'))).toContain(
    'body has its keys in the order account_sid',
  )
})

test('all faults are listed at once', () => {
  const faults = conversationFaults({ state: 'open', tag: 1, friendly_name: 7 })
  expect(faults.match(/^ {2}- FetchConversation: /gm)).toHaveLength(3)
})

test.each([
  ['an item', { conversations: [conversation, { ...conversation, state: 'open' }], meta }, 'body.conversations[1].state must be'],
  ['a missing array', { meta }, 'body.conversations is missing'],
  ['a missing meta', { conversations: [] }, 'body.meta is missing'],
  ['an extra key', { conversations: [], meta, total: 0 }, 'body.total is not official'],
  ['an extra key of meta', { conversations: [], meta: { ...meta, total: 0 } }, 'body.meta.total is not official'],
  ['a missing key of meta', { conversations: [], meta: without(meta, 'url') }, 'body.meta.url is missing'],
  ['the key order of meta', { conversations: [], meta: moveToEnd(meta, 'page') }, 'body.meta has its keys in the order'],
  ['another array key', { conversations: [], meta: { ...meta, key: 'items' } }, 'body.meta.key must be "conversations"'],
])('%s in a list is a fault', (_name, body, fault) => {
  expect(faultsOf('GET', '/v1/Conversations', 200, body)).toContain(fault)
})

test.each([
  ['no body', undefined, 'error body must be an object'],
  ['a missing code', without(notFound, 'code'), 'error.code is missing'],
  ['a text as code', { ...notFound, code: '20404' }, 'error.code must be of type integer'],
  ['an extra key', { ...notFound, detail: '' }, 'error.detail is not official'],
  ['a page of another code', { ...notFound, more_info: 'https://www.twilio.com/docs/errors/1' }, 'error.more_info must be'],
  ['another status', { ...notFound, status: 400 }, 'error.status must be 404, is 400'],
  ['another key order', moveToEnd(notFound, 'code'), 'error has its keys in the order'],
])('%s in an error is a fault', (_name, body, fault) => {
  expect(faultsOf('GET', conversationPath, 404, body)).toContain(fault)
})

test('a literal segment wins over a parameter', () => {
  expect(faultsOf('GET', '/v1/Services/x/Configuration/Webhooks', 200, {})).toContain('FetchServiceWebhookConfiguration: ')
  expect(faultsOf('GET', '/v1/Configuration/Webhooks', 200, {})).toContain('FetchConfigurationWebhook: ')
})

const answerSchema = { type: 'object', properties: { sid: { type: 'string' } } }

/** A description with one list of things that have only a sid. */
function description(changes: { item?: object; thing?: object; parameter?: object; example?: object } = {}): object {
  const array = { type: 'array', items: { $ref: '#/components/schemas/thing' } }
  const page = {
    type: 'object',
    properties: { things: array, meta: { type: 'object', properties: { key: { type: 'string' } } } },
  }
  const value = { meta: { key: 'things' }, things: [{ sid: 'x', ...changes.example }] }
  const content = { 'application/json': { schema: page, examples: { read: { value } } } }
  const parameter = { name: 'Page', in: 'query', schema: { type: 'integer' }, ...changes.parameter }
  const list = { operationId: 'ListThing', parameters: [parameter], responses: { 200: { content } } }
  return {
    paths: { '/v1/Things': { get: list, ...changes.item } },
    components: { schemas: { thing: { ...answerSchema, ...changes.thing } } },
  }
}

/** Only ever compares, so that the real file stays as it is. */
function extractionFault(source: object): string {
  const folder = mkdtempSync(join(tmpdir(), 'contract-'))
  const file = join(folder, 'description.json')
  const script = fileURLToPath(new URL('../../scripts/contract.ts', import.meta.url))
  try {
    writeFileSync(file, JSON.stringify(source))
    execFileSync(process.execPath, [script, file, '--check'], { stdio: 'pipe' })
    return ''
  } catch (error) {
    return String((error as { stderr?: unknown }).stderr)
  } finally {
    rmSync(folder, { recursive: true })
  }
}

test.each([
  ['a description that differs from the file', {}, 'operations.json is not up to date'],
  ['an unknown schema word', { thing: { oneOf: [] } }, 'thing: "oneOf" is not understood'],
  ['an unknown type', { thing: { properties: { sid: { type: 'float' } } } }, 'thing.sid.type: "float" is not understood'],
  ['an unknown format', { thing: { properties: { sid: { type: 'string', format: 'ip' } } } }, 'thing.sid.format: "ip"'],
  ['an unknown verb', { item: { patch: {} } }, '/v1/Things: "patch" is not understood'],
  ['an unknown place of a parameter', { parameter: { in: 'cookie' } }, 'get /v1/Things.Page: parameter in "cookie"'],
  ['an undeclared key in an example', { example: { name: 'x' } }, 'thing.name: in an example, but not declared'],
  ['an example of another type', { example: { sid: 1 } }, 'thing.sid: declared as string, but an example shows integer'],
])('the extraction fails on %s', (_name, changes, fault) => {
  expect(extractionFault(description(changes))).toContain(fault)
})
