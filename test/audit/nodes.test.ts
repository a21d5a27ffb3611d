import { expect, onTestFinished, test } from 'vitest'
import { verifyLog } from '../../src/audit/verify.ts'
import { actOf, openLog } from '../support/audit.ts'
import { inspect, newDatabase } from '../support/databases.ts'
import { postgresOnly } from '../support/only.ts'
import { startServer } from '../support/server.ts'

postgresOnly('on a database that nodes share', () => {
  test('two nodes write one chain', async () => {
    const database = await newDatabase()
    onTestFinished(() => database.dispose())
    const settings = { ...database.config, secretKey: '5'.repeat(64) }
    const nodes = await Promise.all([startServer(settings), startServer(settings)])
    for (const node of nodes) onTestFinished(() => node.stop())
    await Promise.all(
      nodes.flatMap((node, n) =>
        Array.from({ length: 15 }, (_, i) => node.admin('POST', '/accounts', { friendly_name: `of ${n}: ${i}` })),
      ),
    )
    const rows = inspect(database.config)
    onTestFinished(() => rows.close())
    const entries = (await rows.rows('audit_entries')).sort((a, b) => a.seq - b.seq)
    expect(entries.map(({ seq }) => seq)).toEqual(entries.map((_, i) => i + 1))
    const created = entries.filter(({ action }) => action === 'account.created')
    expect(created.length).toBe(30)
    expect(new Set(created.map(({ node }) => node)).size).toBe(2)
    const log = await openLog(database)
    expect(await verifyLog(log.database, log.signer, null)).toMatchObject({ ok: true, entries: entries.length })
  })

  test('what two nodes record at once of the same view is one entry', async () => {
    const first = await openLog()
    const second = await openLog(first.place)
    await Promise.all([first, second].map(({ audit }) => audit.viewed(actOf('conversation.viewed', `CH${'0'.repeat(32)}`))))
    expect((await first.rows.rows('audit_entries')).length).toBe(1)
  })
})
