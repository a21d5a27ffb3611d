import { readdirSync } from 'node:fs'
import { pino } from 'pino'
import { expect, test } from 'vitest'
import { readConfig } from '../../src/config.ts'
import { openInstallation } from '../../src/installation/open.ts'
import { migrations } from '../../src/storage/migrations/index.ts'
import { newDatabase } from '../support/databases.ts'
import { startNodes } from '../support/nodes.ts'
import { postgresOnly } from '../support/only.ts'
import { parley } from '../support/process.ts'
import { lookInto } from './verify.ts'

// Many open the database at once, on a machine that may be busy with others.

postgresOnly('nodes that start', () => {
  test('twenty at once on an empty database make one schema, one account and one set of secrets between them', async () => {
    await using place = await newDatabase({ untouched: true })
    const config = { ...readConfig({}), ...place.config }
    const log = pino({ level: 'silent' })
    const opened = await Promise.all(Array.from({ length: 20 }, () => openInstallation(config, { log })))
    expect(new Set(opened.map(({ account }) => account.sid)).size).toBe(1)
    // Each may tell its token, which is the same.
    expect(new Set(opened.map(({ account }) => account.unshownToken)).size).toBe(1)
    expect(new Set(opened.map(({ adminToken }) => adminToken)).size).toBe(1)
    const sealed = opened[0]?.vault.seal('one key') ?? ''
    expect(opened.map(({ vault }) => vault.open(sealed))).toEqual(opened.map(() => 'one key'))
    await Promise.all(opened.map(({ database }) => database.close()))

    await using look = lookInto(place.env.PARLEY_DATABASE_URL)
    expect(await look.query('select name from kysely_migration')).toEqual(Object.keys(migrations).map((name) => ({ name })))
    expect(await look.query('select sid from accounts')).toEqual([{ sid: opened[0]?.account.sid }])
    expect(await look.query('select sid from services')).toHaveLength(1)
    // The secrets and a place for media: no draft of a secret is left.
    expect(readdirSync(place.env.PARLEY_DATA_DIR).sort()).toEqual(['parley.admin-token', 'parley.key', 'parley.media'])
  })

  test('an older program refuses a database that a newer one has been at, and says so', async () => {
    await using nodes = await startNodes(1)
    await using look = lookInto(nodes.database)
    await look.query(`insert into kysely_migration (name, timestamp) values ('9999-future', '2999-01-01T00:00:00.000Z')`)
    const env = { ...nodes.env, PORT: '0', PARLEY_DATABASE_URL: nodes.database }
    const { code, stdout, stderr } = await parley(['serve'], { env })
    expect({ code, stdout }).toEqual({ code: 1, stdout: '' })
    expect(stderr).toContain('the database was made by a newer Parley (schema 9999-future): start that version instead')
    expect(stderr.trim().split('\n')).toHaveLength(1)
    // One that runs already goes on: the newer one has to be made so that it may.
    expect((await nodes.all[0]?.call('POST', '/v1/Conversations'))?.status).toBe(201)
  })

  test('with another secret key a node is refused with a reason', async () => {
    await using nodes = await startNodes(1)
    const env = { ...nodes.env, PORT: '0', PARLEY_DATABASE_URL: nodes.database, PARLEY_SECRET_KEY: '0'.repeat(64) }
    const { code, stderr } = await parley(['serve'], { env })
    expect(code).toBe(1)
    expect(stderr).toContain('the secret key is not the one that this database was created with')
  })
})
