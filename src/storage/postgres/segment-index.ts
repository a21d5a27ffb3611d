import pg from 'pg'
import { connectionSettings } from './connection.ts'

/** Key of the advisory lock: any number that nothing else uses. */
const lock = 7_061_726_580

/**
 * Builds the index of words by segments where the migration has found too many documents (0028-search-by-segment), without keeping
 * anybody from writing, and drops the one of words alone, which it replaces. Whoever comes while another node builds it leaves: to
 * wait for that would make the other wait as well, because it waits for all who read.
 */
export async function buildSegmentIndex(url: string, signal: AbortSignal): Promise<void> {
  if (signal.aborted) return
  // It takes as long as it takes: a minute for a million documents or two.
  const unbounded = { query_timeout: 0, statement_timeout: 0, lock_timeout: 0 }
  const client = new pg.Client({ ...connectionSettings(url), application_name: 'parley index', ...unbounded })
  // Its user learns of it by the query.
  client.on('error', () => {})
  await client.connect()
  const end = () => void client.end().catch(() => {})
  signal.addEventListener('abort', end)
  try {
    const before = await indexesOf(client)
    if ((before.built && !before.replaced) || !(await isLocked(client))) return
    // The server ends it when this process is gone. What is older than PostgreSQL 14 does not.
    await client.query("set client_connection_check_interval = '1s'").catch(() => {})
    if (!before.built) {
      // One that was not finished.
      await client.query('drop index concurrently if exists search_documents_by_segment')
      await client.query(`create index concurrently search_documents_by_segment on search_documents
        using gin (search_segment_words(id, words)) with (fastupdate = on, gin_pending_list_limit = 128)`)
    }
    await client.query('drop index concurrently if exists search_documents_by_word')
  } catch (error) {
    if (!signal.aborted) throw error
  } finally {
    signal.removeEventListener('abort', end)
    end()
  }
}

/** Whether the index is there, and the one that it replaces. */
async function indexesOf(client: pg.Client): Promise<{ readonly built: boolean; readonly replaced: boolean }> {
  const { rows } = await client.query<{ built: boolean; replaced: boolean }>(`select
    exists (select from pg_index where indexrelid = to_regclass('search_documents_by_segment') and indisvalid) as built,
    to_regclass('search_documents_by_word') is not null as replaced`)
  return rows[0] ?? { built: true, replaced: false }
}

async function isLocked(client: pg.Client): Promise<boolean> {
  const { rows } = await client.query<{ locked: boolean }>('select pg_try_advisory_lock($1) as locked', [lock])
  return rows[0]?.locked ?? false
}
