import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import type { Kind } from '../../src/records/format.ts'
import { importRecords } from '../../src/transfer/import.ts'
import { Trial } from '../../src/transfer/trial.ts'
import { newDatabase } from '../support/databases.ts'
import { hostedLines, hostedService, movedAccount, hostedSid as sid, textOf } from '../support/moving.ts'
import { folder, parley } from '../support/process.ts'
import { startServer, type TestServer } from '../support/server.ts'

// biome-ignore lint/suspicious/noExplicitAny: tests change records of every kind
type Line = any

const dates = { date_created: '2026-01-01T00:00:00Z', date_updated: '2026-01-01T00:00:00Z' }

/** With a receipt in each of two conversations, the second of which is closed. */
function withReceipts(): Line[] {
  const lines: Line[] = [...hostedLines(2, 2)]
  const receipts = [1, 2].map((n) => ({
    kind: 'receipt',
    account_sid: movedAccount,
    chat_service_sid: hostedService,
    conversation_sid: sid('CH', n),
    message_sid: sid('IM', n * 1000 + 1),
    resource: {
      sid: sid('DY', n),
      participant_sid: sid('MB', n),
      channel_message_sid: sid('SM', n),
      status: 'read',
      error_code: 0,
      ...dates,
    },
  }))
  const closed = lines.find((line) => line.resource?.sid === sid('CH', 2))
  closed.resource.state = 'closed'
  const second = lines.indexOf(closed)
  lines.splice(second, 0, receipts[0])
  lines.splice(-1, 0, receipts[1])
  lines.at(-1).counts.receipt = 2
  return lines
}

async function* bytes(lines: Line[]): AsyncGenerator<Uint8Array> {
  yield Buffer.from(textOf(lines))
}

const check = (server: TestServer) => async (records: readonly unknown[]) =>
  (await server.admin('POST', '/import/check', { records })).results

function imported(server: TestServer, lines: Line[], more: Partial<Parameters<typeof importRecords>[0]> = {}) {
  return importRecords({
    source: bytes(lines),
    media: null,
    send: async (records) => (await server.admin('POST', '/import', { records })).results,
    startTimers: async () => {},
    check: check(server),
    ...more,
  })
}

const conversationsOf = async (server: TestServer) =>
  (await server.call('GET', `/v1/Services/${hostedService}/Conversations`)).body.conversations ?? []

test('a trial names what would be refused, beside the other lines and beside what is stored, and stores nothing', async () => {
  await using server = await startServer({ account_sid: movedAccount })
  const lines = withReceipts()
  const at = (line: Line) => lines.indexOf(line) + 1
  const find = (kind: string, n: number): Line => lines.filter((line) => line.kind === kind)[n]
  {
    using trial = new Trial(check(server))
    const report = await imported(server, lines, { trial })
    expect(report.faults).toEqual([])
    expect(report.counts.get('message')).toMatchObject({ read: 4, created: 4 })
    expect(report.compared).toBeNull()
    expect(await conversationsOf(server)).toEqual([])
  }
  const sms = { type: 'sms', address: '+15550001111', proxy_address: '+15550002222' }
  const pair = (n: number): Line => ({
    ...structuredClone(find('participant', 0)),
    conversation_sid: sid('CH', n),
    resource: { ...find('participant', 0).resource, sid: sid('MB', 100 + n), identity: null, messaging_binding: sms },
  })
  find('conversation', 0).resource.unique_name = 'same'
  const third = structuredClone(find('conversation', 0))
  third.resource.sid = sid('CH', 3)
  find('participant', 1).resource.identity = 'nobody'
  find('message', 1).resource.index = 0
  const dangling = find('receipt', 1)
  dangling.message_sid = sid('IM', 99)
  const moved = structuredClone(find('message', 0))
  moved.conversation_sid = sid('CH', 2)
  moved.resource.index = 9
  lines.splice(-1, 0, moved, third)
  lines.splice(lines.indexOf(find('message', 0)), 0, pair(1))
  {
    using trial = new Trial(check(server))
    const { faults } = await imported(server, lines, { trial })
    const announced = faults.filter(({ fault }) => !fault.startsWith('the file should have'))
    expect(announced).toEqual([
      { line: at(find('message', 1)), kind: 'message', fault: expect.stringContaining('its message_index is that of IM') },
      // What refers to something that is refused is refused with it.
      { line: at(find('receipt', 0)), kind: 'receipt', fault: `there is no message ${sid('IM', 1001)}` },
      { line: at(find('participant', 2)), kind: 'participant', fault: 'there is no user with its identity' },
      { line: at(dangling), kind: 'receipt', fault: `there is no message ${sid('IM', 99)}` },
      { line: at(moved), kind: 'message', fault: expect.stringContaining('its SID is that of line') },
      {
        line: at(third),
        kind: 'conversation',
        fault: expect.stringMatching(/its unique_name .* in line \d+$/),
      },
    ])
  }
  expect(await conversationsOf(server)).toEqual([])

  // What is here already.
  await imported(server, withReceipts())
  const other = withReceipts()
  other.find((line) => line.kind === 'conversation').resource.sid = sid('CH', 50)
  other.find((line) => line.kind === 'message').resource.index = 2
  using trial = new Trial(check(server))
  const { faults } = await imported(server, other, { trial })
  expect(faults).toContainEqual(
    expect.objectContaining({ kind: 'message', fault: `its message_index is that of ${sid('IM', 1001)}` }),
  )
})

