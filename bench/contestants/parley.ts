import { readConfig } from '../../src/config.ts'
import { start } from '../../src/main.ts'
import { account_sid, auth_token } from '../asks.ts'
import { given, serveParent } from '../child.ts'

/** The whole server as shipped, log lines included: only the size of its transactions can be set. */
const { file, largest_batch } = given<{ file: string; largest_batch?: number }>()
const config = readConfig({
  PORT: '0',
  PARLEY_DATABASE_URL: `sqlite:${file}`,
  PARLEY_ACCOUNT_SID: account_sid,
  PARLEY_AUTH_TOKEN: auth_token,
})
const running = await start(config, largest_batch === undefined ? {} : { largest_batch })
serveParent(
  { port: Number(new URL(running.url).port) },
  () => ({}),
  () => running.stop(),
)
