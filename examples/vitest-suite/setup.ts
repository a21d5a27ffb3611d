import { spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import type { TestProject } from 'vitest/node'

declare module 'vitest' {
  interface ProvidedContext {
    parley: { readonly url: string; readonly adminToken: string }
  }
}

/** In a project of your own: the `parley` command of the package. */
const program = fileURLToPath(new URL('../../src/cli/parley.ts', import.meta.url))

/** Starts Parley before the first test; the function that it returns stops it after the last one. */
export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  const adminToken = randomBytes(16).toString('hex')
  const child = spawn(process.execPath, [program, 'serve'], {
    env: {
      PATH: process.env.PATH,
      PORT: '0',
      PARLEY_DATABASE_URL: 'sqlite::memory:',
      PARLEY_ADMIN_TOKEN: adminToken,
      PARLEY_TEST_CLOCK: 'true',
      PARLEY_LOG_LEVEL: 'error',
    },
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  for await (const line of createInterface(child.stdout)) {
    const url = /^Parley listens on (\S+)$/.exec(line)?.[1]
    if (!url) continue
    project.provide('parley', { url, adminToken })
    // The rest is read and dropped, so that the server never waits for a reader.
    child.stdout.resume()
    return async () => {
      const exit = once(child, 'exit')
      child.kill('SIGTERM')
      await exit
    }
  }
  throw new Error('Parley did not start')
}
