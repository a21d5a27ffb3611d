import { expect, test } from 'vitest'
import { planOf } from '../../fuzz/generator.ts'
import { LiveRows } from '../../fuzz/live-rows.ts'
import { targets } from '../../fuzz/operations.ts'
import { Random } from '../../fuzz/random.ts'
import type { Account, World } from '../../fuzz/surroundings.ts'

const many = Array.from({ length: 20_000 }, (_, i) => planOf(7, i, world()))

test('the same seed makes the same requests', () => {
  const requests = (seed: number) => Array.from({ length: 500 }, (_, i) => planOf(seed, i, world()))
  expect(requests(7)).toEqual(requests(7))
  expect(requests(8)).not.toEqual(requests(7))
})

test('a request can be made without those before it', () => {
  const all = Array.from({ length: 50 }, (_, i) => planOf(7, i, world()))
  expect(planOf(7, 49, world())).toEqual(all[49])
})

test('every official operation is asked for, and so are sockets, files and the operator', () => {
  const labels = new Set(many.map(({ label }) => label))
  const wanted = targets.map(({ operation }) => operation.operationId)
  const others = ['media upload', 'admin createAccount', 'odd path', 'socket: smuggling', 'socket: pipelined', 'socket: cut off']
  expect([...wanted, ...others].filter((label) => !labels.has(label))).toEqual([])
})

test('every parameter of every operation is sent', () => {
  const texts = Map.groupBy(many, ({ label }) => label)
  const missing = targets.flatMap(({ operation: { operationId, parameters } }) => {
    const text = (texts.get(operationId) ?? []).map(({ steps }) => steps.join('')).join('\n')
    return Object.keys({ ...parameters.query, ...parameters.form }).filter((name) => !text.includes(`${name}=`))
  })
  expect(missing).toEqual([])
})

test('most requests are for rows that are there', () => {
  const [rows, random] = [new LiveRows(), new Random(1, 1)]
  const row = { service: 'IS1', keys: ['CH1', 'MB1'] }
  rows.add('Conversations', { service: 'IS1', keys: ['CH1'] }, random)
  rows.add('Conversations/Participants', row, random)
  expect(rows.pick('Conversations/Participants', 'IS1', random)).toEqual(row)
  expect(rows.pick('Conversations/Participants', 'IS2', random)).toBeUndefined()
  rows.remove('Conversations', { service: 'IS1', keys: ['CH1'] })
  expect(rows.pick('Conversations/Participants', 'IS1', random)).toBeUndefined()
  expect(rows.deleted(random)).toBe('CH1')
})

function world(): World {
  const rows = () => Object.assign(new LiveRows(), { default_service: `IS${'0'.repeat(32)}` })
  return {
    ...{ host: '127.0.0.1:8080', hook: 'http://127.0.0.1:9', adminToken: 'operator', secret: 'sealed' },
    accounts: { a: account('a'), b: account('b') },
    rows: { a: rows(), b: rows(), operator: rows() },
    victim: { account: account('victim'), sids: [`CH${'1'.repeat(32)}`] },
  }
}

function account(marker: string): Account {
  return { sid: `AC${marker}`, auth_token: `token-${marker}`, key_sid: `SK${marker}`, key_secret: `secret-${marker}`, marker }
}
