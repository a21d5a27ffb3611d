import { expect, test } from 'vitest'
import { planOf } from './plan.ts'
import { rehomed } from './rehome.ts'
import { Scopes } from './scopes.ts'
import { targetOf, targetText } from './targets.ts'

const write = (method: 'POST' | 'DELETE', path: string, form = '', service: string | null = 'IS1') =>
  planOf({ method, segments: path.split('/'), service, form: new URLSearchParams(form), day: '2026-01-01' })

test('a target survives being written down, whatever its names are', () => {
  for (const key of ['ada', 'a b', 'ä/%20', ' ', 'a\nb', '🦜']) {
    expect(targetOf(targetText('user', 'IS1', key))).toEqual({ kind: 'user', args: ['IS1', key] })
  }
})

test('a path says what is to be read when nobody knows what a write has done', () => {
  expect(write('POST', 'Conversations', 'UniqueName=a+b').ifUnknown).toEqual(['conversation IS1 a%20b', 'newest IS1 2026-01-01'])
  expect(write('POST', 'Conversations/CH1/Messages').ifUnknown).toEqual(['state IS1 CH1', 'messages IS1 CH1'])
  expect(write('DELETE', 'Conversations/CH1/Messages/IM1').ifUnknown).toEqual(['message IS1 CH1 IM1'])
  expect(write('POST', 'Conversations/CH1/Participants', 'Identity=ada').ifUnknown).toEqual([
    'user IS1 ada',
    'conversation IS1 CH1',
  ])
  expect(write('POST', 'Users/ada/Conversations/CH1').ifUnknown).toContain('membership IS1 ada CH1')
  expect(write('POST', 'Credentials', '', null).ifUnknown).toEqual(['account'])
  expect(write('POST', 'NoSuchThing')).toMatchObject({ ifUnknown: [], shows: null, removes: null })
})

test('only URLs that are the API’s own are led to another host', () => {
  const there = 'https://there.test'
  const body = {
    url: `${there}/v1/Conversations/CH1`,
    body: `${there}/v1/said`,
    attributes: `{"url":"${there}/v1/x"}`,
    links: { messages: `${there}/v1/Conversations/CH1/Messages`, content_direct_temporary: `${there}/v1/signed` },
    configuration: { url: `${there}/v1/hook` },
  }
  const page = { meta: { next_page_url: `${there}/v1/Conversations?Page=1`, key: 'conversations' }, conversations: [body] }
  const here = {
    ...body,
    url: 'http://here/v1/Conversations/CH1',
    links: { ...body.links, messages: 'http://here/v1/Conversations/CH1/Messages' },
  }
  expect(rehomed(body, [there], 'http://here')).toEqual(here)
  expect(rehomed(page, [there], 'http://here')).toEqual({
    meta: { next_page_url: 'http://here/v1/Conversations?Page=1', key: 'conversations' },
    conversations: [here],
  })
})

test('what concerns one thing runs in turn, whatever throws; what concerns others does not wait', async () => {
  const scopes = new Scopes()
  const told: string[] = []
  const gates = [Promise.withResolvers<void>(), Promise.withResolvers<void>()]
  const first = scopes.run('a', async () => {
    await gates[0]?.promise
    told.push('first')
    throw new Error('no')
  })
  const second = scopes.run('a', async () => void told.push('second'))
  await scopes.run('b', async () => void told.push('other'))
  gates[0]?.resolve()
  await expect(first).rejects.toThrow('no')
  await second
  await scopes.idle()
  expect(told).toEqual(['other', 'first', 'second'])
})
