import { readFileSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { ask } from '../support/admin.ts'
import { newDatabase } from '../support/databases.ts'
import { parley, serve } from '../support/process.ts'
import { sdkFor } from '../support/sdk.ts'
import { adminToken } from '../support/server.ts'
import type { Tenant } from '../support/tenant.ts'
import { alice, erase, populate, startScene, ways } from './scene.ts'

interface Line {
  readonly kind: string
  readonly account_sid?: string
  readonly conversation_sid?: string
  readonly resource: Readonly<Record<string, unknown>>
  readonly counts?: Readonly<Record<string, number>>
}

async function disclosed({ url, account_sid }: Pick<Tenant, 'url' | 'account_sid'>, named: object) {
  const response = await fetch(`${url}/admin/v1/accounts/${account_sid}/disclosures`, {
    method: 'POST',
    headers: { authorization: `Bearer ${adminToken}`, 'content-type': 'application/json' },
    body: JSON.stringify(named),
  })
  expect([response.status, response.headers.get('content-type')]).toEqual([200, 'application/x-ndjson'])
  const text = await response.text()
  return { text, lines: linesIn(text) }
}

function linesIn(text: string): Line[] {
  return text
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line))
}

test('a disclosure has what an erasure would find, as the API shows it, and nothing that others wrote', async () => {
  const scene = await startScene()
  const { server } = scene
  const { chat, said } = await populate(scene, server)
  for (const named of ways) {
    const { text, lines } = await disclosed(server, named)
    const { counts } = await erase(server, { ...named, dry_run: true })
    expect(lines[0]).toMatchObject({ kind: 'header', format: 1 })
    expect(lines.at(-1)?.counts).toEqual(
      Object.fromEntries(
        Object.entries({
          binding: counts.bindings,
          participant: counts.participants,
          user: counts.users,
          delivery: counts.deliveries + counts.pending_deliveries,
          receipt: counts.receipts,
          media: counts.media,
          message: counts.messages_redacted,
        }).filter(([, count]) => count > 0),
      ),
    )
    expect(lines.slice(1, -1).filter(({ account_sid }) => account_sid !== server.account_sid)).toEqual([])
    for (const words of ['bob says', 'bob answers', 'bob is waiting', 'carol answers', server.url])
      expect(text).not.toContain(words)
  }
  const { text, lines } = await disclosed(server, { identity: alice.identity })
  for (const words of ['markerchatbody', 'markerattributes', alice.name]) expect(text).toContain(words)
  const { url: _url, links: _links, ...shown } = (await server.call('GET', `/v1/Conversations/${chat}/Messages/${said}`)).body
  const line = lines.find(({ kind, resource }) => kind === 'message' && resource.sid === said)
  expect(line).toMatchObject({ conversation_sid: chat, resource: shown })
})

test('a disclosure is refused like an erasure', async () => {
  const { server } = await startScene()
  const path = `/accounts/${server.account_sid}/disclosures`
  for (const body of [
    {},
    { identity: 'a', address: '+15550001234' },
    { address: 'nobody' },
    { identity: 'a', messages: 'delete' },
  ]) {
    expect((await ask(server, 'POST', path, body)).status).toBe(400)
  }
  expect((await ask(server, 'POST', `/accounts/AC${'f'.repeat(32)}/disclosures`, { identity: 'a' })).status).toBe(404)
  // Nobody is there: that is no error, and says nothing of other accounts.
  expect((await disclosed(server, { identity: 'nobody' })).lines.map(({ kind }) => kind)).toEqual(['header', 'end'])
})

test('the command line counts, discloses and erases, and says what is wrong', async () => {
  await using database = await newDatabase()
  const account_sid = `AC${'d'.repeat(32)}`
  const auth_token = 'aTokenOfThePrivacyTests'
  const env = {
    ...database.env,
    PARLEY_ACCOUNT_SID: account_sid,
    PARLEY_AUTH_TOKEN: auth_token,
    PARLEY_ADMIN_TOKEN: adminToken,
    PARLEY_LOG_LEVEL: 'silent',
  }
  const none = await parley(['erase', account_sid, '--identity', 'alice'], { env })
  expect(none).toMatchObject({ code: 1, stderr: expect.stringContaining('this command needs the running server') })
  await using server = await serve({ env })
  // Beside a PostgreSQL there is no file that says where it listens.
  const at = { env: { ...env, PORT: new URL(server.url).port } }
  const { v1 } = sdkFor(server, account_sid, auth_token).conversations
  const { sid } = await v1.conversations.create({})
  await v1.conversations(sid).participants.create({ identity: 'alice' })
  await v1.conversations(sid).messages.create({ author: 'alice', body: 'alice says' })
  const out = join(database.env.PARLEY_DATA_DIR, 'alice.jsonl')

  const counted = await parley(['erase', account_sid, '--identity', 'alice'], at)
  expect(counted).toMatchObject({ code: 0, stdout: expect.stringContaining('messages_redacted  1') })
  expect(counted.stdout).toContain('nothing is erased yet')
  expect(await parley(['disclose', account_sid, '--identity', 'alice', '--out', out], at)).toMatchObject({
    code: 0,
    stderr: '',
  })
  expect(linesIn(readFileSync(out, 'utf8')).map(({ kind }) => kind)).toEqual(['header', 'participant', 'user', 'message', 'end'])
  expect(statSync(out).mode & 0o077).toBe(0)
  const again = await parley(['disclose', account_sid, '--identity', 'alice', '--out', out], at)
  expect(again).toMatchObject({ code: 1, stderr: expect.stringContaining('EEXIST') })

  const done = await parley(['erase', account_sid, '--identity', 'alice', '--messages', 'delete', '--yes'], at)
  expect(done).toMatchObject({ code: 0, stdout: expect.stringMatching(/messages_deleted {2}1\n.*ER[0-9a-f]{32}/s) })
  expect(await v1.conversations(sid).messages.list()).toEqual([])
  const printed = await parley(['disclose', account_sid, '--identity', 'alice'], at)
  expect(linesIn(printed.stdout).map(({ kind }) => kind)).toEqual(['header', 'end'])

  const wrong: [string[], string][] = [
    [[account_sid], 'identity or address is missing'],
    [[account_sid, '--address', 'nobody'], 'address must be a phone number'],
    [[account_sid, '--identity', 'a', '--address', '+15550001234'], 'cannot be used with'],
    [[`AC${'f'.repeat(32)}`, '--identity', 'a'], 'was not found'],
  ]
  for (const command of ['erase', 'disclose']) {
    for (const [args, error] of wrong) {
      const ended = await parley([command, ...args], at)
      expect(ended).toMatchObject({ code: 1, stderr: expect.stringContaining(error) })
      expect(ended.stderr).not.toContain('    at ')
    }
  }
  expect((await parley(['erase', account_sid, '--identity', 'a', '--messages', 'burn'], at)).stderr).toContain('Allowed choices')
})