test('only the kinds and receipts that were chosen are stored, and the others are counted', async () => {
  await using server = await startServer({ account_sid: movedAccount })
  const only: Kind[] = ['service', 'role', 'user']
  const people = await imported(server, withReceipts(), { choice: { only, receipts: 'all' } })
  expect(people.faults).toEqual([])
  expect(people.counts.get('user')).toMatchObject({ read: 1, created: 1, skipped: 0 })
  expect(people.counts.get('message')).toMatchObject({ read: 4, created: 0, skipped: 4 })
  expect(await conversationsOf(server)).toEqual([])
  const open = await imported(server, withReceipts(), { choice: { only: null, receipts: 'open' } })
  expect(open.faults).toEqual([])
  expect(open.counts.get('receipt')).toMatchObject({ read: 2, created: 1, skipped: 1 })
  const none = await imported(server, withReceipts(), { choice: { only: null, receipts: 'none' } })
  expect(none.counts.get('receipt')).toMatchObject({ read: 2, skipped: 2 })
})

test('a few conversations are compared field by field with what was read', async () => {
  await using server = await startServer({ account_sid: movedAccount })
  const lines: Line[] = [...hostedLines(30, 2)]
  const good = await imported(server, lines)
  expect(good.compared).toMatchObject({ rows: 40, differing: [] })
  expect(new Set(good.compared?.conversations).size).toBe(10)
  // One that says that it has stored what it has not.
  const lost = new Set(lines.filter((line) => line.kind === 'message').map((line) => line.resource.sid))
  const bad = await imported(
    server,
    lines.map((line) => (lost.has(line.resource?.sid) ? { ...line, resource: { ...line.resource, body: 'new' } } : line)),
    {
      send: async (records) => records.map(() => ({ outcome: 'created' as const })),
    },
  )
  expect(bad.compared?.differing).toHaveLength(20)
  expect(bad.compared?.differing[0]).toMatchObject({ kind: 'message', fields: ['body'] })
})

test('the command line writes all faults to a file, with their lines, and fails when there are any', async () => {
  await using database = await newDatabase()
  using files = folder()
  const settings = { env: { ...database.env, PARLEY_ADMIN_TOKEN: 'an-operator-token' } }
  const run = (...args: string[]) => parley(args, settings)
  await run('accounts', 'create', 'Moved', '--sid', movedAccount)
  const lines = withReceipts()
  lines.splice(-1, 0, ...Array.from({ length: 120 }, () => ({ kind: 'dragon' })))
  mkdirSync(files.file('export'))
  const file = files.file('export/records.jsonl')
  writeFileSync(file, textOf(lines))
  const trial = await run('import', '--from', files.file('export'), '--dry-run', '--report', files.file('faults'))
  expect(trial).toMatchObject({ code: 1, stdout: expect.stringContaining('nothing was stored') })
  expect(trial.stderr).toContain(`${file}:${lines.length - 120}, dragon: its kind is not one of`)
  expect(trial.stderr).toContain('and 20 more')
  expect(readFileSync(files.file('faults'), 'utf8').trimEnd().split('\n')).toHaveLength(120)
  writeFileSync(file, textOf(withReceipts()))
  expect(await run('import', '--from', file, '--only', 'user,dragon')).toMatchObject({
    code: 1,
    stderr: expect.stringContaining('one or several of'),
  })
  const done = await run('import', '--from', file, '--receipts', 'open')
  expect(done).toMatchObject({ code: 0, stderr: '' })
  expect(done.stdout).toMatch(/^receipt +2 +1 +0 +0 +0 +1 +0$/m)
  expect(done.stdout).toMatch(/^2 conversations compared field by field \(9 records\): all as they were read$/m)
})
