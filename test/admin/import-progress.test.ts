import { expect } from 'vitest'
import { ask } from '../support/admin.ts'
import { testWithRows as test } from '../support/fixtures.ts'

test('how far an import was is stored as it is given, or refused', async ({ server }) => {
  const source = 'a'.repeat(64)
  const store = (progress: unknown) => ask(server, 'POST', '/import', { records: [], progress })
  const kept = (name: string) => ask(server, 'GET', `/import/progress/${name}`)
  expect(await kept(source)).toEqual({ status: 200, body: { state: null } })
  for (const state of ['', '{"line":5}', 'é\n😀', 'x'.repeat(262_144)]) {
    expect(await store({ source, state })).toEqual({ status: 200, body: { results: [] } })
    expect((await kept(source)).body).toEqual({ state })
  }
  expect((await store({ source, state: null })).status).toBe(200)
  for (const state of ['\0', 'a\0b', '\ud800', 5, {}, 'x'.repeat(262_145)]) {
    expect((await store({ source, state })).status, JSON.stringify(state).slice(0, 20)).toBe(400)
  }
  for (const wrong of ['', 'A'.repeat(64), 'a'.repeat(63), `${'a'.repeat(63)}\0`]) {
    expect((await store({ source: wrong, state: 'x' })).status).toBe(400)
  }
  for (const wrong of ['A'.repeat(64), 'first_account', '%00', '..%2F']) expect((await kept(wrong)).status).toBe(400)
  expect((await kept(source)).body).toEqual({ state: null })
})
