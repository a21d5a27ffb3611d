import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { startPostgres } from '../test/support/postgres.ts'

/** Settings that say where a server's database is, and the folder beside it. */
export type DatabaseSettings = Readonly<Record<string, string>>

/** Works on an empty database of an engine, which is gone afterwards. A PostgreSQL is started for it. */
export async function withDatabase<R>(engine: string, work: (database: DatabaseSettings) => Promise<R>): Promise<R> {
  using folder = temporaryFolder()
  if (engine === 'sqlite') return await work({ PARLEY_DATABASE_URL: `sqlite:${join(folder.path, 'parley.db')}` })
  if (engine !== 'postgres') throw new Error(`--engine must be sqlite or postgres, not ${engine}`)
  await using postgres = await startPostgres()
  return await work({ PARLEY_DATABASE_URL: await postgres.createDatabase(), PARLEY_DATA_DIR: folder.path })
}

function temporaryFolder(): Disposable & { readonly path: string } {
  const path = mkdtempSync(join(tmpdir(), 'parley-fuzz-'))
  const remove = () => rmSync(path, { recursive: true, force: true })
  process.once('exit', remove)
  return { path, [Symbol.dispose]: remove }
}
