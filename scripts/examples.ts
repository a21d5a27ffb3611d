/** Runs the examples, each against a new server: `npm run examples [-- name …]`. Exits with 1 when one of them fails. */
import { spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import { serve } from '../test/support/process.ts'

const root = fileURLToPath(new URL('../', import.meta.url))
const node = process.execPath
const vitest = fileURLToPath(new URL('../node_modules/vitest/vitest.mjs', import.meta.url))

const examples: Readonly<Record<string, readonly string[]>> = {
  'timers-and-webhooks': ['examples/timers-and-webhooks/main.ts'],
  'channel-endpoint': ['examples/channel-endpoint/main.ts'],
  'vitest-suite': [vitest, 'run', '--root', 'examples/vitest-suite'],
}

const chosen = process.argv.length > 2 ? process.argv.slice(2) : Object.keys(examples)
const failed: string[] = []
for (const name of chosen) {
  console.log(`\n${name}`)
  if (!(await run(name))) failed.push(name)
}
if (failed.length > 0) {
  console.error(`\nfailed: ${failed.join(', ')}`)
  process.exitCode = 1
}

async function run(name: string): Promise<boolean> {
  const command = examples[name]
  if (!command) {
    console.error(`there is no example ${name}: choose from ${Object.keys(examples).join(', ')}`)
    return false
  }
  const credentials = {
    PARLEY_ACCOUNT_SID: `AC${randomBytes(16).toString('hex')}`,
    PARLEY_AUTH_TOKEN: randomBytes(16).toString('hex'),
    PARLEY_ADMIN_TOKEN: randomBytes(16).toString('hex'),
  }
  await using server = await serve({
    env: { ...credentials, PARLEY_DATABASE_URL: 'sqlite::memory:', PARLEY_TEST_CLOCK: 'true', PARLEY_LOG_LEVEL: 'error' },
  })
  const child = spawn(node, command, {
    cwd: root,
    env: { ...process.env, ...credentials, PARLEY_URL: server.url },
    stdio: 'inherit',
    // A bound against hanging; says nothing about speed.
    timeout: 300_000,
    killSignal: 'SIGKILL',
  })
  const [code] = await once(child, 'exit')
  return code === 0
}
