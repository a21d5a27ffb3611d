import { expect, onTestFinished, test } from 'vitest'
import { verifyLog } from '../../src/audit/verify.ts'
import { openLog } from '../support/audit.ts'
import { inspect, newDatabase } from '../support/databases.ts'
import { serve } from '../support/process.ts'

const adminToken = 'operator-token-of-the-crash-tests'
/** Kills, each at another moment between an act and its answer. */
const rounds = 3
const atOnce = 20

test('a server that is killed between an act and its answer leaves both the act and its entry, or neither', async () => {
  const database = await newDatabase()
  onTestFinished(() => database.dispose())
  const env = { ...database.env, PARLEY_ADMIN_TOKEN: adminToken, PARLEY_SECRET_KEY: '5'.repeat(64), PARLEY_LOG_LEVEL: 'silent' }
  for (let round = 0; round < rounds; round++) {
    const server = await serve({ env })
    let answered = 0
    const create = async () => {
      const response = await fetch(`${server.url}/admin/v1/accounts`, {
        method: 'POST',
        headers: { authorization: `Bearer ${adminToken}`, 'content-type': 'application/json' },
        body: '{"friendly_name":"of the crash"}',
      })
      await response.arrayBuffer()
      answered++
    }
    // Killed after some of them, while others are on their way.
    const enough = 2 + round * 3
    const all = Array.from({ length: atOnce }, () =>
      create()
        .then(() => (answered === enough ? server.end('SIGKILL') : undefined))
        .catch(() => {}),
    )
    await Promise.all(all)
    await server.end('SIGKILL')
  }
  const rows = inspect(database.config)
  onTestFinished(() => rows.close())
  const [accounts, entries] = [await rows.rows('accounts'), await rows.rows('audit_entries')]
  const created = accounts.filter(({ friendly_name }) => friendly_name === 'of the crash').map(({ sid }) => sid)
  const recorded = entries.filter(({ action }) => action === 'account.created').map(({ target_sid }) => target_sid)
  expect(created.length).toBeGreaterThan(rounds)
  expect(recorded.sort()).toEqual(created.sort())
  const log = await openLog(database)
  expect(await verifyLog(log.database, log.signer, null)).toMatchObject({ ok: true, entries: entries.length })
})
