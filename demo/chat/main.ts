/**
 * Two people who chat on one page, each on the official client SDK, beside a Parley in memory whose clock the page can move.
 *
 *     npm run demo:chat [-- --port 8090]
 */
import { once } from 'node:events'
import { parseArgs } from 'node:util'
import { startChatDemo } from './server.ts'

try {
  const { values } = parseArgs({ options: { port: { type: 'string', default: '8090' } } })
  const port = /^\d{1,5}$/.test(values.port) ? Number(values.port) : Number.NaN
  if (!(port <= 65_535)) throw new Error('--port is a number from 0 (any free one) to 65535')
  await using demo = await startChatDemo({ port })
  console.log(`Open ${demo.url} in a browser. Ctrl+C ends it; nothing is kept.`)
  await Promise.race([once(process, 'SIGINT'), once(process, 'SIGTERM')])
} catch (error) {
  console.error(error instanceof Error ? error.message : error)
  process.exitCode = 1
}
