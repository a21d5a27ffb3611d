import { expect, test } from 'vitest'
import { type Answer, AnswerReader } from '../../fuzz/answers.ts'
import { type Forbidden, faultsOf } from '../../fuzz/checks.ts'
import { LogCheck } from '../../fuzz/log-check.ts'
import { targets } from '../../fuzz/operations.ts'
import type { Plan } from '../../fuzz/plan.ts'
import { longestHold } from '../../fuzz/probe.ts'

const forbidden: Forbidden = {
  secrets: ['operator-token'],
  foreign: { a: ['stored-by-b'], b: ['stored-by-a'], operator: [], nobody: [] },
}
const plan: Plan = {
  ...{ index: 0, label: 'FetchConversation', as: 'a', method: 'GET', target: '/v1/Conversations/CH1', steps: [] },
  ...{ denied: false, answers: 1, alone: false, asked: null },
}
const missing = {
  ...{ code: 20404, message: 'The requested resource /Conversations/CH1 was not found' },
  ...{ more_info: 'https://www.twilio.com/docs/errors/20404', status: 404 },
}

test('a proper error is no fault', () => {
  expect(faults(answer(404, missing))).toEqual([])
})

test.each<[string, Answer, RegExp]>([
  ['a status of 500', answer(500, { ...missing, status: 500 }), /status 500/],
  ['an error that no catalogue has', answer(400, { ...missing, code: 20404, status: 400 }), /in no catalogue/],
  ['an error of another form', answer(404, { message: 'Not Found', statusCode: 404 }), /another form/],
  ['a body that is not JSON', text(404, 'x', 'application/json'), /not JSON/],
  ['a page for browsers', text(404, '<html>', 'text/html'), /content-type/],
  ['a body where there is none', text(204, 'x', 'application/json'), /none/],
  ['a stack trace', answer(404, { ...missing, message: 'x\n    at f (/a/b.js:1:2)' }), /the answer has/],
  ['a module of the runtime', answer(404, { ...missing, message: 'node:internal/x' }), /the answer has/],
  ['a code of the database', answer(404, { ...missing, message: 'SQLITE_BUSY' }), /the answer has/],
  ['a text of the database', answer(404, { ...missing, message: 'duplicate key value' }), /the answer has/],
  ['a text of the language', answer(404, { ...missing, message: 'x is not a function' }), /the answer has/],
  ['a path of the source', answer(404, { ...missing, message: '/home/x/src/api' }), /the answer has/],
  ['a secret', answer(404, { ...missing, message: 'operator-token' }), /a secret/],
  ['what another account has stored', answer(404, { ...missing, message: 'stored-by-b' }), /stored-by-b/],
  ['an injected header', { ...answer(404, missing), headers: [['x-injected', '1']] }, /injected/],
])('%s is a fault', (_, given, fault) => {
  expect(faults(given).join()).toMatch(fault)
})

test('an answer without valid credentials is a fault', () => {
  expect(faults(answer(200, {}), { ...plan, denied: true }).join()).toMatch(/without valid credentials/)
})

test('a row that differs from the official description is a fault', () => {
  const at = targets.find(({ operation }) => operation.operationId === 'FetchConversation')
  if (!at) throw new Error('there is no such operation')
  const asked = { at, service: '', keys: [] }
  expect(faults(answer(200, { sid: 7 }), { ...plan, asked }).join()).toMatch(/differs from the contract/)
})

test('an answer of the operator’s API that is not described is a fault', () => {
  const admin: Plan = { ...plan, label: 'admin listAccounts', as: 'operator', target: '/admin/v1/accounts' }
  expect(faults(answer(200, { accounts: 7 }), admin).join()).toMatch(/differs from its description/)
  expect(faults(answer(401, { error: 'no' }), admin)).toEqual([])
})

test('too many answers are a fault, and so is a wrong order', () => {
  expect(faultsOf(plan, [answer(404, missing), answer(404, missing)], forbidden).join()).toMatch(/2 answers/)
  const pipelined = { ...plan, label: 'socket: pipelined', answers: 2 }
  const second = answer(404, { ...missing, message: 'The requested resource /Conversations/pipelined-1 was not found' })
  expect(faultsOf(pipelined, [second], forbidden).join()).toMatch(/out of order/)
})

test.each<[string, string]>([
  ['what is no answer', 'hello\r\n\r\n'],
  ['two lengths', 'HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\n'],
  ['a length that is too short', 'HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nabc\r\n\r\n'],
  ['a length that is no number', 'HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n'],
  ['a header without a name', 'HTTP/1.1 200 OK\r\nbroken\r\n\r\n'],
])('%s breaks the stream', (_, bytes) => {
  expect(() => answersIn(bytes)).toThrow()
})

test('a length that is too long breaks the stream', () => {
  expect(() => answersIn('HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc', true)).toThrow('in the middle')
})

test('answers are found wherever the stream is cut', () => {
  const bytes =
    'HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabcHTTP/1.1 204 No Content\r\n\r\nHTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n0\r\n\r\n'
  for (let cut = 1; cut < bytes.length; cut++) {
    const answers = answersIn([bytes.slice(0, cut), bytes.slice(cut)])
    expect(answers.map(({ status, body }) => `${status} ${body}`)).toEqual(['200 abc', '204 ', '200 ab'])
  }
})

test('the log may have no error and no secret', () => {
  const log = new LogCheck(['operator-token'])
  log.push('{"level":30,"msg":"request"}\n{"level":50,"m')
  log.push('sg":"failed"}\n{"level":30,"path":"/operator-token"}\nParley listens\n')
  expect(log.faults).toEqual([expect.stringMatching(/an error.*failed/), expect.stringMatching(/a secret/)])
  expect(log.lines).toBe(3)
})

test('a wait counts as a hang where the server itself was busy', () => {
  const waits = [
    { ms: 3_000, cpu_ms: 20 },
    { ms: 2_000, cpu_ms: 1_900 },
    { ms: 1, cpu_ms: 0 },
  ]
  expect(longestHold(waits)).toBe(2_000)
  expect(longestHold([{ ms: 3_000, cpu_ms: Number.NaN }])).toBe(3_000)
})

function faults(given: Answer, of: Plan = plan): string[] {
  return faultsOf(of, [given], forbidden)
}

function answer(status: number, body: object): Answer {
  return text(status, JSON.stringify(body), 'application/json')
}

function text(status: number, body: string, type: string): Answer {
  return { status, headers: [['content-type', type]], body: Buffer.from(body) }
}

function answersIn(given: string | readonly string[], ended = false): Answer[] {
  const answers: Answer[] = []
  const reader = new AnswerReader(
    () => 'GET',
    (each) => answers.push(each),
  )
  for (const part of [given].flat()) reader.push(Buffer.from(part))
  if (ended) reader.end()
  return answers
}
