import { type Given, readConfig } from '../../src/config.ts'
import { start } from '../../src/main.ts'
import { createPool } from '../../src/storage/postgres/connection.ts'
import { PostgresReader } from '../../src/storage/postgres/reader.ts'
import { account_sid, auth_token } from '../asks.ts'
import { given, serveParent } from '../child.ts'

/** The whole server as shipped, log lines included: only how much it does at a time can be set. */
const { settings, largest_batch, coalesce } = given<{ settings: Given; largest_batch?: number; coalesce?: boolean }>()
const config = readConfig({ PORT: '0', PARLEY_ACCOUNT_SID: account_sid, PARLEY_AUTH_TOKEN: auth_token, ...settings })
if (coalesce === false && config.database.engine === 'postgres') readOneByOne(config.database.url)
const running = await start(config, largest_batch === undefined ? {} : { largest_batch })
serveParent(
  { port: Number(new URL(running.url).port) },
  () => ({}),
  () => running.stop(),
)

/** Every read goes to a reader that sends a query for each; the server itself has no such setting. */
function readOneByOne(url: string): void {
  const failed = (error: Error) => console.error(error)
  const pool = createPool(url, { max: 10, failed })
  const reader = new PostgresReader(pool, { failed, coalesce: false })
  const { one, all } = PostgresReader.prototype
  PostgresReader.prototype.one = one.bind(reader) as typeof one
  PostgresReader.prototype.all = all.bind(reader) as typeof all
}
