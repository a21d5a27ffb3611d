import type { Pool } from 'pg'
import { refuse } from '../../errors.ts'
import type { Sizes } from '../database.ts'
import { failureOf } from '../failures.ts'
import { isUnavailable } from './failures.ts'

/** A table that was never analysed has -1 rows. */
const tableSizes = `select c.relname as name, pg_total_relation_size(c.oid) as bytes, c.reltuples as rows from pg_class c
  where c.relkind = 'r' and c.relnamespace = current_schema()::regnamespace order by 2 desc, 1`

/** Asks the catalogue and the file system of the database: no row is read. */
export async function sizesOf(pool: Pool): Promise<Sizes> {
  try {
    const whole = await pool.query<{ bytes: string }>('select pg_database_size(current_database()) as bytes')
    const { rows } = await pool.query<{ name: string; bytes: string; rows: number }>(tableSizes)
    const tables = rows.map((row) => ({ name: row.name, bytes: Number(row.bytes), rows: row.rows < 0 ? null : row.rows }))
    return { bytes: Number(whole.rows[0]?.bytes), tables }
  } catch (error) {
    throw refuse(failureOf(error, isUnavailable).kind)
  }
}
