import { readConfig, type SettingTexts } from '../../src/config.ts'
import { start } from '../../src/main.ts'
import { input, serveParent } from '../child.ts'
import { residentBytes } from '../clients/memory.ts'
import { Watch } from '../stalls/watch.ts'
import { account_sid, adminToken, auth_token } from '../workload.ts'

/** The whole server as shipped, including its log; only the batch size and the combining of reads can be set. */
const { settings, largestBatch, coalesce } = input<{ settings: SettingTexts; largestBatch?: number; coalesce?: boolean }>()
const config = readConfig({
  PORT: '0',
  PARLEY_ACCOUNT_SID: account_sid,
  PARLEY_AUTH_TOKEN: auth_token,
  PARLEY_ADMIN_TOKEN: adminToken,
  // One account sends all of the load.
  PARLEY_MAX_CONCURRENT_REQUESTS: '0',
  ...settings,
})
const running = await start(config, {
  ...(largestBatch !== undefined && { largestBatch }),
  ...(coalesce !== undefined && { coalesce }),
})
const watch = new Watch()
serveParent(
  { port: Number(new URL(running.url).port) },
  (message) => {
    if ('memory' in message) return residentBytes()
    return 'watch' in message ? watch.start() : 'held' in message ? watch.stop() : {}
  },
  () => running.stop(),
)
