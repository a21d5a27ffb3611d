import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { Command } from 'commander'
import { afterEach, beforeEach, expect, vi } from 'vitest'
import { toCef } from '../../src/audit/cef.ts'
import { canonicalJson, entryToJson, hashOf } from '../../src/audit/entry.ts'
import { auditCommand } from '../../src/cli/audit.ts'
import { exportCommand } from '../../src/cli/export.ts'
import { ask } from '../support/admin.ts'
import { dropTriggers } from '../support/audit.ts'
import { inspect, newDatabase } from '../support/databases.ts'
import { secretKey, startFileServer } from '../support/file-server.ts'
import { testOn } from '../support/fixtures.ts'
import { folder, parley } from '../support/process.ts'
import { adminToken, startServer } from '../support/server.ts'
import { newTenant } from '../support/tenant.ts'

const test = testOn(() => startFileServer())

let printed = ''
let complained: string[] = []
beforeEach(() => {
  printed = ''
  complained = []
  vi.spyOn(console, 'error').mockImplementation((line: string) => void complained.push(line))
  vi.spyOn(console, 'log').mockImplementation((line: string) => {
    printed += `${line}\n`
  })
  vi.spyOn(process.stdout, 'write').mockImplementation((text) => {
    printed += String(text)
    return true
  })
})
afterEach(() => void vi.restoreAllMocks())

/** Runs `parley audit …` against a server; returns what it has printed. */
async function run({ url }: { readonly url: string }, ...args: string[]): Promise<string> {
  const program = new Command()
  program.addCommand(auditCommand())
  printed = ''
  const server = ['--port', new URL(url).port, '--secret-key', secretKey, '--admin-token', adminToken]
  await program.parseAsync(['audit', ...args, ...server, '--database-url', 'sqlite:./there/is/none.db'], { from: 'user' })
  return printed
}

test('the entries of an account are listed newest first, in pages, and with after in order', async ({ server }) => {
  const { account_sid } = await newTenant(server)
  for (const status of ['suspended', 'active', 'suspended']) await server.admin('POST', `/accounts/${account_sid}`, { status })
  const list = async (query: string) => (await ask(server, 'GET', `/audit?account_sid=${account_sid}&${query}`)).body
  const actions = (page: { entries: { action: string }[] }) => page.entries.map(({ action }) => action)
  const first = await list('limit=3')
  expect(actions(first)).toEqual(['account.updated', 'account.updated', 'account.updated'])
  expect(first.entries[0]).toMatchObject({
    before: { status: 'active' },
    after: { status: 'suspended' },
    target: { sid: account_sid },
  })
  const second = await list(`limit=3&before=${first.next_before}`)
  expect(actions(second)).toEqual(['account.created'])
  expect(second.next_before).toBeNull()
  const ascending = await list('limit=3&after=0')
  expect(actions(ascending)).toEqual(['account.created', 'account.updated', 'account.updated'])
  expect(actions(await list(`limit=3&after=${ascending.next_after}`))).toEqual(['account.updated'])
})

test('every filter is one, and all count together', async ({ server }) => {
  const { account_sid } = await newTenant(server)
  await ask(server, 'POST', `/accounts/${account_sid}/keys`, { friendly_name: 7 })
  const count = async (query: string) => (await ask(server, 'GET', `/audit?${query}`)).body.entries.length
  const today = new Date(server.clock.now()).toISOString().slice(0, 10)
  expect(await count(`account_sid=${account_sid}&outcome=refused`)).toBe(1)
  expect(await count(`account_sid=${account_sid}&outcome=refused&action=account.created`)).toBe(0)
  expect(await count(`target_sid=${account_sid}&actor_id=operator&action=account.created&from=${today}&to=${today}`)).toBe(1)
  expect(await count(`target_sid=${account_sid}&to=2001-01-01`)).toBe(0)
  expect(await count(`target_sid=${account_sid}&from=2100-01-01T00:00:00Z`)).toBe(0)
  expect(await count('actor_id=nobody')).toBe(0)
})

test.for([
  'outcome=lost',
  'from=yesterday',
  'to=2001-13-01',
  'limit=0',
  'limit=1001',
  'before=-1',
  'before=x',
  'after=1e999',
  'limit=1e999',
  'before=1&after=1',
  'colour=red',
  'action=a%00b',
  'action=a&action=b',
  `action=${'x'.repeat(257)}`,
])('a query that cannot be meant is refused: %s', async (query, { server }) => {
  expect((await ask(server, 'GET', `/audit?${query}`)).status).toBe(400)
})

test.for([[{ checkpoint: 7 }], [{ checkpoint: 'x'.repeat(1001) }], [{ other: 1 }], [[]], ['"text"']])(
  'a verification that cannot be meant is refused: %j',
  async ([body], { server }) => {
    expect((await ask(server, 'POST', '/audit/verify', body)).status).toBe(400)
  },
)

