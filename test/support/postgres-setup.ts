import { randomBytes } from 'node:crypto'
import { Client } from 'pg'
import { openDatabase } from '../../src/storage/open.ts'
import { createDatabase, dropDatabase, startPostgres } from './postgres.ts'

/**
 * One PostgreSQL for the whole run, or the one of `PARLEY_TEST_POSTGRES_URL`, and a migrated database in it that every
 * other one is copied from. The tests learn of both by the environment; what they leave behind is dropped at the end.
 */
export default async function setup(): Promise<() => Promise<void>> {
  // Another project of this run has it already.
  if (process.env.PARLEY_TEST_POSTGRES_TEMPLATE) return async () => {}
  const given = process.env.PARLEY_TEST_POSTGRES_URL
  const own = given ? null : await startPostgres()
  const url = given ?? (own?.url as string)
  const template = `parley_test_${randomBytes(4).toString('hex')}`
  await migrate(await createDatabase(url, template))
  Object.assign(process.env, { PARLEY_TEST_POSTGRES_URL: url, PARLEY_TEST_POSTGRES_TEMPLATE: template })
  return async () => {
    if (own) {
      delete process.env.PARLEY_TEST_POSTGRES_URL
      await own[Symbol.asyncDispose]()
    } else await dropAll(url, template)
  }
}

/** As a first start does, but without a first account. */
async function migrate(url: string): Promise<void> {
  const commands = new URL('./batch-commands.ts', import.meta.url)
  const fail = (error: Error) => {
    throw error
  }
  const database = await openDatabase({ engine: 'postgres', url }, { commands, failed: fail })
  await database.close()
}

async function dropAll(url: string, template: string): Promise<void> {
  const client = new Client({ connectionString: url })
  await client.connect()
  const { rows } = await client.query<{ datname: string }>('select datname from pg_database where starts_with(datname, $1)', [
    template,
  ])
  await client.end()
  for (const { datname } of rows) await dropDatabase(url, datname)
}
