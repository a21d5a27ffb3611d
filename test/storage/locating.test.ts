import { expect, test } from 'vitest'
import { locate, type ResourcePath } from '../../src/model/scope.ts'
import { messages } from '../../src/resources/conversations/messages/message.ts'
import type { Reader } from '../../src/storage/database.ts'
import type { AnyShape, Shape } from '../../src/storage/shapes.ts'

/** A reader of a few rows, which says what it was asked for before it gave its first answer, and which rows it has held. */
function reading(rows: Readonly<Record<string, readonly object[]>>) {
  const asked: string[] = []
  const held: unknown[] = []
  let answered = false
  const find = async <R>({ plain }: AnyShape, args: object): Promise<R | undefined> => {
    const { table = '' } = plain ?? {}
    if (!answered) asked.push(table)
    await new Promise((resolve) => setImmediate(resolve))
    answered = true
    const sought = Object.entries(args)
    const found = rows[table]?.find((row) => sought.every(([name, value]) => new Map(Object.entries(row)).get(name) === value))
    // The rows of a table are of its type.
    return found as R | undefined
  }
  const reader: Reader = {
    one: (query, args) => find(query, args),
    hold: async <A extends object, R>(query: Shape<A, R>, args: A) => {
      const row = await find<R>(query, args)
      if (row) held.push(row)
      return row
    },
    all: () => Promise.reject(new Error('nothing here reads several')),
  }
  return { reader, asked, held }
}

const rows = {
  accounts: [{ sid: 'AC1', status: 'active', default_service_sid: 'IS1' }],
  services: [
    { sid: 'IS1', account_sid: 'AC1' },
    { sid: 'IS2', account_sid: 'AC1' },
    { sid: 'IS3', account_sid: 'AC2' },
  ],
  conversations: ['IS1', 'IS2', 'IS3'].map((service_sid) => ({
    service_sid,
    account_sid: service_sid === 'IS3' ? 'AC2' : 'AC1',
    sid: `of ${service_sid}`,
    unique_name: 'room',
  })),
}
const path: ResourcePath = { account_sid: 'AC1', service_sid: null, parents: ['room'], key: null, text: '/Conversations/room' }

async function found(of: typeof rows, given: Partial<ResourcePath>) {
  const { reader, asked, held } = reading(of)
  const located = await locate(reader, messages, { ...path, ...given }).catch((error: Error) => error)
  return { asked, held, found: located instanceof Error ? located.message : located.parents.map(({ sid }) => sid) }
}

test('account, service and conversation are read at one time, from the top down, where the service is given or expected', async () => {
  const all = ['accounts', 'services', 'conversations']
  expect(await found(rows, { service_sid: 'IS2' })).toMatchObject({ asked: all, found: ['of IS2'] })
  expect(await found(rows, { expected_service_sid: 'IS1' })).toMatchObject({ asked: all, found: ['of IS1'] })
  expect(await found(rows, {})).toMatchObject({ asked: ['accounts'], found: ['of IS1'] })
})

test('what is found is in the default service of now, whatever was expected', async () => {
  expect((await found(rows, { expected_service_sid: 'IS2' })).found).toEqual(['of IS1'])
  expect((await found(rows, { expected_service_sid: 'IS3' })).found).toEqual(['of IS1'])
})

test('no row of another account is held', async () => {
  expect((await found(rows, { service_sid: 'IS3' })).held).toEqual([])
  const { held } = await found(rows, { expected_service_sid: 'IS3' })
  expect(held).toEqual([rows.services[0], rows.conversations[0]])
})

test('the outermost that is missing is refused', async () => {
  const missing = '/Conversations/room'
  expect((await found(rows, { service_sid: 'IS3' })).found).toContain(missing)
  expect((await found({ ...rows, conversations: [] }, { expected_service_sid: 'IS1' })).found).toContain(missing)
  const none = (await found({ ...rows, accounts: [] }, { service_sid: 'IS1' })).found
  expect(none).not.toContain(missing)
})
