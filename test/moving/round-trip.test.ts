import { mkdirSync, readdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { kinds } from '../../src/records/format.ts'
import { inspect } from '../support/databases.ts'
import { exported, fill, hostedSid, imported, installedOn, movedAccount } from '../support/moving.ts'
import { folder } from '../support/process.ts'

/** Without what an import cannot store, and the counts of it. */
const bodyOf = ([header, ...lines]: string[]) => {
  expect(JSON.parse(header ?? '')).toMatchObject({
    kind: 'header',
    format: 1,
    left_out: expect.arrayContaining([{ what: expect.any(String), why: expect.any(String) }]),
  })
  return lines.filter((line) => !/^\{"kind":"(?:channel|end)"/.test(line))
}

test('what is exported is the same after it was imported by the other engine and back', async () => {
  using files = folder()
  await using first = await installedOn('sqlite')
  await using second = await installedOn('own')
  await using third = await installedOn('sqlite')
  {
    await using server = await first.start()
    const { service_sid, credential_sid } = await fill(server)
    await using look = inspect(first.place)
    await look.insert('bindings', {
      account_sid: movedAccount,
      service_sid,
      sid: hostedSid('BS', 1),
      identity: 'ada',
      endpoint: 'a device',
      binding_type: 'fcm',
      credential_sid,
      message_types: '["new_message"]',
      date_created: Date.now(),
      date_updated: Date.now(),
      revision: 1,
    })
    await server.call('POST', '/v1/Configuration', { DefaultChatServiceSid: service_sid })
    await server.call('POST', '/v1/Conversations', { UniqueName: 'of the new default' })
  }
  {
    await using look = inspect(first.place)
    const block = { account_sid: movedAccount, address: 'gone@example.com', error_code: 30005, reason: 'no such user' }
    await look.insert('mail_blocks', { ...block, date_created: 1_700_000_000_123 })
  }
  const before = await exported(first, files.file('1'))
  expect(before.join()).not.toContain('user:password')
  const { counts } = JSON.parse(before.at(-1) ?? '')
  for (const kind of kinds) expect([kind, counts[kind] > 0]).toEqual([kind, true])
  expect(before.at(-2)).toMatch(/"kind":"channel".*\+15550009999.*127\.0\.0\.1:9/)
  for (const [from, to, n] of [[1, second, 2] as const, [2, third, 3] as const]) {
    await using server = await to.start()
    const report = await imported(server, to, join(files.file(String(from)), 'records.jsonl'))
    expect(report.faults).toEqual([])
    const after = await exported(to, files.file(String(n)))
    expect(bodyOf(after)).toEqual(bodyOf(before))
    await using look = inspect(to.place)
    await using there = inspect(first.place)
    // What is found by its words.
    const found = 'select sid from search_documents order by sid'
    expect(await look.query(found)).toEqual(await there.query(found))
    const counts = await look.query(`select c.sid from conversations c where
      removed_messages <> last_message_index + 1 - (select count(*) from messages m where m.conversation_sid = c.sid)
      or webhook_count <> (select count(*) from conversation_webhooks w where w.conversation_sid = c.sid)
      or last_event_id < (select coalesce(max(event_id), 0) from messages m where m.conversation_sid = c.sid)
      or last_event_id < (select coalesce(max(event_id), 0) from participants p where p.conversation_sid = c.sid)`)
    expect(counts).toEqual([])
    const numbers = await look.query(
      'select sid from messages where event_id = 0 union select sid from participants where event_id = 0',
    )
    expect(numbers).toEqual([])
    const opened = await look.query(`select p.sid from participants p join conversations c on c.sid = p.conversation_sid
      where p.open <> (case when c.state = 'closed' then 0 else 1 end)
      or (p.open = 0 and p.closed_activity <> c.date_activity)`)
    expect(opened).toEqual([])
    // Once more: nothing changes.
    const again = await imported(server, to, join(files.file(String(from)), 'records.jsonl'))
    expect(again.faults).toEqual([])
    for (const [kind, counts] of again.counts) expect([kind, counts.unchanged + counts.skipped]).toEqual([kind, counts.read])
  }
})

test('an export goes where nothing is, or an interrupted one, and says what is wrong with any other place', async () => {
  using files = folder()
  await using installed = await installedOn('sqlite')
  await (await installed.start()).stop()
  mkdirSync(files.file('interrupted/media/ab'), { recursive: true })
  writeFileSync(files.file('interrupted/records.jsonl.partial'), '{"kind":"header"')
  expect(bodyOf(await exported(installed, files.file('interrupted'))).length).toBeGreaterThan(1)
  expect(readdirSync(files.file('interrupted')).sort()).toEqual(['media', 'records.jsonl'])

  mkdirSync(files.file('other'))
  writeFileSync(files.file('other/records.jsonl.partial'), '')
  writeFileSync(files.file('other/mine'), '')
  writeFileSync(files.file('a file'), '')
  const to = (name: string) => exported(installed, files.file(name))
  for (const name of ['interrupted', 'other', 'a file']) await expect(to(name)).rejects.toThrow('is there already')
  await expect(to('a file/below')).rejects.toThrow(/a file\/below cannot be written \(E/)
})