test('an export has all that is needed to verify the chain without Parley', async ({ server }) => {
  await newTenant(server)
  using files = folder()
  const file = files.file('audit.jsonl')
  await run(server, 'export', '--out', file)
  const lines = readFileSync(file, 'utf8').trimEnd().split('\n')
  let before = '0'.repeat(64)
  const rows = (await server.rows('audit_entries')).sort((a, b) => a.seq - b.seq)
  expect(lines.length).toBeGreaterThan(1)
  for (const [i, line] of lines.entries()) {
    const { hash, ...entry } = JSON.parse(line)
    const { hash: stored, ...row } = rows[i] ?? expect.fail()
    expect(canonicalJson(entry)).toBe(canonicalJson(entryToJson(row)))
    expect(hash).toBe(stored)
    before = hashOf(before, row)
    expect(hash).toBe(before)
  }
  await expect(run(server, 'export', '--out', file)).rejects.toThrow('name a new file')
})

test('verify says so when all is well, and takes the checkpoint that was kept', async ({ server }) => {
  using files = folder()
  const note = files.file('note')
  writeFileSync(note, await run(server, 'checkpoint'))
  expect(complained.at(-1)).toMatch(/^verifier: parley-audit\+/)
  await newTenant(server)
  expect(await run(server, 'verify', '--against', note)).toMatch(
    /^\d+ entries are as they were written, and agree with \d+ checkpoints\n$/,
  )
  await expect(run(server, 'verify', '--against', files.file('none'))).rejects.toThrow('cannot be read (ENOENT)')
  writeFileSync(files.file('other'), 'a text')
  await expect(run(server, 'verify', '--against', files.file('other'))).rejects.toThrow('has not the form of a checkpoint')
  expect(existsSync(note)).toBe(true)
})

test('verify fails with the first bad entry, which is recorded and cannot be taken back', async () => {
  const place = await newDatabase()
  await using server = await startServer({ ...place.config, secretKey })
  for (let n = 0; n < 3; n++) await newTenant(server)
  await using rows = inspect(place.config)
  await dropTriggers(rows)
  await rows.query("update audit_entries set actor_id = 'somebody else' where seq = 2")
  await expect(run(server, 'verify')).rejects.toThrow('the audit log is not as it was written: entry 2 was changed')
  expect((await rows.rows('audit_entries')).at(-1)).toMatchObject({ action: 'audit.verified', outcome: 'failed' })
})

test('an entry in the Common Event Format escapes what would end a field', async ({ server }) => {
  await ask(server, 'POST', '/accounts', { friendly_name: 'x' })
  const [entry] = (await ask(server, 'GET', '/audit?limit=1')).body.entries
  expect(await run(server, 'export', '--format', 'cef', '--action', 'account.created')).toMatch(
    /^CEF:0\|Parley\|Parley\|[\d.]+\|account\.created\|account created\|3\|rt=\d{13} src=127\.0\.0\.1 suser=operator:operator act=account\.created outcome=success cnt=1 /,
  )
  const hostile = toCef({ ...entry, action: 'a|b\\c', from: { ...entry.from, agent: 'x=y\\z\nCEF:0|' } })
  expect(hostile).toContain('|a\\|b\\\\c|')
  expect(hostile).toContain('requestClientApplication=x\\=y\\\\z\\nCEF:0|')
  expect(hostile.split('\n')).toHaveLength(1)
})

test('the metrics count entries by action and outcome', async ({ server }) => {
  await newTenant(server)
  const text = await (await fetch(`${server.metricsUrl}/metrics`)).text()
  expect(text).toMatch(/parley_audit_entries_total\{action="account\.created",outcome="success"\} \d+/)
})

test('an export beside a running server is recorded there', async () => {
  const place = await newDatabase()
  await using server = await startServer({ ...place.config, secretKey })
  await using rows = inspect(place.config)
  using files = folder()
  const program = new Command()
  program.addCommand(exportCommand())
  const settings = ['--port', new URL(server.url).port, '--secret-key', secretKey, '--admin-token', adminToken]
  const database = ['--database-url', place.env.PARLEY_DATABASE_URL, '--data-dir', place.env.PARLEY_DATA_DIR]
  const out = ['--account', server.account_sid, '--out', files.file('all.jsonl')]
  await program.parseAsync(['export', ...out, ...settings, ...database], { from: 'user' })
  expect((await rows.rows('audit_entries')).at(-1)).toMatchObject({
    action: 'records.exported',
    account_sid: server.account_sid,
    agent: expect.stringMatching(/^parley-cli/),
  })
})

test('what the command line does where no server runs is recorded as its own', async () => {
  await using place = await newDatabase()
  const env = { ...place.env, PORT: '1' }
  const ended = await parley(['accounts', 'create', 'Of the command line'], { env })
  expect(ended).toMatchObject({ code: 0 })
  await using rows = inspect(place.config)
  expect(await rows.rows('audit_entries')).toMatchObject([
    { seq: 1, actor_type: 'cli', interface: 'cli', address: null, action: 'account.created', outcome: 'success' },
  ])
  const verified = await parley(['audit', 'verify'], { env })
  expect(verified).toMatchObject({ code: 0, stdout: expect.stringContaining('1 entries are as they were written') })
  await dropTriggers(rows)
  await rows.query("update audit_entries set action = 'nothing'")
  const found = await parley(['audit', 'verify'], { env })
  expect(found).toMatchObject({ code: 1, stderr: expect.stringContaining('entry 1 was changed') })
})
