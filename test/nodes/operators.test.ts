import { expect, test } from 'vitest'
import { ask } from '../support/admin.ts'
import { newDatabase } from '../support/databases.ts'
import { followEvents } from '../support/events.ts'
import { startServer } from '../support/server.ts'

test('every node knows an operator at once, and refuses their ended token with the next request', async () => {
  await using database = await newDatabase()
  await using one = await startServer(database.config)
  await using other = await startServer(database.config)
  const { sid, token } = (await ask(one, 'POST', '/operators', { name: 'Ann', role: 'support' })).body
  const status = async () =>
    Promise.all([one, other].map(async (node) => (await ask(node, 'GET', '/accounts', undefined, token)).status))
  expect(await status()).toEqual([200, 200])
  await using events = await followEvents(other, undefined, token)
  await events.next(({ type }) => type === 'start')
  await ask(one, 'POST', `/operators/${sid}/rotate`, { end_old: true })
  expect(await status()).toEqual([401, 401])
  await events.ended
})

test('of two last admins only one can go, whichever nodes are asked', async () => {
  await using database = await newDatabase()
  await using one = await startServer(database.config)
  await using other = await startServer(database.config)
  for (let round = 0; round < 5; round++) {
    const admin = async (name: string) =>
      (await ask(one, 'POST', '/operators', { name: `${name} ${round}`, role: 'admin' })).body.sid as string
    const left = (await ask(one, 'GET', '/operators')).body.operators.length
    const [first, second] = [await admin('Ann'), await admin('Bob')]
    // The admin that the previous round has left goes first.
    for (const { sid } of (await ask(one, 'GET', '/operators')).body.operators.slice(0, left)) {
      expect((await ask(one, 'DELETE', `/operators/${sid}`)).status).toBe(204)
    }
    const gone = await Promise.all([ask(one, 'DELETE', `/operators/${first}`), ask(other, 'DELETE', `/operators/${second}`)])
    expect(gone.map(({ status }) => status).sort()).toEqual([204, 409])
  }
})
